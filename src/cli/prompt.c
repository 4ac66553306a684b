/*
 * prompt.c - see prompt.h.
 *
 * A prompt of any length takes the same memory: it is read block by block, encoded as far as the next bytes cannot
 * change the tokens, and evaluated chunk by chunk. The newest chunk is held back until it is known whether it is the
 * last one, since only the last token needs logits.
 *
 * With a prompt cache it takes 4 bytes per token: all of them are encoded before the first is evaluated, since how much of
 * the prompt is known is a matter of its tokens.
 */
#include "cli/prompt.h"

#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cache.h"
#include "cli/input.h"
#include "cli/terminal.h"

enum { BLOCK = 1 << 16, SOURCES = 3, PLAN = 64 };

struct feed {
    const struct args *args;
    const struct rwkv7_model *model;
    const struct rwkv7_tokenizer *tokenizer;
    struct rwkv7_session *session;
    struct prompt_result *result;

    struct input sources[SOURCES];
    int count, now;
    double total, encoded;    /* bytes */
    bool endless;             /* total is unknown */
    uint64_t read;            /* bytes */
    uint64_t border[SOURCES]; /* bytes read when a source ended */

    char *text; /* read and not yet encoded */
    size_t length;
    uint32_t *ids; /* [room] encoded and not yet evaluated */
    size_t pending, room;
};

static bool is_dash(const char *text)
{
    return text && strcmp(text, "-") == 0;
}

static int add_file(struct feed *f, const char *path)
{
    struct input *const in = &f->sources[f->count];
    struct stat st;
    const int code = input_open(in, path);
    if (code != DONE)
        return code;
    f->count++;
    if (fstat(in->fd, &st) == 0 && S_ISREG(st.st_mode))
        f->total += (double)st.st_size;
    else
        f->endless = true;
    return DONE;
}

/* Who has given a prompt may not know that standard input, which was left open, comes before it. */
static void wait_for_input(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    if (isatty(STDERR_FILENO) && poll(&in, 1, 1000) == 0)
        complain(DONE, "waiting for standard input, with which the prompt begins; </dev/null is none");
}

static int open_sources(struct feed *f)
{
    const char *const file = f->args->prompt_file, *const operand = f->args->operand;
    int code = DONE;
    /* A closed standard input, for which main() has put in one that cannot be read, is no input. */
    const bool closed = (fcntl(STDIN_FILENO, F_GETFL) & O_ACCMODE) == O_WRONLY;
    const bool asked = is_dash(file) || is_dash(operand);
    if (asked || (!isatty(STDIN_FILENO) && !closed))
        code = add_file(f, "-");
    if (f->count > 0 && !asked && (file || operand))
        wait_for_input();
    if (code == DONE && file && !is_dash(file))
        code = add_file(f, file);
    if (code == DONE && operand && !is_dash(operand)) {
        input_text(&f->sources[f->count++], "PROMPT", operand);
        f->total += (double)strlen(operand);
    }
    return code;
}

/* The next bytes of the sources, at most `room`; none at the end of the last one, and when interrupted. */
static int read_some(struct feed *f, char *to, size_t room, size_t *got)
{
    for (*got = 0; f->now < f->count && !interrupted; f->now++) {
        const int code = input_read(&f->sources[f->now], to, room, got);
        f->read += *got;
        f->border[f->now] = f->read;
        if (code != DONE || *got > 0)
            return code;
    }
    return DONE;
}

/* Evaluates `count` of the pending tokens. */
static int evaluate(struct feed *f, const uint32_t *ids, size_t count, float *logits)
{
    struct rwkv7_error err;
    const double begin = seconds();
    const enum rwkv7_status status =
        rwkv7_session_eval(f->session, ids, count, logits ? RWKV7_LOGITS_LAST : RWKV7_LOGITS_NONE, logits, &err);
    if (status != RWKV7_OK)
        return report(&err);
    f->result->seconds += seconds() - begin;
    f->result->tokens += count;
    f->pending -= count;
    /* How many bytes the pending tokens are is not known; as many each as the others. */
    const double tokens = (double)f->result->tokens,
                 part = f->encoded / f->total * tokens / (tokens + (double)f->pending);
    progress_show("prompt", f->endless ? -1 : fmin(part, 1), tokens, "tokens");
    return DONE;
}

/* Room for at least `count` more ids. */
static int reserve(struct feed *f, size_t count)
{
    if (f->room - f->pending >= count)
        return DONE;
    const size_t room = 2 * (f->pending + count);
    uint32_t *const grown = realloc(f->ids, room * sizeof *grown);
    if (!grown)
        return complain(FAILED, "out of memory for the prompt");
    f->ids = grown;
    f->room = room;
    return DONE;
}

/* Encodes the text, as far as it can be or all of it, and without a cache evaluates all but the newest chunk. */
static int encode(struct feed *f, bool final)
{
    struct rwkv7_error err;
    size_t used = 0, count, covered;
    do {
        int code = reserve(f, RWKV7_CHUNK);
        if (code != DONE)
            return code;
        const enum rwkv7_status status =
            rwkv7_tokenizer_encode(f->tokenizer, f->text + used, f->length - used, final, f->ids + f->pending,
                                   f->room - f->pending, &count, &covered, &err);
        if (status != RWKV7_OK)
            return report(&err);
        used += covered;
        f->encoded += (double)covered;
        f->pending += count;
        while (!f->args->prompt_cache && f->pending > RWKV7_CHUNK && !interrupted) {
            code = evaluate(f, f->ids, RWKV7_CHUNK, NULL);
            if (code != DONE)
                return code;
            memmove(f->ids, f->ids + RWKV7_CHUNK, f->pending * sizeof *f->ids);
        }
    } while (count > 0 && !interrupted);
    f->length -= used;
    memmove(f->text, f->text + used, f->length);
    return DONE;
}

/* How many of the tokens end at or before each border between sources. */
static size_t find_marks(const struct feed *f, size_t marks[SOURCES])
{
    size_t at = 0, n = 0, length;
    uint64_t bytes = 0;
    for (int i = 0; i + 1 < f->count; i++) {
        for (; at < f->pending; at++) {
            rwkv7_tokenizer_bytes(f->tokenizer, f->ids[at], &length);
            if (bytes + length > f->border[i])
                break;
            bytes += length;
        }
        marks[n++] = at;
    }
    return n;
}

/* Evaluates all ids, as far as the cache does not know them, and tells it where it is worth while. */
static int evaluate_cached(struct feed *f, float *logits)
{
    struct cache cache;
    size_t marks[SOURCES], plan[PLAN];
    int code = cache_open(&cache, f->args, f->model);
    if (code != DONE)
        return code;
    const size_t mark_count = find_marks(f, marks), count = f->pending;
    size_t at = cache_find(&cache, f->session, f->ids, count);
    const size_t planned = cache_plan(at, count, marks, mark_count, plan, PLAN);
    f->result->cached = f->result->tokens = at;
    f->pending -= at;
    for (size_t i = 0; i <= planned && code == DONE && !interrupted; i++) {
        const size_t next = i < planned ? plan[i] : count;
        while (at < next && code == DONE && !interrupted) {
            const size_t chunk = next - at < RWKV7_CHUNK ? next - at : RWKV7_CHUNK;
            code = evaluate(f, f->ids + at, chunk, at + chunk == count ? logits : NULL);
            at += chunk;
        }
        if (i < planned && code == DONE && !interrupted)
            cache_keep(&cache, f->session, f->ids, at);
    }
    if (planned > 0)
        cache_trim(&cache);
    return code;
}

static int feed_all(struct feed *f, float *logits)
{
    const struct args *const args = f->args;
    size_t got;
    const bool starts = !args->state_in && !args->no_bos && rwkv7_tokenizer_has_end_of_text(f->tokenizer);
    int code = reserve(f, 2 * RWKV7_CHUNK);
    if (code != DONE)
        return code;
    if (args->bos || starts)
        f->ids[f->pending++] = RWKV7_END_OF_TEXT;
    do {
        code = read_some(f, f->text + f->length, BLOCK, &got);
        if (code == DONE && args->echo && got > 0)
            code = out_write(f->text + f->length, got);
        f->length += got;
        if (code == DONE)
            code = encode(f, got == 0);
        if (code != DONE)
            return code;
    } while (got > 0 && !interrupted);
    code = args->echo ? out_flush() : DONE;
    if (interrupted || code != DONE || f->pending == 0)
        return code;
    return args->prompt_cache ? evaluate_cached(f, logits) : evaluate(f, f->ids, f->pending, logits);
}

int prompt_feed(const struct args *args, const struct engine *engine, struct rwkv7_session *session, float *logits,
                struct prompt_result *result)
{
    struct feed f = {
        .args = args, .model = engine->model, .tokenizer = engine->tokenizer, .session = session, .result = result};
    /* What cannot be encoded yet is shorter than the longest token. */
    f.text = malloc(BLOCK + rwkv7_tokenizer_max_length(engine->tokenizer));
    int code = f.text ? open_sources(&f) : complain(FAILED, "out of memory for the prompt");
    if (code == DONE)
        code = feed_all(&f, logits);
    progress_clear();
    for (int i = 0; i < f.count; i++)
        input_close(&f.sources[i]);
    free(f.text);
    free(f.ids);
    return code;
}
