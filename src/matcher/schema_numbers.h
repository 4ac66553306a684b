/*
 * schema_numbers.h - numbers of JSON within bounds, as regular expressions over their digits.
 *
 * Numbers are written in a bounded number of characters, so that a model cannot write digits for ever,
 * and so that a reader that uses doubles agrees about bounds: where a bound excludes itself, no more
 * digits are written than a double distinguishes.
 */
#ifndef MATCHER_SCHEMA_NUMBERS_H
#define MATCHER_SCHEMA_NUMBERS_H

#include "matcher/decimal.h"
#include "matcher/regex.h"

struct number_range {
    bool has_low, has_high;
    bool low_open, high_open; /* the bound itself is excluded */
    struct decimal low, high;
};

/* The integers or all numbers of a range; REGEX_NOTHING if there are none. False: a bound has too many digits. */
bool number_regex(struct regex *r, const struct number_range *range, bool integers, uint32_t *out);
#define MULTIPLE_MAX_REMAINDERS 101u
/*
 * The multiples of m, to be intersected with number_regex. False: not supported for this m. Keeps the
 * expensive part in remainders [MULTIPLE_MAX_REMAINDERS], which begins with zeros, for later calls.
 */
bool multiple_regex(struct regex *r, const struct decimal *m, uint32_t *remainders, uint32_t *out);

#endif
