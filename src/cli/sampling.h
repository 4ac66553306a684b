/* sampling.h - the sampler that the command line describes. */
#ifndef CLI_SAMPLING_H
#define CLI_SAMPLING_H

#include "cli/common.h"

/* Short enough to be typed again. */
uint64_t random_seed(void);

/*
 * The sampler of the options, whose biases are joined by a ban on every id that would print nothing: unused rows, and the end of
 * text with --ignore-eos.
 */
int sampling_create(const struct args *args, const struct engine *engine, uint64_t seed, struct rwkv7_sampler **out);

#endif
