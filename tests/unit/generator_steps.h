/*
 * generator_steps.h - helpers for generator tests: creating one, running its steps, comparing
 * states.
 */
#ifndef GENERATOR_STEPS_H
#define GENERATOR_STEPS_H

#include "small_model.h"

/* Whether both states are bitwise equal. */
static inline bool same_state(const struct rwkv7_session *a, const struct rwkv7_session *b)
{
    enum { SHIFTS = 2 * 64, WKV = 2 * 64 * 64 };
    static float x[2 * SHIFTS + WKV], y[2 * SHIFTS + WKV];
    rwkv7_session_get_state(a, x, x + 2 * SHIFTS, x + SHIFTS);
    rwkv7_session_get_state(b, y, y + 2 * SHIFTS, y + SHIFTS);
    return memcmp(x, y, sizeof x) == 0 && rwkv7_session_tokens(a) == rwkv7_session_tokens(b);
}

static const char prompt[] = "the cab is abc then";

static inline struct rwkv7_generator *new_generator(struct rwkv7_session *s, const struct rwkv7_generator_options *opt)
{
    struct rwkv7_generator_options options = RWKV7_OPTIONS(options);
    struct rwkv7_generator *g = NULL;
    struct rwkv7_error err = {.message = ""};
    if (opt)
        options = *opt;
    options.speculate = options.speculate ? options.speculate : SPECULATE;
    CHECK_MSG(rwkv7_generator_create(s, tokenizer, &options, &g, &err) == RWKV7_OK, "%s", err.message);
    return g;
}

static inline void feed(struct rwkv7_generator *g, const char *text)
{
    CHECK(rwkv7_generator_feed(g, text, strlen(text), NULL) == RWKV7_OK);
}

static inline struct rwkv7_step next(struct rwkv7_generator *g)
{
    const struct rwkv7_step *step;
    struct rwkv7_error err = {.message = ""};
    CHECK_MSG(rwkv7_generator_next(g, &step, &err) == RWKV7_OK, "%s", err.message);
    return *step;
}

/* Runs up to `most` steps, or to the end. */
static inline struct rwkv7_step write_all(struct rwkv7_generator *g, struct text *text, int most)
{
    struct rwkv7_step step;
    do {
        step = next(g);
        add(text, step.text, step.length);
    } while (step.end == RWKV7_END_NONE && --most > 0);
    return step;
}

/* Returns the text generated with these options, and how it ends. */
static inline struct rwkv7_step text_with(const struct rwkv7_generator_options *opt, struct text *text, int most)
{
    struct rwkv7_session *const s = new_session();
    struct rwkv7_generator *const g = new_generator(s, opt);
    text->size = 0;
    feed(g, prompt);
    struct rwkv7_step step = write_all(g, text, most);
    step.text = NULL;
    rwkv7_generator_close(g);
    rwkv7_session_close(s);
    return step;
}

#endif
