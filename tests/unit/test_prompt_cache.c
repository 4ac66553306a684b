/*
 * test_prompt_cache.c - which cache entries are found and created: the longest known prefix for the
 * same model and tokens, and the positions of prompt_cache_plan. cli_state.sh tests the program's
 * part.
 */
#include <dirent.h>
#include <unistd.h>

#include "base/mem.h"
#include "generate/generator.h"
#include "small_model.h"

enum { TOKENS = 400 };

static char folder[] = "/tmp/rwkv7-cache-XXXXXX";
static struct prompt_cache cache = {.folder = folder, .limit = (uint64_t)1 << 30};
static uint32_t ids[TOKENS];

static void read_tokens(struct rwkv7_session *s, size_t from, size_t to, float *logits)
{
    CHECK(rwkv7_session_eval(s, ids + from, to - from, logits ? RWKV7_LOGITS_LAST : RWKV7_LOGITS_NONE, logits, NULL) ==
          RWKV7_OK);
}

static void empty_folder(void)
{
    char path[sizeof folder + 256];
    DIR *const entries = opendir(folder);
    for (const struct dirent *e; entries && (e = readdir(entries));) {
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] != '.')
            unlink(path);
    }
    if (entries)
        closedir(entries);
}

/* A state is found for its own tokens and for all continuations. */
static void test_find(void)
{
    struct rwkv7_session *const s = new_session(), *const other = new_session();
    CHECK(prompt_cache_find(&cache, other, ids, 50) == 0);
    read_tokens(s, 0, 20, NULL);
    prompt_cache_keep(&cache, s, ids, 20);
    read_tokens(s, 20, 50, NULL);
    prompt_cache_keep(&cache, s, ids, 50);
    static const struct {
        size_t count, found;
    } cases[] = {{1, 0}, {19, 0}, {20, 20}, {21, 20}, {49, 20}, {50, 50}, {51, 50}, {TOKENS, 50}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rwkv7_session_reset(other);
        CHECK_MSG(prompt_cache_find(&cache, other, ids, cases[i].count) == cases[i].found, "%zu tokens",
                  cases[i].count);
        CHECK(rwkv7_session_tokens(other) == cases[i].found);
    }
    for (size_t at = 0; at < 60; at += 7) { /* with one different token */
        ids[at] ^= 1;
        rwkv7_session_reset(other);
        CHECK_MSG(prompt_cache_find(&cache, other, ids, 60) == (at < 20 ? 0 : at < 50 ? 20 : 50), "token %zu", at);
        ids[at] ^= 1;
    }
    cache.start++; /* as for another model or version */
    rwkv7_session_reset(other);
    CHECK(prompt_cache_find(&cache, other, ids, 60) == 0);
    cache.start--;
    prompt_cache_keep(&cache, s, ids, 60); /* a state that has not read exactly these tokens is not stored */
    CHECK(prompt_cache_find(&cache, other, ids, 60) == 50 && rwkv7_session_tokens(other) == 50);
    rwkv7_session_close(s);
    rwkv7_session_close(other);
    empty_folder();
}

/*
 * The same logits and state with and without the cache, for prompts that are entries and for
 * prompts one token shorter and longer.
 */
static void test_read(void)
{
    static const size_t counts[] = {200, 199, 200, 198, 201, 1, TOKENS, 200};
    static const size_t known[] = {0, 0, 199, 0, 199, 0, 199, 199};
    float want[VOCAB], got[VOCAB];
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct rwkv7_session *const s = new_session(), *const alone = new_session();
        struct reading how = {.chunk = RWKV7_CHUNK};
        size_t cached;
        read_tokens(alone, 0, counts[i], want);
        CHECK(prompt_cache_read(&cache, &how, s, ids, counts[i], NULL, 0, got, &cached, NULL) == RWKV7_OK);
        CHECK_MSG(cached == known[i], "prompt %zu of %zu tokens: %zu were known", i, counts[i], cached);
        CHECK(memcmp(got, want, sizeof want) == 0 && how.done == counts[i]);
        CHECK(rwkv7_session_tokens(s) == counts[i]);
        rwkv7_session_close(s);
        rwkv7_session_close(alone);
    }
    empty_folder();
}

static void check_plan(size_t found, size_t count, const size_t *marks, size_t mark_count, const size_t *want, size_t n)
{
    size_t plan[64];
    const size_t got = prompt_cache_plan(found, count, marks, mark_count, plan, 64);
    CHECK_MSG(got == n && (n == 0 || memcmp(plan, want, n * sizeof *plan) == 0),
              "found %zu of %zu: %zu places, first %zu", found, count, got, got > 0 ? plan[0] : 0);
}
#define PLAN(found, count, marks, ...)                                                              \
    check_plan(found, count, marks, sizeof(marks) / sizeof *(marks), (const size_t[]){__VA_ARGS__}, \
               sizeof(size_t[]){__VA_ARGS__} / sizeof(size_t))

/*
 * Positions at least 64 tokens apart and after the entry found: marks first, then the end, then at
 * doubling distances from 256 tokens.
 */
static void test_plan(void)
{
    static const size_t two[] = {100, 163}, more[] = {100, 164, 5000}, last[] = {299}, beyond[] = {300, 301};
    check_plan(0, 0, NULL, 0, NULL, 0);
    check_plan(0, 1, NULL, 0, NULL, 0);
    check_plan(0, 64, NULL, 0, NULL, 0);
    check_plan(0, 65, NULL, 0, (const size_t[]){64}, 1);
    check_plan(1, 65, NULL, 0, NULL, 0);
    check_plan(36, 101, NULL, 0, (const size_t[]){100}, 1);
    check_plan(37, 101, NULL, 0, NULL, 0);
    check_plan(0, 512, NULL, 0, (const size_t[]){511}, 1);
    check_plan(0, 513, NULL, 0, (const size_t[]){256, 512}, 2);
    check_plan(0, 514, NULL, 0, (const size_t[]){256, 513}, 2);
    check_plan(0, 1100, NULL, 0, (const size_t[]){512, 768, 1099}, 3);
    check_plan(600, 1100, NULL, 0, (const size_t[]){768, 1099}, 2);
    PLAN(0, 300, two, 100, 299);
    PLAN(0, 300, more, 100, 164, 299);
    PLAN(0, 300, last, 299);
    PLAN(0, 300, beyond, 299);
    PLAN(40, 300, more, 164, 299);
    size_t plan[2];
    CHECK(prompt_cache_plan(0, 100000, NULL, 0, plan, 2) == 2);
}

static bool has_entry(size_t tokens)
{
    char ending[40];
    bool found = false;
    DIR *const entries = opendir(folder);
    snprintf(ending, sizeof ending, "-%zu.state", tokens);
    for (const struct dirent *e; entries && (e = readdir(entries));)
        found = found || strstr(e->d_name, ending);
    if (entries)
        closedir(entries);
    return found;
}

/* The boundaries between parts of a text become entries, before a token that would cross them. */
static void test_borders(void)
{
    const struct rwkv7_generator_options opt = {.sampling = &sampling, .max_tokens = 1, .bos = RWKV7_BOS_ALWAYS};
    struct rwkv7_session *const s = new_session();
    struct rwkv7_generator *g = NULL;
    const struct rwkv7_step *one;
    CHECK(rwkv7_generator_create(s, tokenizer, &opt, &g, NULL) == RWKV7_OK);
    generator_use_cache(g, &cache);
    for (int part = 0; part < 3; part++) {
        for (int i = 0; i < 80; i++)
            CHECK(rwkv7_generator_feed(g, "xyxyth", 6, NULL) == RWKV7_OK); /* 5 tokens */
        if (part == 1)
            CHECK(rwkv7_generator_feed(g, "ab", 2, NULL) == RWKV7_OK);
        CHECK(generator_mark_border(g));
        if (part == 1)
            CHECK(rwkv7_generator_feed(g, "c", 1, NULL) == RWKV7_OK); /* 'abc' is one token */
    }
    CHECK(rwkv7_generator_next(g, &one, NULL) == RWKV7_OK);
    /* Token 0 starts the document; the last token is read for its logits. */
    CHECK(has_entry(401) && has_entry(801) && !has_entry(802));
    rwkv7_generator_close(g);
    rwkv7_session_close(s);
    empty_folder();
}

int main(void)
{
    struct rwkv7_error err = {.message = ""};
    if (!mkdtemp(folder))
        return 1;
    open_small_model();
    for (uint32_t i = 0; i < TOKENS; i++)
        ids[i] = i * 11 % 50 + 2;
    CHECK_MSG(prompt_cache_open(&cache, model, &err) == RWKV7_OK, "%s", err.message);
    RUN(test_find);
    RUN(test_read);
    RUN(test_plan);
    RUN(test_borders);
    CHECK(rmdir(folder) == 0);
    close_small_model();
    return test_end();
}
