/*
 * convert.c - `rwkv7 convert`: writes a checkpoint and its vocabulary to one file, quantized if
 * requested.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands/commands.h"
#include "cli/commands/engine.h"
#include "cli/io/input.h"
#include "cli/io/inputs.h"
#include "cli/io/lookup.h"
#include "cli/io/messages.h"
#include "cli/io/signals.h"
#include "cli/io/terminal.h"
#include "cli/options/args.h"

enum { BLOCK = 1 << 16 };
#define VOCABULARY_MOST ((size_t)64 << 20) /* bytes; rwkv7_tokenizer_open has further limits */

/* The vocabulary to store in the output. */
struct vocabulary {
    const char *text; /* NULL: copy the checkpoint's own vocabulary, if any */
    size_t size;
    char *read; /* buffer of the text if it was read from a file; freed by convert_command */
};

static int read_file(struct vocabulary *v, const char *path)
{
    struct input in;
    size_t room = 0, got = 1;
    int code = input_open(&in, path);
    while (code == DONE && got > 0) {
        if (room - v->size < BLOCK) {
            char *const grown = realloc(v->read, room = 2 * room + 2 * (size_t)BLOCK);
            if (!grown) {
                code = complain(FAILED, "out of memory for the vocabulary");
                break;
            }
            v->read = grown;
        }
        code = input_read(&in, v->read + v->size, BLOCK, &got);
        v->size += got;
        if (code == DONE && v->size > VOCABULARY_MOST)
            code = complain(REJECTED, "%s: expected a vocabulary of at most %zu bytes", path, VOCABULARY_MOST);
    }
    input_close(&in);
    v->text = v->read;
    return code;
}

/* Prints a note, not an error: without --vocab a vocabulary is optional. */
static int note_no_vocabulary(void)
{
    fputs("rwkv7: no matching vocabulary found; the output has none; choose one with --vocab\n", stderr);
    return DONE;
}

/*
 * Finds the vocabulary: that of --vocab, else the checkpoint's own, else one beside the checkpoint,
 * else the built-in one. in: the checkpoint.
 */
static int find_vocabulary(const struct model_args *in, struct vocabulary *v)
{
    struct rwkv7_tokenizer *inside = NULL;
    struct rwkv7_error err;
    char path[PATH_ROOM];
    if (!in->vocab) {
        const enum rwkv7_status status = rwkv7_tokenizer_open_model(in->model, &inside, &err);
        rwkv7_tokenizer_close(inside);
        if (status != RWKV7_OK)
            return report(&err);
        if (inside)
            return DONE;
    }
    if (vocab_find(in, in->model, path, &err) != RWKV7_OK)
        return err.status == RWKV7_ERR_VOCAB && !*path ? note_no_vocabulary() : report(&err);
    if (*path)
        return read_file(v, path);
    v->text = rwkv7_builtin_vocab(&v->size);
    return DONE;
}

static bool show(void *arg, uint64_t done, uint64_t total)
{
    (void)arg;
    progress_show("converting", (double)done / (double)total, 1e-9 * (double)done, "GB");
    return !interrupted;
}

static void print_summary(const char *path, double took)
{
    struct stat st;
    char size[16];
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
        print_plain(stderr, path);
        fprintf(stderr, ": %s in %.1f s\n", scaled_text((double)st.st_size, "B", size), took);
    }
}

static void print_note(void *arg, const char *text)
{
    (void)arg;
    complain(DONE, "%s", text);
}

static int convert(const struct convert_args *args, const struct model_args *in, struct rwkv7_runtime *runtime,
                   const struct vocabulary *v, const char *path)
{
    const enum rwkv7_type type = chosen_type(in);
    struct rwkv7_convert_options options = {.type = type == RWKV7_TYPES ? NULL : rwkv7_type_name(type),
                                            .vocab = v->text,
                                            .vocab_size = v->size,
                                            .rate_scale = in->rate_scale,
                                            .lora = args->lora,
                                            .lora_init = args->lora_init,
                                            .lora_alpha = (double)args->lora_alpha,
                                            .progress = show,
                                            .note = print_note};
    struct rwkv7_error err;
    const double begin = seconds();
    interrupt_catch();
    enum rwkv7_status status = rwkv7_convert(runtime, in->model, path, &options, &err);
    if (status == RWKV7_ERR_VOCAB && v->text && !in->vocab) {
        note_no_vocabulary();
        options.vocab = NULL;
        status = rwkv7_convert(runtime, in->model, path, &options, &err);
    }
    progress_clear();
    if (status == RWKV7_ERR_STOPPED && interrupted)
        return INTERRUPTED;
    if (status != RWKV7_OK)
        return report(&err);
    if (!args->print.quiet)
        print_summary(path, seconds() - begin);
    return DONE;
}

int convert_command(const void *command_args)
{
    const struct convert_args *const args = command_args;
    struct engine engine = {0};
    struct vocabulary vocabulary = {0};
    struct model_args in = args->model;
    if (args->common.operands.count < 2)
        return complain_usage(args->common.command, "expected two operands, IN and OUT");
    if (args->lora_alpha > 0 && !args->lora)
        return complain_usage(args->common.command, "--lora-alpha needs --lora FILE");
    if (args->lora_init && !args->lora)
        return complain_usage(args->common.command, "--lora-init needs --lora FILE");
    in.model = args->common.operands.at[0];
    if (args->print.quiet)
        progress_disable();
    const bool to_stdout = strcmp(args->common.operands.at[1], "-") == 0;
    if (to_stdout && isatty(STDOUT_FILENO))
        return complain_usage(args->common.command,
                              "refusing to write a model to a terminal: use a file name instead of -");
    int code = inputs_add_model(in.model);
    if (code == DONE)
        code = find_vocabulary(&in, &vocabulary);
    if (code == DONE)
        code = engine_open_runtime(&engine, &args->machine);
    if (code == DONE)
        code = convert(args, &in, engine.runtime, &vocabulary, to_stdout ? "/dev/stdout" : args->common.operands.at[1]);
    engine_close(&engine);
    free(vocabulary.read);
    return code;
}
