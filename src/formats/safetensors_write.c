/* safetensors_write.c - see safetensors_write.h. */
#include "formats/safetensors_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "formats/safetensors.h"

static void write_string(FILE *to, const char *text)
{
    fputc('"', to);
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c < 0x20)
            fprintf(to, "\\u%04x", c);
        else if (c == '"' || c == '\\')
            fprintf(to, "\\%c", c);
        else
            fputc(c, to);
    }
    fputc('"', to);
}

static void write_json(FILE *to, const struct tensor *tensors, size_t count, const struct tensor_pair *metadata,
                       size_t metadata_count)
{
    uint64_t at = 0;
    fputs("{\"__metadata__\":{", to);
    for (size_t i = 0; i < metadata_count; i++) {
        fputs(i > 0 ? "," : "", to);
        write_string(to, metadata[i].key);
        fputc(':', to);
        write_string(to, metadata[i].value);
    }
    fputc('}', to);
    for (size_t i = 0; i < count; i++) {
        const struct tensor *t = &tensors[i];
        fputc(',', to);
        write_string(to, t->name);
        fprintf(to, ":{\"dtype\":\"%s\",\"shape\":[", dtype_name(t->type));
        for (int axis = 0; axis < t->rank; axis++)
            fprintf(to, "%s%" PRIu64, axis > 0 ? "," : "", t->shape[axis]);
        fprintf(to, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", at, at + t->bytes);
        at += t->bytes;
    }
    fputc('}', to);
}

enum rwkv7_status safetensors_write_header(struct out_file *out, const struct tensor *tensors, size_t count,
                                           const struct tensor_pair *metadata, size_t metadata_count,
                                           struct rwkv7_error *err)
{
    enum rwkv7_status status = RWKV7_OK;
    uint8_t prefix[sizeof(uint64_t)];
    char *json = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&json, &size);
    if (!to)
        return fail_memory(err, "the header");
    write_json(to, tensors, count, metadata, metadata_count);
    for (long n = ftell(to); n >= 0 && ((size_t)n + sizeof prefix) % SAFETENSORS_ALIGN != 0; n++)
        fputc(' ', to);
    const bool lost = ferror(to) != 0;
    if (fclose(to) != 0 || lost) {
        status = fail_memory(err, "the header");
        goto done;
    }
    if (size > SAFETENSORS_MAX_HEADER) {
        status = fail(err, RWKV7_ERR_IO, "%s: its header would have %zu bytes, more than the %u of the format",
                      out->path, size, SAFETENSORS_MAX_HEADER);
        goto done;
    }
    for (size_t i = 0; i < sizeof prefix; i++)
        prefix[i] = (uint8_t)((uint64_t)size >> 8 * i);
    status = out_file_write(out, prefix, sizeof prefix, err);
    if (status == RWKV7_OK)
        status = out_file_write(out, json, size, err);
done:
    free(json);
    return status;
}
