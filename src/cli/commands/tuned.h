/* tuned.h - --state: sessions that begin with a trained state instead of zeroes. */
#ifndef CLI_TUNED_H
#define CLI_TUNED_H

#include "cli/options/args.h"

/* Puts a new session of the model at the start that the arguments ask for; an exit code. */
int tuned_start(const struct args *args, const struct rwkv7_model *model, struct rwkv7_session *session);

#endif
