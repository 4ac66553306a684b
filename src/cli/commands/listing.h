/* listing.h - `rwkv7 info` of checkpoints that may be no model: their tensors. */
#ifndef CLI_LISTING_H
#define CLI_LISTING_H

#include "cli/options/args.h"

/* All tensors of the model that the arguments name, as text or JSON; an exit code. */
int list_tensors(const struct args *args);
/* After a model was refused: the tensors that no RWKV model has. Silent if the file is not a checkpoint at all. */
void list_unknown(const struct args *args);

#endif
