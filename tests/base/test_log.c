#define _GNU_SOURCE
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "tests/check.h"

/* What one call of fm_log writes, into out. */
static void caught(char *out, size_t size, fm_log_level level, const char *text)
{
    char path[FM_PATH_MAX];
    int saved = dup(STDERR_FILENO), fd;
    ssize_t n;

    snprintf(path, sizeof path, "%s/log", check_tmpdir());
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    dup2(fd, STDERR_FILENO);
    fm_log(level, "%s", text);
    dup2(saved, STDERR_FILENO);
    n = pread(fd, out, size - 1, 0);
    out[n > 0 ? n : 0] = '\0';
    close(fd);
    close(saved);
}

static void a_line_an_event(void)
{
    char line[4096], long_text[3000];

    setenv("FACEMILL_LOG", "warn", 1);      /* read at the first line */
    caught(line, sizeof line, FM_LOG_INFO, "not said");
    CHECK_STR(line, "");
    fm_log_set_who("crew 1 rank 2");
    caught(line, sizeof line, FM_LOG_WARN, "it \"is\" so");
    CHECK(strstr(line, "Z ") && strstr(line, " crew 1 rank 2 warn: it \"is\" so\n"));
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    caught(line, sizeof line, FM_LOG_WARN, long_text);
    CHECK(strlen(line) > 800 && line[strlen(line) - 1] == '\n');
}

static void json_on_demand(void)
{
    static const char *const texts[] = {"plain", "a \"quote\" and \\", "two\nlines\tand \001", "caf\xc3\xa9"};
    char line[4096], worst[2000];

    fm_log_set_json(true);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_t *all;

        caught(line, sizeof line, FM_LOG_ERROR, texts[i]);
        REQUIRE((all = json_loads(line, 0, NULL)) != NULL);
        CHECK_STR(json_string_value(json_object_get(all, "text")), texts[i]);
        CHECK_STR(json_string_value(json_object_get(all, "level")), "error");
        CHECK_STR(json_string_value(json_object_get(all, "who")), "crew 1 rank 2");
        CHECK(json_string_length(json_object_get(all, "host")) > 0 && strchr(line, '\n') == line + strlen(line) - 1);
        json_decref(all);
    }
    memset(worst, '"', sizeof worst - 1);
    worst[sizeof worst - 1] = '\0';
    caught(line, sizeof line, FM_LOG_ERROR, worst);
    json_decref(json_loads(line, 0, NULL));
    CHECK(strchr(line, '\n') == line + strlen(line) - 1 && line[strlen(line) - 2] == '}');
    fm_log_set_json(false);
}

CHECK_MAIN(CHECK_CASE(a_line_an_event), CHECK_CASE(json_on_demand))
