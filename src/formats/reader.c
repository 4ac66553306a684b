/* reader.c - see reader.h. */
#include "formats/reader.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "formats/snippet.h"

void tensor_list_free(struct tensor_list *list)
{
    mem_free(list->tensors);
    mem_free(list->metadata);
    mem_free(list->strings);
    mem_free(list->copies);
    mem_free(list->vocab);
    memset(list, 0, sizeof *list);
}

enum rwkv7_status vrefuse(const struct file_image *in, const char *where, const char *fmt, va_list args)
{
    vfail(in->err, RWKV7_ERR_MODEL, fmt, args);
    fail_where(in->err, "%s: %s", snippet_path(in->file).text, where);
    return RWKV7_ERR_MODEL;
}

enum rwkv7_status refuse(const struct file_image *in, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vrefuse(in, "", fmt, args);
    va_end(args);
    return RWKV7_ERR_MODEL;
}

enum rwkv7_status refuse_tensor(const struct file_image *in, const char *name, const char *fmt, ...)
{
    char where[sizeof(struct snippet) + 16];
    va_list args;
    snprintf(where, sizeof where, "tensor '%s': ", snippet_name(name).text);
    va_start(args, fmt);
    vrefuse(in, where, fmt, args);
    va_end(args);
    return RWKV7_ERR_MODEL;
}
