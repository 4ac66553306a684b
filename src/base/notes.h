/*
 * notes.h - warnings about a file that was accepted: skipped tensors, rounded numbers.
 *
 * The readers add one line per kind. rwkv7_model_note and the note callback of rwkv7_convert pass
 * them to the program.
 */
#ifndef BASE_NOTES_H
#define BASE_NOTES_H

#include <stddef.h>

#include "base/status.h"

struct notes {
    char **lines; /* [count], each at most as long as an error message, safe for a terminal */
    size_t count, room;
};

/* Adds a note; RWKV7_ERR_MEMORY when out of memory. `notes` may be NULL: the note is dropped. */
enum rwkv7_status note(struct notes *notes, struct rwkv7_error *err, const char *fmt, ...) RWKV7_PRINTF(3, 4);
void notes_free(struct notes *notes); /* harmless on a zeroed struct */

#endif
