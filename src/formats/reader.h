/*
 * reader.h - what the reader of one file format gives to tensors.c, and what all readers share.
 *
 * A reader turns an image of a whole file into named tensors that lie in the image, or refuses it with a message.
 */
#ifndef FORMATS_READER_H
#define FORMATS_READER_H

#include <stdarg.h>

#include "formats/tensors.h"

struct tensor_list {
    struct tensor *tensors; /* [count], in the order of the file */
    size_t count;
    struct tensor_pair *metadata; /* [metadata_count], likewise */
    size_t metadata_count;
    char *strings; /* the names and the metadata */
    char *copies;  /* tensors that do not lie in the file as `data` must; NULL: all do */
    char *vocab;   /* [vocab_size] or NULL, see struct tensor_index */
    size_t vocab_size;
};
void tensor_list_free(struct tensor_list *list); /* harmless on a zeroed struct */

/* A whole file in memory, or mapped. The file name and the bytes must outlive what is read from them. */
struct file_image {
    const uint8_t *bytes;
    size_t size;
    const char *file; /* path, for messages and for tensor.file */
    struct rwkv7_error *err;
    struct notes *notes; /* what a user should know although the file is accepted; may be NULL */
};

/* *out is empty after an error. What the format does not allow is RWKV7_ERR_MODEL. */
typedef enum rwkv7_status reader_fn(const struct file_image *in, struct tensor_list *out);

/* RWKV7_ERR_MODEL with "FILE: " before the message. */
enum rwkv7_status refuse(const struct file_image *in, const char *fmt, ...) RWKV7_PRINTF(2, 3);
/* The same with "FILE: tensor 'NAME': ". */
enum rwkv7_status refuse_tensor(const struct file_image *in, const char *name, const char *fmt, ...) RWKV7_PRINTF(3, 4);
/* The same with the arguments of a caller, and "FILE: WHERE". */
enum rwkv7_status vrefuse(const struct file_image *in, const char *where, const char *fmt, va_list args)
    RWKV7_PRINTF(3, 0);

#endif
