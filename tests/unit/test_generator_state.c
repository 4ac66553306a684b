/* test_generator_state.c - a generator that is saved in the middle of a text and loaded elsewhere goes on as if never left. */
#include <unistd.h>

#include "generator_steps.h"

/* After every number of tokens: saved, loaded elsewhere, and the rest written there. */
static void test_save_and_load(void)
{
    static struct text whole, text;
    char path[] = "/tmp/rwkv7-test-XXXXXX";
    const int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    struct rwkv7_generator_options opt = {.sampling = &sampling, .ignore_end = true, .max_tokens = 60};
    text_with(&opt, &whole, 1000);
    char stop[4] = "";
    memcpy(stop, whole.at + whole.size - 4, 3);
    const char *const stops[] = {stop, "ab#"};
    opt.stops = stops;
    opt.stop_count = 2;
    text_with(&opt, &whole, 1000);
    opt.max_tokens = 0;
    opt.resumable = true;
    struct rwkv7_sampler_options other = sampling;
    struct rwkv7_generator_options later = opt;
    later.sampling = &other;
    later.resumable = false;
    later.max_tokens = 60;
    other.seed = 99; /* the file knows better */
    for (int k = 1; k < 30; k++) {
        struct rwkv7_session *const s = new_session(), *const t = new_session();
        struct rwkv7_generator *const g = new_generator(s, &opt), *const h = new_generator(t, &later);
        text.size = 0;
        feed(g, prompt);
        if (write_all(g, &text, k).end == RWKV7_END_NONE) {
            CHECK(rwkv7_generator_save(g, path, NULL) == RWKV7_OK);
            CHECK(rwkv7_generator_load(h, path, NULL) == RWKV7_OK);
            write_all(h, &text, 60 - k);
            CHECK_MSG(text.size <= whole.size && memcmp(text.at, whole.at, text.size) == 0, "after %d tokens", k);
            CHECK(text.size + 12 > whole.size); /* but for what may be held back */
        }
        rwkv7_generator_close(g);
        rwkv7_generator_close(h);
        rwkv7_session_close(s);
        rwkv7_session_close(t);
    }
    unlink(path);
}

/* The draw that ends a text is as if it had not been: a text that goes on behind it draws the same number again. */
static void test_end_is_drawn_again(void)
{
    static struct text whole, text;
    char path[] = "/tmp/rwkv7-test-XXXXXX";
    const int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    struct rwkv7_sampler_options ends = sampling;
    const struct rwkv7_token_bias bias = {RWKV7_END_OF_TEXT, 100};
    struct rwkv7_generator_options opt = {.sampling = &sampling, .ignore_end = true, .max_tokens = 20};
    text_with(&opt, &whole, 1000);
    ends.biases = &bias;
    ends.bias_count = 1;
    const struct rwkv7_generator_options ending = {.sampling = &ends, .resumable = true};
    struct rwkv7_session *const s = new_session();
    struct rwkv7_generator *g = new_generator(s, &ending);
    feed(g, prompt);
    CHECK(next(g).end == RWKV7_END_TOKEN);
    CHECK(rwkv7_generator_save(g, path, NULL) == RWKV7_OK);
    rwkv7_generator_close(g);
    g = new_generator(s, &opt);
    CHECK(rwkv7_generator_load(g, path, NULL) == RWKV7_OK);
    text.size = 0;
    write_all(g, &text, 1000);
    CHECK(text.size == whole.size && memcmp(text.at, whole.at, whole.size) == 0);
    rwkv7_generator_close(g);
    rwkv7_session_close(s);
    unlink(path);
}

/* Loaded with other stop strings, what was held back is text, once. Loaded with a prompt, it is forgotten. */
static void test_load_otherwise(void)
{
    static struct text whole, text;
    char path[] = "/tmp/rwkv7-test-XXXXXX";
    const int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    struct rwkv7_generator_options opt = {.sampling = &sampling, .ignore_end = true, .max_tokens = 12};
    text_with(&opt, &whole, 1000);
    static char stop[sizeof whole.at + 2];
    snprintf(stop, sizeof stop, "%s#", whole.at);
    const char *const stops[] = {stop};
    const struct rwkv7_generator_options holding = {
        .sampling = &sampling, .ignore_end = true, .max_tokens = 6, .stops = stops, .stop_count = 1, .resumable = true};
    struct rwkv7_session *const s = new_session();
    struct rwkv7_generator *g = new_generator(s, &holding);
    text.size = 0;
    feed(g, prompt);
    CHECK(write_all(g, &text, 1000).end == RWKV7_END_LENGTH && text.size == 0); /* all of it is held back */
    CHECK(rwkv7_generator_save(g, path, NULL) == RWKV7_OK);
    rwkv7_generator_close(g);

    opt.max_tokens = 6;
    g = new_generator(s, &opt);
    CHECK(rwkv7_generator_load(g, path, NULL) == RWKV7_OK);
    write_all(g, &text, 1000);
    CHECK(text.size == whole.size && memcmp(text.at, whole.at, whole.size) == 0);
    rwkv7_generator_close(g);

    g = new_generator(s, &opt);
    CHECK(rwkv7_generator_load(g, path, NULL) == RWKV7_OK);
    const uint64_t read = rwkv7_session_tokens(s);
    feed(g, "ab");
    CHECK(next(g).length <= 5 && rwkv7_session_tokens(s) == read + 1);
    rwkv7_generator_close(g);

    /* A state of no tokens is not the start of a document. */
    rwkv7_session_reset(s);
    CHECK(rwkv7_session_save(s, path, NULL, NULL) == RWKV7_OK);
    g = new_generator(s, NULL);
    CHECK(rwkv7_generator_load(g, path, NULL) == RWKV7_OK);
    feed(g, "ab");
    CHECK(rwkv7_generator_sync(g, NULL) == RWKV7_OK && rwkv7_session_tokens(s) == 1);
    rwkv7_generator_close(g);
    rwkv7_session_close(s);
    unlink(path);
}

int main(void)
{
    open_small_model();
    RUN(test_save_and_load);
    RUN(test_end_is_drawn_again);
    RUN(test_load_otherwise);
    close_small_model();
    return test_end();
}
