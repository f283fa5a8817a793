/* The script does what a person would write by hand, and no more: directives, the
 * command, and two traps.
 *
 * SLURM warns the script, not the ranks (--signal=B:), because only the coordinator
 * knows how to drain.  Warned, the script asks for its own requeueing once facemill has
 * stopped; a job that is cancelled gets SIGTERM and is not put back.  A preempted one gets
 * SIGTERM too, and SLURM itself puts it back.  --no-kill, because one node's death costs
 * one crew and not the job.
 *
 * Always: every value reaches the script quoted, so that no path or name is read as
 * shell or as another directive. */
#include "cluster/batch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/text.h"
#include "cluster/environment.h"
#include "cluster/process.h"

#define SBATCH_MS 60000
#define RESTARTS_MAX 50         /* a stage that does not fit into the time limit would come back for ever */
#define WARN_SECONDS 120        /* before the end: to seal segments, and what SLURM's clock is too coarse for */

bool fm_batch_seconds(const char *text, uint64_t *out)
{
    static const uint64_t days_units[] = {3600, 60, 1}, units[][3] = {{60}, {60, 1}, {3600, 60, 1}};
    uint64_t v[4], sum = 0;
    size_t n = 0;
    bool days = false;

    *out = 0;
    if (strcasecmp(text, "UNLIMITED") == 0 || strcasecmp(text, "INFINITE") == 0)
        return true;
    while (n < 4) {
        size_t digits = strspn(text, "0123456789");

        if (digits == 0 || digits > 9)
            return false;
        v[n] = 0;
        for (size_t i = 0; i < digits; i++)
            v[n] = 10 * v[n] + (uint64_t)(text[i] - '0');
        n++;
        text += digits;
        if (*text == '\0')
            break;
        if (*text != ':' && !(*text == '-' && n == 1))
            return false;
        days = days || *text == '-';
        text++;
    }
    if (*text || n > (days ? 4u : 3u) || (days && n < 2))
        return false;
    for (size_t i = days; i < n; i++)
        sum += v[i] * (days ? days_units[i - 1] : units[n - 1][i]);
    *out = sum + (days ? v[0] * 86400 : 0);
    return *out > 0;
}

/* 'text' for the shell. */
static void put_quoted(fm_buf *b, const char *text)
{
    fm_buf_u8(b, '\'');
    for (; *text; text++)
        if (*text == '\'')
            fm_buf_put(b, "'\\''", 4);
        else
            fm_buf_u8(b, (uint8_t)*text);
    fm_buf_u8(b, '\'');
}

static void put_directive(fm_buf *b, const char *option, const char *value)
{
    if (!value)
        return;
    fm_buf_printf(b, "#SBATCH --%s=\"", option);
    for (; *value; value++) {
        if (*value == '"' || *value == '\\')
            fm_buf_u8(b, '\\');
        fm_buf_u8(b, (uint8_t)*value);
    }
    fm_buf_put(b, "\"\n", 2);
}

static void put_resources(const fm_batch_spec *s, fm_buf *b)
{
    fm_buf_printf(b, "#SBATCH --nodes=%u\n", s->nodes);
    if (s->ranks_per_node)
        fm_buf_printf(b, "#SBATCH --ntasks-per-node=%u\n#SBATCH --cpus-per-task=1\n", s->ranks_per_node);
    else
        fm_buf_printf(b, "#SBATCH --exclusive\n");
    put_directive(b, "mem", s->memory ? s->memory : s->ranks_per_node ? NULL : "0");
    put_directive(b, "partition", s->partition);
    put_directive(b, "account", s->account);
    put_directive(b, "time", s->time);
    if (s->array)
        fm_buf_printf(b, "#SBATCH --array=0-%u\n", s->array - 1);
}

/* A short job is warned half-way: a warning that is due before its start comes at once. */
static void put_manners(const fm_batch_spec *s, uint64_t seconds, fm_buf *b)
{
    uint64_t warn = seconds && seconds / 2 < WARN_SECONDS ? seconds / 2 : WARN_SECONDS;

    put_directive(b, "output", s->log);
    fm_buf_printf(b, "#SBATCH --open-mode=append\n#SBATCH --signal=B:USR1@%u\n#SBATCH --requeue\n#SBATCH --no-kill\n\n",
                  (unsigned)warn);
}

static void put_body(const fm_batch_spec *s, fm_buf *b)
{
    if (s->models) {
        fm_buf_printf(b, "export FACEMILL_MODELS=");
        put_quoted(b, s->models);
        fm_buf_u8(b, '\n');
    }
    for (size_t i = 0; i < s->n_command; i++) {
        if (strncmp(s->command[i], "$SLURM_", 7) == 0)
            fm_buf_printf(b, "\"%s\"", s->command[i]);
        else
            put_quoted(b, s->command[i]);
        fm_buf_u8(b, ' ');
    }
    fm_buf_printf(b,
                  "&\n"
                  "child=$! again=\n"
                  "trap 'again=yes; kill -USR1 $child' USR1    # time is nearly up: finish what is in hand, then come back\n"
                  "trap 'kill -TERM $child' TERM               # cancelled; or preempted, then SLURM puts the job back\n"
                  "\n"
                  "status=129\n"
                  "while [ $status -gt 128 ] && kill -0 $child 2>/dev/null; do   # a trap ends a wait early\n"
                  "    wait $child\n"
                  "    status=$?\n"
                  "done\n"
                  "if [ $status -eq 5 ] && [ \"$again\" ] && [ ${SLURM_RESTART_COUNT:-0} -lt %d ]; then   # else more time is needed\n"
                  "    scontrol requeue \"$SLURM_JOB_ID\" || echo \"not requeued: submit it again to go on\" >&2\n"
                  "fi\n"
                  "exit $status\n", RESTARTS_MAX);
}

/* Directives are lines: a value cannot hold a line's end. */
static int check_lines(const fm_batch_spec *s, fm_err *err)
{
    const char *const values[] = {s->name, s->about, s->partition, s->account, s->time, s->memory, s->log};

    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (values[i] && strpbrk(values[i], "\n\r"))
            return fm_fail(err, -EINVAL, "\"%s\": a batch script's directives cannot hold a line break", values[i]);
    return 0;
}

int fm_batch_script(const fm_batch_spec *s, fm_buf *out, fm_err *err)
{
    uint64_t seconds = 0;
    int rc = check_lines(s, err);

    if (rc != 0)
        return rc;
    if (s->time && !fm_batch_seconds(s->time, &seconds))
        return fm_fail(err, -EINVAL, "time \"%s\": not one that SLURM takes: minutes, HOURS:MINUTES:SECONDS, DAYS-HOURS or "
                       "UNLIMITED", s->time);
    fm_buf_printf(out, "#!/bin/bash\n# %s\n# Yours to read, change, keep and submit again.  It loses nothing when it is "
                  "stopped, and does only what is missing.\n", s->about);
    put_directive(out, "job-name", s->name);
    put_resources(s, out);
    put_manners(s, seconds, out);
    put_body(s, out);
    return out->failed ? fm_fail_nomem(err, "batch script", out->size) : 0;
}

/* What sbatch printed, without its name before each line, in one line. */
static void own_words(char *text, fm_buf *out)
{
    static const char *const stems[] = {"sbatch: error: ", "sbatch: fatal: ", "sbatch: "};
    char *save = NULL;

    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        for (size_t i = 0; i < sizeof stems / sizeof *stems; i++)
            if (strncmp(line, stems[i], strlen(stems[i])) == 0) {
                line += strlen(stems[i]);
                break;
            }
        fm_buf_printf(out, "%s%s", out->size ? "; " : "", line);
    }
    fm_buf_u8(out, 0);
}

static int refuse(char *text, fm_err *err)
{
    fm_buf words = FM_BUF_INIT;
    int rc;

    own_words(text, &words);
    rc = fm_fail(err, -EINVAL, "sbatch does not take the job: %s", words.failed ? text : (const char *)words.data);
    fm_buf_fini(&words);
    return rc;
}

/* Run sbatch with these words and take what it prints, as a string. */
static int sbatch(const char *const *words, size_t n, fm_buf *out, fm_err *err)
{
    fm_words argv = FM_WORDS_INIT, env = FM_WORDS_INIT;
    char path[FM_PATH_MAX];
    int rc;

    if (!fm_program_find("sbatch", path, sizeof path))
        return fm_fail(err, -ENOENT, "sbatch is not in $PATH: submit from a login node of a SLURM cluster, or use facemill "
                       "run here; --dry-run prints the script");
    fm_words_add(&argv, path);
    for (size_t i = 0; i < n; i++)
        fm_words_add(&argv, words[i]);
    fm_environment_copy(&env);
    rc = fm_process_capture(&argv, &env, SBATCH_MS, out, err);
    fm_buf_u8(out, 0);
    if (out->failed)
        rc = fm_fail_nomem(err, "sbatch", out->size);
    else if (rc == -EIO)
        rc = refuse((char *)out->data, err);
    fm_words_fini(&argv);
    fm_words_fini(&env);
    return rc;
}

int fm_batch_check(const char *script, fm_err *err)
{
    const char *words[] = {"--test-only", script};
    fm_buf said = FM_BUF_INIT;
    int rc = sbatch(words, 2, &said, err);

    fm_buf_fini(&said);
    return rc;
}

/* The job's number is the last line's first word, "123" or "123;cluster": warnings may come before it. */
static bool job_number(char *text, uint64_t *job)
{
    char *last = NULL, *save = NULL;
    int64_t v;

    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        last = line;
    if (!last)
        return false;
    last[strcspn(last, ";")] = '\0';
    if (!fm_parse_int(last, 1, INT64_MAX, &v))
        return false;
    *job = (uint64_t)v;
    return true;
}

int fm_batch_submit(const char *script, uint64_t after, uint64_t *job, fm_err *err)
{
    char dependency[64];
    const char *words[] = {"--parsable", script, NULL, NULL};
    fm_buf said = FM_BUF_INIT;
    size_t n = 2;
    int rc;

    if (after) {
        snprintf(dependency, sizeof dependency, "--dependency=afterok:%llu", (unsigned long long)after);
        words[1] = "--kill-on-invalid-dep=yes";
        words[2] = dependency;
        words[3] = script;
        n = 4;
    }
    rc = sbatch(words, n, &said, err);
    if (rc == 0 && !job_number((char *)said.data, job))
        rc = fm_fail(err, -EBADMSG, "sbatch names no job: \"%s\"", (char *)said.data);
    fm_buf_fini(&said);
    return rc;
}
