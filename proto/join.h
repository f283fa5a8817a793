/* What a crew or an observer must know to join a build.  The coordinator writes
 * it to a file that only its user can read (0600); a crew's rank 0 reads it once
 * and broadcasts the bytes.  Pure codec beside the two file functions. */
#ifndef FM_PROTO_JOIN_H
#define FM_PROTO_JOIN_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/file.h"
#include "proto/encoding.h"

#define FM_ENDPOINT_MAX 320
#define FM_HOST_MAX 256
#define FM_KEY_BYTES 32
#define FM_JOIN_MAX 65536       /* bytes of an encoding, at most */

typedef struct {
    char path[FM_PATH_MAX];     /* "" when there is none */
    fm_digest sha256;           /* of the file; zero: whoever loads it need not check */
} fm_join_model;

typedef struct {
    char endpoint[FM_ENDPOINT_MAX];     /* as ZeroMQ takes it, "tcp://127.0.0.1:4711" */
    char host[FM_HOST_MAX];             /* the coordinator's: an endpoint at 127.0.0.1 is good there only */
    uint64_t run, epoch;
    char store_dir[FM_PATH_MAX];        /* absolute */
    char scratch_dir[FM_PATH_MAX];      /* absolute; where open segments are written */
    fm_join_model detector, landmarks, encoder;
    fm_join_model mask;                 /* no path: not loaded; its digest then tells photo records that have a mask too */
    fm_encoding encoding;               /* what encoder is to do; all zeros: dlib's way */
    /* CurveZMQ keys: the coordinator's, and the pair this kind of peer shows.  The
     * coordinator lets in no other key.  All zero: no encryption. */
    uint8_t server_key[FM_KEY_BYTES];
    uint8_t public_key[FM_KEY_BYTES], secret_key[FM_KEY_BYTES];
    uint32_t crew;          /* this file is this crew's alone, read once and then removed; 0: of all that start with it */
} fm_join;

/* Append the encoding; sets out->failed when memory runs out. */
void fm_join_model_encode(const fm_join_model *model, fm_buf *out);
/* Sets in->failed when it is cut short. */
void fm_join_model_decode(fm_reader *in, fm_join_model *out);
/* Append the encoding; sets out->failed when memory runs out. */
void fm_join_encode(const fm_join *join, fm_buf *out);
/* Errors: -EBADMSG (not a join file of this version, cut short, damaged). out is written only on success. */
int fm_join_decode(const void *bytes, size_t n, fm_join *out, fm_err *err);

/* Whole file, mode 0600, replaced atomically. */
int fm_join_write(const fm_join *join, const char *path, fm_err *err);
/* Errors: what fm_file_read and fm_join_decode give; -EACCES when others may read the file. */
int fm_join_read(const char *path, fm_join *out, fm_err *err);

#endif
