/* export: what OUT holds, in formats other programs read.
 *
 * Chips, boxes and landmarks show a person and are refused without
 * --identifiable; tables and codes leave with pseudonyms instead of names. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/options.h"
#include "base/text.h"
#include "jobs/export_log.h"
#include "jobs/key.h"
#include "jobs/pseudonym.h"
#include "jobs/verbs.h"
#include "storage/keys.h"
#include "storage/photo.h"
#include "storage/store.h"
#include "worker/coder.h"
#include "worker/image/encode.h"

#define TABLE_MAX (4ull << 30)

typedef struct {
    const char *out, *to;
    bool identifiable, masked, masks;   /* masked: chips with their masks put on; masks: these instead of chips */
    fm_pseudonyms pseudonyms;
    fm_store *store;
    fm_study_keys keys;
} job;

static const char *name_of(const job *j, const fm_study_key *k, char hidden[FM_PSEUDONYM_SIZE])
{
    if (j->identifiable)
        return k->name;
    fm_pseudonym(&j->pseudonyms, k->name, hidden);
    return hidden;
}

static int write_to(const job *j, const char *name, const fm_buf *b, fm_err *err)
{
    char path[FM_PATH_MAX];
    int rc = b->failed ? fm_fail_nomem(err, name, b->size) : fm_path_join(path, sizeof path, j->to, name, err);

    return rc != 0 ? rc : fm_file_write(path, b->data, b->size, err);
}

static int get_photo(const job *j, const fm_study_key *k, fm_photo *photo, fm_err *err)
{
    const void *payload;
    size_t n;
    int rc = fm_store_get(j->store, FM_RECORD_PHOTO, &k->photo, &payload, &n, NULL, err);

    return rc != 0 ? rc : fm_photo_decode(payload, n, photo, err);
}

/* Calls fn for each photograph that has a photo record. */
static int each_photo(job *j, int (*fn)(job *j, const fm_study_key *k, const fm_photo *photo, fm_buf *table, fm_err *err),
                      fm_buf *table, fm_err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < j->keys.n; i++) {
        fm_photo photo = FM_PHOTO_INIT;

        if (fm_digest_is_zero(&j->keys.v[i].photo))
            continue;
        rc = get_photo(j, &j->keys.v[i], &photo, err);
        if (rc == 0)
            rc = fn(j, &j->keys.v[i], &photo, table, err);
        fm_photo_fini(&photo);
    }
    return rc;
}

/* file, face, box, score, view, landmarks: -2 for a photograph without a face. */
static int face_rows(job *j, const fm_study_key *k, const fm_photo *photo, fm_buf *table, fm_err *err)
{
    (void)j;
    (void)err;
    if (photo->n_faces == 0) {
        fm_tsv_field(table, k->name);
        fm_buf_printf(table, "\t-2\n");
    }
    for (uint32_t i = 0; i < photo->n_faces; i++) {
        const fm_photo_face *f = &photo->faces[i];

        fm_tsv_field(table, k->name);
        fm_buf_printf(table, "\t%u\t%d\t%d\t%d\t%d\t%.9g\t%u", i, f->left, f->top, f->right, f->bottom, (double)f->score,
                      f->view);
        for (unsigned p = 0; p < f->n_points; p++)
            fm_buf_printf(table, "\t%d\t%d", f->points[p][0], f->points[p][1]);
        fm_buf_u8(table, '\n');
    }
    return 0;
}

static int export_faces(job *j, fm_err *err)
{
    fm_buf table = FM_BUF_INIT;
    int rc;

    fm_buf_printf(&table, "file\tface\tleft\ttop\tright\tbottom\tscore\tview\tpoints\n");
    rc = each_photo(j, face_rows, &table, err);
    if (rc == 0)
        rc = write_to(j, "faces.tsv", &table, err);
    fm_buf_fini(&table);
    return rc;
}

static const uint8_t masked_fill[3] = {123, 117, 104};

/* The chip, with its mask put on when that is asked for; or the mask itself, white where the person is. */
static int draw(const job *j, const fm_photo_face *face, int size, uint8_t *rgb, fm_err *err)
{
    static const uint8_t black[3];
    size_t n = (size_t)size * (size_t)size;

    if ((j->masks || j->masked) && !face->mask)
        return fm_fail(err, -ENOENT, "the chips have no masks; build a study with mask: portrait in its recipe");
    if (j->masks)
        memset(rgb, 255, 3 * n);
    else
        memcpy(rgb, face->chip, 3 * n);
    if (j->masks || j->masked)
        fm_mask_apply(rgb, face->mask, size, j->masks ? black : masked_fill, rgb);
    return 0;
}

static int write_chips(job *j, const fm_study_key *k, const fm_photo *photo, fm_buf *table, fm_err *err)
{
    fm_image chip = FM_IMAGE_INIT;
    int rc = photo->n_faces ? fm_image_create(photo->chip_size, photo->chip_size, &chip, err) : 0;

    for (uint32_t i = 0; rc == 0 && i < photo->n_faces; i++) {
        fm_buf png = FM_BUF_INIT;
        char name[64];

        snprintf(name, sizeof name, "%06zu-%u.png", (size_t)(k - j->keys.v), i);
        rc = draw(j, &photo->faces[i], photo->chip_size, chip.pixels, err);
        if (rc == 0)
            rc = fm_png_encode(&chip, &png, err);
        if (rc == 0)
            rc = write_to(j, name, &png, err);
        fm_buf_fini(&png);
        fm_buf_printf(table, "%s\t", name);
        fm_tsv_field(table, k->name);
        fm_buf_printf(table, "\t%u\n", i);
    }
    fm_image_fini(&chip);
    return rc;
}

static int export_chips(job *j, fm_err *err)
{
    fm_buf table = FM_BUF_INIT;
    int rc;

    fm_buf_printf(&table, "%s\tsample\tface\n", j->masks ? "mask" : "chip");
    rc = each_photo(j, write_chips, &table, err);
    if (rc == 0)
        rc = write_to(j, j->masks ? "masks.tsv" : "chips.tsv", &table, err);
    fm_buf_fini(&table);
    return rc;
}

static int export_masks(job *j, fm_err *err)
{
    j->masks = true;
    return export_chips(j, err);
}

/* One photograph's codes to the end of all.  *width is that of the codes before, 0: there are none. */
static int add_codes(job *j, const fm_study_key *k, fm_buf *codes, uint32_t *width, uint32_t *faces, fm_err *err)
{
    const void *payload;
    uint32_t wide;
    float *room;
    size_t n;
    int rc = fm_store_get(j->store, FM_RECORD_CODE, &k->code, &payload, &n, NULL, err);

    if (rc == 0)
        rc = fm_code_shape(payload, n, faces, &wide, err);
    if (rc == 0 && *width && wide != *width)
        rc = fm_fail(err, -EBADMSG, "code record: %u values a face where others have %u; build the study again", wide,
                     *width);
    if (rc != 0)
        return rc;
    *width = wide;
    room = (float *)(void *)fm_buf_add(codes, (size_t)*faces * wide * sizeof *room);
    return room ? fm_code_decode(payload, n, wide, *faces, room, faces, err) : fm_fail_nomem(err, "codes", codes->size);
}

/* The codes of all faces of all photographs, one after another, and the rows' names. */
static int gather_codes(job *j, fm_buf *codes, fm_buf *table, size_t *rows, uint32_t *width, fm_err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < j->keys.n; i++) {
        const fm_study_key *k = &j->keys.v[i];
        char hidden[FM_PSEUDONYM_SIZE];
        uint32_t faces = 0;

        if (!fm_digest_is_zero(&k->code))
            rc = add_codes(j, k, codes, width, &faces, err);
        for (uint32_t f = 0; rc == 0 && f < faces; f++) {
            fm_tsv_field(table, name_of(j, k, hidden));
            fm_buf_printf(table, "\t%zu\n", (*rows)++);
        }
    }
    return rc;
}

/* NumPy's format 1.0: magic, version, header length, a Python dictionary padded to 64 bytes, data. */
static void npy_header(fm_buf *b, size_t rows, size_t columns)
{
    char text[128];
    int n = snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", rows, columns);

    fm_buf_put(b, "\x93NUMPY\x01\x00", 8);
    fm_buf_u16(b, 128 - 10);
    fm_buf_put(b, text, (size_t)n);
    for (; n < 128 - 10 - 1; n++)
        fm_buf_u8(b, ' ');
    fm_buf_u8(b, '\n');
}

static int export_codes(job *j, fm_err *err)
{
    fm_buf codes = FM_BUF_INIT, table = FM_BUF_INIT, npy = FM_BUF_INIT;
    uint32_t width = 0;
    size_t rows = 0;
    int rc;

    fm_buf_printf(&table, "sample\trow\n");
    rc = gather_codes(j, &codes, &table, &rows, &width, err);
    npy_header(&npy, rows, width);
    fm_buf_put(&npy, codes.data, codes.size);
    npy.failed = npy.failed || codes.failed;
    if (rc == 0)
        rc = write_to(j, "codes.npy", &npy, err);
    if (rc == 0)
        rc = write_to(j, "codes.tsv", &table, err);
    fm_buf_fini(&codes);
    fm_buf_fini(&table);
    fm_buf_fini(&npy);
    return rc;
}

static int export_table(job *j, const char *name, fm_err *err)
{
    static const char *const names[] = {"sample", "subject", "file", NULL}, *const dropped[] = {"detail", NULL};
    char path[FM_PATH_MAX];
    fm_buf text = FM_BUF_INIT, table = FM_BUF_INIT;
    int rc = fm_path_join(path, sizeof path, j->out, name, err);

    if (rc == 0)
        rc = fm_file_read(path, TABLE_MAX, &text, err);
    if (rc == -ENOENT)
        rc = fm_fail(err, -ENOENT, "%s is not there; facemill run makes it", path);
    if (rc == 0 && !j->identifiable) {
        fm_buf_u8(&text, '\0');
        rc = text.failed ? fm_fail_nomem(err, name, text.size)
                         : fm_pseudonyms_table(&j->pseudonyms, names, dropped, (char *)text.data, &table, err);
    }
    if (rc == 0)
        rc = write_to(j, name, j->identifiable ? &text : &table, err);
    fm_buf_fini(&text);
    fm_buf_fini(&table);
    return rc;
}

static int export_ledger(job *j, fm_err *err)
{
    return export_table(j, "ledger.tsv", err);
}

static int export_predictions(job *j, fm_err *err)
{
    return export_table(j, "predictions.tsv", err);
}

typedef struct {
    const char *what;
    int (*run)(job *j, fm_err *err);
    bool shows_person;      /* refused without --identifiable */
} kind;

static const kind kinds[] = {
    {"ledger", export_ledger, false}, {"faces", export_faces, true},  {"chips", export_chips, true},
    {"masks", export_masks, true},    {"codes", export_codes, false}, {"predictions", export_predictions, false},
};
#define N_KINDS (sizeof kinds / sizeof *kinds)

static const kind *find_kind(const char *what, fm_err *err)
{
    const char *names[N_KINDS], *near;

    for (size_t i = 0; i < N_KINDS; i++) {
        if (what && strcmp(kinds[i].what, what) == 0)
            return &kinds[i];
        names[i] = kinds[i].what;
    }
    near = what ? fm_nearest(what, names, N_KINDS) : NULL;
    fm_fail(err, -EINVAL, "export: --what takes ledger, faces, chips, masks, codes or predictions%s%s%s",
            near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    return NULL;
}

static int do_export(job *j, const kind *k, fm_err *err)
{
    char dir[FM_PATH_MAX];
    int rc = fm_path_join(dir, sizeof dir, j->out, "store", err);

    if (rc == 0)
        rc = fm_key_for_store(dir, err);
    if (rc == 0)
        rc = fm_store_open(dir, &j->store, err);
    if (rc == 0)
        rc = fm_keys_read(dir, &j->keys, err);
    if (rc == 0)
        rc = fm_pseudonyms_open(j->out, &j->pseudonyms, err);
    if (rc == 0)
        rc = fm_dir_make(j->to, err);
    if (rc == 0)
        rc = fm_export_log_add(j->out, k->what, j->identifiable, j->to, err);
    if (rc == 0)
        rc = k->run(j, err);
    fm_keys_fini(&j->keys);
    fm_store_close(j->store);
    return rc;
}

int fm_verb_export(int argc, char **argv)
{
    job j = {.to = NULL};
    const char *what = NULL, *args[1];
    const fm_option options[] = {
        {"what", FM_OPT_STRING, &what, 0, 0, "WHAT", "ledger, faces, chips, masks, codes or predictions (required)"},
        {"to", FM_OPT_STRING, &j.to, 0, 0, "DIR", "folder to write to (required)"},
        {"masked", FM_OPT_FLAG, &j.masked, 0, 0, NULL, "chips with their masks put on"},
        {"identifiable", FM_OPT_FLAG, &j.identifiable, 0, 0, NULL, "allow what shows a person; real names instead of hashes"},
    };
    const fm_command command = {"export OUT --what WHAT --to DIR [options]",
                                "Writes faces.tsv (boxes and landmarks), chips or masks as PNG, codes as codes.npy f32\n"
                                "[n, columns] (of dlib-resnet 384: embedding 128, pooled 256) with codes.tsv,\n"
                                "ledger.tsv or predictions.tsv.",
                                options, sizeof options / sizeof *options, 1, 1};
    fm_err err = FM_ERR_INIT;
    const kind *k = NULL;
    int rc = fm_command_parse(&command, argc, argv, args, &err);

    if (rc == 0 && !(k = find_kind(what, &err)))
        rc = -EINVAL;
    if (rc == 0 && !j.to)
        rc = fm_fail(&err, -EINVAL, "export: --to DIR is needed: where the files go");
    if (rc == 0 && j.masked && k->run != export_chips)
        rc = fm_fail(&err, -EINVAL, "export: --masked is about chips; %s have no masks", k->what);
    if (rc == 0 && k->shows_person && !j.identifiable)
        rc = fm_fail(&err, -EPERM, "export: %s show persons; add --identifiable when those who will see the files may",
                     k->what);
    if (rc != 0)
        return fm_command_exit(rc, &err);
    j.out = args[0];
    if ((rc = do_export(&j, k, &err)) != 0)
        fprintf(stderr, "facemill export: %s\n", err.text);
    return rc == 0 ? FM_EXIT_DONE : rc == -ENOENT ? FM_EXIT_INPUT : rc == -EBADMSG ? FM_EXIT_NOT_HELD : FM_EXIT_FAILED;
}
