/*
 * command_args.h - the arguments of each command, as structs.
 *
 * Every command gets a struct of its own, such as struct run_args. It consists of
 *   - struct common_args, always the first member;
 *   - groups: options of one meaning that several commands share, such as struct model_args;
 *   - the options that only this command has.
 * A command may have a group without having all of its options (`convert` has --threads of
 * machine_args, but not --cpu); the other fields stay 0. Which command has which option is in the
 * rows of option_table (table.c), and so are the defaults. How to add an option or a command:
 * docs/ADDING.md.
 */
#ifndef CLI_COMMAND_ARGS_H
#define CLI_COMMAND_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

struct seed_option {
    uint64_t value;
    bool given;
};

/* --------------------------------------------------------------------------------------- groups */

/* Of every command. */
struct common_args {
    const struct command *command;
    struct text_list operands; /* the arguments that are not options */
    const char *operand;       /* the first operand, or NULL */
    bool help, version, no_config;
    const char *config;     /* path of the config file; NULL: none */
    struct text_list owned; /* allocated strings, freed by args_free */
};

/* Which model, and how to open it. */
struct model_args {
    const char *model; /* -m, or the operand MODEL; NULL: see model_find */
    const char *vocab; /* NULL: see vocab_find */
    int type;          /* enum rwkv7_weights, then the types of FLOATS; see chosen_type */
    int sparse;        /* enum rwkv7_sparse */
    float rate_scale;
    bool lock; /* --mlock */
};

/* Where to evaluate it. */
struct machine_args {
    int threads; /* 0: one per physical core */
    const char *cpu;
    int math; /* enum rwkv7_math */
};

/* Whether a text starts with token 0; neither: see RWKV7_BOS_AUTO. */
struct bos_args {
    bool bos, no_bos;
};

/* How the next token is chosen. */
struct sampling_args {
    float temperature, top_p, min_p, presence, frequency, penalty_decay;
    int top_k;
    struct seed_option seed;
    struct bias_list biases;
};

/* How many tokens are guessed and evaluated in advance; see engine_open_drafts. */
struct draft_args {
    const char *speculate;   /* "auto", "off" or a number */
    const char *draft_model; /* NULL: none */
};

/* How a text is generated; a line of `batch` may override it. */
struct request_args {
    struct bos_args bos;
    struct sampling_args sampling;
    struct draft_args draft;
    int tokens; /* limit; -1: none */
    struct text_list stops;
    bool ignore_eos, strip;
    int logprobs; /* 0: none */
};

/* Constraints on answers; at most one is given (constraint.h). */
struct constraint_args {
    bool any_json;
    const char *schema, *grammar; /* paths */
    const char *regex;
    struct text_list choices;
};

/* A trained initial state. */
struct tuned_args {
    const char *state;
    int state_order; /* enum rwkv7_state_order */
};

/* States that are saved and loaded. */
struct saved_args {
    const char *state_in, *state_out;
    const char *prompt_cache;
    int prompt_cache_size; /* MB */
};

/* What is printed besides the answer, and in which format. */
struct print_args {
    bool quiet, verbose, json;
};

/* Where the prompt comes from. */
struct prompt_args {
    const char *prompt; /* --prompt, or the operand PROMPT */
    const char *prompt_file;
    bool no_stdin, echo;
};

/* How a conversation becomes a prompt. */
struct template_args {
    const char *template; /* a name or a file; NULL: the model's */
    int thinking;         /* enum thinking */
};

/* ------------------------------------------------------------------------------------- commands */

struct run_args {
    struct common_args common;
    struct model_args model;
    struct machine_args machine;
    struct prompt_args prompt;
    struct request_args request;
    struct constraint_args constraint;
    struct tuned_args tuned;
    struct saved_args saved;
    struct print_args print;
    bool stats;
};

struct batch_args {
    struct common_args common;
    struct model_args model;
    struct machine_args machine;
    struct request_args request; /* of lines that do not override it */
    struct constraint_args constraint;
    struct tuned_args tuned;
    struct print_args print;
    int parallel;
    const char *output;
    bool resume;
};

struct chat_args {
    struct common_args common;
    struct model_args model;
    struct machine_args machine;
    struct request_args request; /* of each answer */
    struct constraint_args constraint;
    struct tuned_args tuned;
    struct saved_args saved;
    struct print_args print;
    struct template_args template;
    const char *system, *history;
    const char *tools, *tool_choice;
    bool no_history;
    int thoughts; /* enum thoughts */
};

struct serve_args {
    struct common_args common;
    struct model_args model;
    struct machine_args machine;
    struct bos_args bos;
    struct tuned_args tuned;
    struct saved_args saved; /* only the prompt cache */
    struct print_args print;
    struct template_args template;
    const char *host, *key_file, *cors, *name, *state_dir;
    struct text_list keys;
    int port, parallel, queue, max_connections, grace;
    int max_body, cache, state_ram; /* MB */
    int max_prompt, max_tokens;
    bool no_metrics, no_page, strict_model;
};

/* The values of --sizes, in the order of SIZES_WORDS. */
#define SIZES_WORDS "auto|rwkv7|rwkv6|rwkv5|rwkv4|all"
enum sizes_choice { SIZES_AUTO, SIZES_RWKV7, SIZES_RWKV6, SIZES_RWKV5, SIZES_RWKV4, SIZES_ALL };

struct bench_args {
    struct common_args common;
    struct model_args model;
    struct machine_args machine; /* its threads: each number of `team` in turn */
    struct print_args print;
    const char *shape;
    struct count_list prompts, team; /* tokens per prefill; numbers of threads */
    int tokens, context, repetitions;
    float ffn_density, draft_acceptance; /* draft_acceptance: 0: not measured */
    int sizes;                           /* enum sizes_choice */
    int budget;                          /* seconds */
    bool csv;
    const char *plot;
};

struct info_args {
    struct common_args common;
    struct model_args model;
    struct print_args print;
    bool list; /* --tensors */
};

struct tokenize_args {
    struct common_args common;
    struct model_args model;
    bool decode, count, lines;
};

struct convert_args {
    struct common_args common;
    struct model_args model; /* --type: of the output */
    struct machine_args machine;
    struct print_args print;
    const char *lora, *lora_init;
    float lora_alpha;
};

struct eval_args {
    struct common_args common;
    struct model_args model;
    struct machine_args machine;
    struct bos_args bos;
    struct print_args print;
    const char *against;
    int task; /* enum task */
};

struct logits_args {
    struct common_args common;
    struct model_args model;
    struct machine_args machine;
    struct tuned_args tuned;
    const char *ids, *output;
    bool step;
};

struct pull_args {
    struct common_args common;
    bool list;
};

struct help_args {
    struct common_args common;
    bool man;
};

struct completions_args {
    struct common_args common;
};

struct version_args {
    struct common_args common;
};

#endif
