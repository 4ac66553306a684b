/*
 * args.h - the command line as one plain struct.
 *
 * Every option of every command is one row of the table in table.c: names, argument, range, default, help and where
 * the value goes. The parser (args.c), the help texts (help.c), the completions (completions.c) and the manual page (manual.c) only read
 * that table, so they cannot disagree.
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

/* The words of --type: those of enum rwkv7_weights in its order, and behind them those of floats. */
#define WEIGHTS_WORD(NAME, name, ...) "|" #name
#define WEIGHTS "stored" INTEGER_TYPES(WEIGHTS_WORD)
#define FLOATS "|f32|f16|bf16"

/* The words of bench --sizes. */
#define SIZES_WORDS "auto|rwkv7|rwkv6|rwkv5|rwkv4|all"
enum sizes_choice { SIZES_AUTO, SIZES_RWKV7, SIZES_RWKV6, SIZES_RWKV5, SIZES_RWKV4, SIZES_ALL };

struct args {
    const struct command *command;
    struct text_list operands; /* the arguments that are not options */
    const char *operand;       /* the first one: PROMPT, MODEL, TEXT, COMMAND; NULL if there is none */
    bool help, version, no_config;
    bool man;    /* help */
    bool models; /* pull */

    const char *config;     /* the config file that was read; NULL */
    struct text_list owned; /* strings that belong to this struct */

    const char *model, *vocab;
    const char *cpu;
    int math; /* enum rwkv7_math */
    int threads;
    int sparse; /* enum rwkv7_sparse */
    int type;   /* of WEIGHTS: enum rwkv7_weights; behind them the types of FLOATS (chosen_type) */
    bool json;
    bool list; /* info */
    bool lock; /* --mlock */
    float rate_scale;

    /* run */
    const char *prompt, *prompt_file; /* prompt: becomes the operand */
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

/* How the text of an option becomes a value. */
enum kind {
    FLAG,   /* bool; takes no text */
    NAME,   /* const char *, not empty */
    INPUT,  /* the same: a file that is read, which no output may replace */
    TEXT,   /* const char * */
    TEXTS,  /* struct text_list, one entry each time; C-like escapes are undone */
    CHOICE, /* int: index into the words of `argument`, "exact|blas" */
    SHAPE,  /* const char *: a name of rwkv7_shape_name, in any case */
    WHOLE,  /* int in [least, most] */
    REAL,   /* float in [least, most] */
    COUNTS, /* struct count_list: "64,512", each in [least, most] */
    SEED,   /* uint64_t, followed by bool: was it given */
    BANS,   /* struct bias_list: "ID,..." */
    BIASES, /* struct bias_list: "ID=VALUE,..." */
};

/* Where the value of an option goes, and what it may be. */
struct value {
    enum kind kind;
    size_t at;            /* offset in struct args */
    const char *argument; /* as the help calls it; NULL for a flag */
    double least, most;
    const char *variable; /* environment variable that stands in for the option; kinds NAME and INPUT only */
};

struct option {
    const char *name; /* without the dashes; NULL: a heading of the help */
    char letter;      /* short form, or 0 */
    unsigned commands;
    struct value value;
    const char *preset; /* default, as one would type it */
    const char *help;
};

struct command {
    const char *name;
    unsigned bit;         /* in struct option.commands */
    const char *synopsis; /* what follows the options */
    int operands;         /* so many at most; -1: any number */
    int inputs;           /* so many of them are files that are read (beside a model, see takes_model); -1: all */
    const char *brief;    /* one line */
    const char *about;    /* a paragraph */
    bool takes_model;     /* the operand is the same as -m */
    int (*run)(const struct args *args);
};

extern const struct option option_table[];   /* ends with a row whose help is NULL */
#define OPTIONS_ROOM 128                     /* it has at most so many rows */
extern const struct command command_table[]; /* ends with a row whose name is NULL */

/* The words that an option takes, "exact|blas"; NULL: it takes other text. */
const char *option_words(const struct option *o);

/*
 * Fills *args from argv, behind the name of the command, the environment, the user's config file, and defaults, of which the first one
 * that has a value counts. A mistake is printed, and its exit code returned. Strings belong to argv or to *args.
 */
int args_parse(const struct command *command, int argc, char **argv, struct args *args);
void args_free(struct args *args);

/* The command of that name; NULL, and a message printed, when there is none. */
const struct command *command_find(const char *name);

/*
 * Strict numbers: the whole text, nothing around it, no overflow. `end` may be NULL; else the number may be followed by
 * other text, and *end is where it begins.
 */
bool parse_whole(const char *text, long long *out, const char **end);
bool parse_unsigned(const char *text, uint64_t *out, const char **end);
bool parse_real(const char *text, double *out, const char **end);

/* The index of `text` among the words of "a|b|c"; -1. */
int parse_choice(const char *words, const char *text);

/* Prints the help of a command, of the program for NULL. */
void help_print(const struct command *command, FILE *to);

/* Prints the options part of the manual page, with the names of paragraphs for these: see manual.c. */
void manual_print(FILE *to);

#endif
