/* regex_property.h - \p{..} and \P{..}: sets of general categories, for regex_escape.c. */
#ifndef MATCHER_REGEX_PROPERTY_H
#define MATCHER_REGEX_PROPERTY_H

#include "matcher/regex_escape.h"

/* Parses the braces of \p, or with `negate` of \P; `start`: the backslash. *categories: bits. */
enum rwkv7_status regex_property_read(struct regex_reader *in, const uint8_t *start, bool negate, uint32_t *categories);
/* The sorted characters of the categories. The caller frees *ranges [*count] with mem_free. */
enum rwkv7_status regex_property_ranges(struct regex_reader *in, uint32_t categories, struct regex_range **ranges,
                                        size_t *count);

#endif
