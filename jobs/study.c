/* Each section of the study file is one table of keys; what a table cannot say
 * (lists, ranges, defaults that depend) is read by a function beside it. */
#include "jobs/study.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "jobs/explain.h"
#include "jobs/study_parts.h"
#include "worker/net/encoder.h"

static const char *const role_names[] = {"case", "control", NULL};
static const char *const format_names[] = {"csv", "tsv", "folder", "utkface", "megaage", "megaage-asian",
                                           "fairface", "fgnet", "lfw", "all-age-faces", NULL};
static const char *const method_names[] = {"optimal", "nearest", NULL};
static const char *const detector_names[] = {"hog", NULL};
static const char *const face_names[] = {"largest", "all", "only", NULL};
static const char *const audit_names[] = {"none", "quick", "full", NULL};

/* The sections as nodes, before each is read by its own function. */
typedef struct {
    char name[128], out[FM_PATH_MAX];
    int64_t seed;
    int audit;
    const yaml_node_t *cohorts, *select, *match, *recipe, *encoder, *task, *head, *evaluate, *explain, *store, *cluster;
} sections;

static const fm_yaml_key top_keys[] = {
    NEED(STRING, sections, name, "name", 0, 128),
    KEY(INT, sections, seed, "seed", 0, 9007199254740992.0),
    KEY(STRING, sections, out, "out", 0, FM_PATH_MAX),
    NEED(NODE, sections, cohorts, "cohorts", 0, 0),
    KEY(NODE, sections, select, "select", 0, 0),
    KEY(NODE, sections, match, "match", 0, 0),
    KEY(NODE, sections, recipe, "recipe", 0, 0),
    KEY(NODE, sections, encoder, "encoder", 0, 0),
    KEY(NODE, sections, task, "task", 0, 0),
    KEY(NODE, sections, head, "head", 0, 0),
    KEY(NODE, sections, evaluate, "evaluate", 0, 0),
    CHOICE(sections, audit, "audit", audit_names, false),
    KEY(NODE, sections, explain, "explain", 0, 0),
    KEY(NODE, sections, store, "store", 0, 0),
    KEY(NODE, sections, cluster, "cluster", 0, 0),
};

const char *fm_cohort_format_name(int format)
{
    return format_names[format];
}

/* Only manifests whose sex codes nothing published explains need them mapped. */
static int read_sex_codes(const fm_yaml *y, const yaml_node_t *node, fm_cohort *c, fm_err *err)
{
    static const fm_yaml_key keys[] = {
        NEED(STRING, fm_cohort, male, "male", 0, sizeof c->male),
        NEED(STRING, fm_cohort, female, "female", 0, sizeof c->female),
    };
    bool takes = c->format == FM_FORMAT_CSV || c->format == FM_FORMAT_TSV || c->format == FM_FORMAT_MEGAAGE ||
                 c->format == FM_FORMAT_MEGAAGE_ASIAN;
    int rc = fm_yaml_map(y, node, "sex", keys, COUNT(keys), c, err);

    if (rc == 0 && !takes)
        rc = fm_yaml_fail(y, node, err, "sex: format %s says itself what sex a photograph is of; take the key out",
                          format_names[c->format]);
    if (rc == 0 && strcasecmp(c->male, c->female) == 0)
        rc = fm_yaml_fail(y, node, err, "sex: \"%s\" cannot be both male and female", c->male);
    return rc;
}

typedef struct {
    fm_cohort c;
    const yaml_node_t *sex;
} named_cohort;

static int read_cohort(const fm_yaml *y, const yaml_node_t *node, fm_study *s, fm_err *err)
{
    static const fm_yaml_key keys[] = {
        NEED(STRING, named_cohort, c.name, "name", 0, 64),
        CHOICE(named_cohort, c.role, "role", role_names, true),
        CHOICE(named_cohort, c.format, "format", format_names, true),
        NEED(STRING, named_cohort, c.path, "path", 0, FM_PATH_MAX),
        KEY(NODE, named_cohort, sex, "sex", 0, 0),
    };
    named_cohort raw = {.sex = NULL};
    fm_cohort *c = &s->cohorts[s->n_cohorts];
    char path[FM_PATH_MAX];
    int rc = fm_yaml_map(y, node, "cohort", keys, COUNT(keys), &raw, err);

    *c = raw.c;
    if (rc == 0 && raw.sex)
        rc = read_sex_codes(y, raw.sex, c, err);
    if (rc != 0)
        return rc;
    if (strpbrk(c->name, "/\t\n"))
        return fm_yaml_fail(y, node, err, "cohort \"%s\": a name may not hold \"/\", tab or newline", c->name);
    for (int i = 0; i < s->n_cohorts; i++)
        if (strcmp(s->cohorts[i].name, c->name) == 0)
            return fm_yaml_fail(y, node, err, "two cohorts are named \"%s\"; give each a name of its own", c->name);
    if ((rc = fm_path_join(path, sizeof path, s->dir, c->path, err)) != 0)
        return rc;
    memcpy(c->path, path, sizeof path);
    s->n_cohorts++;
    return 0;
}

static int read_cohorts(const fm_yaml *y, const yaml_node_t *node, fm_study *s, fm_err *err)
{
    int rc = 0;

    if (node->type != YAML_SEQUENCE_NODE || node->data.sequence.items.start == node->data.sequence.items.top)
        return fm_yaml_fail(y, node, err, "cohorts: expected a list of {name, role, format, path}");
    for (const int *i = node->data.sequence.items.start; rc == 0 && i < node->data.sequence.items.top; i++) {
        if (s->n_cohorts == FM_COHORTS_MAX)
            return fm_yaml_fail(y, node, err, "cohorts: more than %d", FM_COHORTS_MAX);
        rc = read_cohort(y, fm_yaml_node(y, *i), s, err);
    }
    return rc;
}

/* [low, high] with both numbers is a range; any other list, or one word, is a list of values. */
static int read_select_values(const fm_yaml *y, const yaml_node_t *node, fm_select *to, fm_err *err)
{
    int n = 0;
    bool numbers = true;
    double number[2] = {0, 0};
    const yaml_node_t *one[1] = {node};
    bool list = node->type == YAML_SEQUENCE_NODE;
    int count = list ? (int)(node->data.sequence.items.top - node->data.sequence.items.start) : 1;

    for (; n < count; n++) {
        const yaml_node_t *item = list ? fm_yaml_node(y, node->data.sequence.items.start[n]) : one[0];
        const char *text = fm_yaml_text(item);

        if (!text || strlen(text) >= sizeof to->values[0] || n == FM_SELECT_VALUES_MAX)
            return fm_yaml_fail(y, item, err, "select %s: expected [low, high] or a list of at most %d short words",
                                to->column, FM_SELECT_VALUES_MAX);
        strcpy(to->values[n], text);
        numbers = numbers && n < 2 && fm_parse_double(text, &number[n]);
    }
    if (n == 0)
        return fm_yaml_fail(y, node, err, "select %s: an empty list selects nothing", to->column);
    to->n_values = n;
    to->is_range = list && n == 2 && numbers;
    to->low = number[0];
    to->high = number[1];
    if (to->is_range && to->low > to->high)
        return fm_yaml_fail(y, node, err, "select %s: %g is above %g", to->column, to->low, to->high);
    return 0;
}

static int read_select(const fm_yaml *y, const yaml_node_t *node, fm_study *s, fm_err *err)
{
    if (node->type != YAML_MAPPING_NODE)
        return fm_yaml_fail(y, node, err, "select: expected {column: [low, high]} or {column: [values]}");
    for (const yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
        const char *column = fm_yaml_text(fm_yaml_node(y, p->key));
        fm_select *to = &s->selects[s->n_selects];
        int rc;

        if (!column || strlen(column) >= sizeof to->column || s->n_selects == FM_SELECTS_MAX)
            return fm_yaml_fail(y, node, err, "select: at most %d columns with short names", FM_SELECTS_MAX);
        strcpy(to->column, column);
        if ((rc = read_select_values(y, fm_yaml_node(y, p->value), to, err)) != 0)
            return rc;
        s->n_selects++;
    }
    return 0;
}

static int read_bands(const fm_yaml *y, const yaml_node_t *node, fm_match_spec *m, fm_err *err)
{
    m->n_bands = 0;
    if (node->type != YAML_SEQUENCE_NODE)
        return fm_yaml_fail(y, node, err, "bands: expected a list of ages, e.g. [0, 10, 20, 120]");
    for (const int *i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++) {
        const yaml_node_t *item = fm_yaml_node(y, *i);
        const char *text = fm_yaml_text(item);
        double v;

        if (!text || !fm_parse_double(text, &v) || m->n_bands == FM_BANDS_MAX ||
            (m->n_bands && v <= m->bands[m->n_bands - 1]))
            return fm_yaml_fail(y, item, err, "bands: expected at most %d rising ages", FM_BANDS_MAX);
        m->bands[m->n_bands++] = v;
    }
    if (m->n_bands < 2)
        return fm_yaml_fail(y, node, err, "bands: a band needs two edges");
    return 0;
}

static int read_match_by(const fm_yaml *y, const yaml_node_t *node, fm_match_spec *m, fm_err *err)
{
    m->by_sex = m->by_age = false;
    if (node->type != YAML_SEQUENCE_NODE)
        return fm_yaml_fail(y, node, err, "by: expected a list of sex, age");
    for (const int *i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++) {
        const char *text = fm_yaml_text(fm_yaml_node(y, *i));

        if (text && strcmp(text, "sex") == 0)
            m->by_sex = true;
        else if (text && strcmp(text, "age") == 0)
            m->by_age = true;
        else
            return fm_yaml_fail(y, node, err, "by: \"%s\" is none of: sex, age", text ? text : "(not a word)");
    }
    return 0;
}

typedef struct {
    const yaml_node_t *by, *bands;
    int64_t ratio;
    double caliper;
    bool replace;
    int method;
} raw_match;

static const fm_yaml_key match_keys[] = {
    KEY(NODE, raw_match, by, "by", 0, 0),
    KEY(NODE, raw_match, bands, "bands", 0, 0),
    KEY(INT, raw_match, ratio, "ratio", 1, 100),
    KEY(REAL, raw_match, caliper, "caliper", 0, 130),
    KEY(BOOL, raw_match, replace, "replace", 0, 0),
    CHOICE(raw_match, method, "method", method_names, false),
};

static int read_match(const fm_yaml *y, const yaml_node_t *node, fm_study *s, fm_err *err)
{
    static const double decades[] = {0, 10, 20, 30, 40, 50, 60, 70, 120};
    raw_match raw = {.ratio = 1, .caliper = INFINITY, .method = FM_MATCH_OPTIMAL};
    const char *text = fm_yaml_text(node);
    int rc;

    if (text && strcmp(text, "none") == 0)
        return 0;
    if ((rc = fm_yaml_map(y, node, "match", match_keys, COUNT(match_keys), &raw, err)) != 0)
        return rc;
    s->match = (fm_match_spec){.on = true, .by_sex = true, .by_age = true, .n_bands = COUNT(decades),
                               .ratio = raw.ratio, .caliper = raw.caliper, .replace = raw.replace,
                               .method = raw.method};
    memcpy(s->match.bands, decades, sizeof decades);
    if (raw.by)
        rc = read_match_by(y, raw.by, &s->match, err);
    if (rc == 0 && raw.bands)
        rc = read_bands(y, raw.bands, &s->match, err);
    if (rc == 0 && !s->match.by_age && isfinite(raw.caliper))
        rc = fm_yaml_fail(y, node, err, "match: a caliper is about age; add age to by, or take the caliper out");
    return rc;
}

typedef struct {
    const yaml_node_t *detector, *chip, *mask;
    int kind, face;
    int64_t upsample, face_min, landmarks, size, max_megapixels, max_megabytes, max_seconds;
    double threshold, padding;
    bool strict;
} raw_recipe;

static const fm_yaml_key recipe_keys[] = {
    KEY(NODE, raw_recipe, detector, "detector", 0, 0),
    KEY(INT, raw_recipe, landmarks, "landmarks", 5, 68),
    KEY(NODE, raw_recipe, chip, "chip", 0, 0),
    KEY(NODE, raw_recipe, mask, "mask", 0, 0),
    KEY(BOOL, raw_recipe, strict, "strict", 0, 0),
    KEY(INT, raw_recipe, max_megapixels, "max_megapixels", 1, 4000),
    KEY(INT, raw_recipe, max_megabytes, "max_megabytes", 1, 4000),
    KEY(INT, raw_recipe, max_seconds, "max_seconds", 1, 86400),
};
static const fm_yaml_key detector_keys[] = {
    CHOICE(raw_recipe, kind, "kind", detector_names, false),
    KEY(INT, raw_recipe, upsample, "upsample", 0, 4),
    KEY(REAL, raw_recipe, threshold, "threshold", -10, 10),
    CHOICE(raw_recipe, face, "face", face_names, false),
    KEY(INT, raw_recipe, face_min, "min_pixels", 0, 100000),
};
static const fm_yaml_key chip_keys[] = {
    KEY(INT, raw_recipe, size, "size", 32, 1024),
    KEY(REAL, raw_recipe, padding, "padding", 0, 2),
};

static int read_recipe(const fm_yaml *y, const yaml_node_t *node, fm_study *s, fm_err *err)
{
    fm_recipe *r = &s->recipe;
    raw_recipe raw = {.landmarks = r->landmarks, .size = r->chip_size, .padding = r->chip_padding,
                      .max_megapixels = (int64_t)(r->max_pixels / 1000000), .max_megabytes = r->max_bytes >> 20,
                      .max_seconds = s->max_seconds};
    int rc = fm_yaml_map(y, node, "recipe", recipe_keys, COUNT(recipe_keys), &raw, err);

    if (rc == 0 && raw.detector)
        rc = fm_yaml_map(y, raw.detector, "detector", detector_keys, COUNT(detector_keys), &raw, err);
    if (rc == 0 && raw.chip)
        rc = fm_yaml_map(y, raw.chip, "chip", chip_keys, COUNT(chip_keys), &raw, err);
    if (rc != 0)
        return rc;
    if (raw.landmarks != 5 && raw.landmarks != 68)
        return fm_yaml_fail(y, node, err, "landmarks: 5 or 68, not %lld", (long long)raw.landmarks);
    if (raw.mask && (rc = fm_study_read_mask(y, raw.mask, s, err)) != 0)
        return rc;
    r->upsample = (uint8_t)raw.upsample;
    r->threshold = raw.threshold;
    r->face = (fm_face_choice)raw.face;
    r->face_min_pixels = (uint32_t)raw.face_min;
    r->landmarks = (uint8_t)raw.landmarks;
    r->chip_size = (uint16_t)raw.size;
    r->chip_padding = raw.padding;
    r->strict = raw.strict;
    r->max_pixels = (uint64_t)raw.max_megapixels * 1000000;
    r->max_bytes = (uint64_t)raw.max_megabytes << 20;
    s->max_seconds = (uint32_t)raw.max_seconds;
    return 0;
}

static int read_task(const fm_yaml *y, const yaml_node_t *node, fm_study *s, fm_err *err)
{
    struct { char label[64]; } raw;
    const fm_yaml_key keys[] = {
        {"label", FM_YAML_STRING, 0, 0, sizeof raw.label, NULL, true},
    };
    int rc = fm_yaml_map(y, node, "task", keys, COUNT(keys), &raw, err);

    if (rc != 0)
        return rc;
    if (strcmp(raw.label, "cohort") == 0) {
        s->task.kind = FM_TASK_COHORT;
    } else if (strcmp(raw.label, "sex") == 0) {
        s->task.kind = FM_TASK_SEX;
    } else if (strncmp(raw.label, "age", 3) == 0 && strchr(" >", raw.label[3])) {
        const char *number = raw.label + 3 + strspn(raw.label + 3, " >=");

        s->task.kind = FM_TASK_AGE;
        if (!strstr(raw.label, ">=") || !fm_parse_double(number, &s->task.age))
            return fm_yaml_fail(y, node, err, "label: \"%s\": an age task is written age>=40", raw.label);
    } else {
        s->task.kind = FM_TASK_COLUMN;
        memcpy(s->task.column, raw.label, sizeof raw.label);
    }
    return 0;
}

/* "$NAME" and "$NAME/below" name a folder that a scheduler makes for each job, such as $SLURM_TMPDIR.  Where the
 * variable is not set there is no such folder, and segments are written in the store. */
static int set_scratch(const fm_yaml *y, const yaml_node_t *node, const char *text, fm_study *s, fm_err *err)
{
    size_t n = strcspn(text, "/");
    char name[256];
    const char *value;

    if (text[0] != '$')
        return text[0] ? fm_path_join(s->scratch, sizeof s->scratch, s->dir, text, err) : 0;
    if (n < 2 || n > sizeof name)
        return fm_yaml_fail(y, node, err, "store: scratch: \"%s\" names no variable; write $NAME or $NAME/folder", text);
    memcpy(name, text + 1, n - 1);
    name[n - 1] = '\0';
    value = getenv(name);
    if (!value || !*value)
        return 0;
    if (value[0] != '/')
        return fm_yaml_fail(y, node, err, "store: scratch: $%s is \"%s\", which is no absolute path", name, value);
    return fm_path_join(s->scratch, sizeof s->scratch, value, text[n] ? text + n + 1 : ".", err);
}

static int read_store(const fm_yaml *y, const yaml_node_t *node, fm_study *s, fm_err *err)
{
    struct { bool encrypt; char key_file[FM_PATH_MAX], key_command[1024], scratch[FM_PATH_MAX]; } raw = {false, "", "", ""};
    const fm_yaml_key keys[] = {
        {"encrypt", FM_YAML_BOOL, offsetof(__typeof__(raw), encrypt), 0, 0, NULL, false},
        {"key_file", FM_YAML_STRING, offsetof(__typeof__(raw), key_file), 0, sizeof raw.key_file, NULL, false},
        {"key_command", FM_YAML_STRING, offsetof(__typeof__(raw), key_command), 0, sizeof raw.key_command, NULL, false},
        {"scratch", FM_YAML_STRING, offsetof(__typeof__(raw), scratch), 0, FM_PATH_MAX, NULL, false},
    };
    int rc = fm_yaml_map(y, node, "store", keys, COUNT(keys), &raw, err);

    if (rc == 0 && (raw.key_file[0] || raw.key_command[0]) && !raw.encrypt)
        rc = fm_yaml_fail(y, node, err, "store: names a key and does not say encrypt: true");
    if (rc == 0 && raw.key_file[0] && raw.key_command[0])
        rc = fm_yaml_fail(y, node, err, "store: key_file or key_command, not both");
    s->encrypt = raw.encrypt;
    memcpy(s->key_command, raw.key_command, sizeof s->key_command);
    if (rc == 0 && raw.key_file[0])
        rc = fm_path_join(s->key_file, sizeof s->key_file, s->dir, raw.key_file, err);
    return rc == 0 ? set_scratch(y, node, raw.scratch, s, err) : rc;
}

static int read_cluster(const fm_yaml *y, const yaml_node_t *node, fm_study *s, fm_err *err)
{
    static const fm_yaml_key keys[] = {
        KEY(INT, fm_study, nodes, "nodes", 1, 10000),
        KEY(INT, fm_study, ranks, "ranks", 0, 1000000),
        KEY(INT, fm_study, shard, "shard", 0, 4096),
        {"metrics", FM_YAML_STRING, offsetof(fm_study, metrics), 0, FM_PATH_MAX, NULL, false},
    };
    char path[FM_PATH_MAX];
    int rc = fm_yaml_map(y, node, "cluster", keys, COUNT(keys), s, err);

    if (rc != 0 || !s->metrics[0])
        return rc;
    memcpy(path, s->metrics, sizeof path);
    return fm_path_join(s->metrics, sizeof s->metrics, s->dir, path, err);
}

static void defaults(fm_study *s)
{
    fm_recipe_default(&s->recipe);
    s->max_seconds = 120;
    strcpy(s->encoder, "dlib-resnet");
    s->encoding = (fm_encoding){.kind = FM_ENCODER_DLIB, .width = FM_ENCODER_WIDTH, .fill = {123, 117, 104}};
    s->wish = (fm_network_wish)FM_NETWORK_WISH_INIT;
    s->head = (fm_study_head){.kind = FM_STUDY_FC, .hidden = 64, .batch = 10, .epochs = 5, .dropout = 0.25, .l2 = 1e-3,
                              .learning_rate = 1e-3, .C = 1};
    s->evaluate = (fm_study_evaluate){.split = FM_SPLIT_KFOLD, .folds = 5, .repeats = 1, .bootstrap = 2000,
                                      .group = "subject", .test_fraction = 0.5, .sensitivity = 0.9};
    s->explain = (fm_study_explain){.faces = FM_EXPLAIN_FACES, .grid = FM_EXPLAIN_GRID,
                                    .permutations = FM_EXPLAIN_PERMUTATIONS};
    s->nodes = 1;
}

/* Sections in the order in which they stand in the file's documentation. */
static int read_sections(const fm_yaml *y, const sections *raw, fm_study *s, fm_err *err)
{
    const struct {
        const yaml_node_t *node;
        int (*read)(const fm_yaml *, const yaml_node_t *, fm_study *, fm_err *);
    } all[] = {
        {raw->cohorts, read_cohorts},    {raw->select, read_select},
        {raw->match, read_match},        {raw->recipe, read_recipe},
        {raw->encoder, fm_study_read_encoder},    {raw->task, read_task},
        {raw->head, fm_study_read_head}, {raw->evaluate, fm_study_read_evaluate},
        {raw->explain, fm_study_read_explain},
        {raw->store, read_store},        {raw->cluster, read_cluster},
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < COUNT(all); i++)
        if (all[i].node)
            rc = all[i].read(y, all[i].node, s, err);
    if (rc == 0 && s->encoding.kind == FM_ENCODER_DLIB && s->recipe.chip_size != FM_ENCODER_CHIP)
        rc = fm_yaml_fail(y, raw->recipe, err, "chip: dlib-resnet takes chips of size %d", FM_ENCODER_CHIP);
    return rc;
}

static int read_top(const fm_yaml *y, fm_study *s, fm_err *err)
{
    sections raw = {.seed = 1, .audit = FM_AUDIT_QUICK};
    char relative[FM_PATH_MAX];
    int rc = fm_yaml_map(y, fm_yaml_root(y), "study", top_keys, COUNT(top_keys), &raw, err);

    if (rc != 0)
        return rc;
    memcpy(s->name, raw.name, sizeof s->name);
    s->seed = raw.seed;
    s->audit = raw.audit;
    if (!raw.out[0] && snprintf(raw.out, sizeof raw.out, "results/%s", raw.name) < 0)
        return -EINVAL;
    memcpy(relative, raw.out, sizeof relative);
    if ((rc = fm_path_join(s->out, sizeof s->out, s->dir, relative, err)) != 0)
        return rc;
    return read_sections(y, &raw, s, err);
}

static int locate(const char *path, fm_study *s, fm_err *err)
{
    char *real = realpath(path, NULL);
    fm_buf bytes = FM_BUF_INIT;
    int rc;

    if (!real || strlen(real) >= sizeof s->file) {
        rc = fm_fail(err, real ? -ENAMETOOLONG : -errno, "%s: cannot open: %s", path, strerror(real ? ENAMETOOLONG : errno));
        free(real);
        return rc;
    }
    strcpy(s->file, real);
    free(real);
    strcpy(s->dir, s->file);
    *strrchr(s->dir, '/') = '\0';
    rc = fm_file_read(s->file, 1u << 20, &bytes, err);
    if (rc == 0)
        fm_digest_of(bytes.data, bytes.size, &s->digest);
    fm_buf_fini(&bytes);
    return rc;
}

int fm_study_load(const char *path, fm_study *out, fm_err *err)
{
    fm_study *s = calloc(1, sizeof *s);
    fm_yaml y = {.loaded = false};
    int rc;

    if (!s)
        return fm_fail_nomem(err, "study", sizeof *s);
    defaults(s);
    rc = locate(path, s, err);
    if (rc == 0)
        rc = fm_yaml_open(path, &y, err);
    if (rc == 0)
        rc = read_top(&y, s, err);
    if (rc == 0)
        *out = *s;
    fm_yaml_close(&y);
    free(s);
    return rc;
}
