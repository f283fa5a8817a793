/* The screen of watch, from statuses. */
#include <stdlib.h>

#include "jobs/watch.h"
#include "tests/check.h"

#define STATUS(done, seconds, chip)                                                                                   \
    "{\"state\": \"running\", \"epoch\": 1, \"seconds\": " seconds ", \"photographs\": 1000, \"done\": " done ","         \
    "\"photos_made\": 90, \"photos_reused\": 10, \"codes_made\": 80, \"codes_reused\": 0, \"left_out\": {\"no_face\": 3}," \
    "\"leases_lost\": 2, \"crews_lost\": 1, \"workers\": 5, \"ranks\": 3, \"twice\": 4, \"memory\": 50000000,"             \
    "\"stages\": {\"wait\": {\"seconds\": 10, \"things\": 0}, \"chip\": {\"seconds\": " chip ", \"things\": 100}},"        \
    "\"crews\": [{\"crew\": 0, \"host\": \"node1\", \"ranks\": 2, \"photographs\": 70, \"rate\": 5.5, \"memory\": 3e8,"    \
    "\"silent\": 0.4, \"leaving\": false}, {\"crew\": 9, \"host\": \"node2\", \"ranks\": 1, \"photographs\": 20,"          \
    "\"rate\": 1.5, \"memory\": 1e8, \"silent\": 3, \"leaving\": true}],"                                                  \
    "\"slowest\": {\"crew\": 9, \"rank\": 0, \"host\": \"node2\", \"rate\": 2.25, \"median\": 8}}"

static void screen(const char *now, const char *before, char *out, size_t size)
{
    json_t *a = json_loads(now, 0, NULL), *b = before ? json_loads(before, 0, NULL) : NULL;
    fm_buf text = FM_BUF_INIT;

    if (!a || (before && !b))
        abort();
    fm_watch_screen(a, b, &text);
    snprintf(out, size, "%.*s", (int)text.size, (const char *)text.data);
    fm_buf_fini(&text);
    json_decref(a);
    json_decref(b);
}

static void says_what_there_is(void)
{
    char out[4096];

    screen(STATUS("200", "40", "30"), NULL, out, sizeof out);
    CHECK(strstr(out, "running for 0:40, 2 crews, 3 ranks"));
    CHECK(strstr(out, "200/1000  20%  5.0/s  2:40 left"));
    CHECK(strstr(out, "left out: 3 no_face"));
    CHECK(strstr(out, "2 shards handed out again, 4 handed out twice, 1 crews restarted"));
    CHECK(strstr(out, "chip           75.0 %          2.5\n"));
    CHECK(strstr(out, "node2") && strstr(out, "leaving") && strstr(out, "slowest: rank 0 of crew 9 on node2, 2.2"));
    CHECK(!strchr(out, '\033') && strchr(out, '#'));
}

static void rates_are_of_the_time_between(void)
{
    char out[4096];

    screen(STATUS("200", "40", "30"), STATUS("180", "38", "30"), out, sizeof out);
    CHECK(strstr(out, "  10.0/s  1:20 left"));
    CHECK(!strstr(out, "stage "));      /* nobody did anything meanwhile */
}

static void an_older_status_will_do(void)
{
    char out[4096];

    screen("{\"state\": \"planning\", \"photographs\": 5, \"done\": 0, \"seconds\": 0.1}", NULL, out, sizeof out);
    CHECK(strstr(out, "planning for 0:00") && strstr(out, "0/5"));
    screen("{}", NULL, out, sizeof out);
}

CHECK_MAIN(CHECK_CASE(says_what_there_is), CHECK_CASE(rates_are_of_the_time_between), CHECK_CASE(an_older_status_will_do))
