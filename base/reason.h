/* Where a photograph ends: used, or left out for one reason from a closed list.
 * The names are those of ledger.tsv and results.json. */
#ifndef FM_BASE_REASON_H
#define FM_BASE_REASON_H

#include <stdbool.h>

#define FM_REASONS(X)                                                                       \
    X(USED, "used")                                                                         \
    /* the bytes */                                                                         \
    X(UNREADABLE, "unreadable")     /* no such file, no permission, an empty file */        \
    X(UNSUPPORTED, "unsupported")   /* neither JPEG nor PNG */                              \
    X(TOO_LARGE, "too_large")       /* more bytes or pixels than the study allows */        \
    X(DECODE_ERROR, "decode_error")                                                         \
    X(DECODE_WARNING_STRICT, "decode_warning_strict")                                       \
    /* the face */                                                                          \
    X(NO_FACE, "no_face")                                                                   \
    X(SEVERAL_FACES, "several_faces")                                                       \
    X(FACE_TOO_SMALL, "face_too_small")                                                     \
    /* the study */                                                                         \
    X(DUPLICATE, "duplicate")                                                               \
    X(BAD_MANIFEST, "bad_manifest")                                                         \
    X(NOT_SELECTED, "not_selected")                                                         \
    X(UNKNOWN_LABEL, "unknown_label")                                                       \
    X(UNMATCHED, "unmatched")                                                               \
    /* the worker */                                                                        \
    X(CRASHED, "crashed")                                                                   \
    X(TIMED_OUT, "timed_out")                                                               \
    /* the person */                                                                        \
    X(FORGOTTEN, "forgotten")       /* facemill forget; the ledger does not name it */

typedef enum {
#define FM_X(id, name) FM_##id,
    FM_REASONS(FM_X)
#undef FM_X
    FM_REASON_COUNT
} fm_reason;

const char *fm_reason_name(fm_reason reason);
/* False when name is none of the list. */
bool fm_reason_parse(const char *name, fm_reason *out);

#endif
