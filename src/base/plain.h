/*
 * plain.h - text that may come from anywhere, made fit for a terminal: what a terminal would obey instead of showing it is replaced.
 *
 * rwkv7_text_plain (rwkv7.h) puts '?' in its place, for messages and names, whose length must not change. plain_character writes
 * an escape, for text that people read.
 */
#ifndef BASE_PLAIN_H
#define BASE_PLAIN_H

#include <stdbool.h>
#include <stddef.h>

#define PLAIN_ESCAPE 8 /* room for "\u202e" */

/*
 * Looks at the first character of text [size], size > 0, and returns how many bytes it has. *escape is an empty string if a terminal shows
 * it; else what to show in its place: "\x1b", "\u202e", "\n". Bytes that are not UTF-8 are characters of their own. Returns 0 for a
 * character whose last bytes are missing, unless `final`: no more bytes follow.
 */
size_t plain_character(const char *text, size_t size, bool final, char escape[PLAIN_ESCAPE]);

#endif
