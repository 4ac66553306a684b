/* published.h - models that `rwkv7 pull` fetches, from scripts/models.txt, and how -m finds them by their short names. */
#ifndef CLI_PUBLISHED_H
#define CLI_PUBLISHED_H

#include "cli/options/args.h"

/* The short names, "0.1b|0.4b|..." */
extern const char published_names[];
bool published_is(const char *name);

/*
 * Replaces short names among the models of the command line by the paths that `rwkv7 pull` gives them. What exists under the name itself
 * wins. Called before anything looks at the arguments. DONE, or a message: it was not fetched.
 */
int published_locate(struct args *args);

#endif
