/* model_file.h - recognizes a model file given in the wrong place on the command line. */
#ifndef CLI_MODEL_FILE_H
#define CLI_MODEL_FILE_H

#include <stdbool.h>

/* Returns whether `path` is a regular file that begins like a safetensors, GGUF or PyTorch file. */
bool is_model_file(const char *path);

#endif
