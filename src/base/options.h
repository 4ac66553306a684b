/* options.h - reads the structs of options of the public header, which programs of other versions may have filled. */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include <stddef.h>

#include "rwkv7.h"

/* Bytes of a struct up to and including its member `last`. */
#define SIZE_THROUGH(type, last) (offsetof(type, last) + sizeof(((type *)0)->last))

/*
 * Copies the options `from`, which begin with struct_size, to `to` [size]. Members that `from` lacks
 * become zero; so do all if it is NULL. `first` is the size of the first version of the struct; a
 * struct_size of 0 stands for it. RWKV7_ERR_USAGE, with `name` in the message: struct_size is less
 * than `first`, or a newer program has set a member that this library does not have.
 */
enum rwkv7_status options_read(void *to, size_t size, size_t first, const void *from, const char *name,
                               struct rwkv7_error *err);

/* The same for struct TYPE, whose first version ended with the member `last`. */
#define OPTIONS_READ(type, to, from, last, err) \
    options_read(to, sizeof(struct type), SIZE_THROUGH(struct type, last), from, "struct " #type, err)

#endif
