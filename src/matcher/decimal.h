/* decimal.h - the numbers of a schema as decimal digits. They are exact; doubles are not. */
#ifndef MATCHER_DECIMAL_H
#define MATCHER_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>

#define DECIMAL_DIGITS 64

/*
 * 0.DIGITS * 10^point, without leading and trailing zeros. Zero has no digits, point 0 and no sign.
 */
struct decimal {
    bool negative;
    int count, point;
    char digits[DECIMAL_DIGITS]; /* '0' to '9' */
};

/* Parses a JSON number. False: more than DECIMAL_DIGITS digits, or an exponent beyond +-1000. */
bool decimal_read(const char *text, size_t size, struct decimal *out);
int decimal_compare(const struct decimal *a, const struct decimal *b); /* -1, 0, 1 */
bool decimal_is_integer(const struct decimal *d);
struct decimal decimal_negated(struct decimal d);
/*
 * Returns whether a / b is an integer; b > 0. *known: false if there are too many digits to tell.
 */
bool decimal_is_multiple(const struct decimal *a, const struct decimal *b, bool *known);

#endif
