/*
 * reader.h - the interface between tensors.c and the reader of each file format, and error helpers
 * for the readers.
 *
 * A reader is given the image of a whole file: its bytes, mapped or in memory. It returns named
 * tensors whose data point into the image, or rejects the image with a message.
 */
#ifndef FORMATS_READER_H
#define FORMATS_READER_H

#include <stdarg.h>

#include "formats/tensors.h"

struct tensor_list {
    struct tensor *tensors; /* [count], in file order */
    size_t count;
    struct tensor_pair *metadata; /* [metadata_count], in file order */
    size_t metadata_count;
    char *strings; /* memory of the names and the metadata */
    char *copies;  /* memory of tensors that cannot be used in place; NULL if there are none */
    char *vocab;   /* [vocab_size] or NULL, see struct tensor_index */
    size_t vocab_size;
};
void tensor_list_free(struct tensor_list *list); /* harmless on a zeroed struct */

/*
 * A whole file, mapped or in memory. The bytes and the file name must outlive everything read from
 * them.
 */
struct file_image {
    const uint8_t *bytes;
    size_t size;
    const char *file; /* path, for messages and for tensor.file */
    struct rwkv7_error *err;
    struct notes *notes; /* warnings about an accepted file; may be NULL */
};

/* Reads an image. *out is empty after an error. Violations of the format are RWKV7_ERR_MODEL. */
typedef enum rwkv7_status reader_fn(const struct file_image *in, struct tensor_list *out);

/* Returns RWKV7_ERR_MODEL; the message is "FILE: " and the text. */
enum rwkv7_status refuse(const struct file_image *in, const char *fmt, ...) RWKV7_PRINTF(2, 3);
/* The same with "FILE: tensor 'NAME': " before the text. */
enum rwkv7_status refuse_tensor(const struct file_image *in, const char *name, const char *fmt, ...) RWKV7_PRINTF(3, 4);
/* The same with "FILE: WHERE" before the text, for callers with a va_list. */
enum rwkv7_status vrefuse(const struct file_image *in, const char *where, const char *fmt, va_list args)
    RWKV7_PRINTF(3, 0);

#endif
