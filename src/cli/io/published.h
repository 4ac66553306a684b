/*
 * published.h - the models that `rwkv7 pull` downloads, from scripts/models.txt, by their short
 * names.
 */
#ifndef CLI_PUBLISHED_H
#define CLI_PUBLISHED_H

#include <stdbool.h>

/* The short names: "0.1b|0.4b|..." */
extern const char published_names[];
bool published_is(const char *name);

/*
 * Replaces short names of models in *args, the struct of a command, by the paths of their
 * downloaded files. An existing file of that name takes precedence. Call it before the arguments
 * are used. Returns an exit code; prints a message if a model is not downloaded.
 */
int published_locate(void *args);

#endif
