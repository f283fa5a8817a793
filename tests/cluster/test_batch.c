/* The batch script's text and the times that go into it.  What sbatch makes of it: tests/system/test_slurm.sh. */
#include "cluster/batch.h"

#include <errno.h>
#include <stdlib.h>

#include "cluster/slurm.h"
#include "tests/check.h"

static void times_are_read_as_sbatch_reads_them(void)
{
    static const struct { const char *text; uint64_t seconds; } right[] = {
        {"1", 60}, {"90", 5400}, {"1:30", 90}, {"2:30:00", 9000}, {"1-12", 129600}, {"1-12:30", 131400},
        {"1-12:30:05", 131405}, {"UNLIMITED", 0}, {"infinite", 0},
    };
    static const char *const wrong[] = {"", "5x", "1:", ":5", "1-", "1:2:3:4", "1-2:3:4:5", "1:2-3", "0", "-1", "1 2",
                                        "99999999999999999999"};
    uint64_t seconds;

    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        CHECK(fm_batch_seconds(right[i].text, &seconds));
        CHECK_INT(seconds, right[i].seconds);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (fm_batch_seconds(wrong[i], &seconds))
            check_failed(__FILE__, __LINE__, "\"%s\" was taken for a time", wrong[i]);
}

/* The script of a spec with this name, time and first word; NULL when it is refused. */
static const char *script(const char *name, const char *time, const char *word, uint32_t ranks)
{
    static char text[4096];
    const char *command[] = {word, "$SLURM_ARRAY_TASK_ID"};
    const fm_batch_spec spec = {.name = name, .about = "about", .nodes = 2, .ranks_per_node = ranks, .time = time,
                                .log = "/out/log/job-%j.log", .command = command, .n_command = 2};
    fm_buf b = FM_BUF_INIT;
    int rc = fm_batch_script(&spec, &b, NULL);

    snprintf(text, sizeof text, "%.*s", (int)b.size, (const char *)b.data);
    fm_buf_fini(&b);
    return rc == 0 ? text : NULL;
}

static void the_script_asks_for_what_was_said(void)
{
    const char *s = script("demo", "10", "facemill", 3);

    REQUIRE(s != NULL);
    CHECK(strncmp(s, "#!/bin/bash\n", 12) == 0);
    CHECK(strstr(s, "#SBATCH --nodes=2\n#SBATCH --ntasks-per-node=3\n") != NULL);
    CHECK(strstr(s, "#SBATCH --signal=B:USR1@120\n#SBATCH --requeue\n#SBATCH --no-kill\n") != NULL);
    CHECK(strstr(s, "partition") == NULL);
    CHECK(strstr(s, "\n'facemill' \"$SLURM_ARRAY_TASK_ID\" &\n") != NULL);
    s = script("demo", "1", "facemill", 0);
    CHECK(strstr(s, "--exclusive\n#SBATCH --mem=\"0\"\n") != NULL);
    CHECK(strstr(s, "USR1@30\n") != NULL);
}

static void no_value_is_read_as_anything_else(void)
{
    const char *s = script("a\"b\\c", NULL, "it's $HOME", 1);

    REQUIRE(s != NULL);
    CHECK(strstr(s, "#SBATCH --job-name=\"a\\\"b\\\\c\"\n") != NULL);
    CHECK(strstr(s, "\n'it'\\''s $HOME' ") != NULL);
    CHECK(script("two\n#SBATCH --uid=0", NULL, "x", 1) == NULL);
    CHECK(script("demo", "soon", "x", 1) == NULL);
}

static void nodes_that_are_off_or_silent_are_not_up(void)
{
    static const char text[] = "n1 mix\nn10 down\nn2 alloc*\nn3 drng\nn4 down*\n";

    CHECK(fm_slurm_node_up(text, "n1"));
    CHECK(fm_slurm_node_up(text, "n3"));
    CHECK(!fm_slurm_node_up(text, "n10"));
    CHECK(!fm_slurm_node_up(text, "n2"));
    CHECK(!fm_slurm_node_up(text, "n4"));
    CHECK(!fm_slurm_node_up(text, "n5"));
    CHECK(!fm_slurm_node_up("", "n1"));
}

CHECK_MAIN(CHECK_CASE(times_are_read_as_sbatch_reads_them), CHECK_CASE(the_script_asks_for_what_was_said),
           CHECK_CASE(no_value_is_read_as_anything_else), CHECK_CASE(nodes_that_are_off_or_silent_are_not_up))
