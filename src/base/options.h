/*
 * options.h - reads the option structs of the public header. The program that filled them may have
 * been compiled with an older or newer header.
 */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include <stddef.h>

#include "rwkv7.h"

/* Bytes of a struct up to and including its member `last`. */
#define SIZE_THROUGH(type, last) (offsetof(type, last) + sizeof(((type *)0)->last))

/*
 * Copies the options `from`, which begin with struct_size, to `to` [size]. Members that `from` does
 * not have become zero; if `from` is NULL, all do. `first` is the size of the first version of the
 * struct; a struct_size of 0 means `first`.
 *
 * Returns RWKV7_ERR_USAGE if struct_size is less than `first` or implausibly large, or if a newer
 * program has set a member that this library does not have. `name` appears in the message.
 */
enum rwkv7_status options_read(void *to, size_t size, size_t first, const void *from, const char *name,
                               struct rwkv7_error *err);

/* The same for struct TYPE, whose first version ended with the member `last`. */
#define OPTIONS_READ(type, to, from, last, err) \
    options_read(to, sizeof(struct type), SIZE_THROUGH(struct type, last), from, "struct " #type, err)

#endif
