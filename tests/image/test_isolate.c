/* The isolated decoder: the same images as in this process, whatever it dies of, however often. */
#define _GNU_SOURCE
#include "tests/check.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "tests/pictures.h"
#include "worker/image/isolate.h"

static const fm_decode_limits limits = {.max_pixels = 4000000};
static fm_isolate *isolate;

static fm_buf jpeg(int width, int height)
{
    uint8_t *samples = picture_scene(width, height);
    fm_buf file = FM_BUF_INIT;
    picture_jpeg p = {.width = width, .height = height, .components = 3, .samples = samples};

    CHECK(picture_jpeg_write(&p, &file));
    free(samples);
    return file;
}

/* Both ways: the same image, or the same refusal. */
static void compare(const uint8_t *bytes, size_t n)
{
    fm_image here = FM_IMAGE_INIT, there = FM_IMAGE_INIT;
    fm_decode_info a, b;
    fm_err one = FM_ERR_INIT, two = FM_ERR_INIT;
    int rc = fm_isolate_decode(NULL, bytes, n, &limits, &here, &a, &one);

    CHECK_INT(fm_isolate_decode(isolate, bytes, n, &limits, &there, &b, &two), rc);
    CHECK(a.reason == b.reason && a.format == b.format && a.width == b.width && a.height == b.height &&
          a.orientation == b.orientation && a.jpeg_quality == b.jpeg_quality && strcmp(a.warning, b.warning) == 0);
    CHECK_STR(two.text, one.text);
    if (rc == 0 && CHECK(here.width == there.width && here.height == there.height))
        for (int y = 0; y < here.height; y++)
            CHECK(memcmp(here.pixels + (size_t)y * here.stride_bytes, there.pixels + (size_t)y * there.stride_bytes,
                         3 * (size_t)here.width) == 0);
    fm_image_fini(&here);
    fm_image_fini(&there);
}

static bool started(const char *faults)
{
    fm_err err = FM_ERR_INIT;

    fm_fault_set(faults);
    if (fm_isolate_start(&isolate, &err) == 0)
        return true;
    check_failed(__FILE__, __LINE__, "%s", err.text);
    return false;
}

static void images_are_the_same(void)
{
    fm_buf file;

    if (!started(NULL))
        return;
    for (int i = 1; i <= 900; i += 100) {       /* also some that no socket's buffer takes at once */
        file = jpeg(i, 2 * i);
        compare(file.data, file.size);
        compare(file.data, file.size / 2);
        fm_buf_fini(&file);
    }
    compare(NULL, 0);
    compare((const uint8_t *)"GIF89a", 6);
    file = (fm_buf)FM_BUF_INIT;
    picture_png_claim(50000, 50000, &file);
    compare(file.data, file.size);
    fm_buf_fini(&file);
    fm_isolate_end(isolate);
}

/* It dies of one photograph each time; all others are decoded, before and after. */
static void one_that_kills_is_crashed(void)
{
    fm_buf bad = jpeg(64, 48), good = jpeg(80, 48);
    fm_image image = FM_IMAGE_INIT;
    fm_decode_info info;
    fm_err err = FM_ERR_INIT;
    char fault[64];

    CHECK(bad.size != good.size);
    snprintf(fault, sizeof fault, "decode@%zu:1:kill", bad.size);
    if (!started(fault))
        return;
    for (int i = 0; i < 50; i++) {
        CHECK_INT(fm_isolate_decode(isolate, bad.data, bad.size, &limits, &image, &info, &err), -ECHILD);
        CHECK_INT(info.reason, FM_CRASHED);
        CHECK(strstr(err.text, "Killed") && image.pixels == NULL);
        compare(good.data, good.size);
    }
    fm_isolate_end(isolate);
    fm_buf_fini(&bad);
    fm_buf_fini(&good);
}

/* One death is forgiven: the second try is another decoder. */
static void one_death_costs_nothing(void)
{
    fm_buf file = jpeg(64, 48);

    if (!started("decode:3:kill"))      /* each decoder at its third */
        return;
    for (int i = 0; i < 20; i++)
        compare(file.data, file.size);
    fm_isolate_end(isolate);
    fm_buf_fini(&file);
}

static void one_without_memory_is_crashed(void)
{
    fm_buf file = jpeg(64, 48);
    fm_image image;
    fm_decode_info info;
    fm_err err = FM_ERR_INIT;

    char fault[64];

    snprintf(fault, sizeof fault, "decode@%zu:1:fails", file.size);
    if (!started(fault))
        return;
    CHECK_INT(fm_isolate_decode(isolate, file.data, file.size, &limits, &image, &info, &err), -ECHILD);
    CHECK(info.reason == FM_CRASHED && strstr(err.text, "memory"));
    fm_isolate_end(isolate);
    fm_buf_fini(&file);
}

/* What fails for all is no photograph's fault. */
static void decoders_that_always_die_blame_nobody(void)
{
    static const char *const faults[] = {"decode:1:fails", "decode:1:kill"};
    fm_buf file = jpeg(64, 48);

    for (int i = 0; i < 2; i++) {
        fm_image image = FM_IMAGE_INIT;
        fm_decode_info info;
        fm_err err = FM_ERR_INIT;

        if (!started(faults[i]))
            return;
        CHECK_INT(fm_isolate_decode(isolate, file.data, file.size, &limits, &image, &info, &err), -EIO);
        CHECK(strstr(err.text, "whatever they are given"));
        fm_isolate_end(isolate);
    }
    fm_buf_fini(&file);
}

/* The processes whose parent is p. */
static pid_t child_of(pid_t p)
{
    char path[64];
    int child = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)p, (int)p);
    f = fopen(path, "r");
    if (!f || fscanf(f, "%d", &child) != 1)
        child = 0;
    if (f)
        fclose(f);
    return child;
}

static void what_dies_meanwhile_is_no_photographs_fault(void)
{
    fm_buf file = jpeg(64, 48);
    fm_image image;
    fm_decode_info info;
    fm_err err = FM_ERR_INIT;
    pid_t keeper, decoder;

    if (!started(NULL))
        return;
    compare(file.data, file.size);
    keeper = child_of(getpid());
    if (keeper == 0)
        check_skip("/proc does not list children here");
    for (int i = 0; keeper && i < 5; i++) {
        decoder = child_of(keeper);
        REQUIRE(decoder > 0 && kill(decoder, SIGKILL) == 0);
        compare(file.data, file.size);
    }
    if (keeper) {
        int rc = 0;

        kill(keeper, SIGKILL);
        /* Its decoder dies with it, a moment later. */
        for (int i = 0; i < 1000 && rc == 0; i++) {
            rc = fm_isolate_decode(isolate, file.data, file.size, &limits, &image, &info, &err);
            if (rc == 0)
                fm_image_fini(&image);
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
        CHECK_INT(rc, -EIO);
    }
    fm_isolate_end(isolate);
    fm_buf_fini(&file);
}

CHECK_MAIN(CHECK_CASE(images_are_the_same), CHECK_CASE(one_that_kills_is_crashed), CHECK_CASE(one_death_costs_nothing),
           CHECK_CASE(one_without_memory_is_crashed),
           CHECK_CASE(decoders_that_always_die_blame_nobody), CHECK_CASE(what_dies_meanwhile_is_no_photographs_fault))
