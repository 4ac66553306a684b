/* engine.h - opens the runtime, model and vocabulary that a command needs. */
#ifndef CLI_ENGINE_H
#define CLI_ENGINE_H

#include "cli/io/lookup.h"
#include "cli/options/command_args.h"
#include "rwkv7.h"

/* Everything that a command may open. Zero it before use. */
struct engine {
    struct rwkv7_runtime *runtime;
    struct rwkv7_model *model;
    struct rwkv7_tokenizer *tokenizer;
    char vocab_name[PATH_ROOM];    /* path of the tokenizer, for messages */
    struct rwkv7_model *draft;     /* of --draft-model, or NULL */
    int64_t speculate;             /* as in rwkv7_generator_options */
    struct rwkv7_grammar *grammar; /* constraint of all answers; NULL: none (constraint.h) */
    uint64_t grammar_hash;         /* hash of its source */
};

int engine_open_runtime(struct engine *e, const struct machine_args *args);
int engine_open_model(struct engine *e, const struct model_args *args);
/*
 * Opens the vocabulary: that of --vocab, else that in the model's file, else one beside it. Checks
 * it against the model if one is open. engine_try_vocab prints nothing; after a failure,
 * e->tokenizer may be open: it was found but does not fit.
 */
int engine_open_vocab(struct engine *e, const struct model_args *args);
enum rwkv7_status engine_try_vocab(struct engine *e, const struct model_args *args, struct rwkv7_error *err);
/*
 * engine_open_drafts reads --speculate and opens --draft-model, which must have the model's
 * vocabulary. engine_use_drafts copies both to the options of a generator.
 */
int engine_open_drafts(struct engine *e, const struct draft_args *args, const struct common_args *common, int math);
void engine_use_drafts(const struct engine *e, struct rwkv7_generator_options *options);
/* Prints the line of --verbose: model, vocabulary, kernels, threads. */
void engine_report(const struct engine *e);
void engine_close(struct engine *e);

/* Returns the type of --type; RWKV7_TYPES: stored. */
enum rwkv7_type chosen_type(const struct model_args *args);
#define TYPES_ROOM 128
/* Formats the number of parameters by type: "bf16 1.53 G, f32 123 K". */
const char *types_text(const struct rwkv7_model_info *info, char text[TYPES_ROOM]);

#endif
