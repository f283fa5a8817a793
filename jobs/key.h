/* The master key of an encrypted store: where it comes from.
 *
 * $FACEMILL_KEY_FILE names a file, $FACEMILL_KEY_COMMAND a command whose output is the key; both go before what the
 * study says (store: key_file, key_command).  A key is 64 hexadecimal digits, or 32 bytes as they are.  It is read into locked
 * memory, used to unlock the store and wiped. */
#ifndef FM_JOBS_KEY_H
#define FM_JOBS_KEY_H

#include "base/err.h"
#include "jobs/study.h"

/* Read a key.  file, command  "" for none; the file goes first.
 * key        sodium_free it.
 * from       of FM_PATH_MAX: the file it came from, absolute; "" when a command gave it.
 * Errors: -ENOKEY (nothing says where it is), -EACCES (others may read the file), -EKEYREJECTED (not a key), -EIO (the
 * command failed), what open gives. */
int fm_key_read(const char *file, const char *command, uint8_t **key, char *from, fm_err *err);

/* For a build: unlock the study's store, or make its vault when it asks for encryption and there is no store yet.
 * Errors: as fm_key_read, -EKEYREJECTED; -EINVAL when study and store do not agree on encryption. */
int fm_key_for_study(const fm_study *study, const char *store_dir, fm_err *err);
/* For commands that are given OUT only: the key's file is $FACEMILL_KEY_FILE or the one that the store was made with.
 * A plain store, or none, asks for nothing. */
int fm_key_for_store(const char *store_dir, fm_err *err);
int fm_key_for_out(const char *out, fm_err *err);

#endif
