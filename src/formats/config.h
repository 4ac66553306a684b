/*
 * config.h - files beside the checkpoint in a folder of Hugging Face, with facts about a model that its tensors do not show: config.json
 * (the epsilon of its norms, for instance), and the chat template, in chat_template.jinja or tokenizer_config.json. What config.json
 * means is decided by those who know architectures (arch/config.c).
 */
#ifndef FORMATS_CONFIG_H
#define FORMATS_CONFIG_H

#include "formats/tensors.h"

/*
 * Reads them into index->config and index->chat_template, if there are any beside `file` and they are about this checkpoint: one of a
 * folder (`in_folder`: it was found there), or of a name that Transformers gives to the only one of a folder.
 */
enum rwkv7_status config_read(struct tensor_index *index, const char *file, bool in_folder, struct rwkv7_error *err);
void config_free(struct tensor_index *index);

#endif
