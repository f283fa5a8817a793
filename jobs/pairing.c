/* Pairing: both ledgers are read for names, both evaluations' tested rows sorted by
 * name, and the two lists merged.
 *
 * predictions.tsv has the names, too, but is read back from decimals and lacks what
 * the evaluation's own digest vouches for.  Always: a class number means the same
 * class name in both studies, or nothing is paired. */
#include "jobs/pairing.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "coordinator/learn/evaluation.h"

#define LEDGER_MAX (4ull << 30)

/* A row with a prediction. */
typedef struct {
    const char *name;           /* of its sample */
    uint32_t ordinal, faces;    /* which of its photograph's faces, and how many there are */
    uint32_t row;               /* of the evaluation */
} face;

/* One study's side. */
typedef struct {
    const char *out;
    fm_evaluation e;
    fm_buf ledger;              /* its bytes, cut into strings */
    size_t photographs;
    const char **name;          /* [photographs], into ledger */
    const char **label;         /* [photographs], class names */
    const char **class_name;    /* [classes]; NULL: no row has it */
    face *face;                 /* [n], by name and ordinal */
    size_t n;
} side;

static void side_fini(side *s)
{
    fm_evaluation_fini(&s->e);
    fm_buf_fini(&s->ledger);
    free(s->name);
    free(s->label);
    free(s->class_name);
    free(s->face);
}

/* The next field of a line, which ends with a NUL; NULL behind the last. */
static char *next_field(char **at)
{
    char *field = *at, *tab;

    if (!field)
        return NULL;
    tab = strchr(field, '\t');
    if (tab)
        *tab = '\0';
    *at = tab ? tab + 1 : NULL;
    return field;
}

static int column_of(char *header, const char *name)
{
    char *field;

    for (int i = 0; (field = next_field(&header)); i++)
        if (strcmp(field, name) == 0)
            return i;
    return -1;
}

static const char *field_at(char *line, int column)
{
    char *field = NULL;

    for (int i = 0; i <= column; i++)
        field = next_field(&line);
    return field;
}

/* Cut one line off; returns it, NULL at the end. */
static char *next_line(char **at)
{
    char *line = *at, *end = strchr(line, '\n');

    if (!*line)
        return NULL;
    *at = end ? end + 1 : line + strlen(line);
    if (end)
        *end = '\0';
    return line;
}

static int cut_ledger(side *s, fm_err *err)
{
    char *at = (char *)s->ledger.data, *header = next_line(&at), *line, *copy = header ? strdup(header) : NULL;
    int name = copy ? column_of(copy, "sample") : -1, label = header ? column_of(header, "label") : -1;
    size_t room = 0;

    free(copy);
    if (name != 0 || label < 0)
        return fm_fail(err, -EINVAL, "%s/ledger.tsv: has no columns sample and label; run facemill report again",
                       s->out);
    for (const char *p = at; (p = strchr(p, '\n')); p++)
        room++;
    s->name = calloc(room + 1, sizeof *s->name);
    s->label = calloc(room + 1, sizeof *s->label);
    if (!s->name || !s->label)
        return fm_fail_nomem(err, "ledger", room * sizeof *s->name);
    while (s->photographs < room && (line = next_line(&at))) {
        s->label[s->photographs] = field_at(line, label);      /* cuts the fields before it, too */
        s->name[s->photographs] = line;
        if (!s->label[s->photographs++])
            return fm_fail(err, -EINVAL, "%s/ledger.tsv:%zu: cut short; run facemill report again", s->out,
                           s->photographs + 1);
    }
    return 0;
}

/* Every row's photograph and class are the ledger's. */
static int check_ledger(side *s, fm_err *err)
{
    const fm_evaluation *e = &s->e;

    s->class_name = calloc(e->classes, sizeof *s->class_name);
    if (!s->class_name)
        return fm_fail_nomem(err, "classes", e->classes * sizeof *s->class_name);
    for (size_t i = 0; i < e->n; i++) {
        const char *label = e->sample[i] < s->photographs ? s->label[e->sample[i]] : NULL;
        const char **known = &s->class_name[e->label[i]];

        if (!label || !*label || (*known && strcmp(*known, label) != 0))
            return fm_fail(err, -EINVAL, "%s: ledger.tsv and run/evaluation.bin do not belong together; run facemill "
                           "run again", s->out);
        *known = label;
    }
    return 0;
}

static bool is_tested(const fm_evaluation *e, size_t row)
{
    for (size_t r = 0; r < e->repeats; r++)
        if (e->test_fold[r * e->n + row] >= 0)
            return true;
    return false;
}

static int compare_faces(const void *a, const void *b)
{
    const face *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order ? order : (x->ordinal > y->ordinal) - (x->ordinal < y->ordinal);
}

/* Faces of one photograph stand in consecutive rows. */
static int list_faces(side *s, fm_err *err)
{
    const fm_evaluation *e = &s->e;
    size_t end;

    s->face = malloc((e->n + 1) * sizeof *s->face);
    if (!s->face)
        return fm_fail_nomem(err, "faces", e->n * sizeof *s->face);
    for (size_t i = 0; i < e->n; i = end) {
        for (end = i; end < e->n && e->sample[end] == e->sample[i]; end++)
            ;
        for (size_t row = i; row < end; row++)
            if (is_tested(e, row))
                s->face[s->n++] = (face){s->name[e->sample[i]], (uint32_t)(row - i), (uint32_t)(end - i),
                                         (uint32_t)row};
    }
    qsort(s->face, s->n, sizeof *s->face, compare_faces);
    return 0;
}

static int side_read(const char *out, side *s, fm_err *err)
{
    char evaluation[FM_PATH_MAX], ledger[FM_PATH_MAX];
    int rc;

    s->out = out;
    if ((rc = fm_path_join(evaluation, sizeof evaluation, out, "run/evaluation.bin", err)) != 0 ||
        (rc = fm_path_join(ledger, sizeof ledger, out, "ledger.tsv", err)) != 0)
        return rc;
    if (!fm_path_exists(evaluation) || !fm_path_exists(ledger))
        return fm_fail(err, -ENOENT, "%s: no finished study is there; facemill run makes one", out);
    if ((rc = fm_evaluation_read(evaluation, &s->e, err)) != 0 ||
        (rc = fm_file_read(ledger, LEDGER_MAX, &s->ledger, err)) != 0)
        return rc;
    fm_buf_u8(&s->ledger, '\0');
    if (s->ledger.failed)
        return fm_fail_nomem(err, "ledger", s->ledger.size);
    if ((rc = cut_ledger(s, err)) != 0 || (rc = check_ledger(s, err)) != 0)
        return rc;
    return list_faces(s, err);
}

static int check_classes(const side *s, fm_err *err)
{
    if (s[0].e.classes != s[1].e.classes)
        return fm_fail(err, -EINVAL, "%s has %u classes, %s %u: only studies of the same classes can be compared",
                       s[0].out, s[0].e.classes, s[1].out, s[1].e.classes);
    for (uint32_t c = 0; c < s[0].e.classes; c++)
        if (s[0].class_name[c] && s[1].class_name[c] && strcmp(s[0].class_name[c], s[1].class_name[c]) != 0)
            return fm_fail(err, -EINVAL, "class %u is %s in %s and %s in %s: only studies of the same classes can be "
                           "compared", c, s[0].class_name[c], s[0].out, s[1].class_name[c], s[1].out);
    return 0;
}

/* Merge the sorted lists into pairs of rows u32 [2, min n]; the number of pairs goes to *n. */
static int merge(const side *s, uint32_t *rows, size_t *n, size_t only[2], fm_err *err)
{
    size_t i = 0, k = 0, room = s[0].n < s[1].n ? s[0].n : s[1].n;

    *n = 0;
    while (i < s[0].n && k < s[1].n) {
        const face *a = &s[0].face[i], *b = &s[1].face[k];
        int order = compare_faces(a, b);

        i += order <= 0;
        k += order >= 0;
        if (order != 0 || a->faces != b->faces)
            continue;
        if (s[0].e.label[a->row] != s[1].e.label[b->row])
            return fm_fail(err, -EINVAL, "%s has another label in %s than in %s: only studies of the same labels can "
                           "be compared", a->name, s[0].out, s[1].out);
        rows[*n] = a->row;
        rows[room + (*n)++] = b->row;
    }
    only[0] = s[0].n - *n;
    only[1] = s[1].n - *n;
    if (*n == 0)
        return fm_fail(err, -EINVAL, "%s and %s tested no face in common", s[0].out, s[1].out);
    return 0;
}

/* One side's predictions of the chosen rows. */
static int take_rows(const fm_evaluation *e, const uint32_t *rows, size_t n, int side_of, fm_pairing *p, fm_err *err)
{
    size_t classes = e->classes;
    int32_t *fold = malloc(e->repeats * n * sizeof *fold);
    double *prob = malloc(e->repeats * n * classes * sizeof *prob);

    p->test_fold[side_of] = fold;
    p->prob[side_of] = prob;
    if (!fold || !prob)
        return fm_fail_nomem(err, "predictions", e->repeats * n * classes * sizeof *prob);
    for (size_t r = 0; r < e->repeats; r++)
        for (size_t i = 0; i < n; i++) {
            size_t from = r * e->n + rows[i], to = r * n + i;

            fold[to] = e->test_fold[from];
            memcpy(prob + to * classes, e->prob + from * classes, classes * sizeof *prob);
        }
    p->of[side_of] = (fm_predictions){.n = n, .classes = (int)classes, .repeats = e->repeats, .label = p->label,
                                      .group = p->group, .test_fold = fold, .prob = prob};
    return 0;
}

static int fill(const side *s, fm_pairing *p, fm_err *err)
{
    size_t room = s[0].n < s[1].n ? s[0].n : s[1].n, n = 0;
    uint32_t *rows = malloc((2 * room + 1) * sizeof *rows);
    int rc = rows ? merge(s, rows, &n, p->only, err) : fm_fail_nomem(err, "pairs", 2 * room * sizeof *rows);

    if (rc != 0)
        goto done;
    p->label = malloc(n * sizeof *p->label);
    p->group = malloc(n * sizeof *p->group);
    if (!p->label || !p->group) {
        rc = fm_fail_nomem(err, "pairs", n * sizeof *p->label);
        goto done;
    }
    for (size_t i = 0; i < n; i++) {
        p->label[i] = s[0].e.label[rows[i]];
        p->group[i] = s[0].e.subject[rows[i]];
    }
    for (int k = 0; rc == 0 && k < 2; k++)
        rc = take_rows(&s[k].e, rows + (size_t)k * room, n, k, p, err);
done:
    free(rows);
    return rc;
}

int fm_pairing_make(const char *const outs[2], fm_pairing *out, fm_err *err)
{
    side s[2] = {{.ledger = FM_BUF_INIT}, {.ledger = FM_BUF_INIT}};
    fm_pairing p = {.label = NULL};
    int rc = side_read(outs[0], &s[0], err);

    if (rc == 0)
        rc = side_read(outs[1], &s[1], err);
    if (rc == 0)
        rc = check_classes(s, err);
    if (rc == 0)
        rc = fill(s, &p, err);
    if (rc == 0)
        *out = p;
    else
        fm_pairing_fini(&p);
    side_fini(&s[0]);
    side_fini(&s[1]);
    return rc;
}

void fm_pairing_fini(fm_pairing *p)
{
    free(p->label);
    free(p->group);
    for (int k = 0; k < 2; k++) {
        free(p->test_fold[k]);
        free(p->prob[k]);
    }
    memset(p, 0, sizeof *p);
}
