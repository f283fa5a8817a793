/* 8,961 damaged, hostile or odd files against a table of what a decoder made of them.
 *
 * A child process decodes one file after the other and notes each in shared memory, so
 * that one that crashes or takes more than a second of processor time is known by name;
 * a new child goes on behind it. */
#define _GNU_SOURCE
#include "tests/check.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "worker/image/decode.h"

#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#endif
#endif

#define FILES_MAX 10000
#define MEMORY_MAX_KB (256l << 10)
#define MAX_PIXELS 100000000u   /* the recipe's default */

typedef struct {
    char name[64];
    char expected[8];
    uint64_t pixels;            /* of the header; 0: not known */
} bad_file;

typedef struct {
    int rc, strict_rc;          /* strict is asked only when rc is 0 */
    bool decoded, whole;        /* out and info agree */
    uint64_t header_pixels;
    uint32_t warnings;
    fm_reason reason;
    char text[200];             /* the error's or the first warning's */
} verdict;

typedef struct {
    size_t at;                  /* the file in hand */
    long memory_kb;
    verdict of[FILES_MAX];
} shared;

/* The table calls everything a warning that libjpeg goes on after.  This project does not
 * want what was made up then, and reads no colour profiles. */
static const struct {
    const char *expected, *got, *text;
    size_t at_most;
} differences[] = {
    /* the rest is grey, or noise from there on: half a face must not pass for one */
    {"warn", "error", "Premature end of JPEG file", 324},
    {"warn", "error", "Corrupt JPEG data: premature end of data segment", 226},
    {"warn", "error", "Corrupt JPEG data: bad Huffman code", 226},
    {"warn", "error", "Corrupt JPEG data: bad arithmetic code", 48},
    {"warn", "error", "Corrupt JPEG data: found marker", 14},
    {"warn", "error", "cut short: no data for colour component", 9},
    {"warn", "error", "cut short: ", 72},
    /* FF D8 without the FF of a marker behind it; nothing that writes JPEG does so */
    {"warn", "error", "neither a JPEG nor a PNG file", 31},
    /* nobody says which colours those are */
    {"warn", "error", "not 1, 3 or 4 colour components", 18},
    /* a hundred scans over a few pixels, from fuzzers */
    {"warn", "error", "too many scans", 1},
    /* a progressive file cut behind a scan and ended with a marker: blurred, and not an oddity to be silent about */
    {"ok", "warn", "a progressive JPEG without its last scans", 11},
};

/* PNG files in which only what changes no pixel is damaged; all pixels are there and their checksum holds. */
static const struct {
    const char *name, *got;
} pixels_are_whole[] = {
    {"png/0c81c3952df5e0cfc3815e78", "ok"},     /* iCCP: a profile that is none */
    {"png/0de648a9c8c19264e6cd6a44", "ok"},
    {"png/3cc9aa6b704cf327623dc060", "ok"},
    {"png/47ae55aa7eeb33ffa98617d3", "ok"},
    {"png/5f9ed5e8da84cadf0fef3822", "ok"},     /* two of them */
    {"png/6ad5b5bdfd53b231df47e24f", "ok"},
    {"png/7d46d5063aaaa61680110563", "ok"},
    {"png/ccb6230c7f3593ab4b9186e2", "ok"},
    {"png/194a4c20f1c2b7bfd90504b7", "warn"},   /* iCCP: its checksum */
    {"png/bdc133d532c03cdaa6b6a818", "warn"},   /* every ancillary chunk three times, empty */
    {"png/cee7e15200d0959599acf826", "warn"},   /* eXIf that is none: no orientation */
    {"png/bcaffc4f286d8e1c899da0c7", "warn"},   /* more data than the picture needs */
};

static bad_file files[FILES_MAX];
static size_t n_files;
static char folder[64];

static bool unpack(void)
{
    const char *table = check_data("badset.tsv"), *archive = check_data("badset.tar.xz");
    char line[2 * FM_PATH_MAX + 32];
    FILE *f;

    if (!table || !archive)
        return false;
    snprintf(folder, sizeof folder, "%s", check_tmpdir());
    snprintf(line, sizeof line, "tar -xJf '%s' -C '%s'", archive, folder);
    if (system(line) != 0) {
        check_skip("tar cannot unpack %s (is xz installed?)", archive);
        return false;
    }
    f = fopen(table, "r");
    if (!CHECK(f && fgets(line, sizeof line, f)))
        return false;
    for (n_files = 0; n_files < FILES_MAX && fgets(line, sizeof line, f); n_files++) {
        bad_file *b = &files[n_files];
        unsigned long long pixels;

        if (!CHECK(sscanf(line, "%63[^\t]\t%7[^\t]\t%llu", b->name, b->expected, &pixels) == 3))
            break;
        b->pixels = pixels;
    }
    fclose(f);
    return CHECK(n_files > 8000);
}

static void judge(const fm_buf *bytes, verdict *v)
{
    fm_decode_limits limits = {.max_pixels = MAX_PIXELS};
    fm_image image = FM_IMAGE_INIT;
    fm_decode_info info;
    fm_err err = FM_ERR_INIT;

    v->rc = fm_image_decode(bytes->data, bytes->size, &limits, &image, &info, &err);
    v->header_pixels = (uint64_t)info.width * info.height;
    v->warnings = info.warnings;
    v->reason = info.reason;
    v->decoded = image.pixels != NULL;
    v->whole = (uint64_t)image.width * (uint64_t)image.height == (v->decoded ? v->header_pixels : 0);
    snprintf(v->text, sizeof v->text, "%s", v->rc ? err.text : info.warning);
    fm_image_fini(&image);
    limits.strict = true;
    if (v->rc == 0)
        v->strict_rc = fm_image_decode(bytes->data, bytes->size, &limits, &image, &info, NULL);
    fm_image_fini(&image);
}

static void limit_cpu(time_t seconds)
{
    struct itimerval limit = {.it_value = {.tv_sec = seconds}};

    setitimer(ITIMER_PROF, &limit, NULL);
}

static _Noreturn void child(shared *s, size_t first)
{
    struct rusage used;

    for (s->at = first; s->at < n_files; s->at++) {
        char path[FM_PATH_MAX];
        fm_buf bytes = FM_BUF_INIT;

        fm_path_join(path, sizeof path, folder, files[s->at].name, NULL);
        if (fm_file_read(path, 64u << 20, &bytes, NULL) != 0)
            _exit(1);
        limit_cpu(1);
        judge(&bytes, &s->of[s->at]);
        limit_cpu(0);
        fm_buf_fini(&bytes);
        getrusage(RUSAGE_SELF, &used);
        s->memory_kb = used.ru_maxrss;
    }
    _exit(0);
}

/* Returns how many files ended their process. */
static size_t decode_all(shared *s)
{
    size_t ended = 0;

    for (size_t first = 0; first < n_files && ended < 20; first = s->at + 1) {
        int status;
        pid_t pid;

        fflush(stdout);
        pid = fork();
        if (pid == 0)
            child(s, first);
        if (!CHECK(pid > 0 && waitpid(pid, &status, 0) == pid))
            return ended + 1;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            break;
        check_failed(__FILE__, __LINE__, "%s: %s", files[s->at].name,
                     !WIFSIGNALED(status) ? "ended its process (unreadable, or a sanitizer's finding)"
                     : WTERMSIG(status) == SIGPROF ? "took more than a second"
                                                   : strsignal(WTERMSIG(status)));
        ended++;
    }
    return ended;
}

static bool excused(const bad_file *b, const verdict *v, const char *got, size_t *uses)
{
    for (size_t i = 0; i < sizeof pixels_are_whole / sizeof *pixels_are_whole; i++)
        if (strcmp(b->name, pixels_are_whole[i].name) == 0)
            return strcmp(got, pixels_are_whole[i].got) == 0;
    for (size_t i = 0; i < sizeof differences / sizeof *differences; i++)
        if (strcmp(b->expected, differences[i].expected) == 0 && strcmp(got, differences[i].got) == 0 &&
            strncmp(v->text, differences[i].text, strlen(differences[i].text)) == 0)
            return ++uses[i] <= differences[i].at_most;
    return false;
}

static void compare(const bad_file *b, const verdict *v, size_t *uses)
{
    const char *got = v->rc ? "error" : v->warnings ? "warn" : "ok";

    if (strcmp(got, b->expected) != 0 && !excused(b, v, got, uses))
        check_failed(__FILE__, __LINE__, "%s: %s, expected %s: %s", b->name, got, b->expected, v->text);
    if (v->header_pixels && b->pixels && v->header_pixels != b->pixels)
        check_failed(__FILE__, __LINE__, "%s: %llu pixels, expected %llu", b->name,
                     (unsigned long long)v->header_pixels, (unsigned long long)b->pixels);
    if (v->decoded != (v->rc == 0) || !v->whole)
        check_failed(__FILE__, __LINE__, "%s: gave %d, and an image that does not fit", b->name, v->rc);
    if (v->rc == 0 ? v->reason != FM_USED || v->strict_rc != (v->warnings ? -EILSEQ : 0)
                   : v->reason == FM_USED || v->text[0] == '\0')
        check_failed(__FILE__, __LINE__, "%s: gave %d, strictly %d, for the reason %s: %s", b->name, v->rc,
                     v->strict_rc, fm_reason_name(v->reason), v->text);
}

static void bad_set(void)
{
    size_t uses[sizeof differences / sizeof *differences] = {0};
    shared *s;

    if (!unpack())
        return;
    s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(s != MAP_FAILED);
    if (decode_all(s) == 0)
        for (size_t i = 0; i < n_files; i++)
            compare(&files[i], &s->of[i], uses);
#ifndef ADDRESS_SANITIZER
    if (s->memory_kb > MEMORY_MAX_KB)
        check_failed(__FILE__, __LINE__, "%ld KB of memory, expected at most %ld", s->memory_kb, MEMORY_MAX_KB);
#endif
    munmap(s, sizeof *s);
}

CHECK_MAIN(CHECK_CASE(bad_set))
