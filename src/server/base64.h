/* base64.h - base64 (RFC 4648) with padding. */
#ifndef SERVER_BASE64_H
#define SERVER_BASE64_H

#include "base/text.h"

void text_add_base64(struct text *t, const void *bytes, size_t size);

#endif
