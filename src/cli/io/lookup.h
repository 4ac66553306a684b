/* lookup.h - finds the model and the vocabulary if the command line does not name them. */
#ifndef CLI_LOOKUP_H
#define CLI_LOOKUP_H

#include "cli/io/installed.h"
#include "cli/options/command_args.h"

/*
 * Finds the model: -m (or the operand), RWKV7_MODEL, the embedded model (an empty path), then
 * rwkv7-demo.safetensors in the data folder of the installation, then in the user's.
 */
enum rwkv7_status model_find(const struct model_args *args, char path[PATH_ROOM], struct rwkv7_error *err);

/*
 * Finds the vocabulary: --vocab; beside the model (MODEL with the extension .vocab.txt;
 * rwkv_vocab_v20230424.txt; the only *vocab*.txt of the folder; 20B_tokenizer.json;
 * tokenizer.json); the user's data folder; the embedded vocabulary (an empty path). model: a path
 * from model_find (empty: the embedded model, which has an embedded vocabulary), or NULL if there
 * is no model. RWKV7_ERR_VOCAB: none was found (the path is empty), or there are several or an
 * unsupported one. RWKV7_ERR_IO: a folder cannot be read.
 */
enum rwkv7_status vocab_find(const struct model_args *args, const char *model, char path[PATH_ROOM],
                             struct rwkv7_error *err);

/* Finds a file in the user's data folder; the path is empty if there is none. */
enum rwkv7_status user_file_find(const char *name, char path[PATH_ROOM], struct rwkv7_error *err);

/*
 * Calls `take` for every file that some command reads for this model besides its weights:
 * vocabularies, tokenizers, and the configuration in its folder. Stops if `take` does not return 0,
 * and returns its result.
 */
int model_files(const char *model, int (*take)(void *arg, const char *path), void *arg);

/*
 * Sets the error for a missing vocabulary, also if only the embedded one, of another model, was
 * found.
 */
enum rwkv7_status vocab_missing(const char *model, struct rwkv7_error *err);

#endif
