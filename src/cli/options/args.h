/*
 * args.h - the tables of commands and options, and the parser of the command line.
 *
 * Every option of every command is one row of the table in table.c: names, argument, range,
 * default, help text, and where the value is stored. The parser (args.c), the help texts (help.c),
 * the completions (completions.c) and the manual page (manual.c) all read that table, so they
 * cannot disagree. The values are stored in the struct of the command (command_args.h).
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/integer_types.h"
#include "cli/options/command_args.h"
#include "rwkv7.h"

/*
 * The words of --type: the values of enum rwkv7_weights in its order, then the floating-point
 * types.
 */
#define WEIGHTS_WORD(NAME, name, ...) "|" #name
#define WEIGHTS "stored" INTEGER_TYPES(WEIGHTS_WORD)
#define FLOATS "|f32|f16|bf16"

/*
 * The structs that store options: GROUP_model means struct model_args of command_args.h, and so on.
 */
enum group {
    GROUP_none,
    /* shared by commands */
    GROUP_common,
    GROUP_model,
    GROUP_machine,
    GROUP_bos,
    GROUP_sampling,
    GROUP_request,
    GROUP_draft,
    GROUP_constraint,
    GROUP_tuned,
    GROUP_saved,
    GROUP_print,
    GROUP_prompt,
    GROUP_template,
    /* one per command that has options of its own */
    GROUP_run,
    GROUP_batch,
    GROUP_chat,
    GROUP_serve,
    GROUP_bench,
    GROUP_info,
    GROUP_tokenize,
    GROUP_convert,
    GROUP_eval,
    GROUP_logits,
    GROUP_pull,
    GROUP_help,
};

/* Where a group is in a struct that contains it. */
struct part {
    enum group group; /* GROUP_none: end of the list */
    size_t at;        /* offset */
};

/* How the text of an option is parsed, and the type of its field. */
enum kind {
    FLAG,   /* bool; takes no value */
    NAME,   /* const char *, not empty */
    INPUT,  /* as NAME: an input file, which no output may replace */
    TEXT,   /* const char * */
    TEXTS,  /* struct text_list, one entry per use; C-like escapes are replaced */
    CHOICE, /* int: index into the words of `argument`, "exact|blas" */
    SHAPE,  /* const char *: a name of rwkv7_shape_name, ignoring case */
    WHOLE,  /* int in [least, most] */
    REAL,   /* float in [least, most] */
    COUNTS, /* struct count_list: "64,512", each in [least, most] */
    SEED,   /* struct seed_option */
    BANS,   /* struct bias_list: "ID,..." */
    BIASES, /* struct bias_list: "ID=VALUE,..." */
};

/* Where the value of an option is stored, and its range. */
struct value {
    enum kind kind;
    enum group group;     /* the struct that it is a field of */
    size_t at;            /* offset in that struct */
    const char *argument; /* placeholder in the help; NULL for a flag */
    double least, most;
    const char *variable; /* environment variable; kinds NAME and INPUT only */
};

struct option {
    const char *name; /* without the dashes; NULL: a heading of the help text */
    char letter;      /* short form, or 0 */
    unsigned commands;
    struct value value;
    const char *preset; /* default, as it would be typed; NULL: none */
    const char *help;
};

struct command {
    const char *name;
    unsigned bit;         /* its bit in struct option.commands */
    const char *synopsis; /* what follows the options */
    int operands;         /* maximum number of operands; -1: any */
    int inputs;           /* how many of them are input files, not models; -1: all */
    const char *brief;    /* one line */
    const char *about;    /* a paragraph */
    /* the option that the operand may stand for: "model"; NULL: none */
    const char *operand_as;
    size_t size;                  /* of its struct, such as struct run_args */
    const struct part *parts;     /* the groups in that struct */
    int (*run)(const void *args); /* args: that struct */
};

extern const struct option option_table[];   /* ends with a row without help */
#define OPTIONS_ROOM 160                     /* maximum number of its rows */
extern const struct command command_table[]; /* ends with a row without a name */

/* Returns the words that an option accepts, such as "exact|blas"; NULL: it accepts other text. */
const char *option_words(const struct option *o);

/*
 * Returns the field that holds the value of an option, in a struct with these parts; NULL if none
 * of the parts has the option. args_field is for the struct of a command, which starts with struct
 * common_args; the option is one of that command.
 */
void *option_field(const struct option *o, const struct part *parts, void *base);
void *args_field(const struct option *o, void *args);
const void *args_value(const struct option *o, const void *args); /* the same, read-only */

/* The parts of struct request_args. */
extern const struct part request_parts[];

/*
 * Fills *args, the struct of the command, from argv (the words after the command's name), the
 * environment, the user's config file and the defaults, in this order of precedence. On a mistake,
 * prints a message and returns its exit code. Strings point into argv or belong to *args; call
 * args_free in any case.
 */
int args_parse(const struct command *command, int argc, char **argv, void *args);
void args_free(void *args);

/* --verbose: prints the path of the config file, if one was read. */
void args_report_config(const struct common_args *common);

/* Returns the command of that name. Prints a message and returns NULL if there is none. */
const struct command *command_find(const char *name);

/*
 * Parse numbers strictly: no text before or after the number, no overflow. If `end` is not NULL,
 * other text may follow, and *end receives its start.
 */
bool parse_whole(const char *text, long long *out, const char **end);
bool parse_unsigned(const char *text, uint64_t *out, const char **end);
bool parse_real(const char *text, double *out, const char **end);

/* Returns the index of `text` among the words of "a|b|c", or -1. */
int parse_choice(const char *words, const char *text);

/* Prints the help of a command; NULL: of the program. */
void help_print(const struct command *command, FILE *to);

/*
 * Prints the options part of the manual page, with placeholders for its paragraphs: see manual.c.
 */
void manual_print(FILE *to);

#endif
