/* template_file.h - reads a file of --template. */
#ifndef CLI_TEMPLATE_FILE_H
#define CLI_TEMPLATE_FILE_H

#include "generate/chat_template.h"

/*
 * The file may be a FIFO: it is waited for as every input is. Returns an exit code, INTERRUPTED after
 * an interruption. Free the template with chat_template_free; the path must outlive it.
 */
int template_file_read(const char *path, struct chat_template *out);

#endif
