/* dlib's network file.  The reader stops at the first word that is not as it must be, and nearly all of the 22 MB are
 * numbers; a fuzzer that began with bytes of its own would stay in the first words.  So inputs are changes to a whole
 * file that is made here: three bytes each, a place among the words (numbers left out) and what to put there.  A byte
 * that is left over cuts the file at the place of the last change. */
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "tests/fuzz/fuzz.h"
#include "worker/net/resnet.h"

enum { WORDS_MAX = 1 << 15, CHANGES_MAX = 16 };

static fm_buf file;
static size_t word[WORDS_MAX], n_words;     /* places of bytes that are no number */

static void put_byte(int v)
{
    must(n_words < WORDS_MAX);
    word[n_words++] = file.size;
    fm_buf_u8(&file, (uint8_t)v);
}

static void put_int(int v)
{
    put_byte(v > 0xffff ? 3 : v > 0xff ? 2 : 1);
    for (put_byte(v & 0xff); (v >>= 8) > 0;)
        put_byte(v & 0xff);
}

static void put_ints(const int *v, int n)
{
    for (int i = 0; i < n; i++)
        put_int(v[i]);
}

static void put_name(const char *name)
{
    put_int((int)strlen(name));
    while (*name)
        put_byte(*name++);
}

static void put_reals(int n)
{
    for (int i = 0; i < 2 * n; i++)
        put_int(1);
}

static void put_tensor(int n, int k)
{
    size_t bytes = 4 * (size_t)n * (size_t)k;

    put_ints((const int[]){2, n, k, n > 0, n > 0}, 5);
    must(bytes == 0 || fm_buf_add(&file, bytes));
    memset(file.data + file.size - bytes, 0, bytes);
}

static void put_alias(int a, int b, int c, int d)
{
    put_ints((const int[]){1, a, b, c, d}, 5);
}

static void put_tail(void)
{
    for (int i = 0; i < 3; i++)
        put_byte('0');
    for (int i = 0; i < 3; i++)
        put_tensor(0, 0);
}

static void put_conv(const fm_conv_shape *c)
{
    int side = fm_conv_side(c->kind), stride = c->kind == FM_CONV_SAME ? 1 : 2, pad = c->kind == FM_CONV_SAME;

    put_name("con_4");
    put_tensor(c->out * c->in * side * side + c->out, 1);
    put_ints((const int[]){c->out, side, side, stride, stride, pad, pad}, 7);
    put_alias(c->out, c->in, side, side);
    put_alias(1, c->out, 1, 1);
    put_reals(4);
    put_tail();
}

static void put_affine(const fm_conv_shape *c)
{
    put_name("affine_");
    put_tensor(2 * c->out, 1);
    put_alias(1, c->out, 1, 1);
    put_alias(1, c->out, 1, 1);
    put_int(0);
    put_tail();
}

static void put_plain(const char *name)
{
    put_name(name);
    put_tail();
}

static void put_pool(const char *name, int side, int stride)
{
    put_name(name);
    put_ints((const int[]){side, side, stride, stride, 0, 0}, 6);
    put_tail();
}

static void put_versions(int n, int version)
{
    while (n--)
        put_int(version);
}

static void put_openings(void)
{
    put_int(1);
    put_name("loss_metric_2");
    put_reals(2);
    put_versions(2, 2);
    for (int c = FM_RESNET_CONVS - 2; c >= 1; c -= 2) {
        bool down = fm_resnet_shapes[c].kind == FM_CONV_DOWN;

        put_versions(down ? 3 : 2, 2);
        put_versions(down ? 2 : 0, 1);
        put_versions(5, 2);
        put_versions(1, 1);
    }
    put_versions(3, 2);
    put_int(3);
    put_name("input_rgb_image_sized");
    put_reals(3);
    put_ints((const int[]){150, 150}, 2);
}

static void put_block(const fm_conv_shape *c)
{
    for (int i = 0; i < 2; i++) {
        put_conv(&c[i]);
        put_affine(&c[i]);
        if (i == 0)
            put_plain("relu_");
    }
    if (c->kind == FM_CONV_DOWN)
        put_pool("avg_pool_2", 2, 2);
    put_plain("add_prev_");
    put_plain("relu_");
}

static void put_network(void)
{
    put_openings();
    put_conv(&fm_resnet_shapes[0]);
    put_int(1);
    put_affine(&fm_resnet_shapes[0]);
    put_plain("relu_");
    put_pool("max_pool_2", 3, 2);
    for (int c = 1; c < FM_RESNET_CONVS; c += 2)
        put_block(&fm_resnet_shapes[c]);
    put_pool("avg_pool_2", 0, 1);
    put_name("fc_2");
    put_ints((const int[]){128, 256}, 2);
    put_tensor(256, 128);
    put_alias(256, 128, 1, 1);
    put_alias(0, 0, 0, 0);
    put_int(1);
    put_reals(4);
    put_tail();
}

static void must_lie_inside(const uint8_t *numbers, size_t n)
{
    must(numbers >= file.data && numbers + 4 * n <= file.data + file.size);
}

static void read_whole(void)
{
    fm_resnet net;
    fm_err err = FM_ERR_INIT;
    int rc = fm_resnet_read(file.data, file.size, &net, &err);

    must(rc == 0 || (err.code == rc && err.text[0]));
    if (rc != 0)
        return;
    for (int i = 0; i < FM_RESNET_CONVS; i++) {
        const fm_conv_shape *c = &fm_resnet_shapes[i];
        int side = fm_conv_side(c->kind);

        must_lie_inside(net.conv[i].filters, (size_t)(c->out * c->in * side * side));
        must_lie_inside(net.conv[i].bias, (size_t)c->out);
        must_lie_inside(net.conv[i].gamma, (size_t)c->out);
        must_lie_inside(net.conv[i].beta, (size_t)c->out);
    }
    must_lie_inside(net.fc, 256 * 128);
}

/* What was cut is read from memory of just that size, so that a read past the end is seen. */
static void read_cut(size_t n)
{
    uint8_t *cut = malloc(n + !n);
    fm_resnet net;

    must(cut);
    memcpy(cut, file.data, n);
    must(fm_resnet_read(cut, n, &net, NULL) < 0);
    free(cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    size_t at[CHANGES_MAX], changes = n / 3 < CHANGES_MAX ? n / 3 : CHANGES_MAX;
    uint8_t was[CHANGES_MAX];

    if (!file.data) {
        put_network();
        must(!file.failed && (file.data = realloc(file.data, file.size)));     /* no room past its end */
        read_whole();
    }
    for (size_t i = 0; i < changes; i++) {
        at[i] = word[(bytes[3 * i] | (size_t)bytes[3 * i + 1] << 8) % n_words];
        was[i] = file.data[at[i]];
        file.data[at[i]] = bytes[3 * i + 2];
    }
    if (n % 3 && changes)
        read_cut(at[changes - 1]);
    else
        read_whole();
    for (size_t i = changes; i-- > 0;)
        file.data[at[i]] = was[i];
    return 0;
}
