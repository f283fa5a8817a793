/* Photographs are those of $FACEMILL_DATA/faces, or the portraits that ./setup
 * fetched, of 1 to 3 megapixels.  Where there are only few of them, smaller ones
 * are doubled, as dlib does it, and written as JPEG again, and the table says so. */
#include "bench/inputs.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "worker/face/pyramid.h"
#include "worker/image/decode.h"
#include "worker/image/encode.h"
#include "worker/net/resnet.h"

enum { ENOUGH = 4, QUALITY = 92 };
static const double fewest_pixels = 1e6, most_pixels = 3e6;

void bench_stop(const char *what, const fm_err *err)
{
    fprintf(stderr, "bench: %s%s%s\n", what, err && err->text[0] ? ": " : "", err ? err->text : "");
    exit(1);
}

const char *bench_model_path(const char *name)
{
    static char path[FM_PATH_MAX];
    const char *root = getenv("FACEMILL_MODELS");

    snprintf(path, sizeof path, "%s/%s", root ? root : "models/cache", name);
    if (!fm_path_exists(path))
        snprintf(path, sizeof path, "models/%s", name);
    return path;
}

fm_buf bench_read(const char *path)
{
    fm_buf b = FM_BUF_INIT;
    fm_err err = FM_ERR_INIT;

    if (fm_file_read(path, 1u << 28, &b, &err) != 0)
        bench_stop("run ./setup first", &err);
    return b;
}

static void write_file(const char *folder, const char *name, const void *bytes, size_t n)
{
    char path[FM_PATH_MAX];
    fm_err err = FM_ERR_INIT;

    if (fm_path_join(path, sizeof path, folder, name, &err) != 0 || fm_file_write(path, bytes, n, &err) != 0)
        bench_stop("what the peers read cannot be written", &err);
}

static bool of_the_size(const fm_image *image, double factor)
{
    double pixels = factor * image->width * image->height;

    return pixels >= fewest_pixels && pixels <= most_pixels;
}

static bool make_double(bench_photograph *p)
{
    fm_image twice;

    if (fm_image_double(&p->image, &twice, NULL) != 0)
        return false;
    fm_image_fini(&p->image);
    fm_buf_fini(&p->file);
    p->file = (fm_buf)FM_BUF_INIT;
    p->image = twice;
    return fm_jpeg_encode(&p->image, QUALITY, &p->file, NULL) == 0;
}

/* What is not a photograph of the size is passed over; JPEG only, as that is what all peers take from memory. */
static void read_photograph(bench_inputs *in, const char *path, bool twice)
{
    fm_decode_limits limits = {1u << 26, false};
    fm_decode_info info;
    bench_photograph p = {FM_IMAGE_INIT, FM_BUF_INIT};
    bool take = fm_file_read(path, 1u << 28, &p.file, NULL) == 0 &&
                fm_image_decode(p.file.data, p.file.size, &limits, &p.image, &info, NULL) == 0 &&
                info.format == FM_FORMAT_JPEG && info.orientation == 1 && of_the_size(&p.image, twice ? 4 : 1);

    if (take && twice && (take = make_double(&p)))
        in->n_doubled++;
    if (take) {
        in->pixels += (double)p.image.width * p.image.height;
        in->photographs[in->n_photographs++] = p;
    } else {
        fm_image_fini(&p.image);
        fm_buf_fini(&p.file);
    }
}

static void read_folder(bench_inputs *in, const char *folder, bool twice)
{
    char path[FM_PATH_MAX];
    struct dirent **entries;
    int n = scandir(folder, &entries, NULL, alphasort);

    for (int i = 0; i < n; i++) {
        if (entries[i]->d_name[0] != '.' && in->n_photographs < PHOTOGRAPHS_MAX &&
            fm_path_join(path, sizeof path, folder, entries[i]->d_name, NULL) == 0)
            read_photograph(in, path, twice);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

static void read_photographs(bench_inputs *in, const char *folder)
{
    const char *data = getenv("FACEMILL_DATA");
    char from[FM_PATH_MAX], name[32];

    snprintf(from, sizeof from, "%s", bench_model_path("photos"));
    if (data)
        snprintf(from, sizeof from, "%s/faces", data);
    read_folder(in, from, false);
    if (in->n_photographs < ENOUGH)
        read_folder(in, from, true);
    if (in->n_photographs == 0)
        bench_stop("no photographs of 1 to 3 megapixels: run ./setup, or set FACEMILL_DATA", NULL);
    for (size_t i = 0; i < in->n_photographs; i++) {
        snprintf(name, sizeof name, "photos/%02zu.jpg", i);
        write_file(folder, name, in->photographs[i].file.data, in->photographs[i].file.size);
    }
}

static void open_models(bench_inputs *in)
{
    fm_buf detector = bench_read(bench_model_path("frontal_hog.f32"));
    fm_buf landmarks = bench_read(bench_model_path("shape_predictor_68_face_landmarks.dat"));
    fm_buf encoder = bench_read(bench_model_path("dlib_face_recognition_resnet_model_v1.dat"));
    fm_model_files files = {.detector = detector.data, .detector_size = detector.size, .landmarks = landmarks.data,
                            .landmarks_size = landmarks.size, .encoder = encoder.data, .encoder_size = encoder.size};
    fm_buf packed = FM_BUF_INIT;
    fm_err err = FM_ERR_INIT;
    fm_recipe recipe;
    void *memory;

    fm_recipe_default(&recipe);
    recipe.face = FM_FACE_ALL;
    recipe.face_min_pixels = 0;
    if (fm_models_pack(&files, fm_cpu_isa(), &packed, &err) != 0)
        bench_stop("models", &err);
    memory = aligned_alloc(64, packed.size);
    if (!memory)
        bench_stop("no memory", NULL);
    memcpy(memory, packed.data, packed.size);
    if (fm_models_open(memory, packed.size, &in->models, &err) != 0 ||
        fm_detector_create(detector.data, detector.size, fm_cpu_isa(), &in->detector, &err) != 0 ||
        fm_preprocessor_create(&recipe, in->models, &in->preprocessor, &err) != 0)
        bench_stop("models", &err);
    fm_buf_fini(&packed);
    fm_buf_fini(&encoder);
    fm_buf_fini(&landmarks);
    fm_buf_fini(&detector);
}

static void find_faces(bench_inputs *in)
{
    size_t n_chips = 0;

    for (size_t i = 0; i < in->n_photographs; i++) {
        const bench_photograph *p = &in->photographs[i];
        const fm_face_box *boxes;
        size_t n;
        fm_err err = FM_ERR_INIT;

        if (fm_detector_find(in->detector, &p->image, 0, &boxes, &n, &err) != 0 ||
            fm_preprocess(in->preprocessor, p->file.data, p->file.size, &in->cut[i], &err) != 0)
            bench_stop("a photograph", &err);
        for (size_t f = 0; f < n && in->n_faces < FACES_MAX; f++, in->n_faces++) {
            in->faces[in->n_faces].photograph = i;
            in->faces[in->n_faces].box = boxes[f];
        }
        for (uint32_t f = 0; f < in->cut[i].n_faces && n_chips < FM_ENCODER_BATCH; f++)
            in->chips[n_chips++] = in->cut[i].faces[f].chip;
    }
    if (n_chips == 0)
        bench_stop("no faces in the photographs", NULL);
    for (size_t i = n_chips; i < FM_ENCODER_BATCH; i++)
        in->chips[i] = in->chips[i - n_chips];
}

/* A convolution's numbers, the affine layer after it folded into them. */
static void put_conv(fm_buf *b, const fm_resnet_conv *conv, const fm_conv_shape *s)
{
    size_t taps = (size_t)(fm_conv_side(s->kind) * fm_conv_side(s->kind) * s->in), out = (size_t)s->out;

    for (size_t o = 0; o < out; o++)
        for (size_t t = 0; t < taps; t++)
            fm_buf_f32(b, (float)((double)fm_resnet_number(conv->gamma, o) * fm_resnet_number(conv->filters, o * taps + t)));
    for (size_t o = 0; o < out; o++)
        fm_buf_f32(b, (float)((double)fm_resnet_number(conv->gamma, o) * fm_resnet_number(conv->bias, o) +
                              fm_resnet_number(conv->beta, o)));
}

static void write_encoder(const bench_inputs *in, const char *folder)
{
    fm_buf file = bench_read(bench_model_path("dlib_face_recognition_resnet_model_v1.dat")), b = FM_BUF_INIT;
    fm_err err = FM_ERR_INIT;
    fm_resnet net;

    if (fm_resnet_read(file.data, file.size, &net, &err) != 0)
        bench_stop("encoder", &err);
    for (int i = 0; i < 3; i++)
        fm_buf_f32(&b, net.mean[i]);
    for (int c = 0; c < FM_RESNET_CONVS; c++)
        put_conv(&b, &net.conv[c], &fm_resnet_shapes[c]);
    for (size_t i = 0; i < FM_ENCODER_POOLED * FM_ENCODER_EMBEDDING; i++)
        fm_buf_f32(&b, fm_resnet_number(net.fc, i));
    write_file(folder, "weights.f32", b.data, b.size);
    b.size = 0;
    for (int i = 0; i < FM_ENCODER_BATCH; i++)
        fm_buf_put(&b, in->chips[i], CHIP_BYTES);
    write_file(folder, "chips.u8", b.data, b.size);
    fm_buf_fini(&b);
    fm_buf_fini(&file);
}

void bench_inputs_read(bench_inputs *in, const char *folder)
{
    char photos[FM_PATH_MAX];
    fm_err err = FM_ERR_INIT;

    if (fm_dir_remove(folder, &err) != 0 || fm_path_join(photos, sizeof photos, folder, "photos", &err) != 0 ||
        fm_dir_make(photos, &err) != 0)
        bench_stop("a folder for the peers", &err);
    read_photographs(in, folder);
    open_models(in);
    find_faces(in);
    write_encoder(in, folder);
}
