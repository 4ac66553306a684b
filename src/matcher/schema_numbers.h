/*
 * schema_numbers.h - JSON numbers within bounds, as regular expressions over their digits.
 *
 * The length of numbers is limited, so that a model cannot write digits for ever. At an exclusive
 * bound, numbers have only as many digits as doubles can distinguish, so that readers that use
 * doubles agree about the bound.
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

/*
 * Sets *out to the integers or to all numbers of a range; REGEX_NOTHING if there are none. False: a
 * bound has too many digits.
 */
bool number_regex(struct regex *r, const struct number_range *range, bool integers, uint32_t *out);
#define MULTIPLE_MAX_REMAINDERS 101u
/*
 * Sets *out to the multiples of m, to be intersected with number_regex. False: this m is not
 * supported. Caches the expensive part in remainders [MULTIPLE_MAX_REMAINDERS], zeroed before the
 * first call.
 */
bool multiple_regex(struct regex *r, const struct decimal *m, uint32_t *remainders, uint32_t *out);

#endif
