#include <errno.h>
#include <stdlib.h>

#include "base/file.h"
#include "coordinator/learn/compare.h"
#include "coordinator/learn/evaluation.h"
#include "jobs/pairing.h"
#include "tests/check.h"

#define N 6

/* A study of six photographs p0 .. p5, of which p2 shows two faces; labels a, b by turns. */
typedef struct {
    char dir[FM_PATH_MAX];
    fm_evaluation e;
    const char *names[N], *labels[N];
} study;

static void study_init(study *s, const char *name)
{
    static const char *const names[N] = {"c/p0", "c/p1", "c/p2", "c/p3", "c/p4", "c/p5"};
    static const uint32_t photo[N] = {0, 1, 2, 2, 3, 4};

    memset(s, 0, sizeof *s);
    CHECK(fm_path_join(s->dir, sizeof s->dir, check_tmpdir(), name, NULL) == 0);
    s->e = (fm_evaluation){.n = N, .classes = 2, .repeats = 2, .folds = 2};
    CHECK(fm_evaluation_room(&s->e, NULL) == 0);
    for (size_t i = 0; i < N; i++) {
        s->names[i] = names[i];
        s->labels[i] = i % 2 ? "b" : "a";
        s->e.sample[i] = photo[i];
        s->e.subject[i] = photo[i] / 2;
        s->e.label[i] = (int32_t)photo[i] % 2;
    }
    for (size_t i = 0; i < 2 * N; i++) {
        s->e.test_fold[i] = (int)i % 2;
        s->e.prob[2 * i + 1] = (double)i / 16;
        s->e.prob[2 * i] = 1 - s->e.prob[2 * i + 1];
    }
    for (uint32_t i = 0; i < 4; i++)
        s->e.fold[i] = (fm_fold_result){.repeat = i / 2, .fold = i % 2};
}

static void write_bytes(const study *s, const char *name, const void *bytes, size_t n)
{
    char path[FM_PATH_MAX];

    CHECK(fm_path_join(path, sizeof path, s->dir, name, NULL) == 0 && fm_file_write(path, bytes, n, NULL) == 0);
}

static void study_write(const study *s)
{
    fm_buf b = FM_BUF_INIT;
    char run[FM_PATH_MAX], ledger[1024] = "sample\tcohort\tlabel\tformat\n";

    CHECK(fm_path_join(run, sizeof run, s->dir, "run", NULL) == 0);
    CHECK(fm_dir_make(s->dir, NULL) == 0 && fm_dir_make(run, NULL) == 0);
    fm_evaluation_encode(&s->e, &b);
    write_bytes(s, "run/evaluation.bin", b.data, b.size);
    fm_buf_fini(&b);
    for (int i = 0; i < N; i++)
        snprintf(ledger + strlen(ledger), sizeof ledger - strlen(ledger), "%s\tc\t%s\tjpeg\n", s->names[i], s->labels[i]);
    write_bytes(s, "ledger.tsv", ledger, strlen(ledger));
}

static int pair(study *a, study *b, fm_pairing *p, fm_err *err)
{
    const char *const outs[2] = {a->dir, b->dir};

    study_write(a);
    study_write(b);
    return fm_pairing_make(outs, p, err);
}

static void the_same_study_pairs_with_itself(void)
{
    study a, b;
    fm_pairing p;
    fm_comparison c;

    study_init(&a, "a");
    study_init(&b, "b");
    REQUIRE(pair(&a, &b, &p, NULL) == 0);
    CHECK(p.of[0].n == N && p.of[1].n == N && p.only[0] == 0 && p.only[1] == 0);
    CHECK(p.of[0].repeats == 2 && memcmp(p.prob[0], a.e.prob, 4 * N * sizeof *a.e.prob) == 0);
    CHECK(memcmp(p.label, a.e.label, sizeof(int32_t) * N) == 0 && memcmp(p.test_fold[1], b.e.test_fold, 48) == 0);
    REQUIRE(fm_compare(&p.of[0], &p.of[1], &c, NULL) == 0);
    CHECK(c.rows == N && c.subjects == 3 && c.auc.difference == 0 && c.mcnemar.exact_p == 1);
    fm_pairing_fini(&p);
    fm_evaluation_fini(&a.e);
    fm_evaluation_fini(&b.e);
}

/* The second study lists its photographs the other way round, tests p0 nowhere, calls p1 otherwise, and found one face
 * of p2 only. */
static void photographs_are_paired_by_name(void)
{
    study a, b;
    fm_pairing p;

    study_init(&a, "a");
    study_init(&b, "b");
    for (int i = 0; i < N; i++) {
        b.names[i] = a.names[N - 1 - i];
        b.labels[i] = a.labels[N - 1 - i];
        b.e.sample[i] = (uint32_t)(N - 1 - i);      /* row i is of photograph i again */
        b.e.label[i] = i % 2;
    }
    b.names[4] = "c/other";
    for (int r = 0; r < 2; r++) {
        b.e.test_fold[r * N] = -1;
        b.e.prob[2 * r * N] = b.e.prob[2 * r * N + 1] = NAN;
    }
    REQUIRE(pair(&a, &b, &p, NULL) == 0);
    REQUIRE(p.of[0].n == 2 && p.of[1].n == 2);      /* p3 and p4: rows 4, 5 of a and 3, 4 of b */
    CHECK(p.only[0] == 4 && p.only[1] == 3);
    CHECK(p.label[0] == 1 && p.label[1] == 0 && p.group[0] == 1 && p.group[1] == 2);
    for (size_t r = 0; r < 2; r++)
        for (size_t i = 0; i < 2; i++) {
            CHECK(p.prob[0][2 * (2 * r + i) + 1] == a.e.prob[2 * (r * N + 4 + i) + 1]);
            CHECK(p.prob[1][2 * (2 * r + i) + 1] == b.e.prob[2 * (r * N + 3 + i) + 1]);
            CHECK(p.test_fold[1][2 * r + i] == b.e.test_fold[r * N + 3 + i]);
        }
    fm_pairing_fini(&p);
    fm_evaluation_fini(&a.e);
    fm_evaluation_fini(&b.e);
}

static void refused(study *a, study *b, int rc, const char *say)
{
    fm_err err = FM_ERR_INIT;
    fm_pairing p;

    CHECK_INT(pair(a, b, &p, &err), rc);
    if (!strstr(err.text, say))
        check_failed(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", err.text, say);
}

static void what_does_not_belong_together_is_refused(void)
{
    const char *outs[2];
    study a, b;
    fm_pairing p;
    fm_err err = FM_ERR_INIT;

    study_init(&a, "a");
    study_init(&b, "b");
    b.labels[0] = "b";      /* two names for one class */
    refused(&a, &b, -EINVAL, "do not belong together");
    for (int i = 0; i < N; i++)
        b.labels[i] = i % 2 ? "bee" : "a";
    refused(&a, &b, -EINVAL, "class 1 is b in");
    for (int i = 0; i < N; i++) {       /* the same names, of other photographs */
        b.labels[i] = i % 2 ? "a" : "b";
        b.e.label[i] = 1 - b.e.label[i];
    }
    refused(&a, &b, -EINVAL, "c/p0 has another label");
    for (int i = 0; i < N; i++)
        b.names[i] = "c/other";
    refused(&a, &b, -EINVAL, "no face in common");
    b.e.sample[0] = N;
    refused(&a, &b, -EINVAL, "do not belong together");
    outs[0] = a.dir;
    outs[1] = check_tmpdir();
    CHECK_INT(fm_pairing_make(outs, &p, &err), -ENOENT);
    outs[1] = b.dir;
    write_bytes(&b, "ledger.tsv", "sample\tlabel\nc/p0\nc/p1", 21);
    CHECK_INT(fm_pairing_make(outs, &p, &err), -EINVAL);
    CHECK(strstr(err.text, "ledger.tsv:2: cut short") != NULL);
    write_bytes(&b, "ledger.tsv", "", 0);
    CHECK_INT(fm_pairing_make(outs, &p, &err), -EINVAL);
    write_bytes(&b, "run/evaluation.bin", "FMEV", 4);
    CHECK_INT(fm_pairing_make(outs, &p, &err), -EBADMSG);
    fm_evaluation_fini(&a.e);
    fm_evaluation_fini(&b.e);
}

CHECK_MAIN(CHECK_CASE(the_same_study_pairs_with_itself), CHECK_CASE(photographs_are_paired_by_name),
           CHECK_CASE(what_does_not_belong_together_is_refused))
