/* model_file.h - recognizes a model where the command line has it in the wrong place. */
#ifndef CLI_MODEL_FILE_H
#define CLI_MODEL_FILE_H

#include <stdbool.h>

/* Whether `path` is an ordinary file that begins as safetensors, GGUF or PyTorch files do. */
bool is_model_file(const char *path);

#endif
