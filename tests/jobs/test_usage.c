/* The time of a build: read from what the build left, and told in the report. */
#include "tests/check.h"

#include <errno.h>

#include "base/file.h"
#include "jobs/report.h"
#include "jobs/usage.h"
#include "tests/jobs/fixture.h"
#include "tests/jobs/markup.h"

/* The page as a string, or NULL; free() it. */
static char *page_of(const fm_report *report)
{
    fm_buf b = FM_BUF_INIT;
    char *s = fm_report_html(report, &b, NULL) == 0 ? strndup((const char *)b.data, b.size) : NULL;

    fm_buf_fini(&b);
    return s;
}

static void time_of_the_build_is_told_by_stage(void)
{
    static const char usage[] =
        "{\"seconds\": 8.5, \"workers\": 3, \"stages\": {\"wait\": {\"seconds\": 1.0, \"things\": 0}, "
        "\"read\": {\"seconds\": 0.5, \"things\": 40}, \"chip\": {\"seconds\": 6.0, \"things\": 1200}, "
        "\"encode\": {\"seconds\": 2.25, \"things\": 40}, \"commit\": {\"seconds\": 0.25, \"things\": 40}, "
        "\"seal\": {\"seconds\": 0, \"things\": 80}}}";
    fixture *x = fixture_make();
    fm_report report = {.results = &x->results, .usage = {.seconds = 1}};
    char path[FM_PATH_MAX], *page;

    CHECK_INT(fm_usage_read(check_tmpdir(), &report.usage, NULL), 0);
    CHECK(report.usage.seconds == 0);       /* no build has written any */
    REQUIRE((page = page_of(&report)) != NULL);
    CHECK(!strstr(page, "Time of the build"));
    free(page);
    REQUIRE(fm_path_join(path, sizeof path, check_tmpdir(), FM_RUN_USAGE, NULL) == 0);
    REQUIRE(fm_file_write(path, usage, sizeof usage - 1, NULL) == 0);
    CHECK_INT(fm_usage_read(check_tmpdir(), &report.usage, NULL), 0);
    REQUIRE((page = page_of(&report)) != NULL);
    CHECK(malformed(page) == NULL);
    CHECK(strstr(page, "3 at most, 8.5 s by the clock") && strstr(page, "10.0 s of all workers"));
    CHECK(strstr(page, "<td>6.00</td><td>60.0 %</td><td>1,200 photographs</td><td>5.00</td>") != NULL);
    CHECK(strstr(page, "<td>1.00</td><td>10.0 %</td><td>\xe2\x80\x93</td>") != NULL);
    free(page);
    REQUIRE(fm_file_write(path, usage, sizeof usage - 2, NULL) == 0);
    CHECK_INT(fm_usage_read(check_tmpdir(), &report.usage, NULL), -EBADMSG);
    REQUIRE(fm_file_write(path, "{\"seconds\": 1, \"workers\": 1}", 28, NULL) == 0);
    CHECK_INT(fm_usage_read(check_tmpdir(), &report.usage, NULL), -EBADMSG);
    fixture_fini(x);
}

CHECK_MAIN(CHECK_CASE(time_of_the_build_is_told_by_stage))
