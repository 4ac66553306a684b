/*
 * plain.h - makes untrusted text safe for a terminal by replacing characters that a terminal
 * interprets.
 *
 * rwkv7_text_plain (rwkv7.h) replaces each of their bytes by '?', for messages and names whose
 * length must not change. plain_character returns an escape, for longer text.
 */
#ifndef BASE_PLAIN_H
#define BASE_PLAIN_H

#include <stdbool.h>
#include <stddef.h>

#define PLAIN_ESCAPE 8 /* room for "\u202e" */

/*
 * Examines the first character of text [size], size > 0, and returns its number of bytes. *escape
 * is "" if a terminal can show it; otherwise the text to show instead: "\x1b", "\u202e", "\n". Each
 * invalid byte counts as a character. Returns 0 for an incomplete character, unless `final`: no
 * more bytes follow.
 */
size_t plain_character(const char *text, size_t size, bool final, char escape[PLAIN_ESCAPE]);

#endif
