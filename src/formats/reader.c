#include "formats/reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "formats/snippet.h"

void tensor_list_free(struct tensor_list *list)
{
    mem_free(list->tensors);
    mem_free(list->metadata);
    mem_free(list->strings);
    mem_free(list->vocab);
    memset(list, 0, sizeof *list);
}

enum rwkv7_status refuse(const struct file_image *in, const char *fmt, ...)
{
    char what[sizeof in->err->message];
    va_list args;
    va_start(args, fmt);
    if (vsnprintf(what, sizeof what, fmt, args) < 0)
        what[0] = '\0';
    va_end(args);
    return fail(in->err, RWKV7_ERR_MODEL, "%s: %s", snippet_path(in->file).text, what);
}

enum rwkv7_status refuse_tensor(const struct file_image *in, const char *name, const char *fmt, ...)
{
    char what[sizeof in->err->message];
    va_list args;
    va_start(args, fmt);
    if (vsnprintf(what, sizeof what, fmt, args) < 0)
        what[0] = '\0';
    va_end(args);
    return refuse(in, "tensor '%s': %s", snippet_name(name).text, what);
}
