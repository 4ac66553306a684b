/* constraint.h - the fields of a request that constrain the text: JSON, a schema, a grammar, ... */
#ifndef SERVER_CONSTRAINT_H
#define SERVER_CONSTRAINT_H

#include "rwkv7.h"
#include "server/fields.h"

/*
 * Compiles the constraint of the request into *out, which the caller closes; NULL: it has none, or
 * see f->error (400 with the name of the field). Called by the HTTP thread, so that no text waits
 * for a compilation; it is the last and the longest part of reading a request.
 */
void constraint_read(const struct fields *f, const struct rwkv7_tokenizer *tokenizer, struct rwkv7_grammar **out);

#endif
