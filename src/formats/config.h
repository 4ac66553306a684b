/*
 * config.h - config.json of a folder of Hugging Face: facts about a model that its tensors do not show, such as the epsilon of its norms.
 * What they mean is decided by those who know architectures (arch/config.c).
 */
#ifndef FORMATS_CONFIG_H
#define FORMATS_CONFIG_H

#include "formats/tensors.h"

/*
 * Reads it into index->config, if there is one beside `file` and it is about this checkpoint: one of a folder (`in_folder`: it was found
 * there), or of a name that Transformers gives to the only one of a folder.
 */
enum rwkv7_status config_read(struct tensor_index *index, const char *file, bool in_folder, struct rwkv7_error *err);
void config_free(struct tensor_index *index);

#endif
