/* A small checker of the markup that the report writes: XML's rules, nothing fetched, numbers that can be drawn. */
#ifndef FM_TESTS_JOBS_MARKUP_H
#define FM_TESTS_JOBS_MARKUP_H

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Attributes of a tag: each name="value", no < inside, numbers of SVG finite. */
static inline const char *check_attributes(const char *p, const char *end)
{
    while (p < end && *p != '/') {
        const char *value = strstr(p, "=\""), *close = value ? strchr(value + 2, '"') : NULL;

        if (!value || !close || close >= end)
            return "an attribute without quotes";
        for (const char *c = p; c < value; c++)
            if (!isalnum((unsigned char)*c) && *c != '-')
                return "a strange attribute name";
        if (memchr(value, '<', (size_t)(close - value)))
            return "< in an attribute";
        if (value - p >= 2 && strncmp(p, "on", 2) == 0)
            return "an event handler";
        for (p = close + 1; p < end && *p == ' ';)
            p++;
    }
    return NULL;
}

/* XML's rules, which the page keeps: every tag closed in order, & only in entities.  NULL or what is wrong. */
static inline const char *malformed(const char *page)
{
    char open[64][16];
    int depth = 0;

    for (const char *p = strchr(page, '\n'); p && *p; p++) {
        const char *end = strchr(p, '>');
        char name[16];
        size_t n;

        if (*p == '&' && (!strchr(p, ';') || strcspn(p, ";") > 7))
            return "& outside an entity";
        if (*p == '>')
            return "> outside a tag";
        if (*p != '<')
            continue;
        n = strspn(p + 1, "/abcdefghijklmnopqrstuvwxyz0123456789");
        if (!end || n == 0 || n >= sizeof name)
            return "< outside a tag";
        snprintf(name, sizeof name, "%.*s", (int)n, p + 1);
        if (name[0] == '/') {
            if (depth == 0 || strcmp(open[--depth], name + 1) != 0)
                return "a tag closed that is not the last opened";
        } else {
            const char *wrong = p[1 + n] == ' ' ? check_attributes(p + 2 + n, end) : NULL;

            if (wrong)
                return wrong;
            if (strcmp(name, "script") == 0)
                return "a script";
            if (end[-1] != '/' && strcmp(name, "img") != 0 && depth < 64)
                strcpy(open[depth++], name);
        }
        p = end;
        if (strcmp(name, "style") == 0)
            p = strstr(p, "</style>") - 1;
    }
    return depth ? "a tag that is not closed" : NULL;
}

/* Anything that a browser would fetch. */
static inline const char *fetches(const char *page)
{
    static const char *const words[] = {"http:", "https:", "url(", "@import", "<link", "<script", "<iframe", "<object",
                                        "srcset", "<base", "<form"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(page, words[i]))
            return words[i];
    for (const char *p = page; (p = strstr(p, "src=")); p += 4)
        if (strncmp(p, "src=\"data:image/", 16) != 0 && strncmp(p - 5, "img-src", 7) != 0)
            return "src of something else than data";
    return strstr(page, "href=") ? "href" : NULL;
}

/* A number that is not finite inside a drawing. */
static inline bool drawings_are_finite(const char *page)
{
    for (const char *p = page; (p = strstr(p, "<svg")); p++) {
        const char *end = strstr(p, "</svg>");

        for (const char *c = p + 1; c < end; c++)
            if ((c[-1] == ' ' || c[-1] == '"' || c[-1] == 'M' || c[-1] == 'L' || c[-1] == '-') &&
                (strncasecmp(c, "nan", 3) == 0 || strncasecmp(c, "inf", 3) == 0))
                return false;
    }
    return true;
}

#endif
