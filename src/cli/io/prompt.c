/*
 * prompt.c - see prompt.h.
 *
 * A prompt of any length takes the same memory: it is read in blocks, and the generator evaluates
 * each block before the next is read. (With a prompt cache the generator keeps 4 bytes per token,
 * because the length of the cached prefix depends on all tokens.)
 */
#include "cli/io/prompt.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/io/input.h"
#include "cli/io/messages.h"
#include "cli/io/output.h"
#include "cli/io/signals.h"
#include "cli/io/terminal.h"
#include "generate/generator.h"

enum { BLOCK = 1 << 16, SOURCES = 3 };

struct feed {
    const struct prompt_args *args;
    bool strip;
    struct rwkv7_generator *generator;
    struct prompt_progress *progress;
    struct input sources[SOURCES];
    int count, now;
    bool implicit; /* standard input is read first although not named, before other sources */
    uint64_t implicit_bytes;
    bool ends_in_space; /* the text so far ends in white space */
    char *held;         /* [held_size] --strip: trailing white space, fed only if text follows */
    size_t held_size, held_room;
};

static bool is_dash(const char *text)
{
    return text && strcmp(text, "-") == 0;
}

bool prompt_names_stdin(const struct prompt_args *args)
{
    return is_dash(args->prompt_file) || is_dash(args->prompt);
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
        f->progress->total += (double)st.st_size;
    else
        f->progress->endless = true;
    return DONE;
}

/* A user who passes PROMPT may not realise that an open standard input is read first. */
static void wait_for_input(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    if (isatty(STDERR_FILENO) && poll(&in, 1, 1000) == 0)
        complain(DONE, "reading standard input as the first part of the prompt; --no-stdin skips it");
}

static int open_sources(struct feed *f)
{
    const char *const file = f->args->prompt_file, *const prompt = f->args->prompt;
    int code = DONE;
    /* If standard input was closed, main() has replaced it by one that cannot be read. */
    const bool closed = (fcntl(STDIN_FILENO, F_GETFL) & O_ACCMODE) == O_WRONLY;
    const bool asked = prompt_names_stdin(f->args);
    if (asked || (!f->args->no_stdin && !isatty(STDIN_FILENO) && !closed))
        code = add_file(f, "-");
    f->implicit = f->count > 0 && !asked && (file || prompt);
    if (f->implicit)
        wait_for_input();
    if (code == DONE && file && !is_dash(file))
        code = add_file(f, file);
    if (code == DONE && prompt && !is_dash(prompt)) {
        input_text(&f->sources[f->count++], "PROMPT", prompt);
        f->progress->total += (double)strlen(prompt);
    }
    return code;
}

/*
 * Warns in shell loops such as `while read line; do rwkv7 run "$line"; done <file`, whose first
 * prompt consumes all lines.
 */
static void end_source(const struct feed *f)
{
    if (f->now == 0 && f->implicit_bytes > 0)
        complain(DONE, "read %" PRIu64 " byte%s of standard input before the prompt; --no-stdin skips it",
                 f->implicit_bytes, plural(f->implicit_bytes));
    if (f->now + 1 < f->count)
        generator_mark_border(f->generator);
}

/*
 * Reads the next bytes of the sources, at most `room`. *got is 0 at the end of the last one, or if
 * interrupted.
 */
static int read_next(struct feed *f, char *to, size_t room, size_t *got)
{
    for (*got = 0; f->now < f->count && !interrupted; f->now++) {
        const int code = input_read(&f->sources[f->now], to, room, got);
        if (f->now == 0 && f->implicit)
            f->implicit_bytes += *got;
        if (code != DONE || *got > 0)
            return code;
        end_source(f);
    }
    return DONE;
}

bool prompt_show_progress(void *arg, uint64_t done, uint64_t total)
{
    const struct prompt_progress *const p = arg;
    /* The number of bytes of pending tokens is unknown; assume the average of the others. */
    const double tokens = (double)done, part = p->read / p->total * tokens / (double)total;
    if (done > 0 && total > done)
        progress_show("prompt", p->endless ? -1 : fmin(part, 1), tokens, "tokens");
    return !interrupted;
}

/* Converts a status of the generator to an exit code; being interrupted is not a failure. */
static int outcome(enum rwkv7_status status, const struct rwkv7_error *err)
{
    return status == RWKV7_OK || status == RWKV7_ERR_STOPPED ? DONE : report(err);
}

static bool is_space(char c)
{
    return c != '\0' && strchr(" \t\r\n\v\f", c);
}

size_t prompt_stripped_size(const char *text, size_t size)
{
    while (size > 0 && is_space(text[size - 1]))
        size--;
    return size;
}

static int pass_on(struct feed *f, const char *text, size_t size)
{
    struct rwkv7_error err;
    const int code = f->args->echo && size > 0 ? out_write(text, size) : DONE;
    return code == DONE ? outcome(rwkv7_generator_feed(f->generator, text, size, &err), &err) : code;
}

/* Holds back trailing white space in case text follows. */
static int hold(struct feed *f, const char *space, size_t size)
{
    if (f->held_room - f->held_size < size) {
        const size_t room = 2 * (f->held_size + size);
        char *const grown = realloc(f->held, room);
        if (!grown)
            return complain(FAILED, "out of memory for the white space in the prompt");
        f->held = grown;
        f->held_room = room;
    }
    if (size > 0)
        memcpy(f->held + f->held_size, space, size);
    f->held_size += size;
    return DONE;
}

static int feed_block(struct feed *f, const char *text, size_t size)
{
    const size_t solid = prompt_stripped_size(text, size), now = f->strip ? solid : size;
    int code = DONE;
    if (size > 0)
        f->ends_in_space = solid < size;
    if (now > 0) {
        code = pass_on(f, f->held, f->held_size);
        f->held_size = 0;
    }
    if (code == DONE)
        code = pass_on(f, text, now);
    return code == DONE ? hold(f, text + now, size - now) : code;
}

static int feed_all(struct feed *f, char *block, bool logits)
{
    struct rwkv7_error err;
    size_t got;
    do {
        int code = read_next(f, block, BLOCK, &got);
        f->progress->read += (double)got;
        if (code == DONE)
            code = feed_block(f, block, got);
        if (code != DONE)
            return code;
    } while (got > 0 && !interrupted);
    const int code = f->args->echo ? out_flush() : DONE;
    if (interrupted || code != DONE)
        return code;
    if (f->ends_in_space && !f->strip)
        complain(DONE, "the prompt ends in white space, which changes the text that follows; --strip removes it");
    return outcome(logits ? rwkv7_generator_sync(f->generator, &err) : generator_read_only(f->generator, &err), &err);
}

int prompt_feed(const struct prompt_args *args, bool strip, struct rwkv7_generator *generator,
                struct prompt_progress *progress, bool logits)
{
    struct feed f = {.args = args, .strip = strip, .generator = generator, .progress = progress};
    char *const block = malloc(BLOCK);
    int code = block ? open_sources(&f) : complain(FAILED, "out of memory for the prompt");
    if (code == DONE)
        code = feed_all(&f, block, logits);
    progress_clear();
    for (int i = 0; i < f.count; i++)
        input_close(&f.sources[i]);
    free(block);
    free(f.held);
    return code;
}
