/*
 * batch_command.c - the command `batch`: many prompts, JSON lines in, JSON lines out, in the same order.
 *
 * A thin reader and writer around the scheduler, which decodes several sequences together, so that each weight is read once per step for
 * all of them; one that has finished makes room for the next line. Results wait for those before them in a window of a few times as many lines, so memory is bounded however
 * long the input is: when the window is full, or nobody takes the results, nothing more is read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/io.h"
#include "cli/line_input.h"
#include "cli/request_options.h"
#include "cli/sequence.h"
#include "cli/terminal.h"
#include "cli/tuned.h"

enum { LINES_PER_SEQUENCE = 4 };

struct batch {
    const struct args *args;
    struct engine engine;
    struct line_input in;
    double in_size; /* bytes; negative when unknown */
    FILE *out;      /* NULL: standard output */
    uint64_t done;  /* results that are there already */
    uint64_t seed;  /* of line 1 */
    struct rwkv7_session *start;

    struct scheduler *scheduler;
    struct sequence **window; /* [window_size]: prompt n at n % window_size; from first to before last */
    size_t window_size;
    uint64_t first, last; /* prompts, counted from 0 */

    uint64_t prompts, failed, spaced, prompt_tokens, tokens; /* spaced: prompts that end in white space */
    double began;
};

static struct sequence **place(const struct batch *b, uint64_t prompt)
{
    return &b->window[prompt % b->window_size];
}

static int write_line(const struct batch *b, char *text)
{
    const size_t length = strlen(text);
    text[length] = '\n'; /* in one piece: a reader never sees half a line */
    if (!b->out) {
        const int code = out_write(text, length + 1);
        return code == DONE ? out_flush() : code;
    }
    if (io_write(fileno(b->out), text, length + 1) != IO_FAILED)
        return DONE;
    return complain(FAILED, "cannot write to %s: %s", b->args->output, strerror(errno));
}

/* The results at the head of the window, as far as they are complete. */
static int write_results(struct batch *b)
{
    int code = DONE;
    while (code == DONE && b->first < b->last && (*place(b, b->first))->finished) {
        struct sequence **const s = place(b, b->first);
        char *const text = sequence_result(*s);
        code = text ? write_line(b, text) : complain(FAILED, "out of memory for a result");
        cJSON_free(text);
        b->prompts++;
        b->failed += (*s)->reason == NULL;
        b->spaced += (*s)->ends_in_space;
        b->prompt_tokens += sequence_prompt_tokens(*s);
        b->tokens += sequence_tokens(*s);
        sequence_close(*s);
        *s = NULL;
        b->first++;
    }
    return code;
}

static int start_line(struct batch *b, enum line_kind kind, const char *line, size_t length)
{
    const uint64_t number = b->in.number;
    struct sequence *const s = sequence_start(b->args, &b->engine, b->start, number, kind == LINE_TOO_LONG ? "" : line,
                                              kind == LINE_TOO_LONG ? 0 : length, b->seed + number - 1);
    if (!s)
        return FAILED;
    if (kind == LINE_TOO_LONG)
        snprintf(s->error, sizeof s->error, "the line is longer than %zu bytes", LINE_MOST);
    *place(b, b->last++) = s;
    if (s->finished)
        return DONE;
    struct rwkv7_error err;
    return scheduler_add(b->scheduler, &s->job, &err) == RWKV7_OK ? DONE : report(&err);
}

/* The next line that is not blank. */
static int next_line(struct batch *b, bool wait, enum line_kind *kind, char **line, size_t *length)
{
    int code;
    do
        code = line_input_next(&b->in, wait, kind, line, length);
    while (code == DONE && *kind == LINE_READY && strspn(*line, " \t\r") == *length);
    return code;
}

/* Reads lines while there is room for them, and waits for one when there is nothing else to do. */
static int admit(struct batch *b, bool *ended)
{
    *ended = false;
    while (scheduler_count(b->scheduler) < (size_t)b->args->parallel && b->last - b->first < b->window_size &&
           !interrupted) {
        enum line_kind kind;
        char *line;
        size_t length;
        int code = next_line(b, scheduler_count(b->scheduler) == 0, &kind, &line, &length);
        *ended = code == DONE && kind == LINE_END;
        if (code != DONE || kind == LINE_LATER || kind == LINE_END)
            return code;
        code = start_line(b, kind, line, length);
        if (code == DONE)
            code = write_results(b); /* of bad lines */
        if (code != DONE)
            return code;
    }
    return DONE;
}

/* One evaluation, and what it gave to the sequences. */
static int step(struct batch *b)
{
    struct scheduled *job;
    struct rwkv7_error err;
    if (scheduler_step(b->scheduler, &err) != RWKV7_OK)
        return report(&err);
    while ((job = scheduler_event(b->scheduler))) {
        struct sequence *const s = job->owner;
        sequence_take(s, &b->engine);
        if (s->finished && !job->finished)
            scheduler_remove(b->scheduler, job);
    }
    if (b->in_size > 0)
        progress_show("batch", (double)b->in.bytes / b->in_size, (double)(b->tokens + b->prompt_tokens), "tokens");
    return DONE;
}

static int run_batch(struct batch *b)
{
    bool ended = false;
    int code = DONE;
    while (code == DONE && !interrupted && !(ended && b->first == b->last)) {
        code = admit(b, &ended);
        if (code == DONE && scheduler_count(b->scheduler) > 0)
            code = step(b);
        if (code == DONE)
            code = write_results(b);
    }
    progress_clear();
    return code;
}

/* ------------------------------------------------------------------------------------------------------------ opening */

/* The number of the line that a result is of; NaN when it is no result. */
static double line_of_result(const char *result)
{
    cJSON *const json = cJSON_Parse(result);
    const double number = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(json, "line"));
    cJSON_Delete(json);
    return number;
}

/* Half a line, of which nothing says that it is not half a result. */
static bool begins_result(const char *text, size_t length)
{
    static const char head[] = "{\"line\":";
    const size_t n = sizeof head - 1;
    return memcmp(text, head, length < n ? length : n) == 0 &&
           (length <= n || strchr(",", text[n + strspn(text + n, "0123456789")]));
}

/* Passes over the lines whose results are complete; what is behind those, half a result, is cut off. */
static int read_results(struct batch *b)
{
    const char *const name = b->args->output;
    char *result = NULL, *line;
    size_t room = 0, length;
    off_t complete = 0;
    ssize_t n;
    int code = DONE;
    bool follows = true;
    while (code == DONE && follows && (n = getline(&result, &room, b->out)) > 0) {
        enum line_kind kind;
        if (result[n - 1] != '\n') {
            follows = begins_result(result, (size_t)n);
            break;
        }
        code = next_line(b, true, &kind, &line, &length);
        follows = code != DONE || (kind != LINE_END && line_of_result(result) == (double)b->in.number);
        complete += n;
        b->done += follows;
    }
    free(result);
    if (!follows)
        code = complain(REJECTED, "%s: cannot be resumed: its line %llu is not the next result", name,
                        (unsigned long long)b->done + 1);
    if (code == DONE && ferror(b->out))
        code = complain(FAILED, "cannot read %s: %s", name, strerror(errno));
    if (code == DONE && (ftruncate(fileno(b->out), complete) != 0 || fseeko(b->out, complete, SEEK_SET) != 0))
        code = complain(FAILED, "cannot write to %s: %s", name, strerror(errno));
    return code;
}

/* Two programs that write to one file would write into each other's lines. The lock goes when the program ends, however. */
static bool locked_by_another(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_SETLK, &lock) != 0 && (errno == EACCES || errno == EAGAIN);
}

static int open_output(struct batch *b)
{
    const char *const name = b->args->output;
    struct stat st, in;
    if (!name || strcmp(name, "-") == 0)
        return b->args->resume ? complain_usage(b->args->command, "--resume needs --output FILE, to see what is done")
                               : DONE;
    const int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    b->out = fd < 0 ? NULL : fdopen(fd, "r+");
    if (!b->out || fstat(fd, &st) != 0) {
        if (fd >= 0 && !b->out)
            close(fd);
        return complain(FAILED, "cannot write to %s: %s", name, strerror(errno));
    }
    const bool regular = S_ISREG(st.st_mode);
    if (regular && fstat(b->in.in.fd, &in) == 0 && in.st_dev == st.st_dev && in.st_ino == st.st_ino)
        return complain_usage(b->args->command, "%s and %s are the same file", b->in.in.name, name);
    if (regular && locked_by_another(fd))
        return complain(FAILED, "%s: another program writes to it", name);
    if (b->args->resume)
        return regular ? read_results(b) : complain(FAILED, "%s: cannot be resumed: it is no regular file", name);
    if (regular && st.st_size > 0)
        return complain(FAILED, "%s holds something already: --resume goes on with it", name);
    return DONE;
}

/* A ban of what is no token is a mistake of the command, and not of each line. */
static int check_options(const struct batch *b)
{
    struct scheduled job;
    struct request_options options;
    struct rwkv7_error err;
    request_options_fill(&options, b->args, 0);
    if (scheduled_open(&job, b->start, b->engine.tokenizer, &options.generate, "", 0, &err) != RWKV7_OK)
        return report(&err);
    scheduled_close(&job);
    return DONE;
}

static int open_all(struct batch *b)
{
    const size_t parallel = (size_t)b->args->parallel;
    struct rwkv7_error err;
    struct stat st;
    int code = line_input_open(&b->in, b->args->operand ? b->args->operand : "-");
    if (code == DONE)
        code = open_output(b);
    if (code == DONE)
        code = engine_open_runtime(&b->engine, b->args, b->args->threads);
    if (code == DONE)
        code = engine_open_model(&b->engine, b->args);
    if (code == DONE)
        code = engine_open_vocab(&b->engine, b->args);
    if (code != DONE)
        return code;
    if (scheduler_create(b->engine.model, &(struct scheduler_options){.slots = parallel}, &b->scheduler, &err) !=
            RWKV7_OK ||
        rwkv7_session_create(b->engine.model, &b->start, &err) != RWKV7_OK)
        return report(&err);
    code = tuned_start(b->args, b->engine.model, b->start);
    if (code == DONE)
        code = check_options(b);
    if (code != DONE)
        return code;
    b->in_size = fstat(b->in.in.fd, &st) == 0 && S_ISREG(st.st_mode) ? (double)st.st_size : -1;
    b->seed = b->args->seed_given ? b->args->seed : random_seed();
    b->window_size = LINES_PER_SEQUENCE * parallel;
    b->window = calloc(b->window_size, sizeof(struct sequence *));
    if (!b->window)
        return complain(FAILED, "out of memory for %zu sequences", parallel);
    b->began = seconds();
    return DONE;
}

static int close_all(struct batch *b, int code)
{
    for (; b->first < b->last; b->first++)
        sequence_close(*place(b, b->first));
    free(b->window);
    rwkv7_session_close(b->start);
    scheduler_close(b->scheduler);
    engine_close(&b->engine);
    line_input_close(&b->in);
    if (b->out && fclose(b->out) != 0 && code == DONE)
        code = complain(FAILED, "cannot write to %s: %s", b->args->output, strerror(errno));
    return code;
}

static void print_summary(const struct batch *b)
{
    const double time = seconds() - b->began;
    fprintf(stderr, "batch %llu prompt%s", (unsigned long long)b->prompts, plural(b->prompts));
    if (b->done > 0)
        fprintf(stderr, " after %llu that were done", (unsigned long long)b->done);
    fprintf(stderr, ", %llu token%s; generated %llu token%s, %.1f tok/s; %.1f s\n",
            (unsigned long long)b->prompt_tokens, plural(b->prompt_tokens), (unsigned long long)b->tokens,
            plural(b->tokens), time > 0 ? (double)b->tokens / time : 0, time);
}

int batch_command(const struct args *args)
{
    struct batch b = {.args = args};
    if (args->quiet)
        progress_disable();
    int code = open_all(&b);
    if (code == DONE) {
        interrupt_catch();
        code = run_batch(&b);
    }
    if (code == DONE && interrupted)
        code = INTERRUPTED;
    if ((code == DONE || code == INTERRUPTED) && !args->quiet)
        print_summary(&b);
    if (code == DONE && b.spaced > 0)
        complain(DONE,
                 "%llu of %llu prompts end in white space, which changes the texts that follow; --strip removes it",
                 (unsigned long long)b.spaced, (unsigned long long)b.prompts);
    if (code == DONE && b.failed > 0)
        code =
            complain(FAILED, "%llu of %llu lines failed", (unsigned long long)b.failed, (unsigned long long)b.prompts);
    return close_all(&b, code);
}
