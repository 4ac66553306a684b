/*
 * prompt.c - see prompt.h.
 *
 * A prompt of any length takes the same memory: it is read block by block, and the generator evaluates each block before the next. (With
 * a prompt cache the generator keeps 4 bytes per token, since how much of a prompt is known is a matter of all its tokens.)
 */
#include "cli/prompt.h"

#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/input.h"
#include "cli/terminal.h"
#include "generate/generator.h"

enum { BLOCK = 1 << 16, SOURCES = 3 };

struct feed {
    const struct args *args;
    struct rwkv7_generator *generator;
    struct prompt_progress *progress;
    struct input sources[SOURCES];
    int count, now;
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
        f->progress->total += (double)st.st_size;
    else
        f->progress->endless = true;
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
        f->progress->total += (double)strlen(operand);
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
        if (f->now + 1 < f->count)
            generator_mark_border(f->generator);
    }
    return DONE;
}

bool prompt_show_progress(void *arg, uint64_t done, uint64_t waiting)
{
    const struct prompt_progress *const p = arg;
    /* How many bytes the waiting tokens are is not known; as many each as the others. */
    const double tokens = (double)done, part = p->read / p->total * tokens / (tokens + (double)waiting);
    if (done > 0 && waiting > 0)
        progress_show("prompt", p->endless ? -1 : fmin(part, 1), tokens, "tokens");
    return !interrupted;
}

/* An outcome of the generator as an exit code: to be interrupted is none. */
static int outcome(enum rwkv7_status status, const struct rwkv7_error *err)
{
    return status == RWKV7_OK || status == RWKV7_ERR_STOPPED ? DONE : report(err);
}

static int feed_all(struct feed *f, char *block, bool logits)
{
    struct rwkv7_error err;
    size_t got;
    do {
        int code = read_some(f, block, BLOCK, &got);
        if (code == DONE && f->args->echo && got > 0)
            code = out_write(block, got);
        f->progress->read += (double)got;
        if (code == DONE)
            code = outcome(rwkv7_generator_feed(f->generator, block, got, &err), &err);
        if (code != DONE)
            return code;
    } while (got > 0 && !interrupted);
    const int code = f->args->echo ? out_flush() : DONE;
    if (interrupted || code != DONE)
        return code;
    return outcome(logits ? rwkv7_generator_sync(f->generator, &err) : generator_read_only(f->generator, &err), &err);
}

int prompt_feed(const struct args *args, struct rwkv7_generator *generator, struct prompt_progress *progress,
                bool logits)
{
    struct feed f = {.args = args, .generator = generator, .progress = progress};
    char *const block = malloc(BLOCK);
    int code = block ? open_sources(&f) : complain(FAILED, "out of memory for the prompt");
    if (code == DONE)
        code = feed_all(&f, block, logits);
    progress_clear();
    for (int i = 0; i < f.count; i++)
        input_close(&f.sources[i]);
    free(block);
    return code;
}
