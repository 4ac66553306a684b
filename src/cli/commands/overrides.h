/* overrides.h - options in a JSON object, with the names and limits of the command line. */
#ifndef CLI_OVERRIDES_H
#define CLI_OVERRIDES_H

#include <cjson/cJSON.h>

#include "base/json_tree.h"
#include "cli/options/command_args.h"

/*
 * Replaces options of *args by the members of `object` that are generation options ("top_p" for
 * --top-p). Ignores the members in `others` (ends with NULL) and rejects all others. Strings in
 * *args point into the object. The caller frees args->stops if it changed. false: `why` [256] is
 * the error.
 */
bool overrides_apply(struct request_args *args, const cJSON *object, const char *const *others, char why[256]);

#endif
