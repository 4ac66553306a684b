/* template_file.h - reads a file of --template. */
#ifndef CLI_TEMPLATE_FILE_H
#define CLI_TEMPLATE_FILE_H

#include "generate/chat_template.h"

/*
 * Reads a template from a file, which may be a FIFO. Returns an exit code; INTERRUPTED if
 * interrupted. Free the template with chat_template_free; the path must outlive it.
 */
int template_file_read(const char *path, struct chat_template *out);

#endif
