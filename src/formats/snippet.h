/*
 * snippet.h - names out of files, made fit for a one-line message.
 *
 * A tensor name may be a megabyte long or hold escape sequences. A snippet is short, valid UTF-8, and has nothing in it
 * that a terminal would act on.
 */
#ifndef FORMATS_SNIPPET_H
#define FORMATS_SNIPPET_H

#include <stddef.h>
#include <stdint.h>

struct snippet {
    char text[88];
};

/* The beginning of `size` bytes, about `most` of them (at most 80), then "..." if that is not all. */
struct snippet snippet_text(const void *bytes, size_t size, size_t most);
/* A name, for between quotes. */
struct snippet snippet_name(const char *name);
/* The end of a path: it says more than the beginning. */
struct snippet snippet_path(const char *path);
/* "[16,8]" */
struct snippet snippet_axes(const uint64_t *axes, int count);

#endif
