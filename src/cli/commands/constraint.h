/* constraint.h - what answers must obey: the options --schema, --grammar, ..., and the same in lines of `batch`. */
#ifndef CLI_CONSTRAINT_H
#define CLI_CONSTRAINT_H

#include <cjson/cJSON.h>

#include "cli/commands/engine.h"

/* Refuses two constraints at once. Call it first: it needs no model. */
int constraint_check(const struct common_args *common, const struct constraint_args *args);
/* Compiles the constraint, if one is given, to engine->grammar; the vocabulary is open. */
int constraint_open(struct engine *engine, const struct constraint_args *args);

/* The members of a line of `batch` that constraint_of_line reads: any_json, schema, grammar, regex, choices. */
extern const char *const constraint_members[];
/*
 * Compiles the constraint of a line. *grammar: the caller closes it; NULL if the line has none. *found: the line has
 * one of the members; any_json false means none, even if the command line has one.
 */
enum rwkv7_status constraint_of_line(const cJSON *line, const struct engine *engine, struct rwkv7_grammar **grammar,
                                     bool *found, struct rwkv7_error *err);

#endif
