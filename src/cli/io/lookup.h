/* lookup.h - where the model and the vocabulary are, when the command line does not say. */
#ifndef CLI_LOOKUP_H
#define CLI_LOOKUP_H

#include "cli/options/args.h"

#define PATH_ROOM 4096 /* bytes; a longer path is as good as absent */

/*
 * The model: -m (or the operand), RWKV7_MODEL, the one compiled in (an empty path), then rwkv7-demo.safetensors in the
 * data folder of the installation, then in the user's.
 */
enum rwkv7_status model_find(const struct args *args, char path[PATH_ROOM], struct rwkv7_error *err);

/*
 * The vocabulary: --vocab; beside the model (MODEL with .vocab.txt for its ending; rwkv_vocab_v20230424.txt; the only
 * *vocab*.txt of the folder); the user's data folder; the one compiled in (an empty path). `model` is a path of
 * model_find, and the model that is compiled in has its vocabulary compiled in as well; NULL when there is no model.
 * RWKV7_ERR_VOCAB with an empty path: there is none; with another: several, or one of a kind that is not supported. A place that cannot be
 * looked at is RWKV7_ERR_IO.
 */
enum rwkv7_status vocab_find(const struct args *args, const char *model, char path[PATH_ROOM], struct rwkv7_error *err);

/* Looks for a file of that name in the user's data folder; an empty path: there is none. */
enum rwkv7_status user_file_find(const char *name, char path[PATH_ROOM], struct rwkv7_error *err);

/*
 * Calls `take` for every file that any command reads for this model beside its weights: vocabularies, tokenizers, and what a folder says of its
 * model. Stops when it does not return 0, and returns that.
 */
int model_files(const char *model, int (*take)(void *arg, const char *path), void *arg);

/* What to say when there is no vocabulary, or only the one compiled in, which is of another model. */
enum rwkv7_status vocab_missing(const char *model, struct rwkv7_error *err);

#endif
