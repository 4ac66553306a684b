/* tuned.h - --state: sessions that start from a tuned state instead of zeros. */
#ifndef CLI_TUNED_H
#define CLI_TUNED_H

#include "cli/options/command_args.h"

/*
 * Checks the options of a command that starts sessions. saved: its saved states; NULL: it has none.
 * Returns an exit code, as tuned_start does.
 */
int tuned_check(const struct common_args *common, const struct tuned_args *args, const struct saved_args *saved);
/*
 * Sets a new session to the initial state of the arguments. hint: if they name none, tell the user
 * that the model's file holds one.
 */
int tuned_start(const struct tuned_args *args, bool hint, const struct rwkv7_model *model,
                struct rwkv7_session *session);

#endif
