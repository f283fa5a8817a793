/* For base/archive*.c only: an open archive and the list of what it holds. */
#ifndef FM_BASE_ARCHIVE_LIST_H
#define FM_BASE_ARCHIVE_LIST_H

#include <stdint.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"

typedef enum { FM_STORED, FM_DEFLATED, FM_LINK, FM_SPARSE, FM_ENCRYPTED, FM_OTHER_METHOD } fm_member_kind;

typedef struct {
    const char *name;       /* borrowed from names, once the list is sorted; no "./", no "//", no leading slash */
    size_t name_at;         /* in names */
    uint64_t at;            /* tar: of the bytes; zip: of the local header */
    uint64_t packed, size;  /* bytes in the archive; bytes of the photograph */
    uint64_t time;          /* as the archive writes it */
    uint32_t crc;           /* zip */
    uint32_t place;         /* in the order of the archive */
    fm_member_kind kind;
} fm_member;

typedef struct fm_archive {
    struct fm_archive *next;    /* in the list of kept archives, the last used first */
    unsigned users;
    char *path;             /* owned */
    int fd;                 /* -1: it could not be opened */
    struct stat st;
    fm_err wrong;           /* why it cannot be used; code 0: it can */
    fm_buf names;
    fm_member *members;     /* [n], by name once sorted; owned */
    size_t n, room;
} fm_archive;

/* Exactly n bytes; -EBADMSG when the archive ends before. */
int fm_archive_bytes(const fm_archive *a, uint64_t at, void *out, size_t n, fm_err *err);
/* Add a member; name is made plain first.  Names of folders are passed over.  Errors: -EBADMSG (.., too long, too many), -ENOMEM. */
int fm_archive_add(fm_archive *a, const fm_member *member, const char *name, size_t n, fm_err *err);

int fm_tar_list(fm_archive *a, fm_err *err);
int fm_zip_list(fm_archive *a, fm_err *err);
/* A zip's member to out, its CRC checked. */
int fm_zip_read(const fm_archive *a, const fm_member *m, uint8_t *out, fm_err *err);

#endif
