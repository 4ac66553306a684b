/* constraint.h - the fields of a request that constrain the text: JSON, a schema, a grammar, ... */
#ifndef SERVER_CONSTRAINT_H
#define SERVER_CONSTRAINT_H

#include "rwkv7.h"
#include "server/fields.h"

/*
 * Compiles the constraint of the request into *out, which the caller closes. NULL: there is none,
 * or an error (f->error, 400 with the field name). It takes longer than the rest of reading a
 * request, so it comes last.
 */
void constraint_read(const struct fields *f, const struct rwkv7_tokenizer *tokenizer, struct rwkv7_grammar **out);

#endif
