/* Writes what the fuzzers start from: seeds DIR makes DIR/FUZZER/NAME, each small and valid. */
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "cluster/power.h"
#include "jobs/study.h"
#include "proto/ask.h"
#include "proto/join.h"
#include "proto/message.h"
#include "storage/key_entry.h"
#include "storage/photo.h"
#include "storage/record.h"
#include "tests/onnx_models.h"
#include "tests/pictures.h"

#define SIDE 24

static const char *root;

/* Writes b and empties it. */
static void save(const char *fuzzer, const char *name, fm_buf *b)
{
    char dir[FM_PATH_MAX], path[FM_PATH_MAX];
    fm_err err = FM_ERR_INIT;

    if (fm_path_join(dir, sizeof dir, root, fuzzer, &err) != 0 || fm_dir_make(dir, &err) != 0 ||
        fm_path_join(path, sizeof path, dir, name, &err) != 0 || fm_file_write(path, b->data, b->size, &err) != 0) {
        fprintf(stderr, "seeds: %s\n", err.text);
        exit(1);
    }
    b->size = 0;
}

static void save_jpeg(const char *name, picture_jpeg p)
{
    fm_buf b = FM_BUF_INIT;

    p.width = p.height = SIDE;
    if (picture_jpeg_write(&p, &b))
        save("decode", name, &b);
    fm_buf_fini(&b);
}

static void pictures(void)
{
    uint8_t exif[64], cmyk[4 * SIDE * SIDE] = {0}, *scene = picture_scene(SIDE, SIDE);
    size_t n = picture_exif(exif, 6, false);
    static const int colours[] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_PALETTE,
                                  PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB_ALPHA};
    uint8_t rows[8 * SIDE * SIDE] = {0};
    fm_buf b = FM_BUF_INIT;
    char name[32];

    save_jpeg("grey.jpg", (picture_jpeg){.components = 1, .samples = scene});
    save_jpeg("halved.jpg", (picture_jpeg){.components = 3, .samples = scene, .halved = true, .restart_rows = 1});
    save_jpeg("progressive.jpg", (picture_jpeg){.components = 3, .samples = scene, .progressive = true});
    save_jpeg("arithmetic.jpg", (picture_jpeg){.components = 3, .samples = scene, .arithmetic = true});
    save_jpeg("turned.jpg", (picture_jpeg){.components = 3, .samples = scene, .exif = exif, .exif_bytes = n});
    save_jpeg("cmyk.jpg", (picture_jpeg){.components = 4, .samples = cmyk});
    save_jpeg("ycck.jpg", (picture_jpeg){.components = 4, .samples = cmyk, .ycck = true, .progressive = true});
    for (int i = 0; i < 10; i++) {
        picture_png p = {SIDE, SIDE, 8, colours[i / 2], rows, .interlaced = i % 2, .exif = exif + 6, .exif_bytes = n - 6};

        p.palette = p.colours == PNG_COLOR_TYPE_PALETTE ? scene : NULL;
        p.transparent = !(p.colours & PNG_COLOR_MASK_ALPHA);
        p.exif_last = i % 2;
        p.depth = p.palette ? 1 << i % 4 : i % 2 ? 16 : 8;
        picture_png_write(&p, &b);
        snprintf(name, sizeof name, "%d.png", i);
        save("decode", name, &b);
    }
    for (int big = 0; big < 2; big++) {
        fm_buf_put(&b, exif, picture_exif(exif, 6, big));
        save("exif", big ? "big" : "little", &b);
    }
    free(scene);
    fm_buf_fini(&b);
}

static void messages(void)
{
    fm_buf b = FM_BUF_INIT;

    for (int type = 1; type < FM_MSG_TYPE_END; type++) {
        fm_message m;

        fm_message_init(&m, (fm_message_type)type);
        fm_message_set_text(&m, "e0007-w0003-000001", NULL);
        fm_recipe_default(&m.recipe);
        fm_message_add_segment(&m, "first", NULL);
        if (type == FM_MSG_LEASE || type == FM_MSG_ACK)
            fm_message_room(&m, 2, NULL);
        for (uint32_t i = 0; type == FM_MSG_LEASE && i < m.n_items; i++)
            m.items[i].path = strdup("/photos/a.jpg");
        fm_message_encode(&m, &b);
        save("message", fm_message_name((fm_message_type)type), &b);
        fm_message_fini(&m);
    }
    fm_buf_fini(&b);
}

/* Without the digest at the end, which the fuzzer adds. */
static void join(void)
{
    static const fm_join j = {.endpoint = "tcp://127.0.0.1:4711", .run = 1, .epoch = 2, .store_dir = "/store",
                              .scratch_dir = "/tmp", .encoder = {.path = "/m.dat"}};
    fm_buf b = FM_BUF_INIT;

    fm_join_encode(&j, &b);
    b.size -= FM_DIGEST_BYTES;
    save("join", "join", &b);
    fm_buf_fini(&b);
}

static void study(void)
{
    static const char text[] =
        "name: demo\nseed: 7\nout: results/demo\n"
        "cohorts:\n  - {name: clinic, role: case, format: csv, path: clinic/manifest.csv}\n"
        "  - {name: population, role: control, format: utkface, path: faces}\n"
        "select: {age: [10, 120], race: [white, asian]}\n"
        "match: {by: [sex, age], bands: [0,10,20], ratio: 2}\n"
        "recipe:\n  detector: {kind: hog, upsample: 1, threshold: 0.5, face: only}\n  landmarks: 5\n"
        "  chip: {size: 150, padding: 0.25}\n  mask: none\n"
        "encoder: {model: dlib-resnet, code: embedding}\ntask: {label: age>=40}\n"
        "head: {kind: fc, hidden: 32, dropout: 0.25, l2: 1e-3, learning_rate: 1e-3, batch: 10, epochs: 5}\n"
        "evaluate: {split: kfold, folds: 10, repeats: 2, group: subject, test_fraction: 0.5, bootstrap: 100}\n"
        "store: {encrypt: false}\ncluster: {nodes: 1, ranks: 0}\n";
    fm_buf b = FM_BUF_INIT;

    fm_buf_put(&b, text, sizeof text - 1);
    save("study", "demo.yaml", &b);
    fm_buf_put(&b, "cohorts: [{name: a, role: case, format: folder, path: a}]\nmatch: none\n", 71);
    save("study", "short.yaml", &b);
    fm_buf_fini(&b);
}

/* Saved after its kind: for a fuzzer whose first byte says what follows. */
static void save_kind(const char *fuzzer, int kind, const char *name, fm_buf *b)
{
    fm_buf with_kind = FM_BUF_INIT;

    fm_buf_u8(&with_kind, (uint8_t)kind);
    fm_buf_put(&with_kind, b->data, b->size);
    save(fuzzer, name, &with_kind);
    fm_buf_fini(&with_kind);
    b->size = 0;
}

/* The parts of a cohort, as fuzz_cohorts.c takes them apart; each format with each task. */
static void cohorts(void)
{
    static const struct { int format; const char *name, *parts; } seed[] = {
        {FM_FORMAT_CSV, "csv",
         "file,subject,sex,age,fold,label\na.jpg,s1,male,34,0,x\n\"b,1.jpg\",s2,F,41.5,1,\"y \"\"z\"\"\"\n"},
        {FM_FORMAT_TSV, "tsv", "file\tlabel\tage\nsub/a.jpg\tx\\ty\t12\nb.jpg\t\tNA\n"},
        {FM_FORMAT_FOLDER, "folder", "a.jpg\x1e" "b.png\x1e.hidden"},
        {FM_FORMAT_UTKFACE, "utkface", "34_0_2_20170109142408075.jpg\x1e" "5_1_20170109142408075.jpg.chip.jpg"},
        {FM_FORMAT_MEGAAGE, "megaage", "1.jpg\n2.jpg\n\x1e" "34\n50\n\x1e" "0.1 0.9\n0.5 0.5\n\x1e" "1\n0\n\x1e"
         "3.jpg\n\x1e" "7\n\x1e" "1 0\n\x1e" "1\n"},
        {FM_FORMAT_MEGAAGE_ASIAN, "megaage-asian", "1.jpg\n\x1e" "34\n\x1e" "2.jpg\n\x1e" "40\n"},
        {FM_FORMAT_FAIRFACE, "fairface",
         "file,age,gender,race,service_test\ntrain/1.jpg,50-59,Female,East Asian,True\n\x1e"
         "file,age,gender,race,service_test\nval/2.jpg,more than 70,Male,White,False\n"},
        {FM_FORMAT_FGNET, "fgnet", "001A02.JPG\x1e" "082a29b.jpg\x1e" "099A01.JPG"},
        {FM_FORMAT_LFW, "lfw",
         "Bob_Roe_0001.jpg\n\x1e" "Ann_Lee_0001.jpg\nAnn_Lee_0002\n\x1e" "Ann_Lee_0001.jpg\x1e" "Ann_Lee_0002.jpg"},
        {FM_FORMAT_ALL_AGE_FACES, "all-age-faces", "00000A02.jpg\x1e" "13321A80.jpg"},
    };
    fm_buf b = FM_BUF_INIT;
    char name[64];

    for (size_t i = 0; i < sizeof seed / sizeof *seed; i++)
        for (int task = FM_TASK_COHORT; task <= FM_TASK_COLUMN; task++) {
            fm_buf_put(&b, seed[i].parts, strlen(seed[i].parts));
            snprintf(name, sizeof name, "%s-%d", seed[i].name, task);
            save_kind("cohorts", task * (FM_FORMAT_ALL_AGE_FACES + 1) + seed[i].format, name, &b);
        }
    fm_buf_fini(&b);
}

/* A change of nothing, a flag, a cut: fuzz_encoder.c has the file itself. */
static void encoder(void)
{
    fm_buf b = FM_BUF_INIT;

    fm_buf_put(&b, "\0\0\1", 3);
    save("encoder", "same", &b);
    fm_buf_put(&b, "\xff\3\x31\0\2\x30", 6);
    save("encoder", "two", &b);
    fm_buf_put(&b, "\xff\7\1!", 4);
    save("encoder", "cut", &b);
    fm_buf_fini(&b);
}

/* A whole number as dlib writes it, of at most one byte. */
static void put_int(fm_buf *b, int v)
{
    fm_buf_u8(b, v < 0 ? 0x81 : 0x01);
    fm_buf_u8(b, (uint8_t)abs(v));
}

/* v / 4 as mantissa and exponent. */
static void put_quarters(fm_buf *b, int v)
{
    put_int(b, v);
    put_int(b, -2);
}

static void put_column(fm_buf *b, int n, int step)
{
    put_int(b, -n);
    put_int(b, -1);
    for (int i = 0; i < n; i++)
        put_quarters(b, i * step % 5);
}

/* A shape predictor with 5 points, 2 levels of 2 trees with 2 leaves, 3 features. */
static void landmarks(void)
{
    fm_buf b = FM_BUF_INIT;

    put_int(&b, 1);
    put_column(&b, 10, 3);
    put_int(&b, 2);
    for (int level = 0; level < 2; level++) {
        put_int(&b, 2);
        for (int tree = 0; tree < 2; tree++) {
            put_int(&b, 1);
            put_int(&b, tree);
            put_int(&b, 2);
            put_quarters(&b, 17);
            put_int(&b, 2);
            put_column(&b, 10, 1);
            put_column(&b, 10, 2);
        }
    }
    put_int(&b, 2);
    for (int level = 0; level < 2; level++) {
        put_int(&b, 3);
        for (int i = 0; i < 3; i++)
            put_int(&b, i);
    }
    put_int(&b, 2);
    for (int level = 0; level < 2; level++) {
        put_int(&b, 3);
        for (int i = 0; i < 6; i++)
            put_quarters(&b, i - 3);
    }
    save("landmarks", "five.dat", &b);
    fm_buf_fini(&b);
}

static void networks(void)
{
    fm_buf b = onnx_rich();

    save("onnx", "rich.onnx", &b);
    fm_buf_fini(&b);
}

/* Results are without the digest, which the fuzzer adds. */
static void save_learnt(int kind, const char *name, fm_buf *b, bool closed)
{
    b->size -= closed ? FM_DIGEST_BYTES : 0;
    save_kind("learn", kind, name, b);
}

static void photos(void)
{
    enum { CHIP = 4 };
    static uint8_t pixels[3 * CHIP * CHIP];
    fm_photo_face face = {.right = 9, .bottom = 9, .score = 1, .n_points = 5, .chip = pixels};
    fm_photo photo = FM_PHOTO_INIT;
    fm_buf b = FM_BUF_INIT;

    photo.faces = &face;
    photo.faces_found = photo.n_faces = 1;
    photo.chip_size = CHIP;
    fm_photo_encode(&photo, &b);
    save_kind("codecs", 2, "photo-1", &b);
    face.mask = pixels;
    fm_photo_encode(&photo, &b);
    save_kind("codecs", 2, "photo-2", &b);
    fm_buf_fini(&b);
}

static void codecs(void)
{
    static const fm_digest key = {{0}};
    static const fm_ask ask = {.kind = FM_ASK_LISTEN, .host = "node1"};
    static const float codes[2 * 3] = {1, 2, 3};
    fm_encoding encoding = {.kind = FM_ENCODER_DLIB, .width = 384};
    fm_buf b = FM_BUF_INIT;

    photos();
    fm_ask_encode(&ask, &b);
    save_kind("codecs", 0, "ask", &b);
    fm_encoding_encode(&encoding, &b);
    save_kind("codecs", 1, "dlib", &b);
    encoding = (fm_encoding){.kind = FM_ENCODER_ONNX, .width = 512, .input = "x", .output = "y", .size = 112};
    fm_encoding_encode(&encoding, &b);
    save_kind("codecs", 1, "onnx", &b);
    fm_code_encode(2, 3, codes, &b);
    save_kind("codecs", 3, "codes", &b);
    fm_record_encode(FM_RECORD_PHOTO, &key, "", 0, &b);
    save_kind("codecs", 4, "record", &b);
    for (uint64_t fold = 0; fold < 2; fold++) {     /* 6 test rows, 2 classes, C, threshold */
        fm_buf_u64(&b, fold);
        for (int i = 0; i < 14; i++)
            fm_buf_f64(&b, 0.5);
    }
    save_kind("codecs", 5, "folds", &b);
    fm_buf_fini(&b);
}

static void encrypted(void)
{
    uint8_t body[2 * FM_VAULT_KEY_BYTES + 8 + 2 * FM_VAULT_TAG_BYTES] = {[2 * FM_VAULT_KEY_BYTES] = 1, [2 * FM_VAULT_KEY_BYTES + 4] = 2};
    fm_buf b = FM_BUF_INIT;

    fm_buf_u32(&b, 0x564d4604u);        /* a vault's magic, version, id, hint, wrapped key, body */
    fm_buf_u16(&b, 1);
    memset(fm_buf_add(&b, FM_VAULT_ID_BYTES), 1, FM_VAULT_ID_BYTES);
    fm_buf_str(&b, "/key");
    memset(fm_buf_add(&b, FM_VAULT_KEY_BYTES + FM_VAULT_SEAL_BYTES), 2, FM_VAULT_KEY_BYTES + FM_VAULT_SEAL_BYTES);
    fm_buf_u32(&b, sizeof body + FM_VAULT_SEAL_BYTES);
    memset(fm_buf_add(&b, sizeof body + FM_VAULT_SEAL_BYTES), 3, sizeof body + FM_VAULT_SEAL_BYTES);
    save_kind("vault", 1, "file", &b);
    fm_buf_put(&b, body, sizeof body);
    save_kind("vault", 2, "body", &b);
    memset(fm_buf_add(&b, sizeof(fm_key_entry)), 0xff, sizeof(fm_key_entry));
    memset(fm_buf_add(&b, 2 * sizeof(fm_key_entry)), 0, 2 * sizeof(fm_key_entry));
    save_kind("envelope", 0, "table", &b);
    fm_buf_u32(&b, 0x454d4604u);        /* an envelope's magic, version and kind, slot, what is sealed */
    fm_buf_u32(&b, 1 | FM_RECORD_PHOTO << 8);
    fm_buf_u64(&b, 0);
    memset(fm_buf_add(&b, FM_VAULT_SEAL_BYTES + 3), 3, FM_VAULT_SEAL_BYTES + 3);
    save_kind("envelope", 1, "envelope", &b);
    fm_buf_str(&b, "a record");
    save_kind("envelope", 2, "record", &b);
    fm_buf_fini(&b);
}

static void export_log(void)
{
    static const char hash[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    fm_buf head = FM_BUF_INIT, b = FM_BUF_INIT;

    fm_buf_printf(&head, "1 %s\n", hash);
    fm_buf_put(&b, head.data, head.size);
    fm_buf_printf(&b, "1\t2030-01-02T03:04:05Z\tann\tnode1\tchips\tpseudonyms\t/out\t%s\n", hash);
    save_kind("export_log", (int)head.size, "one", &b);
    fm_buf_fini(&head);
    fm_buf_fini(&b);
}

static void learning(void)
{
    enum { ROWS = 12, WIDTH = 2 };
    static fm_power_plan power = {.seeds = 2};
    float x[ROWS * WIDTH];
    fm_audit_plan audit;
    fm_audit figures;
    fm_evaluation e;
    fm_plan plan;
    fm_buf b = FM_BUF_INIT;

    fm_plan_init(&plan);
    plan.code_width = WIDTH;
    plan.folds.folds = 2;
    plan.bootstrap = 0;
    plan.head.kind = FM_HEAD_LOGISTIC;
    plan.n = ROWS;
    plan.rows = calloc(ROWS, sizeof *plan.rows);
    for (uint32_t i = 0; i < ROWS; i++) {
        plan.rows[i] = (fm_plan_row){.sample = i, .subject = i, .label = (int32_t)(i % 2), .fold = -1};
        x[i * WIDTH] = (float)(i % 5);
        x[i * WIDTH + 1] = (float)(i % 3);
    }
    fm_plan_encode(&plan, &b);
    save_learnt(0, "plan", &b, false);
    if (fm_evaluate_local(&plan, x, &e, NULL) != 0 || fm_audit_plan_init(&audit, &plan, NULL) != 0 ||
        fm_audit_begin(&audit, &figures, NULL) != 0)
        exit(1);
    fm_audit_plan_encode(&audit, &b);
    save_learnt(1, "audit-plan", &b, false);
    power.rows = audit;
    fm_power_plan_encode(&power, &b);
    save_learnt(2, "power-plan", &b, false);
    fm_evaluation_encode(&e, &b);
    save_learnt(3, "evaluation", &b, true);
    fm_audit_encode(&figures, &b);
    save_learnt(4, "audit", &b, true);
    fm_buf_put(&b, e.head, e.head_size);
    save_learnt(5, "head", &b, false);
    fm_evaluation_fini(&e);
    fm_audit_fini(&figures);
    fm_audit_plan_fini(&audit);
    fm_buf_fini(&b);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: seeds DIR\n");
        return 2;
    }
    root = argv[1];
    pictures();
    messages();
    join();
    study();
    cohorts();
    landmarks();
    encoder();
    networks();
    learning();
    codecs();
    encrypted();
    export_log();
    return 0;
}
