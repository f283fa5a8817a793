#include "tests/alloc.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OTHER_ALLOCATOR 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define OTHER_ALLOCATOR 1
#endif
#endif

static size_t until_failure, largest;
static bool failed;
static long live;

#if defined(__GLIBC__) && !defined(OTHER_ALLOCATOR)
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void __libc_free(void *p);

/* Counts a request; true when it is the one to fail. */
static bool refuse(size_t bytes)
{
    largest = bytes > largest ? bytes : largest;
    if (until_failure == 0 || --until_failure > 0)
        return false;
    failed = true;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t n)
{
    void *p = refuse(n) ? NULL : __libc_malloc(n);

    live += p != NULL;
    return p;
}

void *calloc(size_t n, size_t size)
{
    void *p = refuse(size && n > SIZE_MAX / size ? SIZE_MAX : n * size) ? NULL : __libc_calloc(n, size);

    live += p != NULL;
    return p;
}

void *realloc(void *old, size_t n)
{
    void *p = refuse(n) ? NULL : __libc_realloc(old, n);

    live += p && !old;
    live -= old && n == 0 && !p;
    return p;
}

void free(void *p)
{
    live -= p != NULL;
    __libc_free(p);
}

bool alloc_counted(void)
{
    return true;
}
#else
bool alloc_counted(void)
{
    return false;
}
#endif

void alloc_fail_at(size_t n)
{
    until_failure = n;
    failed = false;
}

bool alloc_failed(void)
{
    return failed;
}

long alloc_live(void)
{
    return live;
}

size_t alloc_largest(void)
{
    size_t was = largest;

    largest = 0;
    return was;
}
