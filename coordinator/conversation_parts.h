/* What the parts of the conversation share: conversation.c answers workers, conversation_crews.c knows crews and
 * what they die of, conversation_observer.c answers those who look. */
#ifndef FM_COORDINATOR_CONVERSATION_PARTS_H
#define FM_COORDINATOR_CONVERSATION_PARTS_H

#include "coordinator/conversation.h"
#include "coordinator/lease.h"

#define FM_NOBODY UINT32_MAX

typedef enum { FM_HERE, FM_LEFT, FM_GONE } fm_presence;

/* A worker, from its HELLO to the end of the build. */
typedef struct {
    fm_peer peer;
    fm_presence presence;
    uint32_t crew;                      /* FM_NOBODY once that crew has ended */
    uint32_t pid, rank;
    uint64_t since_ms;                  /* of its HELLO */
    uint64_t photographs, busy_us;      /* acknowledged; spent on anything but waiting */
    uint64_t memory;                    /* bytes, at the last acknowledgement */
    char host[FM_HOST_WORD];
    uint64_t heard_ms;
    uint64_t lease;                     /* 0: none */
    uint32_t items;                     /* photographs in it */
    uint64_t notice;                    /* a lease that it is to be told is over; 0: none */
    bool alone;                         /* the last lease was of a suspect's shard */
    bool overdue;                       /* lost a lease and has not asked for another: may still be at it */
    char journal[FM_SEGMENT_NAME_MAX];
    bool finishing;                     /* was told FINISH */
    uint32_t segment;                   /* its open one; FM_NOBODY: none */
    bool relied_on;                     /* acknowledged records are in it */
    char name[FM_SEGMENT_NAME_MAX];     /* of segment */
    uint64_t gone_ms;                   /* FM_GONE: since when */
    char sealed[FM_SEGMENT_NAME_MAX];   /* the last that it sealed; "" when none */
} fm_talker;

struct fm_conversation {
    fm_conversation_spec spec;
    fm_leases *leases;
    fm_talker *workers;                 /* a worker's place here is its holder number */
    uint32_t n_workers, room_workers, here;
    uint32_t unsettled;                 /* workers not here whose open segments are not settled */
    uint32_t notices;                   /* workers that have one */
    uint32_t names;                     /* segments named in this epoch */
    uint64_t acked, twice, suspected, condemned;
    uint32_t *retired, n_retired;       /* crews that are given no more */
    struct { uint64_t us, n; } spent[FM_SPAN_KINDS];
    bool draining;
};

uint32_t fm_conversation_holder(const fm_conversation *c, const fm_talker *w);
/* The worker is gone, one way or the other: what it holds goes back, its open segment is settled. */
int fm_conversation_part_with(fm_conversation *c, fm_talker *w, fm_presence how, uint64_t now_ms, fm_err *err);
void fm_conversation_name_track(const fm_conversation *c, const fm_talker *w);
/* What an acknowledgement says was spent. */
void fm_conversation_account(fm_conversation *c, fm_talker *w, const fm_message *m);
int fm_conversation_hear_observer(fm_conversation *c, const fm_message *m, uint64_t now_ms, fm_message *reply,
                                  bool *answered, fm_err *err);

#endif
