/* overrides.h - options that stand in a JSON object, under the names and with the limits of the command line. */
#ifndef CLI_OVERRIDES_H
#define CLI_OVERRIDES_H

#include <cjson/cJSON.h>

#include "cli/options/args.h"

/*
 * Members of `object` that are options of generation, "top_p" for --top-p, replace those of *args; `others` (ends with NULL) are left
 * alone, and anything else is a mistake. Strings keep pointing into the object; args->stops, if it changed, is the caller's to free.
 * false: `why` [256] says what is wrong.
 */
bool overrides_apply(struct args *args, const cJSON *object, const char *const *others, char why[256]);

#endif
