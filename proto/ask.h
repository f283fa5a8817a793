/* How somebody asks a running build to be let in: through files, in a folder that only its user can enter.
 *
 *   asker         writes RUN/ask/NAME.ask                    and waits
 *   coordinator   makes a key for it, writes NAME.join (0600; proto/join.h), removes NAME.ask
 *   asker         reads NAME.join once and removes it; when its crew is gone it writes NUMBER.over
 *
 * Who can write there is the user whose build it is, because the kernel or the file server says so; nothing that
 * comes over the network gives a key.  A key made so is one crew's, and is shut out when that crew is over. */
#ifndef FM_PROTO_ASK_H
#define FM_PROTO_ASK_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/file.h"

#define FM_RUN_ASK "ask"            /* the folder, in OUT/run */
#define FM_ASK_NAME_MAX 96
#define FM_ASK_WAIT_MS 20000        /* a coordinator looks twice a second; file servers take their time */

typedef enum {
    FM_ASK_CREW,        /* a key for one crew */
    FM_ASK_LISTEN       /* listen on all interfaces, and say so in the observer's join file */
} fm_ask_kind;

typedef struct {
    fm_ask_kind kind;
    char host[256];     /* of the asker: another than the coordinator's makes that listen on all interfaces */
} fm_ask;

/* Pure codec.  Errors: -EBADMSG. */
void fm_ask_encode(const fm_ask *ask, fm_buf *out);
int fm_ask_decode(const void *bytes, size_t n, fm_ask *out, fm_err *err);

/* Ask.
 * name  what the ask is called, without ".ask".
 * Errors: -ENOENT (no build runs there), what writing gives. */
int fm_ask_post(const char *run_dir, fm_ask_kind kind, char name[FM_ASK_NAME_MAX], fm_err *err);
/* Wait until the ask is answered, and say where the answer is; after FM_ASK_WAIT_MS it is taken back.
 * join  path of NAME.join.
 * Errors: -ETIMEDOUT (nobody answers), -ENOENT (the build has ended), -EINTR (stop was set). */
int fm_ask_await(const char *run_dir, const char *name, const volatile sig_atomic_t *stop, char join[FM_PATH_MAX],
                 fm_err *err);
/* Say that a crew is over, so that what it held goes back at once. */
int fm_ask_over(const char *run_dir, uint32_t crew, fm_err *err);

#endif
