/* What a worker, the coordinator and an observer say to each other.
 *
 * Pure codec: structs to bytes and back, no sockets.  A message is: magic,
 * version, type, run id, body.  All numbers little-endian.  Lengths are checked
 * against FM_MESSAGE_MAX before anything is allocated. */
#ifndef FM_PROTO_MESSAGE_H
#define FM_PROTO_MESSAGE_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/reason.h"
#include "proto/recipe.h"

#define FM_PROTO_VERSION 1
#define FM_MESSAGE_MAX (8u << 20)   /* bytes */
#define FM_LEASE_ITEMS_MAX 4096

typedef enum {
    /* worker to coordinator */
    FM_MSG_HELLO = 1,   /* who I am; answered by WELCOME or REFUSED */
    FM_MSG_WANT,        /* give me a shard; answered by LEASE, WAIT or FINISH */
    FM_MSG_BEAT,        /* still at it; answered by nothing, or STALE when the lease is gone */
    FM_MSG_ACK,         /* this shard is committed in my segment; answered by ACKED or STALE */
    FM_MSG_SEALED,      /* my segment is sealed and in the store; answered by ACKED */
    FM_MSG_BYE,         /* I leave; leases I hold go back */
    /* coordinator to worker */
    FM_MSG_WELCOME,
    FM_MSG_REFUSED,     /* text says why; the worker ends */
    FM_MSG_LEASE,
    FM_MSG_WAIT,        /* nothing to hand out now; ask again after wait_ms */
    FM_MSG_FINISH,      /* no more work (or drain): seal and leave */
    FM_MSG_ACKED,
    FM_MSG_STALE,       /* that lease or epoch is not yours any more: drop it, ask again */
    /* observer */
    FM_MSG_STATUS_ASK,  /* answered by STATUS: text is JSON */
    FM_MSG_STATUS,
    FM_MSG_DRAIN_ASK,   /* finish what is leased, hand out no more; answered by ACKED */
    FM_MSG_TYPE_END
} fm_message_type;

/* One photograph to do. */
typedef struct {
    uint64_t item;          /* the coordinator's number for it */
    char *path;             /* absolute; owned by the message */
    fm_digest image;        /* digest of its bytes when the coordinator knows it, else zero */
    bool have_photo;        /* its photo record is in a sealed segment: do not decode, only encode */
    uint32_t photo_segment; /* which one (have_photo), as WELCOME and LEASE count them */
} fm_lease_item;

/* What became of it. */
typedef struct {
    uint64_t item;
    uint64_t size_bytes;    /* of the file as it was read */
    int64_t mtime_ns;
    fm_digest image;        /* zero when the file could not be read */
    uint8_t reason;         /* fm_reason; FM_USED when it has codes */
    bool photo_made;        /* decoded now (false: found in the store) */
    bool code_made;         /* encoded now */
    uint32_t micros;        /* time it took */
} fm_ack_item;

typedef struct {
    fm_message_type type;
    uint64_t run;           /* random number of this run: strangers' messages are dropped */
    uint64_t epoch;         /* of the coordinator; workers repeat it */
    uint64_t lease;         /* LEASE, BEAT, ACK, ACKED, STALE */
    uint32_t crew, rank;    /* HELLO */
    uint32_t pid;           /* HELLO */
    uint32_t timeout_ms;    /* LEASE: without a BEAT for so long it is lost; WAIT: ask again after; WELCOME: beat at least so often */
    uint32_t version;       /* HELLO, REFUSED: FM_PROTO_VERSION of the sender */
    char *text;             /* HELLO: host; REFUSED: why; STATUS: JSON; ACK, SEALED: segment name; WELCOME: segment name for this worker; owned, may be NULL */
    fm_recipe recipe;       /* WELCOME */
    fm_digest encoder;      /* WELCOME: SHA-256 of the encoder's model file; zero: no encoding asked for */
    uint64_t records;       /* SEALED: how many */
    uint32_t n_items;
    fm_lease_item *items;   /* LEASE; owned */
    fm_ack_item *acks;      /* ACK; owned */
    uint32_t n_segments;
    char **segments;        /* WELCOME, LEASE: names of sealed segments the items refer to; owned */
} fm_message;

/* All zero but the type. */
void fm_message_init(fm_message *m, fm_message_type type);
void fm_message_fini(fm_message *m);

/* Append the encoding; sets out->failed when memory runs out. */
void fm_message_encode(const fm_message *m, fm_buf *out);

/* Errors: -EBADMSG (not a facemill message, cut short, a length or value out of
 * range), -EPROTO (another protocol version; out->version then says which),
 * -ENOMEM.  Otherwise out is written only on success. */
int fm_message_decode(const void *bytes, size_t n, fm_message *out, fm_err *err);

const char *fm_message_name(fm_message_type type);

#endif
