/*
 * constraint.h - constraints on answers: the options --schema, --grammar, ..., and their members in
 * lines of `batch`.
 */
#ifndef CLI_CONSTRAINT_H
#define CLI_CONSTRAINT_H

#include <cjson/cJSON.h>

#include "cli/commands/engine.h"

/*
 * Rejects more than one constraint, and one from standard input ("-") if something else is read from
 * there: `reader`, a phrase for the message; NULL: nothing. Needs no model, so call it early.
 */
int constraint_check(const struct common_args *common, const struct constraint_args *args, const char *reader);
/* Returns whether the schema or grammar is "-", standard input. */
bool constraint_reads_stdin(const struct constraint_args *args);
/* Compiles the constraint, if there is one, to engine->grammar. The vocabulary must be open. */
int constraint_open(struct engine *engine, const struct constraint_args *args);

/*
 * The members of a line of `batch` that constraint_of_line reads: any_json, schema, grammar, regex,
 * choices.
 */
extern const char *const constraint_members[];
/*
 * Compiles the constraint of a line to *grammar, which the caller closes; NULL: none. *found: the
 * line has one of these members, which overrides the command line; "any_json": false means no
 * constraint.
 */
enum rwkv7_status constraint_of_line(const cJSON *line, const struct engine *engine, struct rwkv7_grammar **grammar,
                                     bool *found, struct rwkv7_error *err);

#endif
