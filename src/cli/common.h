/*
 * common.h - functions shared by all commands: messages and exit codes, standard output,
 * interruption, opening models and vocabularies.
 *
 * A function that returns int returns an exit code; if that is not DONE, it has printed a message.
 */
#ifndef CLI_COMMON_H
#define CLI_COMMON_H

#include <signal.h>

#include "base/json_tree.h"
#include "cli/io/lookup.h"
#include "cli/options/args.h"

enum exit_code {
    DONE = 0,
    FAILED = 1,   /* input or output, memory, numeric errors */
    MISUSED = 2,  /* usage errors */
    REJECTED = 3, /* invalid model, vocabulary or state file */
    INTERRUPTED = 130,
    CLOSED = -1, /* the reader of standard output is gone: end quietly; main() returns 0 */
};

/* Prints "rwkv7: message" and returns `code`. */
int complain(int code, const char *fmt, ...) RWKV7_PRINTF(2, 3);
/*
 * As complain, for a usage error: adds a line about help and returns MISUSED. command: may be NULL.
 */
int complain_usage(const struct command *command, const char *fmt, ...) RWKV7_PRINTF(2, 3);
/* Prints an error of the library and returns the exit code of its status. */
int report(const struct rwkv7_error *err);

/* Prints a text or file name on one line; control sequences are printed as escapes. */
void print_plain(FILE *to, const char *text);

/*
 * Standard output. These return DONE, CLOSED, or FAILED after a message.
 *
 * out_write: text of models and users. Pipes and files receive it unchanged; on a terminal, control
 * characters except newline and tab (escape sequences, C1 controls, controls of text direction) are
 * shown as escapes, even if they are divided between calls. out_control: the program's own control
 * sequences, for terminals.
 */
int out_write(const void *data, size_t size);
int out_control(const char *sequence);
int out_flush(void);
/*
 * Returns how many bytes written since the last call were lost, because the program was interrupted
 * or the reader is gone. Call it after out_flush.
 */
size_t out_lost(void);
void out_end_line(void); /* ends an unfinished line on a terminal */
/*
 * Ends an unfinished line before a message on standard error, also where both streams are shown in
 * the same place: a terminal at the end of a pipe, or a common log. Returns false if interrupted
 * and writing would block; then do not write.
 */
bool err_begin_line(void);
int out_json(struct json_tree *json, bool indented); /* prints and frees the tree */
int out_close(void);                                 /* ENOSPC may be reported only here */

/*
 * From now on ^C, SIGTERM and SIGHUP only set `interrupted`, unless they were ignored at the start,
 * so that temporary files are removed and states are saved. A second signal kills the process.
 */
void interrupt_catch(void);
extern volatile sig_atomic_t interrupted, hung_up; /* hung_up: not by ^C */

/* Everything that a command may open. Zero it before use. */
struct engine {
    struct rwkv7_runtime *runtime;
    struct rwkv7_model *model;
    struct rwkv7_tokenizer *tokenizer;
    char vocab_name[PATH_ROOM]; /* path of the tokenizer, for messages */
};

int engine_open_runtime(struct engine *e, const struct args *args, int threads);
int engine_open_model(struct engine *e, const struct args *args);
/*
 * Opens the vocabulary of the arguments, or of the model's file, or near it, and checks it against
 * the model if one is open. engine_try_vocab prints nothing; after a failure, e->tokenizer may be
 * open: it was found but does not fit.
 */
int engine_open_vocab(struct engine *e, const struct args *args);
enum rwkv7_status engine_try_vocab(struct engine *e, const struct args *args, struct rwkv7_error *err);
/* Prints the line of --verbose: model, vocabulary, kernels, threads. */
void engine_report(const struct engine *e);
void engine_close(struct engine *e);

/* Returns the plural ending of a noun after a number: "" in "1 token", "s" in "2 tokens". */
const char *plural(uint64_t count);
/* Formats a number with at least three digits and a decimal prefix: "412 MB", "1.53 G". */
const char *scaled_text(double value, const char *unit, char text[16]);
/* Returns the type of --type; RWKV7_TYPES: stored. */
enum rwkv7_type chosen_type(const struct args *args);
#define TYPES_ROOM 128
/* Formats the number of parameters by type: "bf16 1.53 G, f32 123 K". */
const char *types_text(const struct rwkv7_model_info *info, char text[TYPES_ROOM]);

int run_command(const struct args *args);
int batch_command(const struct args *args);
int chat_command(const struct args *args);
int bench_command(const struct args *args);
int convert_command(const struct args *args);
int eval_command(const struct args *args);
int info_command(const struct args *args);
int tokenize_command(const struct args *args);
int logits_command(const struct args *args);
int completions_command(const struct args *args);
int help_command(const struct args *args);
int pull_command(const struct args *args);
int version_command(const struct args *args);

#endif
