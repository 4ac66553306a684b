/*
 * test_conversation.c - the state of a conversation is always the one that its tokens produce,
 * whatever is said, stopped, undone or cancelled, and after every out-of-memory error.
 */
#include <dirent.h>
#include <unistd.h>

#include "base/mem.h"
#include "generate/conversation.h"
#include "small_model.h"

static bool same_state(const struct rwkv7_session *a, const struct rwkv7_session *b)
{
    enum { SHIFTS = 2 * 64, WKV = 2 * 64 * 64 };
    static float x[2 * SHIFTS + WKV], y[2 * SHIFTS + WKV];
    rwkv7_session_get_state(a, x, x + 2 * SHIFTS, x + SHIFTS);
    rwkv7_session_get_state(b, y, y + 2 * SHIFTS, y + SHIFTS);
    return memcmp(x, y, sizeof x) == 0 && rwkv7_session_tokens(a) == rwkv7_session_tokens(b);
}

static struct rwkv7_session *scratch;

/* Whether the session has read exactly what the log contains. */
static bool is_consistent(const struct conversation *c)
{
    rwkv7_session_copy(scratch, c->base);
    CHECK(rwkv7_session_eval(scratch, c->log.tokens, c->log.count, RWKV7_LOGITS_NONE, NULL, NULL) == RWKV7_OK);
    return same_state(scratch, c->session);
}

static int calls_left; /* remaining calls of the progress callback before it cancels; negative: it never cancels */

static bool progress(void *arg, uint64_t done, uint64_t waiting)
{
    (void)arg, (void)done, (void)waiting;
    return calls_left < 0 || calls_left-- > 0;
}

static const char *stops[] = {"ab", "e t", "q"};
static size_t stop_count = 3;

static struct rwkv7_token_bias bias = {28, 0}; /* of the newline */
static bool may_end;

static enum rwkv7_status open_conversation(struct conversation *c, uint64_t limit, struct rwkv7_error *err)
{
    struct conversation_options opt = {.generate = {.stops = stops,
                                                    .stop_count = stop_count,
                                                    .ignore_end = !may_end,
                                                    .progress = progress,
                                                    .speculate = SPECULATE},
                                       .sampling = sampling,
                                       .max_tokens = limit};
    opt.sampling.biases = &bias;
    opt.sampling.bias_count = 1;
    const enum rwkv7_status status = conversation_create(c, model, tokenizer, &opt, err);
    return status == RWKV7_OK ? conversation_start(c, "be short", err) : status;
}

static enum rwkv7_status answer(struct conversation *c, uint64_t seed, struct text *text, enum rwkv7_end *end,
                                struct rwkv7_error *err)
{
    struct rwkv7_step step = {0};
    enum rwkv7_status status = conversation_answer(c, seed, err);
    while (status == RWKV7_OK && step.end == RWKV7_END_NONE) {
        status = conversation_next(c, &step, err);
        if (status == RWKV7_OK && text)
            add(text, step.text, step.length);
    }
    *end = step.end;
    conversation_end_answer(c);
    return status;
}

/*
 * Whether the tokens after the first `asked`, plus the unread text, equal the shown text, except
 * for newlines at the end.
 */
static bool holds_what_was_shown(const struct conversation *c, size_t asked, const struct text *shown)
{
    static struct text held;
    size_t length, size = shown->size;
    held.size = 0;
    for (size_t i = asked; i < c->log.count; i++) {
        const uint8_t *const bytes = rwkv7_tokenizer_bytes(tokenizer, c->log.tokens[i], &length);
        add(&held, (const char *)bytes, length);
    }
    if (c->log.unread)
        add(&held, c->log.unread, strlen(c->log.unread));
    while (size > 0 && shown->at[size - 1] == '\n')
        size--;
    for (size_t i = 0; i < size; i++)
        if (shown->at[i] & 0x80) /* U+FFFD stands for other bytes */
            return true;
    return held.size == size && memcmp(held.at, shown->at, size) == 0;
}

static void test_turns(void)
{
    static struct text first, again;
    struct conversation c;
    struct rwkv7_session *before = NULL;
    enum rwkv7_end end;
    int stopped = 0, lengths = 0;
    calls_left = -1;
    CHECK(open_conversation(&c, 25, NULL) == RWKV7_OK);
    CHECK(is_consistent(&c) && c.log.turn_count == 0);
    CHECK(c.options.template == chat_template_at(0)); /* the default */
    for (uint64_t turn = 0; turn < 12; turn++) {
        CHECK(rwkv7_session_clone(c.session, &before, NULL) == RWKV7_OK);
        const size_t count = c.log.count;
        CHECK(conversation_ask(&c, turn % 2 ? "is the cab abc" : "then", THINK_OFF, NULL) == RWKV7_OK);
        first.size = again.size = 0;
        CHECK(answer(&c, turn, &first, &end, NULL) == RWKV7_OK);
        CHECK_MSG(is_consistent(&c), "turn %d", (int)turn);
        stopped += end == RWKV7_END_STOP;
        lengths += end == RWKV7_END_LENGTH;
        /* The same seed repeats the answer; undo restores the state before. */
        CHECK(conversation_ask_again(&c, THINK_OFF, NULL) == RWKV7_OK);
        CHECK(answer(&c, turn, &again, &end, NULL) == RWKV7_OK && is_consistent(&c));
        CHECK(first.size == again.size && memcmp(first.at, again.at, first.size) == 0);
        if (turn % 3 == 0) {
            CHECK(conversation_undo(&c, NULL) == RWKV7_OK);
            CHECK(same_state(c.session, before) && c.log.count == count);
        }
        rwkv7_session_close(before);
    }
    CHECK(stopped > 0 && lengths > 0);
    CHECK(c.log.turn_count == 8);
    conversation_free(&c);
}

/*
 * Newlines at the end of an answer are not shown, and neither they nor the end of text are in the
 * state: the next turn has its own.
 */
static void test_newlines(void)
{
    static struct text text;
    struct conversation c;
    enum rwkv7_end end;
    int newlines = 0, ends[RWKV7_END_CANCELLED + 1] = {0};
    calls_left = -1;
    bias.bias = 3;
    may_end = true;
    for (uint64_t seed = 0; seed < 60; seed++) {
        stop_count = seed % 2 ? 3 : 0;
        CHECK(open_conversation(&c, seed % 20, NULL) == RWKV7_OK);
        for (int turn = 0; turn < 2; turn++) {
            CHECK(conversation_ask(&c, "then", THINK_OFF, NULL) == RWKV7_OK);
            const size_t asked = c.log.count;
            text.size = 0;
            CHECK(answer(&c, seed, &text, &end, NULL) == RWKV7_OK);
            CHECK_MSG(is_consistent(&c) && holds_what_was_shown(&c, asked, &text), "\"%s\"", text.at);
            newlines += text.size > 0 && text.at[text.size - 1] == '\n';
            ends[end]++;
        }
        conversation_free(&c);
    }
    CHECK(newlines > 5 && ends[RWKV7_END_STOP] > 5 && ends[RWKV7_END_LENGTH] > 5 && ends[RWKV7_END_TOKEN] > 0);
    bias.bias = 0;
    may_end = false;
    stop_count = 3;
}

/* Makes the session read text that begins with `unread`. */
static void read_text(struct rwkv7_session *s, const char *unread, const char *text)
{
    char all[200];
    uint32_t ids[200];
    size_t count, covered;
    snprintf(all, sizeof all, "%s%s", unread ? unread : "", text);
    CHECK(rwkv7_tokenizer_encode(tokenizer, all, strlen(all), true, ids, 200, &count, &covered, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_eval(s, ids, count, RWKV7_LOGITS_NONE, NULL, NULL) == RWKV7_OK);
}

/*
 * A saved conversation can be loaded as a text by a generator and vice versa; both contain
 * everything that was shown.
 */
static void check_other_way(struct conversation *c)
{
    char path[] = "/tmp/rwkv7-test-XXXXXX";
    struct rwkv7_generator *g = NULL;
    struct rwkv7_session *s = NULL, *want = NULL;
    const int fd = mkstemp(path);
    CHECK(fd >= 0 && close(fd) == 0 && conversation_save(c, path, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_create(model, &s, NULL) == RWKV7_OK &&
          rwkv7_session_clone(c->session, &want, NULL) == RWKV7_OK);
    read_text(want, c->log.unread, "c the ");
    CHECK(rwkv7_generator_create(s, tokenizer, NULL, &g, NULL) == RWKV7_OK &&
          rwkv7_generator_load(g, path, NULL) == RWKV7_OK);
    CHECK(rwkv7_generator_feed(g, "c the ", 6, NULL) == RWKV7_OK && rwkv7_generator_sync(g, NULL) == RWKV7_OK);
    CHECK(same_state(s, want));
    rwkv7_generator_close(g);

    /* The text ends inside a token. */
    static const char *const inside[] = {"#", "bc"};
    static const uint32_t abc = 30; /* "abc" */
    const struct rwkv7_token_bias only = {abc, 1000};
    struct rwkv7_sampler_options sure = sampling;
    sure.biases = &only;
    sure.bias_count = 1;
    const struct rwkv7_generator_options opt = {.sampling = &sure, .stops = inside, .stop_count = 2, .resumable = true};
    const struct rwkv7_step *step = NULL;
    rwkv7_session_reset(s);
    CHECK(rwkv7_generator_create(s, tokenizer, &opt, &g, NULL) == RWKV7_OK);
    CHECK(rwkv7_generator_feed(g, "then ", 5, NULL) == RWKV7_OK && rwkv7_generator_next(g, &step, NULL) == RWKV7_OK);
    CHECK(step->end == RWKV7_END_STOP && step->length == 1 && step->text[0] == 'a');
    CHECK(rwkv7_generator_save(g, path, NULL) == RWKV7_OK);
    rwkv7_generator_close(g);
    CHECK(conversation_load(c, path, NULL) == RWKV7_OK);
    CHECK(c->log.unread && strcmp(c->log.unread, "a") == 0);
    CHECK(conversation_start(c, "", NULL) == RWKV7_OK); /* again, after the same text */
    rwkv7_session_copy(want, c->session);
    CHECK(conversation_ask(c, "is", THINK_OFF, NULL) == RWKV7_OK);
    read_text(want, "a", "\n\nUser: is\n\nAssistant:");
    CHECK(same_state(c->session, want));
    rwkv7_session_close(s);
    rwkv7_session_close(want);
    unlink(path);
}

/*
 * An answer ends before a stop string, although the model has read the tokens that it began with.
 */
static void test_stop_over_tokens(void)
{
    static struct text whole, cut;
    const char *const usual = stops[0];
    struct conversation c;
    enum rwkv7_end end;
    calls_left = -1;
    stop_count = 0;
    CHECK(open_conversation(&c, 25, NULL) == RWKV7_OK);
    CHECK(conversation_ask(&c, "then", THINK_OFF, NULL) == RWKV7_OK && answer(&c, 5, &whole, &end, NULL) == RWKV7_OK);
    conversation_free(&c);
    int tried = 0, unread = 0;
    stop_count = 1;
    for (size_t at = 0; at + 5 < whole.size; at++) {
        char stop[6] = "";
        memcpy(stop, whole.at + at, 5);
        if ((stop[0] | stop[1] | stop[2] | stop[3] | stop[4]) & 0x80)
            continue; /* U+FFFD stands for other bytes */
        stops[0] = stop;
        cut = (struct text){.size = 0};
        CHECK(open_conversation(&c, 25, NULL) == RWKV7_OK);
        CHECK(conversation_ask(&c, "then", THINK_OFF, NULL) == RWKV7_OK);
        const size_t asked = c.log.count;
        CHECK(answer(&c, 5, &cut, &end, NULL) == RWKV7_OK && end == RWKV7_END_STOP);
        CHECK_MSG(is_consistent(&c), "stop '%s'", stop);
        CHECK(cut.size == (size_t)(strstr(whole.at, stop) - whole.at));
        CHECK(holds_what_was_shown(&c, asked, &cut));
        unread += c.log.unread && *c.log.unread;
        /* A repeated answer starts without the stop string. */
        CHECK(conversation_ask_again(&c, THINK_OFF, NULL) == RWKV7_OK);
        CHECK(c.log.count == asked && (!c.log.unread || !*c.log.unread) && is_consistent(&c));
        cut.size = 0;
        CHECK(answer(&c, 5, &cut, &end, NULL) == RWKV7_OK && end == RWKV7_END_STOP && is_consistent(&c));
        CHECK(holds_what_was_shown(&c, asked, &cut));
        /* A question after unread text: undone, it restores the unread text. */
        char held[100];
        snprintf(held, sizeof held, "%s", c.log.unread ? c.log.unread : "");
        CHECK(conversation_ask(&c, "is", THINK_OFF, NULL) == RWKV7_OK && conversation_undo(&c, NULL) == RWKV7_OK);
        CHECK_STR(c.log.unread ? c.log.unread : "", held);
        CHECK(is_consistent(&c));
        check_other_way(&c);
        conversation_free(&c);
        tried++;
    }
    CHECK_MSG(tried > 5 && unread > 0, "%d stops, %d with text that was not read", tried, unread);
    stops[0] = usual;
    stop_count = 3;
}

/* Cancelled at any point: a question is undone, an answer ends, and tokens and state agree. */
static void test_cancel(void)
{
    int asked = 0, cancelled = 0;
    for (int calls = 0; calls < 60; calls++) {
        struct conversation c;
        enum rwkv7_end end = RWKV7_END_NONE;
        calls_left = -1;
        CHECK(open_conversation(&c, 20, NULL) == RWKV7_OK);
        const size_t count = c.log.count;
        calls_left = calls;
        const enum rwkv7_status status = conversation_ask(&c, "is the cab abc", THINK_SHORT, NULL);
        if (status == RWKV7_OK) {
            asked++;
            CHECK(answer(&c, 3, NULL, &end, NULL) == RWKV7_OK);
            cancelled += end == RWKV7_END_CANCELLED;
        } else {
            CHECK(status == RWKV7_ERR_STOPPED && c.log.turn_count == 0 && c.log.count == count);
        }
        CHECK(is_consistent(&c));
        conversation_free(&c);
    }
    CHECK(asked > 20 && asked < 60 && cancelled > 3);
}

/* The caller abandons an answer: the unread token is in neither log nor state. */
static void test_leaving_an_answer(void)
{
    struct conversation c;
    struct rwkv7_step step;
    calls_left = -1;
    CHECK(open_conversation(&c, 20, NULL) == RWKV7_OK);
    CHECK(conversation_ask(&c, "then", THINK_OFF, NULL) == RWKV7_OK);
    const size_t count = c.log.count;
    CHECK(conversation_answer(&c, 1, NULL) == RWKV7_OK);
    CHECK(conversation_next(&c, &step, NULL) == RWKV7_OK && conversation_next(&c, &step, NULL) == RWKV7_OK);
    conversation_end_answer(&c);
    CHECK(c.log.count == count + 1 && is_consistent(&c));
    conversation_free(&c);
}

/*
 * A cache finds states by their tokens. A conversation that does not start at the start of a
 * document must neither use nor add entries.
 */
static void test_cache(void)
{
    char folder[] = "/tmp/rwkv7-cache-XXXXXX", path[] = "/tmp/rwkv7-test-XXXXXX", entry[sizeof folder + 256];
    struct prompt_cache cache = {.folder = folder, .limit = (uint64_t)1 << 30};
    const struct conversation_options opt = {
        .generate = {.progress = progress, .speculate = SPECULATE}, .sampling = sampling, .cache = &cache};
    struct rwkv7_session *const text = new_session();
    float shifts[2 * 64];
    char system[101], longer[201]; /* starts with the other text, including two newlines */
    struct conversation c;
    int entries = 0;
    const int fd = mkstemp(path);
    CHECK(fd >= 0 && close(fd) == 0 && mkdtemp(folder));
    memset(system, 'x', 100);
    memset(longer, 'x', 200);
    system[100] = longer[200] = '\0';
    longer[100] = longer[101] = '\n';
    calls_left = -1;
    CHECK(conversation_create(&c, model, tokenizer, &opt, NULL) == RWKV7_OK);
    for (size_t i = 0; i < sizeof shifts / sizeof *shifts; i++)
        shifts[i] = 0.25f;
    /*
     * After two different texts, and after a nonzero state without tokens: first the longer prompt,
     * then the shorter one.
     */
    for (int base = 0; base < 3; base++) {
        rwkv7_session_reset(text);
        if (base < 2)
            read_text(text, base == 0 ? "the cab" : "then abc", "");
        else
            rwkv7_session_set_state(text, shifts, NULL, NULL);
        CHECK(rwkv7_session_save(text, path, NULL, NULL) == RWKV7_OK && conversation_load(&c, path, NULL) == RWKV7_OK);
        CHECK(conversation_start(&c, longer, NULL) == RWKV7_OK);
        CHECK_MSG(is_consistent(&c) && same_state(c.base, text), "base %d, the longer prompt", base);
        CHECK(conversation_start(&c, system, NULL) == RWKV7_OK);
        CHECK_MSG(is_consistent(&c), "base %d", base);
        /* Nor after saving and loading the conversation. */
        CHECK(conversation_ask(&c, "is", THINK_OFF, NULL) == RWKV7_OK);
        CHECK(conversation_save(&c, path, NULL) == RWKV7_OK && conversation_load(&c, path, NULL) == RWKV7_OK);
        CHECK_MSG(is_consistent(&c) && c.log.turn_count == 0, "base %d, kept", base);
    }
    conversation_free(&c);

    /*
     * At the start of a document the prompt is read once; the second time there is nothing to
     * cancel.
     */
    for (int time = 0; time < 2; time++) {
        CHECK(conversation_create(&c, model, tokenizer, &opt, NULL) == RWKV7_OK);
        calls_left = time == 0 ? -1 : 1;
        CHECK_MSG(conversation_start(&c, system, NULL) == RWKV7_OK, "time %d", time);
        calls_left = -1;
        CHECK(is_consistent(&c));
        CHECK(conversation_ask(&c, "is", THINK_OFF, NULL) == RWKV7_OK && is_consistent(&c));
        conversation_free(&c);
    }
    DIR *const files = opendir(folder);
    for (const struct dirent *e; files && (e = readdir(files));) {
        snprintf(entry, sizeof entry, "%s/%s", folder, e->d_name);
        entries += e->d_name[0] != '.' && unlink(entry) == 0;
    }
    if (files)
        closedir(files);
    CHECK_MSG(entries == 1, "%d entries", entries);
    CHECK(rmdir(folder) == 0);
    unlink(path);
    rwkv7_session_close(text);
}

/* Without an end-of-text token and a system prompt, the first message begins at token 0; saving keeps that. */
static void test_first_token(void)
{
    const struct conversation_options opt = {
        .generate = {.bos = RWKV7_BOS_NEVER, .ignore_end = true}, .sampling = sampling, .max_tokens = 3};
    char path[] = "/tmp/rwkv7-test-XXXXXX";
    struct conversation c;
    enum rwkv7_end end;
    const int fd = mkstemp(path);
    CHECK(fd >= 0 && close(fd) == 0);
    CHECK(conversation_create(&c, model, tokenizer, &opt, NULL) == RWKV7_OK);
    CHECK(conversation_start(&c, "", NULL) == RWKV7_OK && c.log.count == 0);
    CHECK(conversation_ask(&c, "is", THINK_OFF, NULL) == RWKV7_OK && answer(&c, 1, NULL, &end, NULL) == RWKV7_OK);
    const size_t count = c.log.count;
    CHECK(conversation_save(&c, path, NULL) == RWKV7_OK);
    CHECK(conversation_load(&c, path, NULL) == RWKV7_OK);
    CHECK(c.log.turn_count == 1 && c.log.turns[0].begin == 0 && c.log.count == count && is_consistent(&c));
    CHECK(conversation_undo(&c, NULL) == RWKV7_OK && c.log.count == 0 && rwkv7_session_tokens(c.session) == 0);
    conversation_free(&c);
    unlink(path);
}

static void test_failing_allocations(void)
{
    char path[] = "/tmp/rwkv7-test-XXXXXX";
    const int fd = mkstemp(path);
    int failures = 0;
    CHECK(fd >= 0);
    close(fd);
    calls_left = -1;
    for (int n = 0; n < 400; n++) {
        struct conversation c;
        enum rwkv7_end end;
        mem_fail_after(n);
        enum rwkv7_status status = open_conversation(&c, 6, NULL);
        const bool open = c.session != NULL;
        for (uint64_t turn = 0; turn < 2 && status == RWKV7_OK; turn++) {
            status = conversation_ask(&c, "is the cab abc", THINK_OFF, NULL);
            if (status == RWKV7_OK)
                status = answer(&c, turn, NULL, &end, NULL);
        }
        if (status == RWKV7_OK)
            status = conversation_ask_again(&c, THINK_LONG, NULL);
        enum rwkv7_status file = status;
        if (file == RWKV7_OK)
            file = conversation_save(&c, path, NULL);
        if (file == RWKV7_OK)
            file = conversation_load(&c, path, NULL);
        mem_fail_after(-1);
        CHECK_MSG(status == RWKV7_OK || status == RWKV7_ERR_MEMORY, "status %d after %d", (int)status, n);
        failures += file != RWKV7_OK;
        if (open)
            CHECK_MSG(c.log.turn_count == 0 || is_consistent(&c), "after %d", n);
        conversation_free(&c);
    }
    CHECK(failures > 60 && failures < 400);
    unlink(path);
}

int main(void)
{
    open_small_model();
    scratch = new_session();
    RUN(test_turns);
    RUN(test_newlines);
    RUN(test_stop_over_tokens);
    RUN(test_cancel);
    RUN(test_leaving_an_answer);
    RUN(test_cache);
    RUN(test_first_token);
    RUN(test_failing_allocations);
    rwkv7_session_close(scratch);
    close_small_model();
    return test_end();
}
