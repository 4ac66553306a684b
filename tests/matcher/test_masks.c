/*
 * test_masks.c - schemas and the tokens of a NeoX tokenizer: each mask has exactly the tokens that can be added,
 * with and without cached masks, and after tokens have been removed and matchers copied.
 */
#include <stdlib.h>
#include <string.h>

#include "base/splitmix.h"
#include "rwkv7.h"
#include "test.h"

static const char *const schemas[] = {
    ("{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":6},\"age\":{\"type\":"
     "\"integer\","
     "\"minimum\":0,\"maximum\":120},\"nested\":{\"type\":\"array\",\"items\":{\"enum\":[\"a\",\"the\",true]}}},"
     "\"required\":[\"name\",\"age\"],\"additionalProperties\":false}"),
    ("{\"type\":\"object\",\"properties\":{\"a\":{},\"an\":{},\"and\":{\"type\":\"null\"}},\"minProperties\":2,"
     "\"maxProperties\":3,\"additionalProperties\":{\"type\":\"boolean\"}}"),
    ("{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"contains\":{\"pattern\":\"^\\\\p{Lu}\"},\"maxItems\":3}"),
};

static uint64_t random_state = 1;

static struct rwkv7_grammar *open_grammar(const struct rwkv7_tokenizer *t, const char *schema, bool in_order,
                                          size_t mask_bytes)
{
    struct rwkv7_grammar_options o = RWKV7_OPTIONS(o);
    struct rwkv7_grammar *g = NULL;
    struct rwkv7_error err = {0};
    o.kind = RWKV7_GRAMMAR_SCHEMA;
    o.text = schema;
    o.in_order = in_order;
    o.mask_bytes = mask_bytes;
    CHECK_MSG(rwkv7_grammar_create(&o, t, &g, &err) == RWKV7_OK, "%s: %s", schema, err.message);
    if (!g)
        exit(1);
    return g;
}

/* The mask must have the tokens that can be added. Returns one of them, or RWKV7_END_OF_TEXT. */
static uint32_t check_mask(const struct rwkv7_tokenizer *t, struct rwkv7_matcher *m, struct rwkv7_matcher *trial)
{
    const uint64_t *mask;
    size_t allowed, found = 0, wrong = 0;
    uint32_t chosen = RWKV7_END_OF_TEXT;
    CHECK(rwkv7_matcher_mask(m, &mask, &allowed, NULL) == RWKV7_OK);
    CHECK(rwkv7_matcher_copy(trial, m, NULL) == RWKV7_OK);
    for (uint32_t id = 1; id < rwkv7_tokenizer_size(t); id++) {
        const bool added = rwkv7_matcher_advance(trial, id, NULL) == RWKV7_OK;
        wrong += added != (mask[id / 64] >> (id % 64) & 1);
        if (added) {
            rwkv7_matcher_undo(trial, 1);
            if (splitmix_next(&random_state) % ++found == 0)
                chosen = id;
        }
    }
    CHECK_MSG(wrong == 0 && found == allowed, "%zu tokens, %zu, %zu", wrong, found, allowed);
    return chosen;
}

static void check_schema(const struct rwkv7_tokenizer *t, const char *schema, bool in_order)
{
    struct rwkv7_grammar *const g = open_grammar(t, schema, in_order, 0), *const h = open_grammar(t, schema, in_order,
                                                                                                  RWKV7_NO_MASK_CACHE);
    struct rwkv7_matcher *m = NULL, *n = NULL, *trial = NULL;
    CHECK(rwkv7_matcher_create(g, &m, NULL) == RWKV7_OK && rwkv7_matcher_create(g, &trial, NULL) == RWKV7_OK &&
          rwkv7_matcher_create(h, &n, NULL) == RWKV7_OK);
    for (int text = 0; text < 3; text++) {
        rwkv7_matcher_reset(m);
        rwkv7_matcher_reset(n);
        for (int i = 0; i < 25; i++) {
            const uint64_t *with = NULL, *without = NULL;
            size_t allowed = 0, same = 0;
            const uint32_t id = check_mask(t, m, trial);
            CHECK(rwkv7_matcher_mask(m, &with, &allowed, NULL) == RWKV7_OK &&
                  rwkv7_matcher_mask(n, &without, &same, NULL) == RWKV7_OK);
            CHECK(allowed == same && memcmp(with, without, (rwkv7_tokenizer_size(t) + 63) / 64 * sizeof *with) == 0);
            if (id == RWKV7_END_OF_TEXT)
                break;
            CHECK(rwkv7_matcher_advance(m, id, NULL) == RWKV7_OK && rwkv7_matcher_advance(n, id, NULL) == RWKV7_OK);
        }
    }
    rwkv7_matcher_close(m);
    rwkv7_matcher_close(n);
    rwkv7_matcher_close(trial);
    rwkv7_grammar_close(g);
    rwkv7_grammar_close(h);
}

static void neox_masks(void)
{
    struct rwkv7_tokenizer *t = NULL;
    struct rwkv7_error err = {0};
    CHECK_MSG(rwkv7_tokenizer_open(TEST_DIR "/neox/small.json", &t, &err) == RWKV7_OK, "%s", err.message);
    if (!t)
        return;
    for (size_t i = 0; i < sizeof schemas / sizeof schemas[0]; i++)
        for (int in_order = 0; in_order < 2; in_order++)
            check_schema(t, schemas[i], in_order);
    rwkv7_tokenizer_close(t);
}

int main(void)
{
    RUN(neox_masks);
    return test_end();
}
