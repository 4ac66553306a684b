/* tuned.h - --state: sessions that start from a tuned state instead of zeros. */
#ifndef CLI_TUNED_H
#define CLI_TUNED_H

#include "cli/options/args.h"

/* Sets a new session to the initial state of the arguments; returns an exit code. */
int tuned_start(const struct args *args, const struct rwkv7_model *model, struct rwkv7_session *session);

#endif
