/* sniff.h - identifies files that are not checkpoints, by their first bytes. */
#ifndef FORMATS_SNIFF_H
#define FORMATS_SNIFF_H

#include <stdint.h>

#include "base/status.h"

/*
 * Returns RWKV7_ERR_MODEL, with a message that says what the file is and what to do, if `data` is
 * a file of a known kind that is no checkpoint, such as an archive. Returns RWKV7_OK for unknown
 * data.
 */
enum rwkv7_status sniff(const uint8_t *data, size_t size, const char *file, struct rwkv7_error *err);

#endif
