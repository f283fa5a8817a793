/* watch: a run from another terminal, or another host, until it ends.
 *
 * The build is asked once a second, with the run's own key; who cannot reach it
 * reads the file that it writes, which says the same a second later.  The screen is
 * plain text, drawn over with three escapes that every terminal of the last forty
 * years knows.  Rejected: ncurses (a terminfo entry that the login node does not
 * have, for nothing more). */
#define _GNU_SOURCE
#include "jobs/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/options.h"
#include "base/text.h"
#include "jobs/html.h"
#include "jobs/observe.h"
#include "jobs/progress.h"
#include "jobs/status.h"
#include "jobs/stop.h"
#include "jobs/verbs.h"

#define ANSWER_MS 5000
#define CREWS_SHOWN 24
#define BAR_WIDTH 40

static double real(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

static uint64_t whole(const json_t *o, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(o, key));
}

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

/* Photographs a second, of those that this run did itself. */
static double rate_of(const json_t *now, const json_t *before)
{
    double seconds = real(now, "seconds") - (before ? real(before, "seconds") : 0);
    uint64_t made = whole(now, "done") - (before ? whole(before, "done") : 0);

    return seconds > 0.5 ? (double)made / seconds : 0;
}

static void put_head(const json_t *now, const json_t *before, fm_buf *out)
{
    fm_build_counts c;
    char line[512], bar[BAR_WIDTH + 1], chips[FM_GROUPED], codes[FM_GROUPED], found[FM_GROUPED];
    size_t full;

    fm_status_counts(now, &c);
    full = c.photographs ? (size_t)(BAR_WIDTH * c.done / c.photographs) : BAR_WIDTH;
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', full < BAR_WIDTH ? full : BAR_WIDTH);
    bar[BAR_WIDTH] = '\0';
    fm_progress_line(&c, rate_of(now, before), line, sizeof line);
    fm_buf_printf(out, "%s for %d:%02d, %llu crews, %llu ranks; coordinator %.0f MB\n[%s]\n%s\n", fm_status_state(now),
                  (int)c.seconds / 60, (int)c.seconds % 60, (unsigned long long)json_array_size(json_object_get(now, "crews")),
                  (unsigned long long)whole(now, "ranks"), real(now, "memory") / 1e6, bar, line);
    fm_buf_printf(out, "made: %s chips, %s codes; found: %s chips\n", fm_grouped(c.photos_made, chips),
                  fm_grouped(c.codes_made, codes), fm_grouped(c.photos_reused, found));
    fm_buf_printf(out, "again: %llu shards handed out again, %llu handed out twice, %u crews restarted\n",
                  (unsigned long long)c.leases_lost, (unsigned long long)whole(now, "twice"), c.crews_lost);
}

static void put_stages(const json_t *now, const json_t *before, fm_buf *out)
{
    const json_t *stages = json_object_get(now, "stages"), *earlier = json_object_get(before, "stages");
    double seconds = real(now, "seconds") - (before ? real(before, "seconds") : 0), all = 0;
    const json_t *stage;
    const char *name;

    json_object_foreach((json_t *)stages, name, stage)
        all += real(stage, "seconds") - real(json_object_get(earlier, name), "seconds");
    if (all <= 0)
        return;
    fm_buf_printf(out, "\n%-8s %12s %12s\n", "stage", "of the time", "a second");
    json_object_foreach((json_t *)stages, name, stage) {
        const json_t *was = json_object_get(earlier, name);
        double share = (real(stage, "seconds") - real(was, "seconds")) / all;

        fm_buf_printf(out, "%-8s %10.1f %% %12.1f\n", name, 100 * share,
                      seconds > 0 ? (real(stage, "things") - real(was, "things")) / seconds : 0);
    }
}

static void put_crews(const json_t *now, fm_buf *out)
{
    const json_t *crews = json_object_get(now, "crews"), *slowest = json_object_get(now, "slowest"), *crew;
    size_t n = json_array_size(crews);

    if (n)
        fm_buf_printf(out, "\n%-6s %-20s %6s %12s %9s %9s %7s\n", "crew", "host", "ranks", "photographs", "a second",
                      "MB", "silent");
    for (size_t i = 0; i < n && i < CREWS_SHOWN; i++) {
        crew = json_array_get(crews, i);
        fm_buf_printf(out, "%-6llu %-20.20s %6llu %12llu %9.1f %9.0f %5.0f s%s\n", (unsigned long long)whole(crew, "crew"),
                      text(crew, "host"), (unsigned long long)whole(crew, "ranks"),
                      (unsigned long long)whole(crew, "photographs"), real(crew, "rate"), real(crew, "memory") / 1e6,
                      real(crew, "silent"), json_is_true(json_object_get(crew, "leaving")) ? "  leaving" : "");
    }
    if (n > CREWS_SHOWN)
        fm_buf_printf(out, "and %zu more\n", n - CREWS_SHOWN);
    if (slowest)
        fm_buf_printf(out, "slowest: rank %llu of crew %llu on %s, %.1f photographs a second of work; the middle rank %.1f\n",
                      (unsigned long long)whole(slowest, "rank"), (unsigned long long)whole(slowest, "crew"),
                      text(slowest, "host"), real(slowest, "rate"), real(slowest, "median"));
}

void fm_watch_screen(const json_t *now, const json_t *before, fm_buf *out)
{
    put_head(now, before, out);
    put_stages(now, before, out);
    put_crews(now, out);
}

static bool has_ended(const json_t *status)
{
    static const char *const ends[] = {"finished", "stopped", "failed"};

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (strcmp(fm_status_state(status), ends[i]) == 0)
            return true;
    return false;
}

/* Ask the build; NULL when it does not answer, and it is not asked again then. */
static json_t *ask(fm_client **client)
{
    fm_message answer;
    json_t *status = NULL;

    if (!*client)
        return NULL;
    if (fm_observe_ask(*client, FM_MSG_STATUS_ASK, NULL, ANSWER_MS, &answer, NULL) == 0) {
        if (answer.text)
            status = json_loads(answer.text, 0, NULL);
        fm_message_fini(&answer);
    }
    if (!status) {
        fm_client_close(*client, 0);
        *client = NULL;
    }
    return status;
}

/* Draw over what was drawn before. */
static void draw(const json_t *now, const json_t *before)
{
    fm_buf screen = FM_BUF_INIT;

    fm_watch_screen(now, before, &screen);
    fm_buf_u8(&screen, 0);
    if (screen.failed) {
        fm_buf_fini(&screen);
        return;
    }
    fputs("\033[H", stdout);
    for (char *line = (char *)screen.data, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        printf("%.*s\033[K\n", (int)(end - line), line);
    }
    fputs("\033[J", stdout);
    fflush(stdout);
    fm_buf_fini(&screen);
}

/* Follow a run until it has ended or the watcher has seen enough. */
static int follow(const char *out, fm_client **client, fm_err *err)
{
    const struct timespec second = {.tv_sec = 1};
    bool terminal = isatty(STDOUT_FILENO), ended = false;
    json_t *before = NULL;
    fm_progress progress;
    int rc = 0;

    fm_progress_init(&progress, stderr);
    if (terminal)
        fputs("\033[2J", stdout);
    while (rc == 0 && !ended && !*fm_stop_flag()) {
        json_t *now = ask(client);
        fm_build_counts c;

        if (!now && (rc = fm_status_read(out, &now, err)) != 0)
            break;
        ended = has_ended(now);
        fm_status_counts(now, &c);
        if (terminal)
            draw(now, before);
        else
            fm_progress_show(&progress, &c);
        if (!terminal && ended)
            fm_progress_end(&progress, &c);
        json_decref(before);
        before = now;
        if (!ended)
            nanosleep(&second, NULL);
    }
    json_decref(before);
    return rc;
}

static int show_once(const char *out, fm_client **client, fm_err *err)
{
    fm_buf screen = FM_BUF_INIT;
    json_t *now = ask(client);
    int rc = now ? 0 : fm_status_read(out, &now, err);

    if (rc == 0) {
        fm_watch_screen(now, NULL, &screen);
        fwrite(screen.data, 1, screen.size, stdout);
    }
    fm_buf_fini(&screen);
    json_decref(now);
    return rc;
}

int fm_verb_watch(int argc, char **argv)
{
    bool once = false;
    const char *args[1];
    const fm_option options[] = {{"once", FM_OPT_FLAG, &once, 0, 0, NULL, "print the screen once, as plain text"}};
    const fm_command command = {"watch OUT [options]",
                                "Follows a run from another terminal or host until it ends: crews, rates, what was left out.\n"
                                "Where there is no terminal it prints a line every ten seconds.", options, 1, 1, 1};
    fm_client *client = NULL;
    fm_err err = FM_ERR_INIT;
    int rc = fm_command_parse(&command, argc, argv, args, &err);

    if (rc != 0)
        return fm_command_exit(rc, &err);
    fm_stop_install();
    fm_observe_open(args[0], fm_stop_flag(), &client, NULL);     /* else there is the file */
    rc = once ? show_once(args[0], &client, &err) : follow(args[0], &client, &err);
    fm_client_close(client, 0);
    if (rc != 0)
        fprintf(stderr, "facemill watch: %s\n", err.text);
    return rc == 0 ? FM_EXIT_DONE : FM_EXIT_INPUT;
}
