/* The join file: magic, version, fields, and a digest of all that, so that a
 * file cut short by a full disk is told from a whole one.  Binary and not text:
 * paths may hold any byte. */
#include "proto/join.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define MAGIC 0x4a4d4604u       /* "\4FMJ" */
#define VERSION 2

void fm_join_model_encode(const fm_join_model *model, fm_buf *out)
{
    fm_buf_str(out, model->path);
    fm_buf_put(out, model->sha256.b, FM_DIGEST_BYTES);
}

void fm_join_encode(const fm_join *join, fm_buf *out)
{
    size_t start = out->size;
    fm_digest check;

    fm_buf_u32(out, MAGIC);
    fm_buf_u16(out, VERSION);
    fm_buf_str(out, join->endpoint);
    fm_buf_str(out, join->host);
    fm_buf_u64(out, join->run);
    fm_buf_u64(out, join->epoch);
    fm_buf_str(out, join->store_dir);
    fm_buf_str(out, join->scratch_dir);
    fm_join_model_encode(&join->detector, out);
    fm_join_model_encode(&join->landmarks, out);
    fm_join_model_encode(&join->encoder, out);
    fm_join_model_encode(&join->mask, out);
    fm_encoding_encode(&join->encoding, out);
    fm_buf_put(out, join->server_key, FM_KEY_BYTES);
    fm_buf_put(out, join->public_key, FM_KEY_BYTES);
    fm_buf_put(out, join->secret_key, FM_KEY_BYTES);
    fm_buf_u32(out, join->crew);
    if (out->failed)
        return;
    fm_digest_of(out->data + start, out->size - start, &check);
    fm_buf_put(out, check.b, FM_DIGEST_BYTES);
}

static void get_bytes(fm_reader *in, uint8_t *out, size_t n)
{
    const uint8_t *b = fm_reader_get(in, n);

    if (b)
        memcpy(out, b, n);
}

void fm_join_model_decode(fm_reader *in, fm_join_model *out)
{
    fm_reader_str(in, out->path, sizeof out->path);
    get_bytes(in, out->sha256.b, FM_DIGEST_BYTES);
}

int fm_join_decode(const void *bytes, size_t n, fm_join *out, fm_err *err)
{
    fm_reader in = fm_reader_init(bytes, n > FM_DIGEST_BYTES ? n - FM_DIGEST_BYTES : 0);
    uint32_t magic = fm_reader_u32(&in);
    uint16_t version = fm_reader_u16(&in);
    fm_digest check;
    fm_join j;

    if (in.failed || magic != MAGIC)
        return fm_fail(err, -EBADMSG, "join file: not one of facemill's");
    if (version != VERSION)
        return fm_fail(err, -EBADMSG, "join file: version %u where %u is expected; use the same facemill everywhere",
                       version, VERSION);
    fm_digest_of(bytes, n - FM_DIGEST_BYTES, &check);
    if (memcmp(check.b, (const uint8_t *)bytes + n - FM_DIGEST_BYTES, FM_DIGEST_BYTES) != 0)
        return fm_fail(err, -EBADMSG, "join file: damaged or cut short");
    memset(&j, 0, sizeof j);
    fm_reader_str(&in, j.endpoint, sizeof j.endpoint);
    fm_reader_str(&in, j.host, sizeof j.host);
    j.run = fm_reader_u64(&in);
    j.epoch = fm_reader_u64(&in);
    fm_reader_str(&in, j.store_dir, sizeof j.store_dir);
    fm_reader_str(&in, j.scratch_dir, sizeof j.scratch_dir);
    fm_join_model_decode(&in, &j.detector);
    fm_join_model_decode(&in, &j.landmarks);
    fm_join_model_decode(&in, &j.encoder);
    fm_join_model_decode(&in, &j.mask);
    if (fm_encoding_decode(&in, &j.encoding, NULL) != 0)
        in.failed = true;
    get_bytes(&in, j.server_key, FM_KEY_BYTES);
    get_bytes(&in, j.public_key, FM_KEY_BYTES);
    get_bytes(&in, j.secret_key, FM_KEY_BYTES);
    j.crew = fm_reader_u32(&in);
    if (in.failed || fm_reader_left(&in) != 0)
        return fm_fail(err, -EBADMSG, "join file: a field is out of range");
    *out = j;
    return 0;
}

int fm_join_write(const fm_join *join, const char *path, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc;

    fm_join_encode(join, &b);
    rc = b.failed ? fm_fail_nomem(err, "join file", b.size) : fm_file_write(path, b.data, b.size, err);
    if (b.data)
        sodium_memzero(b.data, b.size);
    fm_buf_fini(&b);
    return rc;
}

int fm_join_read(const char *path, fm_join *out, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    struct stat st;
    int rc = fm_file_read(path, FM_JOIN_MAX, &b, err);

    if (rc == 0 && stat(path, &st) == 0 && (st.st_mode & 077) != 0)
        rc = fm_fail(err, -EACCES, "%s: holds a key and must be readable by its user only (chmod 600)", path);
    if (rc == 0 && fm_join_decode(b.data, b.size, out, err) != 0)
        rc = fm_fail_in(err, -EBADMSG, "%s", path);
    if (b.data)
        sodium_memzero(b.data, b.size);
    fm_buf_fini(&b);
    return rc;
}
