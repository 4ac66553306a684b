/*
 * prompt.c - see prompt.h.
 *
 * A prompt of any length takes the same memory: it is read block by block, encoded as far as the next bytes cannot
 * change the tokens, and evaluated chunk by chunk. The newest chunk is held back until it is known whether it is the
 * last one, since only the last token needs logits.
 */
#include "cli/prompt.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/common.h"
#include "cli/input.h"
#include "cli/terminal.h"

enum { BLOCK = 1 << 16, SOURCES = 3 };

struct feed {
    const struct args *args;
    const struct rwkv7_tokenizer *tokenizer;
    struct rwkv7_session *session;
    struct prompt_result *result;

    struct input sources[SOURCES];
    int count, now;
    double total, encoded; /* bytes */
    bool endless;          /* total is unknown */

    char *text; /* read and not yet encoded */
    size_t length;
    uint32_t ids[2 * RWKV7_CHUNK]; /* encoded and not yet evaluated */
    size_t pending;
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

static int open_sources(struct feed *f)
{
    const char *const file = f->args->prompt_file, *const operand = f->args->operand;
    int code = DONE;
    /* A closed standard input is no input. */
    if (is_dash(file) || is_dash(operand) || (!isatty(STDIN_FILENO) && fcntl(STDIN_FILENO, F_GETFD) != -1))
        code = add_file(f, "-");
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
        if (code != DONE || *got > 0)
            return code;
    }
    return DONE;
}

/* Evaluates the oldest `count` of the pending tokens. */
static int evaluate(struct feed *f, size_t count, float *logits)
{
    struct rwkv7_error err;
    const double begin = seconds();
    const enum rwkv7_status status =
        rwkv7_session_eval(f->session, f->ids, count, logits ? RWKV7_LOGITS_LAST : RWKV7_LOGITS_NONE, logits, &err);
    if (status != RWKV7_OK)
        return report(&err);
    f->result->seconds += seconds() - begin;
    f->result->tokens += count;
    f->pending -= count;
    memmove(f->ids, f->ids + count, f->pending * sizeof *f->ids);
    /* How many bytes the pending tokens are is not known; as many each as the others. */
    const double tokens = (double)f->result->tokens,
                 part = f->encoded / f->total * tokens / (tokens + (double)f->pending);
    progress_show("prompt", f->endless ? -1 : fmin(part, 1), tokens, "tokens");
    return DONE;
}

/* Encodes the text, as far as it can be or all of it, and evaluates all but the newest chunk. */
static int encode(struct feed *f, bool final)
{
    struct rwkv7_error err;
    size_t used = 0, count, covered;
    do {
        const size_t room = sizeof f->ids / sizeof *f->ids - f->pending;
        const enum rwkv7_status status = rwkv7_tokenizer_encode(f->tokenizer, f->text + used, f->length - used, final,
                                                                f->ids + f->pending, room, &count, &covered, &err);
        if (status != RWKV7_OK)
            return report(&err);
        used += covered;
        f->encoded += (double)covered;
        f->pending += count;
        while (f->pending > RWKV7_CHUNK && !interrupted) {
            const int code = evaluate(f, RWKV7_CHUNK, NULL);
            if (code != DONE)
                return code;
        }
    } while (count > 0 && !interrupted);
    f->length -= used;
    memmove(f->text, f->text + used, f->length);
    return DONE;
}

static int feed_all(struct feed *f, float *logits)
{
    size_t got;
    if (f->args->bos || (!f->args->no_bos && rwkv7_tokenizer_has_end_of_text(f->tokenizer)))
        f->ids[f->pending++] = RWKV7_END_OF_TEXT;
    do {
        int code = read_some(f, f->text + f->length, BLOCK, &got);
        if (code == DONE && f->args->echo && got > 0)
            code = out_write(f->text + f->length, got);
        f->length += got;
        if (code == DONE)
            code = encode(f, got == 0);
        if (code != DONE)
            return code;
    } while (got > 0 && !interrupted);
    if (interrupted)
        return DONE;
    if (f->pending == 0 && logits)
        return complain_usage(f->args->command, "the prompt is empty: nothing to continue");
    const int code = f->args->echo ? out_flush() : DONE;
    return code == DONE ? evaluate(f, f->pending, logits) : code;
}

int prompt_feed(const struct args *args, const struct rwkv7_tokenizer *tokenizer, struct rwkv7_session *session,
                float *logits, struct prompt_result *result)
{
    struct feed f = {.args = args, .tokenizer = tokenizer, .session = session, .result = result};
    /* What cannot be encoded yet is shorter than the longest token. */
    f.text = malloc(BLOCK + rwkv7_tokenizer_max_length(tokenizer));
    int code = f.text ? open_sources(&f) : complain(FAILED, "out of memory for the prompt");
    if (code == DONE)
        code = feed_all(&f, logits);
    progress_clear();
    for (int i = 0; i < f.count; i++)
        input_close(&f.sources[i]);
    free(f.text);
    return code;
}
