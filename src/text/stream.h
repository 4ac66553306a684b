/* stream.h - what the library itself may ask of a stream, beside rwkv7.h. */
#ifndef TEXT_STREAM_H
#define TEXT_STREAM_H

#include "rwkv7.h"

/* Memory for pushes of at most `size` bytes each, so that none of them allocates. *room: bytes that one push and the end give at most. */
enum rwkv7_status stream_reserve(struct rwkv7_stream *s, size_t size, size_t *room, struct rwkv7_error *err);
/* How many of the bytes that were pushed were not shown: those held back, or a stop string and what came behind it. */
size_t stream_unshown(const struct rwkv7_stream *s);

#endif
