/*
 * listing.h - lists the tensors of a checkpoint for `rwkv7 info`, even if it is not an RWKV model.
 */
#ifndef CLI_LISTING_H
#define CLI_LISTING_H

#include "cli/options/command_args.h"

/* Prints all tensors of the model in the arguments, as text or JSON; returns an exit code. */
int list_tensors(const struct info_args *args);
/*
 * After a model was rejected: prints the unknown tensors. Prints nothing if the file is no
 * checkpoint.
 */
void list_unknown(const struct model_args *model);

#endif
