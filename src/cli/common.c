/* common.c - see common.h. */
#include "cli/common.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/plain.h"
#include "cli/io/io.h"
#include "cli/io/terminal.h"

/* ------------------------------------------------------------------------------------- messages */

static void print_message(const char *fmt, va_list list)
{
    char message[1024];
    vsnprintf(message, sizeof message, fmt, list);
    rwkv7_text_plain(message); /* it may contain words of the command line */
    progress_clear();
    if (err_begin_line())
        fprintf(stderr, "rwkv7: %s\n", message);
}

int complain(int code, const char *fmt, ...)
{
    va_list list;
    va_start(list, fmt);
    print_message(fmt, list);
    va_end(list);
    return code;
}

int complain_usage(const struct command *command, const char *fmt, ...)
{
    va_list list;
    va_start(list, fmt);
    print_message(fmt, list);
    va_end(list);
    if (err_begin_line())
        fprintf(stderr, "Try 'rwkv7 help%s%s'.\n", command ? " " : "", command ? command->name : "");
    return MISUSED;
}

int report(const struct rwkv7_error *err)
{
    int code = FAILED;
    switch (err->status) {
    case RWKV7_OK:
        return DONE;
    case RWKV7_ERR_IO:
    case RWKV7_ERR_MEMORY:
    case RWKV7_ERR_NUMERIC:
        code = FAILED;
        break;
    case RWKV7_ERR_STOPPED:
        code = interrupted ? INTERRUPTED : FAILED;
        break;
    case RWKV7_ERR_USAGE:
        code = MISUSED;
        break;
    case RWKV7_ERR_MODEL:
    case RWKV7_ERR_VOCAB:
    case RWKV7_ERR_STATE:
        code = REJECTED;
        break;
    }
    return complain(code, "%s", err->message);
}

void print_plain(FILE *to, const char *text)
{
    for (size_t left = strlen(text); left > 0;) {
        char escape[PLAIN_ESCAPE];
        const size_t n = plain_character(text, left, true, escape);
        if (*escape)
            fputs(escape, to);
        else
            fwrite(text, 1, n, to);
        text += n;
        left -= n;
    }
}

const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

const char *scaled_text(double value, const char *unit, char text[16])
{
    static const char prefixes[] = " KMGT";
    size_t i = 0;
    while (value >= 999.5 && prefixes[i + 1]) {
        value /= 1000;
        i++;
    }
    const int decimals = i == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    snprintf(text, 16, "%.*f%s%.*s%s", decimals, value, i > 0 || *unit ? " " : "", i > 0, &prefixes[i], unit);
    return text;
}

enum rwkv7_type chosen_type(const struct args *args)
{
    if (args->type == RWKV7_WEIGHTS_STORED)
        return RWKV7_TYPES;
    if (args->type < RWKV7_WEIGHTS_COUNT)
        return (enum rwkv7_type)((int)RWKV7_Q8 + args->type - (int)RWKV7_WEIGHTS_Q8);
    return (enum rwkv7_type)((int)RWKV7_F32 + args->type - (int)RWKV7_WEIGHTS_COUNT);
}

const char *types_text(const struct rwkv7_model_info *info, char text[TYPES_ROOM])
{
    size_t used = 0;
    text[0] = '\0';
    for (int type = 0; type < RWKV7_TYPES; type++) {
        char number[16];
        if (info->type_parameters[type] > 0)
            used += (size_t)snprintf(text + used, TYPES_ROOM - used, "%s%s %s", used > 0 ? ", " : "",
                                     rwkv7_type_name((enum rwkv7_type)type),
                                     scaled_text((double)info->type_parameters[type], "", number));
    }
    return text;
}

/* ------------------------------------------------------------------------------ standard output */

/*
 * Output is buffered here instead of in stdio, which loses what a write interrupted by a signal
 * could not write. Code that uses printf must do so before or after all of these calls, not in
 * between.
 */
static char pending[1 << 16];
static size_t pending_size;
static bool line_open; /* the last output did not end a line */
static bool lost;      /* no more output: a write failed, or was interrupted where it would block */
static size_t lost_bytes;

static int out_failed(void)
{
    if (errno == EPIPE)
        return CLOSED;
    return complain(FAILED, "cannot write to standard output: %s", strerror(errno));
}

/*
 * Writes the buffer. Being interrupted is not a failure: the commands check `interrupted` and end
 * in their own way.
 */
static int drain(void)
{
    const size_t size = pending_size;
    size_t written = 0;
    pending_size = 0;
    if (size == 0)
        return DONE;
    const enum io_end end = lost ? IO_INTERRUPTED : io_write(STDOUT_FILENO, pending, size, &written);
    lost = end != IO_DONE;
    lost_bytes += size - written;
    return end == IO_FAILED ? out_failed() : DONE;
}

size_t out_lost(void)
{
    const size_t bytes = lost_bytes;
    lost_bytes = 0;
    return bytes;
}

static bool out_is_terminal(void)
{
    static int known = -1;
    if (known < 0)
        known = isatty(STDOUT_FILENO);
    return known;
}

static int put_bytes(const char *from, size_t size)
{
    int code = DONE;
    if (size > 0)
        line_open = from[size - 1] != '\n';
    while (size > 0 && code == DONE) {
        const size_t room = sizeof pending - pending_size, n = size < room ? size : room;
        memcpy(pending + pending_size, from, n);
        pending_size += n;
        from += n;
        size -= n;
        if (pending_size == sizeof pending)
            code = drain();
    }
    return code;
}

static char partial[4]; /* [partial_size] the first bytes of a character, for a terminal */
static size_t partial_size;

/*
 * Writes the complete characters of `partial` as a terminal may show them; with `final`, incomplete
 * ones too.
 */
static int put_partial(bool final)
{
    int code = DONE;
    while (partial_size > 0 && code == DONE) {
        char escape[PLAIN_ESCAPE];
        const size_t n = plain_character(partial, partial_size, final, escape);
        if (n == 0)
            return DONE;
        if (*escape && *partial != '\n' && *partial != '\t')
            code = put_bytes(escape, strlen(escape));
        else
            code = put_bytes(partial, n);
        partial_size -= n;
        memmove(partial, partial + n, partial_size);
    }
    return code;
}

static int put_shown(const char *from, size_t size)
{
    int code = DONE;
    for (size_t i = 0; i < size && code == DONE; i++) {
        partial[partial_size++] = from[i]; /* at most three bytes stay */
        code = put_partial(false);
    }
    return code;
}

/* Called before these functions write to standard output. */
static int begin_writing(void)
{
    const int code = pending_size > 0 || fflush(stdout) == 0 ? DONE : out_failed();
    if (!interrupted && code == DONE)
        lost = false; /* at a terminal the program may continue */
    return code;
}

/* Flushes complete lines on a terminal. */
static int end_writing(int code)
{
    return code == DONE && !line_open && out_is_terminal() ? drain() : code;
}

int out_write(const void *data, size_t size)
{
    int code = begin_writing();
    if (code == DONE)
        code = out_is_terminal() ? put_shown(data, size) : put_bytes(data, size);
    return end_writing(code);
}

int out_control(const char *sequence)
{
    int code = begin_writing();
    if (code == DONE)
        code = put_partial(true);
    if (code == DONE)
        code = put_bytes(sequence, strlen(sequence));
    return end_writing(code);
}

void out_end_line(void)
{
    put_partial(true);
    if (line_open && out_is_terminal())
        out_control("\n");
}

/*
 * Returns whether standard output and standard error are shown in the same place: a common log, or
 * a terminal at the end of a pipe.
 */
static bool share_a_place(void)
{
    struct stat out, err;
    if (fstat(STDOUT_FILENO, &out) != 0 || fstat(STDERR_FILENO, &err) != 0)
        return false;
    return (out.st_dev == err.st_dev && out.st_ino == err.st_ino) || (S_ISFIFO(out.st_mode) && isatty(STDERR_FILENO));
}

bool err_begin_line(void)
{
    out_end_line();
    if (line_open && share_a_place()) {
        line_open = false;
        out_flush();
        if (io_wait(STDERR_FILENO, true))
            fputc('\n', stderr);
    }
    line_open = false;
    return io_wait(STDERR_FILENO, true);
}

int out_flush(void)
{
    const int code = drain();
    return code != DONE || fflush(stdout) == 0 ? code : out_failed();
}

int out_json(struct json_tree *json, bool indented)
{
    char *const text = json_tree_text(json, indented);
    int code = text ? out_write(text, strlen(text)) : complain(FAILED, "out of memory for JSON");
    if (code == DONE)
        code = out_write("\n", 1);
    cJSON_free(text);
    return code;
}

int out_close(void)
{
    int code = put_partial(true);
    code = code == DONE ? drain() : code;
    const bool failed = ferror(stdout) != 0; /* of a printf whose result was not checked */
    errno = EIO;
    const bool closed = fclose(stdout) == 0;
    return code != DONE || (closed && !failed) ? code : out_failed();
}

/* --------------------------------------------------------------------------------- interruption */

volatile sig_atomic_t interrupted, hung_up;

static void on_interrupt(int signal_number)
{
    if (signal_number != SIGINT)
        hung_up = 1;
    interrupted = 1;
}

void interrupt_catch(void)
{
    /*
     * SA_RESETHAND: a second signal has the default action. No SA_RESTART: a read that waits for
     * input is interrupted.
     */
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND}, old;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        sigaction(signals[i], NULL, &old);
        /* Shells ignore signals for background jobs, nohup ignores SIGHUP. */
        if (old.sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
    }
}

/* --------------------------------------------------------------------------------------- engine */

int engine_open_runtime(struct engine *e, const struct args *args, int threads)
{
    const struct rwkv7_runtime_options machine = {
        .threads = threads, .cpu = args->cpu, .math = (enum rwkv7_math)args->math};
    struct rwkv7_error err;
    return rwkv7_runtime_create(&machine, &e->runtime, &err) == RWKV7_OK ? DONE : report(&err);
}

static bool show_loading(void *arg, uint64_t done, uint64_t total)
{
    (void)arg;
    progress_show("loading", (double)done / (double)total, 1e-9 * (double)done, "GB");
    return !interrupted;
}

int engine_open_model(struct engine *e, const struct args *args)
{
    struct rwkv7_model_options loading = {.weights = (enum rwkv7_weights)args->type,
                                          .sparse = (enum rwkv7_sparse)args->sparse,
                                          .lock = args->lock,
                                          .rate_scale = args->rate_scale,
                                          .progress = show_loading};
    struct rwkv7_error err;
    char path[PATH_ROOM];
    size_t size;

    if (args->type >= RWKV7_WEIGHTS_COUNT)
        return complain_usage(args->command, "--type: a checkpoint is opened as one of " WEIGHTS);

    enum rwkv7_status status = model_find(args, path, &err);
    if (status == RWKV7_OK && *path) {
        status = rwkv7_model_open(e->runtime, path, &loading, &e->model, &err);
    } else if (status == RWKV7_OK) {
        const void *const image = rwkv7_builtin_model(&size);
        status = rwkv7_model_open_memory(e->runtime, image, size, "(built in)", &loading, &e->model, &err);
    }
    progress_clear();
    if (status == RWKV7_ERR_STOPPED && interrupted)
        return INTERRUPTED;
    if (status != RWKV7_OK)
        return report(&err);
    const char *text;
    for (size_t i = 0; (text = rwkv7_model_note(e->model, i)) != NULL; i++)
        complain(DONE, "%s", text);
    return DONE;
}

enum rwkv7_status engine_try_vocab(struct engine *e, const struct args *args, struct rwkv7_error *err)
{
    char model[PATH_ROOM], path[PATH_ROOM];
    size_t size;

    bool foreign = false; /* the embedded vocabulary, because none was found for this model */
    enum rwkv7_status status = model_find(args, model, err);
    if (status != RWKV7_OK && status != RWKV7_ERR_MODEL && !args->vocab)
        return status;
    const bool found = status == RWKV7_OK;
    status = RWKV7_OK;
    if (found && *model && !args->vocab) {
        status = rwkv7_tokenizer_open_model(model, &e->tokenizer, err);
        if (status != RWKV7_OK)
            return status;
    }
    if (!e->tokenizer && (status = vocab_find(args, found ? model : NULL, path, err)) != RWKV7_OK)
        return status;
    if (e->tokenizer) {
        snprintf(e->vocab_name, sizeof e->vocab_name, "%s", model);
    } else if (*path) {
        snprintf(e->vocab_name, sizeof e->vocab_name, "%s", path);
        status = rwkv7_tokenizer_open(path, &e->tokenizer, err);
    } else {
        const char *const text = rwkv7_builtin_vocab(&size);
        foreign = found && *model;
        snprintf(e->vocab_name, sizeof e->vocab_name, "(built in)");
        status = rwkv7_tokenizer_open_memory(text, size, e->vocab_name, &e->tokenizer, err);
    }
    if (status == RWKV7_OK && e->model) {
        struct rwkv7_error why;
        status = rwkv7_tokenizer_check(e->tokenizer, rwkv7_model_info(e->model)->shape.vocab, &why);
        if (status != RWKV7_OK && foreign) {
            status = vocab_missing(model, err);
        } else if (status != RWKV7_OK) {
            err->status = status;
            snprintf(err->message, sizeof err->message, "%.120s: %.130s", e->vocab_name, why.message);
        }
    } else if (status == RWKV7_OK && foreign) { /* no model is open to check it against */
        status = vocab_missing(model, err);
    }
    return status;
}

int engine_open_vocab(struct engine *e, const struct args *args)
{
    struct rwkv7_error err;
    const enum rwkv7_status status = engine_try_vocab(e, args, &err);
    return status == RWKV7_OK ? DONE : report(&err);
}

void engine_report(const struct engine *e)
{
    const struct rwkv7_model_info *const info = rwkv7_model_info(e->model);
    fprintf(stderr, "model ");
    print_plain(stderr, info->path);
    fprintf(stderr, " (%s, %s); vocabulary ", info->container, info->naming);
    print_plain(stderr, e->vocab_name);
    fprintf(stderr, "; kernels %s, threads %d\n", rwkv7_runtime_cpu(e->runtime), rwkv7_runtime_threads(e->runtime));
}

void engine_close(struct engine *e)
{
    rwkv7_tokenizer_close(e->tokenizer);
    rwkv7_model_close(e->model);
    rwkv7_runtime_close(e->runtime);
    *e = (struct engine){0};
}
