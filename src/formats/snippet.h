/*
 * snippet.h - shortens and sanitizes names from files for a one-line message.
 *
 * A tensor name may be a megabyte long or contain escape sequences. A snippet is short, valid
 * UTF-8, and contains nothing that a terminal interprets.
 */
#ifndef FORMATS_SNIPPET_H
#define FORMATS_SNIPPET_H

#include <stddef.h>
#include <stdint.h>

struct snippet {
    char text[88];
};

/*
 * Returns the first `limit` bytes of the text or a little less (at most 80), followed by "..." if
 * it is truncated.
 */
struct snippet snippet_text(const void *bytes, size_t size, size_t limit);
/* Returns a name, to be shown between quotes. */
struct snippet snippet_name(const char *name);
/* Returns the end of a path, which identifies a file better than its beginning. */
struct snippet snippet_path(const char *path);
/* Returns a shape as text: "[16,8]". */
struct snippet snippet_axes(const uint64_t *axes, int count);

#endif
