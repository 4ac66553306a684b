/*
 * inputs.h - what a command reads, made known to the place that opens outputs (base/inputs.h), before any work is done.
 *
 * Files that the command line names are added before the command begins. Those that are found on the way (shards, a vocabulary beside
 * the model) are added as they are mapped. A kept state (--state-in, /load) is none: it is read at once, and may be replaced.
 */
#ifndef CLI_INPUTS_H
#define CLI_INPUTS_H

#include "cli/options/args.h"

/* Standard input, options of kind INPUT and operands. What cannot be found is left to whoever opens it. */
int inputs_add(const struct args *args);
/* Every file beside a model, or in its folder, that any command reads for it, whether this one does or not. convert names its model itself. */
int inputs_add_model(const char *model);
/* One that is open, for input_open. */
int inputs_add_open(int fd, const char *name);
/* Standard output is written while the inputs are still read: if it is one of them, that would never end. */
int inputs_refuse_stdout(void);

#endif
