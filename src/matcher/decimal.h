/*
 * decimal.h - the numbers of a schema, as decimal digits: exact, however long, where a double is not.
 */
#ifndef MATCHER_DECIMAL_H
#define MATCHER_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>

#define DECIMAL_DIGITS 64

/* 0.DIGITS * 10^point, without leading and trailing zeros. Zero has no digits, point 0 and no sign. */
struct decimal {
    bool negative;
    int count, point;
    char digits[DECIMAL_DIGITS]; /* '0' to '9' */
};

/* Reads a number of JSON. False: more than DECIMAL_DIGITS digits, or an exponent beyond +-1000. */
bool decimal_read(const char *text, size_t size, struct decimal *out);
int decimal_compare(const struct decimal *a, const struct decimal *b); /* -1, 0, 1 */
bool decimal_is_integer(const struct decimal *d);
struct decimal decimal_negated(struct decimal d);
/* Whether a / b is an integer; b is greater than 0. False if the digits are too many to tell: *known. */
bool decimal_is_multiple(const struct decimal *a, const struct decimal *b, bool *known);

#endif
