/*
 * test_generator_state.c - a generator saved in the middle of a text and loaded elsewhere continues
 * as if uninterrupted.
 */
#include <unistd.h>

#include "base/mem.h"
#include "generator_steps.h"

/* After each number of tokens: saves, loads elsewhere, and generates the rest there. */
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
    other.seed = 99; /* the file's seed has precedence */
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
            CHECK(text.size + 12 > whole.size); /* except for held-back bytes */
        }
        rwkv7_generator_close(g);
        rwkv7_generator_close(h);
        rwkv7_session_close(s);
        rwkv7_session_close(t);
    }
    unlink(path);
}

/* The draw that ends a text is not counted: a resumed text draws the same number again. */
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

/*
 * Loaded with other stop strings, held-back text is output once. Loaded with a prompt, it is
 * dropped.
 */
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

    /* A state without tokens is not the start of a document. */
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

enum { DRAWN = 40 };

/* The tokens of a text, and their text byte by byte. */
struct drawn {
    uint32_t ids[DRAWN];
    size_t ends[DRAWN], count;
    struct text bytes;
};

static void draw_tokens(const struct rwkv7_generator_options *opt, struct drawn *drawn)
{
    struct rwkv7_session *const s = new_session();
    struct rwkv7_generator *const g = new_generator(s, opt);
    drawn->bytes.size = 0;
    feed(g, prompt);
    for (drawn->count = 0; drawn->count < DRAWN; drawn->count++) {
        size_t length;
        drawn->ids[drawn->count] = next(g).id;
        const uint8_t *const text = rwkv7_tokenizer_bytes(tokenizer, drawn->ids[drawn->count], &length);
        add(&drawn->bytes, (const char *)text, length);
        drawn->ends[drawn->count] = drawn->bytes.size;
    }
    rwkv7_generator_close(g);
    rwkv7_session_close(s);
}

static void read_text(struct rwkv7_session *s, const char *text, size_t size)
{
    uint32_t ids[100];
    size_t count, covered;
    CHECK(rwkv7_tokenizer_encode(tokenizer, text, size, true, ids, 100, &count, &covered, NULL) == RWKV7_OK &&
          covered == size);
    if (count > 0)
        CHECK(rwkv7_session_eval(s, ids, count, RWKV7_LOGITS_NONE, NULL, NULL) == RWKV7_OK);
}

static size_t read_file(const char *path, char *to, size_t room)
{
    FILE *const f = fopen(path, "rb");
    const size_t n = f ? fread(to, 1, room, f) : 0;
    if (f)
        fclose(f);
    return n;
}

/*
 * The file at `path` was saved before byte `at` of the text: its state has read exactly the
 * preceding text.
 */
static void check_kept(const char *path, const struct drawn *drawn, size_t at,
                       const struct rwkv7_generator_options *opt)
{
    static char first[1 << 20], second[1 << 20];
    const uint32_t bos = RWKV7_END_OF_TEXT;
    struct rwkv7_session *const s = new_session(), *const want = new_session();
    size_t kept = 0;
    while (kept < drawn->count && drawn->ends[kept] <= at)
        kept++;
    const size_t begin = kept > 0 ? drawn->ends[kept - 1] : 0;
    CHECK(rwkv7_session_eval(want, &bos, 1, RWKV7_LOGITS_NONE, NULL, NULL) == RWKV7_OK);
    read_text(want, prompt, strlen(prompt));
    for (size_t i = 0; i < kept; i++)
        CHECK(rwkv7_session_eval(want, &drawn->ids[i], 1, RWKV7_LOGITS_NONE, NULL, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_load(s, path, NULL, NULL) == RWKV7_OK && same_state(s, want));

    /* With a prompt: after the shown text. */
    static struct text both;
    struct rwkv7_generator *g = new_generator(s, opt);
    CHECK(rwkv7_generator_load(g, path, NULL) == RWKV7_OK);
    feed(g, "");
    feed(g, "c the ");
    CHECK(rwkv7_generator_sync(g, NULL) == RWKV7_OK);
    both.size = 0;
    add(&both, drawn->bytes.at + begin, at - begin);
    add(&both, "c the ", 6);
    read_text(want, both.at, both.size);
    CHECK(same_state(s, want));
    rwkv7_generator_close(g);

    /* Loaded and saved again, the file is the same. */
    g = new_generator(s, opt);
    CHECK(rwkv7_generator_load(g, path, NULL) == RWKV7_OK);
    const size_t size = read_file(path, first, sizeof first);
    CHECK(rwkv7_generator_save(g, path, NULL) == RWKV7_OK);
    CHECK(size > 0 && read_file(path, second, sizeof second) == size && memcmp(first, second, size) == 0);
    rwkv7_generator_close(g);
    rwkv7_session_close(s);
    rwkv7_session_close(want);
}

/*
 * A text that ended before a stop string continues, without that stop string, like the longer text.
 */
static void test_behind_a_stop(void)
{
    static struct drawn drawn;
    static struct text whole, text;
    char path[] = "/tmp/rwkv7-test-XXXXXX";
    const int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    int tried = 0, within = 0;
    for (int greedy = 0; greedy < 2; greedy++) {
        struct rwkv7_sampler_options choice = sampling;
        choice.temperature = greedy ? RWKV7_ZERO : 1;
        const struct rwkv7_generator_options plain = {.sampling = &choice, .ignore_end = true, .max_tokens = DRAWN};
        text_with(&plain, &whole, 1000);
        draw_tokens(&plain, &drawn);
        for (size_t n = 1; n < 8; n += 3)
            for (size_t from = 0; from + n < drawn.bytes.size; from += 2) {
                char stop[8] = "";
                memcpy(stop, drawn.bytes.at + from, n);
                const char *const stops[] = {stop};
                struct rwkv7_generator_options opt = plain;
                opt.resumable = true;
                opt.stops = stops;
                opt.stop_count = 1;
                struct rwkv7_session *const s = new_session();
                struct rwkv7_generator *g = new_generator(s, &opt);
                text.size = 0;
                feed(g, prompt);
                const enum rwkv7_end end = write_all(g, &text, 1000).end;
                CHECK(end == RWKV7_END_STOP);
                const size_t at = (size_t)(strstr(drawn.bytes.at, stop) - drawn.bytes.at);
                const uint64_t so_far = rwkv7_generator_stats(g)->tokens;
                CHECK(rwkv7_generator_save(g, path, NULL) == RWKV7_OK);
                rwkv7_generator_close(g);
                check_kept(path, &drawn, at, &opt);

                /* With the same stop string it ends at once. */
                g = new_generator(s, &opt);
                CHECK(rwkv7_generator_load(g, path, NULL) == RWKV7_OK);
                const struct rwkv7_step step = next(g);
                CHECK(step.end == RWKV7_END_STOP && step.stop == 0 && step.length == 0 && !step.drawn);
                CHECK(rwkv7_generator_save(g, path, NULL) == RWKV7_OK);
                rwkv7_generator_close(g);

                opt.stop_count = 0;
                opt.resumable = from % 4 != 0;
                opt.max_tokens = DRAWN - so_far;
                if (opt.max_tokens > 0) {
                    g = new_generator(s, &opt);
                    CHECK(rwkv7_generator_load(g, path, NULL) == RWKV7_OK);
                    write_all(g, &text, 1000);
                    const bool partial = opt.resumable && text.size < whole.size; /* half a character is held back */
                    CHECK_MSG((partial || text.size == whole.size) && memcmp(text.at, whole.at, text.size) == 0,
                              "'%s': \"%s\"", stop, text.at);
                    rwkv7_generator_close(g);
                }
                rwkv7_session_close(s);
                tried++;
                within += at != (size_t)0;
            }
    }
    CHECK(tried > 100 && within > 50);
    unlink(path);
}

/*
 * The same before half a character, and before a possible stop string, after each number of tokens.
 */
static void test_behind_held_bytes(void)
{
    static struct drawn drawn;
    static struct text text;
    char path[] = "/tmp/rwkv7-test-XXXXXX";
    const int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    const struct rwkv7_generator_options plain = {.sampling = &sampling, .ignore_end = true, .max_tokens = DRAWN};
    draw_tokens(&plain, &drawn);
    char stop[sizeof drawn.bytes.at];
    for (size_t from = 0; from < drawn.bytes.size; from += 5) {
        snprintf(stop, sizeof stop, "%.20s#", drawn.bytes.at + from);
        const char *const stops[] = {stop};
        for (uint64_t k = 1; k < DRAWN; k += 3) {
            const struct rwkv7_generator_options opt = {.sampling = &sampling,
                                                        .ignore_end = true,
                                                        .max_tokens = k,
                                                        .stops = stops,
                                                        .stop_count = 1,
                                                        .resumable = true};
            struct rwkv7_session *const s = new_session();
            struct rwkv7_generator *const g = new_generator(s, &opt);
            text.size = 0;
            feed(g, prompt);
            CHECK(write_all(g, &text, 1000).end == RWKV7_END_LENGTH);
            CHECK(rwkv7_generator_save(g, path, NULL) == RWKV7_OK);
            rwkv7_generator_close(g);
            rwkv7_session_close(s);
            size_t at = text.size; /* in bytes; U+FFFD stands for other bytes */
            if (memcmp(text.at, drawn.bytes.at, text.size) == 0)
                check_kept(path, &drawn, at, &opt);
        }
    }
    unlink(path);
}

/* The note beside the state must belong to it. */
static void test_wrong_notes(void)
{
    char path[] = "/tmp/rwkv7-test-XXXXXX";
    const int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    struct rwkv7_session *const s = new_session();
    struct rwkv7_error err = {.message = ""};
    struct {
        char mark[8];
        uint64_t sizes[6];
        uint32_t pending[2];
        char shown[2];
    } note = {"rwkv7 2", {0, 0, 0, 0, 8, 2}, {1, 2}, {'a', 'b'}};
    struct rwkv7_session *const t = new_session(), *const before = new_session();
    for (int k = 0; k < 5; k++) {
        struct rwkv7_generator *const g = new_generator(t, NULL);
        if (k == 1)
            note.pending[1] = 0xffffffff;
        if (k == 2)
            note.sizes[4] = 7;
        if (k == 3)
            note.mark[6] = '1';
        if (k == 4) {
            note.mark[6] = '2';
            note.sizes[0] = 100;
        }
        const struct rwkv7_bytes all = {&note, sizeof note};
        CHECK(rwkv7_session_save(s, path, &all, NULL) == RWKV7_OK);
        const enum rwkv7_status status = rwkv7_generator_load(g, path, &err);
        CHECK_MSG(status == (k == 0 ? RWKV7_OK : RWKV7_ERR_STATE), "%d: %s", k, err.message);
        CHECK(k == 0 || strstr(err.message, k == 3   ? "another version"
                                            : k == 4 ? "is truncated"
                                                     : "another vocabulary"));
        if (k > 0) { /* nothing has changed: neither the state nor that it is the start of a document */
            CHECK_MSG(same_state(t, before), "%d", k);
            feed(g, "a");
            CHECK(rwkv7_generator_sync(g, NULL) == RWKV7_OK && rwkv7_session_tokens(t) == 2);
        }
        rwkv7_generator_close(g);
        rwkv7_session_reset(t);
        read_text(s, "ab", 2); /* so that each file has a different state */
    }
    rwkv7_session_close(s);
    rwkv7_session_close(t);
    rwkv7_session_close(before);
    unlink(path);
}

/* A failed load leaves what an earlier load has set, also when out of memory at any allocation. */
static void test_failed_load(void)
{
    static struct text want, text;
    char path[] = "/tmp/rwkv7-test-XXXXXX";
    const int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    const struct rwkv7_generator_options opt = {.sampling = &sampling, .ignore_end = true, .max_tokens = 6};
    struct rwkv7_session *const s = new_session(), *const t = new_session(), *const loaded = new_session();
    struct rwkv7_generator *g = new_generator(s, &opt), *h = new_generator(t, &opt);
    int failures = 0;
    feed(g, prompt);
    CHECK(rwkv7_generator_sync(g, NULL) == RWKV7_OK && rwkv7_generator_save(g, path, NULL) == RWKV7_OK);
    rwkv7_session_copy(loaded, s);
    write_all(g, &want, 1000);
    CHECK(rwkv7_generator_load(h, path, NULL) == RWKV7_OK && same_state(t, loaded));
    struct rwkv7_generator *const other = new_generator(s, &opt); /* a different state, which must not become visible */
    feed(other, "the cab ");
    CHECK(rwkv7_generator_save(other, path, NULL) == RWKV7_OK);
    rwkv7_generator_close(other);
    for (int n = 0; n < 20; n++) {
        mem_fail_after(n);
        const enum rwkv7_status status = rwkv7_generator_load(h, path, NULL);
        mem_fail_after(-1);
        if (status == RWKV7_OK)
            break;
        CHECK_MSG(status == RWKV7_ERR_MEMORY && same_state(t, loaded), "after %d", n);
        failures++;
    }
    CHECK(failures > 1 && failures < 20 && same_state(t, s));
    rwkv7_generator_close(h);

    rwkv7_session_reset(t);
    h = new_generator(t, &opt);
    rwkv7_generator_close(g);
    rwkv7_session_reset(s);
    g = new_generator(s, &opt);
    feed(g, prompt);
    CHECK(rwkv7_generator_save(g, path, NULL) == RWKV7_OK && rwkv7_generator_load(h, path, NULL) == RWKV7_OK);
    CHECK(rwkv7_generator_load(h, "/nowhere", NULL) == RWKV7_ERR_IO);
    write_all(h, &text, 1000);
    CHECK(text.size == want.size && memcmp(text.at, want.at, want.size) == 0);
    rwkv7_generator_close(g);
    rwkv7_generator_close(h);
    rwkv7_session_close(s);
    rwkv7_session_close(t);
    rwkv7_session_close(loaded);
    unlink(path);
}

int main(void)
{
    open_small_model();
    RUN(test_behind_a_stop);
    RUN(test_behind_held_bytes);
    RUN(test_wrong_notes);
    RUN(test_failed_load);
    RUN(test_save_and_load);
    RUN(test_end_is_drawn_again);
    RUN(test_load_otherwise);
    close_small_model();
    return test_end();
}
