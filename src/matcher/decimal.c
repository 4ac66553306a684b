/* decimal.c - see decimal.h. */
#include "matcher/decimal.h"

#include <string.h>

#define MAX_EXPONENT 1000

bool decimal_read(const char *text, size_t size, struct decimal *out)
{
    const char *at = text, *end = text + size;
    struct decimal d = {0};
    bool fraction = false;
    int zeros = 0; /* pending zeros, stored only if another digit follows */

    if (at < end && *at == '-') {
        d.negative = true;
        at++;
    }
    for (; at < end && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.') {
            fraction = true;
            continue;
        }
        if (d.point > MAX_EXPONENT || d.point < -MAX_EXPONENT)
            return false;
        if (*at == '0') {
            if (d.count > 0)
                zeros++;
            else if (fraction)
                d.point--;
        } else {
            if (d.count + zeros >= DECIMAL_DIGITS)
                return false;
            memset(d.digits + d.count, '0', (size_t)zeros);
            d.count += zeros;
            d.digits[d.count++] = *at;
            zeros = 0;
        }
        if (!fraction && d.count > 0)
            d.point++;
        if (zeros > MAX_EXPONENT)
            return false;
    }
    if (at < end) {
        int exponent = 0;
        const bool negative = ++at < end && *at == '-';
        if (at < end && (*at == '-' || *at == '+'))
            at++;
        for (; at < end && exponent <= MAX_EXPONENT; at++)
            exponent = exponent * 10 + (*at - '0');
        if (exponent > MAX_EXPONENT)
            return false;
        d.point += negative ? -exponent : exponent;
    }
    if (d.count == 0)
        d = (struct decimal){0};
    *out = d;
    return true;
}

static int compare_magnitudes(const struct decimal *a, const struct decimal *b)
{
    if (a->count == 0 || b->count == 0)
        return (a->count > 0) - (b->count > 0);
    if (a->point != b->point)
        return a->point > b->point ? 1 : -1;
    const int n = a->count < b->count ? a->count : b->count;
    const int c = memcmp(a->digits, b->digits, (size_t)n);
    return c ? (c > 0) - (c < 0) : (a->count > b->count) - (a->count < b->count);
}

int decimal_compare(const struct decimal *a, const struct decimal *b)
{
    if (a->negative != b->negative)
        return a->negative ? -1 : 1;
    return a->negative ? compare_magnitudes(b, a) : compare_magnitudes(a, b);
}

bool decimal_is_integer(const struct decimal *d)
{
    return d->point >= d->count;
}

struct decimal decimal_negated(struct decimal d)
{
    if (d.count > 0)
        d.negative = !d.negative;
    return d;
}

bool decimal_is_multiple(const struct decimal *a, const struct decimal *b, bool *known)
{
    unsigned long long divisor = 0, rest = 0;
    const int unit_a = a->point - a->count, unit_b = b->point - b->count; /* of the last digits */

    *known = b->count <= 16 && unit_a - unit_b <= 2 * MAX_EXPONENT;
    if (!*known)
        return false;
    for (int i = 0; i < b->count; i++)
        divisor = divisor * 10 + (unsigned long long)(b->digits[i] - '0');
    if (a->count == 0 || divisor == 0)
        return a->count == 0;
    if (unit_a < unit_b) /* the last digit of a is not 0, so a has a digit below the unit of b */
        return false;
    for (int i = 0; i < a->count; i++)
        rest = (rest * 10 + (unsigned long long)(a->digits[i] - '0')) % divisor;
    for (int i = unit_b; i < unit_a; i++)
        rest = rest * 10 % divisor;
    return rest == 0;
}
