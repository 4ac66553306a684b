/*
 * logits.c - `rwkv7 logits`: writes the logits as a NumPy array, to compare implementations.
 *
 * The .npy format (version 1.0): magic, header length, a Python dictionary padded with spaces,
 * data. https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands/commands.h"
#include "cli/commands/engine.h"
#include "cli/commands/tuned.h"
#include "cli/io/input.h"
#include "cli/io/inputs.h"
#include "cli/io/messages.h"
#include "cli/io/output.h"
#include "cli/io/signals.h"
#include "cli/io/target.h"
#include "cli/io/terminal.h"
#include "cli/options/args.h"

enum { MAX_FLOATS = 1 << 23 }; /* logits in memory at once: 32 MB, or one row */

struct id_list {
    uint32_t *at;
    size_t count, room;
};

static int take_id(void *arg, uint32_t id)
{
    struct id_list *const list = arg;
    if (list->count == list->room) {
        const size_t room = list->room ? 2 * list->room : 1024;
        uint32_t *const grown = realloc(list->at, room * sizeof *grown);
        if (!grown)
            return complain(FAILED, "out of memory for the token ids");
        list->at = grown;
        list->room = room;
    }
    list->at[list->count++] = id;
    return DONE;
}

static int read_ids(const struct logits_args *args, struct id_list *list)
{
    struct input in;
    int code = DONE;
    if (!args->ids)
        return complain_usage(args->common.command, "no token ids given: use --tokens ID,... or --tokens @FILE");
    if (args->ids[0] == '@' && (code = inputs_add_file(args->ids + 1)) == DONE)
        code = input_open(&in, args->ids + 1);
    else if (code == DONE)
        input_text(&in, "--tokens", args->ids);
    if (code != DONE)
        return code;
    code = input_ids(&in, take_id, list);
    input_close(&in);
    if (code == DONE && list->count == 0)
        return complain_usage(args->common.command, "--tokens: expected token ids, found none");
    return code;
}

static int check_ids(const struct id_list *list, int vocab)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->at[i] >= (uint32_t)vocab)
            return complain(MISUSED, "token id %lu at position %zu: expected an id from 0 to %d",
                            (unsigned long)list->at[i], i, vocab - 1);
    return DONE;
}

/* The destination of the array. */
struct output {
    struct rwkv7_output *file; /* NULL: standard output */
    struct target target;
};

static int output_open(struct output *out, const char *path)
{
    struct rwkv7_error err;
    if (strcmp(path, "-") != 0) {
        const int code = target_open(&out->target, path);
        if (code != DONE)
            return code;
        return rwkv7_output_open(out->target.path, &out->file, &err) == RWKV7_OK ? DONE : report(&err);
    }
    if (isatty(STDOUT_FILENO))
        return complain(MISUSED, "refusing to write an array to a terminal; redirect standard output or use -o FILE");
    return DONE;
}

static int output_write(struct output *out, const void *data, size_t size)
{
    struct rwkv7_error err;
    if (!out->file)
        return out_write(data, size);
    return rwkv7_output_write(out->file, data, size, &err) == RWKV7_OK ? DONE : report(&err);
}

/* `code`: the result of writing. An incomplete file is removed. Returns an exit code. */
static int output_close(struct output *out, int code)
{
    struct rwkv7_error err;
    if (code == DONE && out->file && rwkv7_output_commit(out->file, &err) != RWKV7_OK)
        code = report(&err);
    rwkv7_output_close(out->file);
    return code;
}

static int write_header(struct output *out, size_t rows, int columns)
{
    unsigned char header[128];
    const int total = (int)sizeof header, start = 10; /* the format requires a multiple of 64 */
    memset(header, ' ', sizeof header);
    memcpy(header, "\x93NUMPY\1\0", 8);
    header[8] = (unsigned char)(total - start);
    header[9] = 0;
    const int n = snprintf((char *)header + start, sizeof header - 10,
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %d), }", rows, columns);
    header[start + n] = ' ';
    header[total - 1] = '\n';
    return output_write(out, header, sizeof header);
}

static int write_logits(const struct logits_args *args, struct rwkv7_session *session, const struct id_list *list,
                        int vocab, struct output *out)
{
    const size_t columns = (size_t)vocab, fitting = MAX_FLOATS / columns;
    const size_t limit = args->step || fitting == 0 ? 1 : fitting < RWKV7_CHUNK ? fitting : RWKV7_CHUNK;
    float *const logits = malloc(limit * columns * sizeof *logits);
    if (!logits)
        return complain(FAILED, "out of memory for the logits");
    int code = write_header(out, list->count, vocab);
    for (size_t done = 0; done < list->count && code == DONE;) {
        struct rwkv7_error err;
        const size_t left = list->count - done, rows = left < limit ? left : limit;
        if (interrupted)
            code = INTERRUPTED;
        else if (rwkv7_session_eval(session, list->at + done, rows, RWKV7_LOGITS_ALL, logits, &err) != RWKV7_OK)
            code = report(&err);
        else
            code = output_write(out, logits, rows * columns * sizeof *logits);
        done += rows;
        progress_show("logits", (double)done / (double)list->count, (double)done, "tokens");
    }
    progress_clear();
    free(logits);
    return code;
}

static int evaluate(const struct logits_args *args, struct rwkv7_model *model, const struct id_list *list)
{
    const int vocab = rwkv7_model_info(model)->shape.vocab;
    struct rwkv7_session *session = NULL;
    struct rwkv7_error err;
    struct output out = {.target = {.fd = -1}};
    int code = check_ids(list, vocab);
    if (code != DONE)
        return code;
    if (rwkv7_session_create(model, &session, &err) != RWKV7_OK)
        return report(&err);
    interrupt_catch(); /* ^C must remove the temporary file */
    code = tuned_start(&args->tuned, true, model, session);
    if (code == DONE)
        code = output_open(&out, args->output);
    if (code == DONE)
        code = write_logits(args, session, list, vocab, &out);
    code = output_close(&out, code);
    target_close(&out.target);
    rwkv7_session_close(session);
    return code;
}

int logits_command(const void *command_args)
{
    const struct logits_args *const args = command_args;
    struct engine engine = {0};
    struct id_list list = {0};
    int code = args->output ? DONE : complain_usage(args->common.command, "no output file: use -o FILE");
    if (code == DONE)
        code = tuned_check(&args->common, &args->tuned, NULL);
    if (code == DONE)
        code = read_ids(args, &list);
    if (code == DONE)
        code = engine_open_runtime(&engine, &args->machine);
    if (code == DONE)
        code = engine_open_model(&engine, &args->model);
    if (code == DONE)
        code = evaluate(args, engine.model, &list);
    engine_close(&engine);
    free(list.at);
    return code;
}
