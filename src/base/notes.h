/*
 * notes.h - what a user should know of a file that was accepted: tensors that were skipped, numbers that were rounded.
 *
 * Who reads a file adds a line for each kind; rwkv7_model_note and the note function of rwkv7_convert hand them to the program.
 */
#ifndef BASE_NOTES_H
#define BASE_NOTES_H

#include <stddef.h>

#include "base/status.h"

struct notes {
    char **lines; /* [count], each at most as long as a message, fit for a terminal */
    size_t count, room;
};

/* RWKV7_ERR_MEMORY when it cannot be kept. `notes` NULL: nobody wants to know. */
enum rwkv7_status note(struct notes *notes, struct rwkv7_error *err, const char *fmt, ...) RWKV7_PRINTF(3, 4);
void notes_free(struct notes *notes); /* harmless on a zeroed struct */

#endif
