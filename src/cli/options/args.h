/*
 * args.h - the command line as one plain struct.
 *
 * Every option of every command is one row of the table in table.c: names, argument, range,
 * default, help text, and where the value is stored. The parser (args.c), the help texts (help.c),
 * the completions (completions.c) and the manual page (manual.c) all read that table, so they
 * cannot disagree.
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/integer_types.h"
#include "rwkv7.h"

struct text_list {
    const char **at;
    size_t count;
};

struct count_list {
    int *at;
    size_t count;
};

struct bias_list {
    struct rwkv7_token_bias *at;
    size_t count;
};

/*
 * The words of --type: the values of enum rwkv7_weights in its order, then the floating-point
 * types.
 */
#define WEIGHTS_WORD(NAME, name, ...) "|" #name
#define WEIGHTS "stored" INTEGER_TYPES(WEIGHTS_WORD)
#define FLOATS "|f32|f16|bf16"

/* The words of bench --sizes, in the order of enum sizes_choice. */
#define SIZES_WORDS "auto|rwkv7|rwkv6|rwkv5|rwkv4|all"
enum sizes_choice { SIZES_AUTO, SIZES_RWKV7, SIZES_RWKV6, SIZES_RWKV5, SIZES_RWKV4, SIZES_ALL };

struct args {
    const struct command *command;
    struct text_list operands; /* the arguments that are not options */
    const char *operand;       /* the first operand, or NULL */
    bool help, version, no_config;
    bool man;    /* help --man */
    bool models; /* pull --list */

    const char *config;     /* path of the config file; NULL: none */
    struct text_list owned; /* allocated strings, freed by args_free */

    const char *model, *vocab;
    const char *cpu;
    int math; /* enum rwkv7_math */
    int threads;
    int sparse; /* enum rwkv7_sparse */
    int type;   /* enum rwkv7_weights, then the types of FLOATS; see chosen_type */
    bool json;
    bool list; /* info --tensors */
    bool lock; /* --mlock */
    float rate_scale;

    /* run */
    const char *prompt, *prompt_file; /* prompt is copied to operand */
    bool no_stdin, strip;             /* strip: also batch */
    const char *state_in, *state_out;
    const char *state; /* also logits */
    int state_order;   /* enum rwkv7_state_order */
    const char *prompt_cache;
    int prompt_cache_size; /* MB */
    bool bos, no_bos, echo, ignore_eos, quiet, verbose, stats;
    int logprobs; /* 0: none */
    int tokens;
    struct text_list stops;
    float temperature, top_p, min_p, presence, frequency, penalty_decay;
    int top_k;
    uint64_t seed;
    bool seed_given;
    struct bias_list biases;

    /* chat */
    const char *system, *template, *history;
    bool no_history;
    int thinking, thoughts; /* enum thinking, enum thoughts */

    /* bench */
    const char *shape;
    struct count_list prompts, team; /* tokens per prefill; numbers of threads */
    int context, repetitions;
    float ffn_density;
    bool csv;
    int sizes;  /* enum sizes_choice */
    int budget; /* seconds */
    const char *plot;

    /* convert */
    const char *lora, *lora_init;
    float lora_alpha;

    /* tokenize */
    bool decode, count, lines;

    /* eval */
    const char *against;
    int task;

    /* batch */
    int parallel;
    bool resume;

    /* logits, batch */
    const char *output;

    /* logits */
    const char *ids;
    bool step;
};

/* How the text of an option is parsed, and the type of its field in struct args. */
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
    SEED,   /* uint64_t, followed by a bool: whether it was given */
    BANS,   /* struct bias_list: "ID,..." */
    BIASES, /* struct bias_list: "ID=VALUE,..." */
};

/* Where the value of an option is stored, and its range. */
struct value {
    enum kind kind;
    size_t at;            /* offset in struct args */
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
    unsigned bit;         /* in struct option.commands */
    const char *synopsis; /* what follows the options */
    int operands;         /* maximum number of operands; -1: any */
    int inputs;           /* how many of them are input files, not models; -1: all */
    const char *brief;    /* one line */
    const char *about;    /* a paragraph */
    bool takes_model;     /* the operand is the model, as with -m */
    int (*run)(const struct args *args);
};

extern const struct option option_table[];   /* ends with a row without help */
#define OPTIONS_ROOM 128                     /* maximum number of its rows */
extern const struct command command_table[]; /* ends with a row without a name */

/* Returns the words that an option accepts, such as "exact|blas"; NULL: it accepts other text. */
const char *option_words(const struct option *o);

/*
 * Fills *args from argv (the words after the command's name), the environment, the user's config
 * file and the defaults, in this order of precedence. On a mistake, prints a message and returns
 * its exit code. Strings point into argv or belong to *args; call args_free in any case.
 */
int args_parse(const struct command *command, int argc, char **argv, struct args *args);
void args_free(struct args *args);

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
