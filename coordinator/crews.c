/* Each crew goes DOWN -> UP -> ENDED -> DOWN; ENDED lasts until the last messages
 * of its workers are in, because an acknowledgement that is already on its way
 * saves a shard.
 *
 * A crew's end says nothing about its success: whether work is left does.  The
 * number of ends since the last step forward decides when to give up, so that a
 * build on failing nodes goes on as long as it gets somewhere, and one whose workers
 * die at once does not go on for ever.  A step forward is an acknowledgement that
 * counted or a photograph quarantined; a suspect found is one only in a run that
 * has acknowledged something, because where every photograph seems to kill, it is not
 * the photographs. */
#include "coordinator/crews.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

typedef struct {
    enum { DOWN, UP, ENDED } state;
    uint64_t since_ms;          /* of that state */
    uint64_t next_ms;           /* DOWN: not started before */
    bool stopped;               /* UP: was told to end */
} crew_state;

struct fm_crews {
    fm_crew_ops ops;
    const char *join_file;
    uint64_t steps;             /* forward, of the conversation, when `ends` was last 0 */
    uint32_t ends;              /* without a step forward in between */
    int status;                 /* of the last that ended */
    fm_err why;                 /* the last that could not be started or asked after */
    crew_state crew[];
};

int fm_crews_create(const fm_crew_ops *ops, const char *join_file, fm_crews **out, fm_err *err)
{
    size_t bytes = sizeof(fm_crews) + ops->crews * sizeof(crew_state);
    fm_crews *crews = calloc(1, bytes);

    if (!crews)
        return fm_fail_nomem(err, "crews", bytes);
    crews->ops = *ops;
    crews->join_file = join_file;
    *out = crews;
    return 0;
}

void fm_crews_destroy(fm_crews *crews)
{
    free(crews);
}

static void enter(crew_state *crew, int state, uint64_t now_ms)
{
    crew->state = state;
    crew->since_ms = now_ms;
    crew->stopped = false;
}

/* A crew ended, or did not start, though there is work: wait longer each time. */
static void note_end(fm_crews *crews, crew_state *crew, uint64_t now_ms)
{
    uint32_t doublings = crews->ends / crews->ops.crews;

    if (doublings > 4)
        doublings = 4;
    crews->ends++;
    crew->next_ms = now_ms + ((uint64_t)FM_CREW_PAUSE_MS << doublings);
}

static void start(fm_crews *crews, uint32_t i, uint64_t now_ms)
{
    if (crews->ops.start(crews->ops.ctx, i, crews->join_file, &crews->why) == 0) {
        enter(&crews->crew[i], UP, now_ms);
        crews->why = (fm_err)FM_ERR_INIT;
        return;
    }
    fm_warn("crew %u could not be started: %s", i, crews->why.text);
    note_end(crews, &crews->crew[i], now_ms);
}

/* Also a crew that is still starting when nobody needs it any more. */
static bool hangs(const fm_crews *crews, const fm_conversation *c, uint32_t i, uint64_t now_ms)
{
    uint64_t heard_ms = fm_conversation_crew_heard(c, i);
    fm_conversation_state state;

    fm_conversation_look(c, &state);
    if (heard_ms == 0)
        return state.draining || now_ms - crews->crew[i].since_ms > FM_CREW_START_MS;
    return now_ms > heard_ms && now_ms - heard_ms > fm_conversation_silence_ms(c);
}

static void look_after(fm_crews *crews, const fm_conversation *c, uint32_t i, uint64_t now_ms)
{
    crew_state *crew = &crews->crew[i];
    bool ended = false;

    if (crews->ops.poll(crews->ops.ctx, i, &ended, &crews->status, &crews->why) != 0)
        fm_warn("crew %u: %s", i, crews->why.text);
    if (ended) {
        enter(crew, ENDED, now_ms);
    } else if (!crew->stopped && hangs(crews, c, i, now_ms)) {
        fm_warn("crew %u is not heard of and is ended", i);
        crew->stopped = true;
        crews->ops.stop(crews->ops.ctx, i);
    }
}

static int settle(fm_crews *crews, fm_conversation *c, uint32_t i, uint64_t now_ms, fm_build_counts *counts,
                  fm_err *err)
{
    fm_conversation_state state;
    bool clean;
    int rc = fm_conversation_crew_ended(c, i, now_ms, &clean, err);

    if (rc != 0)
        return rc;
    fm_conversation_look(c, &state);
    enter(&crews->crew[i], DOWN, now_ms);
    if (clean && (state.complete || state.draining || fm_conversation_retired(c, i)))
        return 0;
    if (!clean) {
        counts->crews_lost++;
        fm_warn("crew %u ended before its work was done (status %d)", i, crews->status);
    }
    note_end(crews, &crews->crew[i], now_ms);
    return 0;
}

static int give_up(const fm_crews *crews, fm_err *err)
{
    if (crews->why.code != 0)
        return fm_fail(err, -EIO, "crews cannot be started, %u tries: %s", crews->ends, crews->why.text);
    return fm_fail(err, -EIO, "crews ended %u times (last with status %d) without one shard done in between: the log "
                   "folder has what they said; `facemill doctor` checks this machine", crews->ends, crews->status);
}

/* All were told to leave, and have. */
static bool nobody_left(const fm_crews *crews, const fm_conversation *c, const fm_conversation_state *state)
{
    for (uint32_t i = 0; i < crews->ops.crews; i++)
        if (!fm_conversation_retired(c, i))
            return false;
    return crews->ops.crews > 0 && state->here == 0 && fm_crews_down(crews);
}

static uint64_t steps_forward(const fm_conversation_state *state)
{
    return state->acked + state->condemned + (state->acked ? state->suspected : 0);
}

int fm_crews_tick(fm_crews *crews, fm_conversation *c, uint64_t now_ms, fm_build_counts *counts, fm_err *err)
{
    fm_conversation_state state;
    uint32_t up = 0;
    bool clean;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < crews->ops.crews; i++) {
        if (crews->crew[i].state == UP)
            look_after(crews, c, i, now_ms);
        else if (crews->crew[i].state == ENDED && now_ms - crews->crew[i].since_ms >= FM_CREW_SETTLE_MS)
            rc = settle(crews, c, i, now_ms, counts, err);
        else if (crews->crew[i].state == DOWN && fm_conversation_crew_heard(c, i))
            rc = fm_conversation_crew_ended(c, i, now_ms, &clean, err);     /* a HELLO that came after its sender's end */
        up += crews->crew[i].state != DOWN;
    }
    fm_conversation_look(c, &state);
    if (steps_forward(&state) != crews->steps)
        crews->ends = 0;
    crews->steps = steps_forward(&state);
    if (rc == 0 && nobody_left(crews, c, &state))
        fm_conversation_drain(c);
    if (rc != 0 || state.draining)
        return rc;
    if (crews->ops.crews && state.queued && crews->ends >= FM_CREW_TRIES * crews->ops.crews)
        return give_up(crews, err);
    for (uint32_t i = 0; i < crews->ops.crews && up < state.queued + state.leased; i++) {
        if (state.queued == 0 || crews->crew[i].state != DOWN || now_ms < crews->crew[i].next_ms ||
            fm_conversation_retired(c, i))
            continue;
        start(crews, i, now_ms);
        up++;
    }
    return 0;
}

bool fm_crews_down(const fm_crews *crews)
{
    for (uint32_t i = 0; i < crews->ops.crews; i++)
        if (crews->crew[i].state != DOWN)
            return false;
    return true;
}

void fm_crews_stop(fm_crews *crews)
{
    for (uint32_t i = 0; i < crews->ops.crews; i++)
        if (crews->crew[i].state == UP)
            crews->ops.stop(crews->ops.ctx, i);
}
