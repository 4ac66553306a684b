/* tuned.h - --state: sessions that start from a tuned state instead of zeros. */
#ifndef CLI_TUNED_H
#define CLI_TUNED_H

#include "cli/options/command_args.h"

/*
 * Checks the options of a command that starts sessions. saved: its options for saved states; NULL:
 * it has none. Both functions return exit codes.
 */
int tuned_check(const struct common_args *common, const struct tuned_args *args, const struct saved_args *saved);
/*
 * Sets a new session to the initial state of the arguments. hint: if the arguments give none but
 * the model's file contains one, tells the user.
 */
int tuned_start(const struct tuned_args *args, bool hint, const struct rwkv7_model *model,
                struct rwkv7_session *session);

#endif
