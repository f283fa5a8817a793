/* Traces as a viewer reads them: an array whose end may be missing. */
#include <jansson.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/text.h"
#include "base/trace.h"
#include "tests/check.h"

/* The events in a file that was not closed; NULL: it is no trace. */
static json_t *events_of(const char *path, size_t *size)
{
    fm_buf b = FM_BUF_INIT;
    json_t *all;

    if (fm_file_read(path, 1u << 27, &b, NULL) != 0 || b.size < 2)
        return NULL;
    *size = b.size;
    if (b.data[b.size - 2] == ',')
        b.size -= 2;
    fm_buf_u8(&b, ']');
    all = json_loadb((const char *)b.data, b.size, 0, NULL);
    fm_buf_fini(&b);
    return all;
}

static void opens_at_any_moment(void)
{
    char path[FM_PATH_MAX];
    fm_trace *t = fm_trace_create();
    uint64_t now = fm_clock_us();
    json_t *all;
    size_t size;

    snprintf(path, sizeof path, "%s/trace.json", check_tmpdir());
    fm_trace_track(t, 3, 4, "crew 2 on n1", "rank 3");
    fm_trace_span(t, 3, 4, "encode", now + 100, 50, 16);
    CHECK(!fm_path_exists(path));
    fm_trace_begin(t, path);
    REQUIRE((all = events_of(path, &size)) != NULL);
    CHECK_INT((long long)json_array_size(all), 3);
    CHECK_INT(json_integer_value(json_object_get(json_array_get(all, 2), "dur")), 50);
    CHECK(json_integer_value(json_object_get(json_array_get(all, 2), "ts")) >= 100);
    json_decref(all);
    fm_trace_span(t, 3, 4, "from before it began", now - 1000000, 5, 1);
    fm_trace_flush(t);
    REQUIRE((all = events_of(path, &size)) != NULL);
    CHECK_INT((long long)json_array_size(all), 4);
    CHECK_INT(json_integer_value(json_object_get(json_array_get(all, 3), "ts")), 0);
    json_decref(all);
    fm_trace_destroy(t);
}

static void ends_when_it_is_full(void)
{
    char path[FM_PATH_MAX];
    fm_trace *t = fm_trace_create();
    fm_buf b = FM_BUF_INIT;

    snprintf(path, sizeof path, "%s/trace.json", check_tmpdir());
    fm_trace_begin(t, path);
    for (uint32_t i = 0; i < FM_TRACE_BYTES / 60; i++)
        fm_trace_span(t, 1, 1, "a span of some length", i, 1, 1);
    fm_trace_destroy(t);
    REQUIRE(fm_file_read(path, FM_TRACE_BYTES + (1 << 20), &b, NULL) == 0);
    fm_buf_u8(&b, 0);
    CHECK(b.size > FM_TRACE_BYTES && b.size < FM_TRACE_BYTES + 1000);
    CHECK(strstr((const char *)b.data + b.size - 200, "the trace is full") != NULL);
    fm_buf_fini(&b);
}

static void none_is_no_trouble(void)
{
    fm_trace *t = fm_trace_create();

    fm_trace_begin(NULL, "/nowhere/at/all");
    fm_trace_span(NULL, 0, 0, "x", 0, 0, 0);
    fm_trace_begin(t, "/nowhere/at/all");
    fm_trace_span(t, 0, 0, "x", 0, 0, 0);
    fm_trace_destroy(t);
    fm_trace_destroy(NULL);
    CHECK(!fm_path_exists("/nowhere"));
}

CHECK_MAIN(CHECK_CASE(opens_at_any_moment), CHECK_CASE(ends_when_it_is_full), CHECK_CASE(none_is_no_trouble))
