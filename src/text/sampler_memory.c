/*
 * sampler_memory.c - saves the penalties and the random number generator of a sampler to memory,
 * and loads them.
 */
#include <float.h>
#include <string.h>

#include "base/float_env.h"
#include "base/mem.h"
#include "base/status.h"
#include "text/sampler_state.h"

/*
 * Layout of the saved state: this header, then one record per seen token, in the order of their
 * first draws. Older programs saved only `random` and the records. Their images are still read, but
 * a truncated one cannot be detected.
 */
struct memory_header {
    char magic[8];
    uint64_t count;  /* of records */
    uint64_t random; /* state of the random number generator */
};
struct memory {
    uint32_t id;
    float count;
};
static const char memory_magic[8] = "RWKV7SM";

enum rwkv7_status rwkv7_sampler_save_memory(const struct rwkv7_sampler *s, struct rwkv7_bytes *image,
                                            struct rwkv7_error *err)
{
    struct memory_header header = {.count = s->seen_count, .random = s->random};
    const size_t size = sizeof header + s->seen_count * sizeof(struct memory);
    char *const data = mem_alloc(size, 1);
    *image = (struct rwkv7_bytes){data, size};
    if (!data) {
        image->size = 0;
        return fail_memory(err, "the state of the sampler");
    }
    memcpy(header.magic, memory_magic, sizeof memory_magic);
    memcpy(data, &header, sizeof header);
    for (size_t i = 0; i < s->seen_count; i++) {
        const struct memory m = {s->seen[i], s->counts[s->seen[i]]};
        memcpy(data + sizeof header + i * sizeof m, &m, sizeof m);
    }
    return RWKV7_OK;
}

static void forget(struct rwkv7_sampler *s)
{
    for (size_t i = 0; i < s->seen_count; i++) {
        s->counts[s->seen[i]] = 0.0f;
        s->flags[s->seen[i]] &= (uint8_t)~SEEN;
    }
    s->seen_count = 0;
}

enum rwkv7_status rwkv7_sampler_load_memory(struct rwkv7_sampler *s, const void *image, size_t size,
                                            struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    const char *const data = image;
    struct memory_header header;
    const bool is_older = size >= sizeof header.random && memcmp(data, memory_magic, sizeof memory_magic) != 0;
    const size_t begin = is_older ? sizeof header.random : sizeof header;
    forget(s);
    if (size < begin || (size - begin) % sizeof(struct memory) != 0)
        goto broken;
    memcpy(is_older ? (void *)&header.random : &header, data, begin);
    if (!is_older && header.count != (size - begin) / sizeof(struct memory))
        goto broken;
    s->random = header.random;
    for (size_t at = begin; at < size; at += sizeof(struct memory)) {
        struct memory m;
        memcpy(&m, data + at, sizeof m);
        if (m.id >= (uint32_t)s->vocab || (s->flags[m.id] & SEEN) || !(m.count >= 0.0f && m.count <= FLT_MAX))
            goto broken;
        s->flags[m.id] |= SEEN;
        s->counts[m.id] = m.count;
        s->seen[s->seen_count++] = m.id;
    }
    return RWKV7_OK;
broken:
    forget(s);
    return fail(err, RWKV7_ERR_STATE, "the data are not the saved state of a sampler with this vocabulary");
}
