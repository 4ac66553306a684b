/* options.c - see options.h. */
#include "base/options.h"

#include <stdint.h>
#include <string.h>

#include "base/status.h"

enum { SIZE_MOST = 4096 }; /* bytes; a larger struct_size is assumed to be uninitialized memory */

enum rwkv7_status options_read(void *to, size_t size, size_t first, const void *from, const char *name,
                               struct rwkv7_error *err)
{
    size_t given = first;
    memset(to, 0, size);
    if (from) {
        memcpy(&given, from, sizeof given);
        given = given == 0 ? first : given;
        if (given < first || given > SIZE_MOST)
            return fail(err, RWKV7_ERR_USAGE, "%s: struct_size: expected 0 or %zu to %d, found %zu", name, first,
                        SIZE_MOST, given);
        for (size_t i = size; i < given; i++)
            if (((const uint8_t *)from)[i] != 0)
                return fail(err, RWKV7_ERR_USAGE,
                            "%s: the byte at offset %zu is set, and version %s of the library has only %zu bytes: the "
                            "program needs a newer library",
                            name, i, rwkv7_version(), size);
        memcpy(to, from, given < size ? given : size);
    }
    memcpy(to, &size, sizeof size);
    return RWKV7_OK;
}
