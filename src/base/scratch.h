/*
 * scratch.h - divides one block of memory into the buffers of a computation.
 *
 * The function that divides it runs twice: first without memory, to add up the sizes, then with a
 * block of the total size. So every buffer is listed once, and its size cannot differ between the
 * two runs.
 */
#ifndef BASE_SCRATCH_H
#define BASE_SCRATCH_H

#include <stddef.h>

#define SCRATCH_ALIGN 64 /* bytes: a cache line, so that no two buffers share one */

struct scratch {
    char *memory; /* aligned to SCRATCH_ALIGN; NULL: only add up sizes */
    size_t used;  /* bytes used so far */
};

/* Returns the next `bytes` bytes, uninitialized; NULL in the first run. */
static inline void *scratch_cut(struct scratch *s, size_t bytes)
{
    void *const buffer = s->memory ? s->memory + s->used : NULL;
    s->used += (bytes + SCRATCH_ALIGN - 1) / SCRATCH_ALIGN * SCRATCH_ALIGN;
    return buffer;
}

static inline float *scratch_floats(struct scratch *s, size_t count)
{
    return scratch_cut(s, count * sizeof(float));
}

#endif
