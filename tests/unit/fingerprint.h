/* fingerprint.h - fingerprints of models, for tests that compare them. */
#ifndef UNIT_FINGERPRINT_H
#define UNIT_FINGERPRINT_H

#include <string.h>

#include "rwkv7.h"
#include "test.h"

static inline struct rwkv7_fingerprint fingerprint_of(const struct rwkv7_model *model)
{
    struct rwkv7_fingerprint print = {{0}};
    CHECK(model && rwkv7_model_fingerprint(model, &print, NULL) == RWKV7_OK);
    return print;
}

static inline bool is_same_print(const struct rwkv7_fingerprint *a, const struct rwkv7_fingerprint *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static inline bool have_same_fingerprint(const struct rwkv7_model *a, const struct rwkv7_model *b)
{
    const struct rwkv7_fingerprint first = fingerprint_of(a), second = fingerprint_of(b);
    return is_same_print(&first, &second);
}

#endif
