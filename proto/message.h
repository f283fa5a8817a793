/* What a worker, the coordinator and an observer say to each other.
 *
 * Pure codec: structs to bytes and back, no sockets.  A message is: magic,
 * version, type, run id, body.  All numbers little-endian.  Lengths are checked
 * against what is left of the message before anything is allocated.
 *
 * A worker's life:
 *   HELLO -> WELCOME, then again and again WANT -> LEASE, the photographs with a
 *   BEAT between two of them whenever timeout_ms / 3 has passed, commit, ACK ->
 *   ACKED.  On FINISH: seal, SEALED -> ACKED, BYE, end.  On WAIT: WANT again after
 *   timeout_ms.  Whenever a segment is full, between ACKED and the next WANT: seal,
 *   SEALED -> ACKED, whose text names the next segment.
 *
 * A worker holds one lease at a time; WANT while it holds one gives the same
 * lease again, and ACK, SEALED and HELLO may be repeated: each is answered as the
 * first time.  So a worker that has no answer for FM_ASK_AGAIN_MS asks again, and
 * one that is owed an answer for FM_SILENCE_MS (fm_client_silence_ms) takes the
 * coordinator for dead: it commits nothing more, seals nothing, leaves its open
 * segment where it is (the next coordinator adopts it) and exits.  It looks for
 * answers before it judges, so that a photograph that takes a minute is no silence. */
#ifndef FM_PROTO_MESSAGE_H
#define FM_PROTO_MESSAGE_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/reason.h"
#include "proto/recipe.h"

#define FM_PROTO_VERSION 3
#define FM_MESSAGE_MAX (8u << 20)   /* bytes */
#define FM_LEASE_ITEMS_MAX 4096
#define FM_SEGMENTS_MAX 65536       /* names in one message */
#define FM_SPANS_MAX 512            /* in one message */
#define FM_STORE_KEY_BYTES 32
#define FM_ASK_AGAIN_MS 5000
#define FM_SILENCE_MS 30000

typedef enum {
    /* worker to coordinator */
    FM_MSG_HELLO = 1,   /* who I am; answered by WELCOME or REFUSED */
    FM_MSG_WANT,        /* give me a shard; answered by LEASE, WAIT or FINISH */
    FM_MSG_BEAT,        /* still at it; answered by ALIVE, or STALE when the lease is gone */
    FM_MSG_ACK,         /* this shard is committed in my open segment (text) or was in the store; answered by ACKED or STALE */
    FM_MSG_SEALED,      /* my segment (text) is sealed and in the store; answered by ACKED, whose text names the next one */
    FM_MSG_BYE,         /* I leave; a lease I hold goes back; not answered */
    /* coordinator to worker */
    FM_MSG_WELCOME,
    FM_MSG_REFUSED,     /* text says why; the worker ends */
    FM_MSG_LEASE,
    FM_MSG_WAIT,        /* nothing to hand out now; ask again after timeout_ms */
    FM_MSG_FINISH,      /* no more work (or drain): seal and leave */
    FM_MSG_ALIVE,       /* to BEAT */
    FM_MSG_ACKED,       /* what you said is in the catalog, durably */
    FM_MSG_STALE,       /* that lease or epoch is not yours any more: drop it, ask again */
    /* observer */
    FM_MSG_STATUS_ASK,  /* answered by STATUS: text is JSON */
    FM_MSG_STATUS,
    FM_MSG_DRAIN_ASK,   /* finish what is leased, hand out no more, to nobody or (text) to one node or crew only;
                           answered by ACKED, whose records say how many workers were told */
    FM_MSG_TYPE_END
} fm_message_type;

/* One photograph to do. */
typedef struct {
    uint64_t item;          /* the coordinator's number for it */
    char *path;             /* absolute; owned by the message */
    fm_digest image;        /* digest of its bytes when the coordinator knows it, else zero */
    bool have_photo;        /* its photo record is in a sealed segment: do not decode, only encode */
    uint32_t photo_segment; /* which of this LEASE's segments (have_photo) */
} fm_lease_item;

/* What became of it. */
typedef struct {
    uint64_t item;
    uint64_t size_bytes;    /* of the file as it was read */
    int64_t mtime_ns;
    fm_digest image;        /* zero when the file could not be read */
    uint8_t reason;         /* fm_reason; FM_USED when it has codes */
    bool photo_made;        /* decoded now (false: found in the store or in my segment, or unreadable) */
    bool code_made;         /* encoded now */
    uint32_t micros;        /* time it took; UINT32_MAX: that or more */
} fm_ack_item;

/* What a worker spent time on. */
typedef enum {
    FM_SPAN_WAIT,           /* for the coordinator: a lease, an answer */
    FM_SPAN_READ,           /* files */
    FM_SPAN_CHIP,           /* decode, find the face, cut the chip */
    FM_SPAN_ENCODE,         /* a batch of chips */
    FM_SPAN_COMMIT,         /* records to disk */
    FM_SPAN_SEAL,           /* a segment into the store */
    FM_SPAN_KINDS
} fm_span_kind;

const char *fm_span_name(fm_span_kind kind);

typedef struct {
    uint8_t kind;           /* fm_span_kind */
    uint32_t ago_us;        /* it began so long before the message was sent; UINT32_MAX: that or more */
    uint32_t took_us;
    uint32_t n;             /* photographs, chips or records */
} fm_span;

typedef struct {
    fm_message_type type;
    uint64_t run;           /* random number of this run: strangers' messages are dropped */
    uint64_t epoch;         /* of the coordinator; workers repeat it */
    uint64_t lease;         /* LEASE, BEAT, ACK, ALIVE, ACKED, STALE; 0: none */
    uint32_t crew, rank;    /* HELLO */
    uint32_t pid;           /* HELLO */
    uint32_t timeout_ms;    /* LEASE, WELCOME: without a BEAT for so long a lease is lost; WAIT: ask again after */
    uint32_t limit_ms;      /* WELCOME: a photograph that takes longer ends its worker (proto/journal.h); 0: none does */
    uint32_t version;       /* HELLO, REFUSED: FM_PROTO_VERSION of the sender */
    char *text;             /* HELLO: host; REFUSED: why; STATUS: JSON; ACK, SEALED: segment name; WELCOME, ACKED (to
                               SEALED): name for this worker's next segment; owned, may be NULL */
    fm_recipe recipe;       /* WELCOME */
    fm_digest encoder;      /* WELCOME: digest of the encoding (proto/encoding.h); zero: none is asked for */
    uint8_t store_key[FM_STORE_KEY_BYTES];      /* WELCOME: of an encrypted store; zeros: it is plain.  Never logged */
    uint64_t records;       /* SEALED: how many; ACKED to DRAIN_ASK: how many workers */
    uint32_t n_items;       /* LEASE, ACK; at most FM_LEASE_ITEMS_MAX */
    fm_lease_item *items;   /* LEASE; owned */
    fm_ack_item *acks;      /* ACK; owned */
    uint32_t n_segments;
    uint64_t memory;        /* ACK, SEALED: bytes that the worker's process holds */
    uint32_t n_spans;
    fm_span *spans;         /* ACK, SEALED: since the last of these, in order of their ends; owned */
    char **segments;        /* names of sealed segments; owned.  WELCOME: all there are, to find moved photographs in;
                               LEASE: those its items refer to */
} fm_message;

/* All zero but the type and the version. */
void fm_message_init(fm_message *m, fm_message_type type);
/* Free what m owns and zero it. */
void fm_message_fini(fm_message *m);

/* Room for n items (LEASE) or acks (ACK), zeroed; a copy of text; one span or segment name more.
 * Errors: -EINVAL (more than the bounds above), -ENOMEM. */
int fm_message_room(fm_message *m, uint32_t n, fm_err *err);
int fm_message_set_text(fm_message *m, const char *text, fm_err *err);
int fm_message_add_span(fm_message *m, const fm_span *span, fm_err *err);
int fm_message_add_segment(fm_message *m, const char *name, fm_err *err);

/* Append the encoding; sets out->failed when memory runs out.  Only the fields
 * named above for m's type travel. */
void fm_message_encode(const fm_message *m, fm_buf *out);

/* Errors: -EBADMSG (not a facemill message, cut short or too long, a length or
 * value out of range), -EPROTO (another protocol version; out->version then says
 * which), -ENOMEM.  Otherwise out is written only on success. */
int fm_message_decode(const void *bytes, size_t n, fm_message *out, fm_err *err);

const char *fm_message_name(fm_message_type type);

#endif
