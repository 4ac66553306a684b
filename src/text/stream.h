/* stream.h - functions of rwkv7_stream that only the library uses. */
#ifndef TEXT_STREAM_H
#define TEXT_STREAM_H

#include "rwkv7.h"

/*
 * Reserves memory for pushes of up to `size` bytes, so that they do not allocate. *room is the
 * maximum number of bytes that one push and the end together can output.
 */
enum rwkv7_status stream_reserve(struct rwkv7_stream *s, size_t size, size_t *room, struct rwkv7_error *err);
/*
 * Returns the number of pushed bytes that were not output: those held back, or the stop string and
 * the bytes after it.
 */
size_t stream_unshown(const struct rwkv7_stream *s);

#endif
