/*
 * config.h - reads the files that Hugging Face puts into the folder of a checkpoint.
 *
 * config.json holds facts that the tensors do not show, such as the epsilon of the norms;
 * arch/config.c interprets them. The chat template is in chat_template.jinja or in
 * tokenizer_config.json.
 */
#ifndef FORMATS_CONFIG_H
#define FORMATS_CONFIG_H

#include "formats/tensors.h"

/*
 * Fills index->config and index->chat_template from the folder of `file`; both stay NULL if the
 * files do not exist. Called by tensors_open.
 *
 * A folder may contain several checkpoints. So the files are read only if they must describe this
 * one: it was found by searching the folder (`in_folder`), or it has a name that Transformers uses
 * for the only checkpoint of a folder.
 */
enum rwkv7_status config_read(struct tensor_index *index, const char *file, bool in_folder, struct rwkv7_error *err);
void config_free(struct tensor_index *index);

#endif
