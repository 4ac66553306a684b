/* test_sampler_memory.c - the saved state of a sampler. */
#include <stdlib.h>

#include "rwkv7.h"
#include "test.h"

static struct rwkv7_sampler *sampler(const struct rwkv7_sampler_options *opt)
{
    struct rwkv7_sampler *s = NULL;
    struct rwkv7_error err = {0};
    CHECK_MSG(rwkv7_sampler_create(opt, 20, NULL, &s, &err) == RWKV7_OK, "%s", err.message);
    if (!s)
        exit(1);
    return s;
}

static uint32_t next(struct rwkv7_sampler *s, const float *logits)
{
    uint32_t id = UINT32_MAX;
    struct rwkv7_error err = {0};
    CHECK_MSG(rwkv7_sampler_next(s, logits, &id, &err) == RWKV7_OK, "%s", err.message);
    return id;
}

/* A sampler that restores the state of another draws the same tokens; the counts matter here. */
static void test_memory(void)
{
    struct rwkv7_sampler_options opt = (struct rwkv7_sampler_options){.top_p = 1};
    float logits[20];
    opt.seed = 5;
    opt.presence_penalty = 0.5f;
    opt.frequency_penalty = 0.7f;
    for (int i = 0; i < 20; i++)
        logits[i] = (float)(i % 7) * 0.3f;
    for (int after = 0; after < 60; after += 20) {
        struct rwkv7_sampler *const a = sampler(&opt), *const b = sampler(&opt);
        struct rwkv7_bytes note = {0};
        struct rwkv7_error err = {0};
        for (int i = 0; i < after; i++)
            next(a, logits);
        next(b, logits); /* discarded by the restore */
        CHECK(rwkv7_sampler_save_memory(a, &note, &err) == RWKV7_OK);
        CHECK_MSG(rwkv7_sampler_load_memory(b, note.data, note.size, &err) == RWKV7_OK, "%s", err.message);
        for (int i = 0; i < 100; i++)
            CHECK(next(a, logits) == next(b, logits));

        for (size_t size = 0; size < note.size; size++)
            CHECK_MSG(rwkv7_sampler_load_memory(b, note.data, size, &err) == RWKV7_ERR_STATE, "%zu bytes", size);
        if (after > 0) {
            memset((char *)note.data + note.size - 8, 0xff, 8); /* an id that does not exist, a count that is NaN */
            CHECK(rwkv7_sampler_load_memory(b, note.data, note.size, &err) == RWKV7_ERR_STATE);
        }
        rwkv7_bytes_clear(&note);
        rwkv7_sampler_close(a);
        rwkv7_sampler_close(b);
    }
}

/* States of older programs: the generator, then id and count of each token, without a header. */
static void test_older_memory(void)
{
    const struct {
        uint64_t random;
        struct {
            uint32_t id;
            float count;
        } seen[2];
    } image = {77, {{3, 1.5f}, {0, 0.25f}}};
    struct rwkv7_sampler_options opt = (struct rwkv7_sampler_options){.top_p = 1};
    opt.presence_penalty = 0.5f;
    struct rwkv7_sampler *const s = sampler(&opt);
    struct rwkv7_bytes note = {0};
    CHECK(rwkv7_sampler_load_memory(s, &image, sizeof image, NULL) == RWKV7_OK);
    CHECK(rwkv7_sampler_save_memory(s, &note, NULL) == RWKV7_OK && note.size > sizeof image);
    CHECK(note.data && memcmp((char *)note.data + note.size - sizeof image, &image, sizeof image) == 0);
    rwkv7_bytes_clear(&note);
    rwkv7_sampler_close(s);
}

int main(void)
{
    RUN(test_memory);
    RUN(test_older_memory);
    return test_end();
}
