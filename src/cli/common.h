/*
 * common.h - what the commands share: messages and exit codes, standard output, interruption, and opening things.
 *
 * A function that returns an int returns an exit code, and has printed its message when that is not DONE.
 */
#ifndef CLI_COMMON_H
#define CLI_COMMON_H

#include <signal.h>

#include "base/json_tree.h"
#include "cli/io/lookup.h"
#include "cli/options/args.h"

enum exit_code {
    DONE = 0,
    FAILED = 1,   /* while running: input or output, memory, numbers */
    MISUSED = 2,  /* the command line */
    REJECTED = 3, /* a model, vocabulary or state file */
    INTERRUPTED = 130,
    CLOSED = -1, /* nobody reads standard output any more: end quietly; main() makes it 0 */
};

/* Prints "rwkv7: message" and returns `code`. */
int complain(int code, const char *fmt, ...) RWKV7_PRINTF(2, 3);
/* The same for a mistake on the command line: adds where help is, returns MISUSED. `command` may be NULL. */
int complain_usage(const struct command *command, const char *fmt, ...) RWKV7_PRINTF(2, 3);
/* Prints an error of the library; the exit code that belongs to its status. */
int report(const struct rwkv7_error *err);

/* Prints text of a file or its name on one line, with escapes for what a terminal would obey. */
void print_plain(FILE *to, const char *text);

/*
 * Standard output. DONE, CLOSED, or a message and FAILED.
 *
 * out_write: text of models and users. In a pipe or a file it is what was given; on a terminal, what the terminal would obey (escape
 * sequences, C1 controls, controls of text direction) is shown as escapes instead, however the text is cut into calls. Only newlines
 * and tabs stay. out_control: the program's own control sequences, for terminals.
 */
int out_write(const void *data, size_t size);
int out_control(const char *sequence);
int out_flush(void);
/* How many bytes of what was written since the last call were not taken: the program was interrupted, or nobody reads. After out_flush. */
size_t out_lost(void);
void out_end_line(void); /* on a terminal, when the cursor is not at the start of a line: other text follows */
/*
 * The same before anything is written to standard error, which may be shown behind standard output: by the reader of a pipe, in a log of
 * both. false: interrupted, and its reader would have to be waited for; then nothing is written.
 */
bool err_begin_line(void);
int out_json(struct json_tree *json, bool indented); /* ends the tree */
int out_close(void); /* closes standard output: some file systems report a full disk only here */

/*
 * From now on ^C, SIGTERM and SIGHUP, unless ignored from the start, only set `interrupted`, so that no temporary file stays and
 * states are kept; the second one kills.
 */
void interrupt_catch(void);
extern volatile sig_atomic_t interrupted, hung_up; /* the latter not by ^C */

/* Everything a command may need open. Zeroed before use. */
struct engine {
    struct rwkv7_runtime *runtime;
    struct rwkv7_model *model;
    struct rwkv7_tokenizer *tokenizer;
    char vocab_name[PATH_ROOM]; /* where the tokenizer came from */
};

int engine_open_runtime(struct engine *e, const struct args *args, int threads);
int engine_open_model(struct engine *e, const struct args *args);
/*
 * The vocabulary of the arguments, or in the model's file, or near it; when a model is open, checked against it. `try` prints
 * nothing. Its failure may leave the tokenizer open: then it was found and does not fit.
 */
int engine_open_vocab(struct engine *e, const struct args *args);
enum rwkv7_status engine_try_vocab(struct engine *e, const struct args *args, struct rwkv7_error *err);
/* --verbose: a line on what runs. */
void engine_report(const struct engine *e);
void engine_close(struct engine *e);

/* The ending of a noun behind a number: "1 token", "2 tokens". */
const char *plural(uint64_t count);
/* "412 MB", "1.53 G": three digits or more, decimal prefixes. */
const char *scaled_text(double value, const char *unit, char text[16]);
/* What --type says; RWKV7_TYPES: stored. */
enum rwkv7_type chosen_type(const struct args *args);
#define TYPES_ROOM 128
/* "bf16 1.53 G, f32 123 K": the parameters of a model by type. */
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
