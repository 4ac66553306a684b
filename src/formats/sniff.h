/* sniff.h - what a file is that is no checkpoint, told by its first bytes. */
#ifndef FORMATS_SNIFF_H
#define FORMATS_SNIFF_H

#include <stdint.h>

#include "base/status.h"

/*
 * RWKV7_ERR_MODEL with a message that says what was found and what helps, when `data` is one of the things that people
 * pass for a model by mistake; RWKV7_OK when it is nothing known.
 */
enum rwkv7_status sniff(const uint8_t *data, size_t size, const char *file, struct rwkv7_error *err);

#endif
