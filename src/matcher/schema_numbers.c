/* schema_numbers.c - see schema_numbers.h. */
#include "matcher/schema_numbers.h"

#include <string.h>

enum {
    INTEGER_DIGITS = 19,   /* of an integer part without a bound */
    FRACTION_DIGITS = 17,  /* doubles need no more */
    EXACT_DIGITS = 15,     /* decimals with so many digits are distinct doubles in the same order */
    NUMBER_DIGITS = 80,    /* room for the digits of an integer part */
    MAX_BOUND_DIGITS = 64, /* before or after the decimal point of a bound */
    MAX_SUFFIXES = 2000,
    MAX_PRIME_PART = MULTIPLE_MAX_REMAINDERS - 1,
};

struct digits {
    int count;
    char at[NUMBER_DIGITS];
};

/* A bound of the absolute value: the digits before and after the point. */
struct edge {
    struct digits whole, fraction;
    bool open;
};

/* --------------------------------------------------------------------------------- small pieces */

static uint32_t digit_range(struct regex *r, int low, int high)
{
    return low > high ? REGEX_NOTHING : regex_byte_range(r, (uint8_t)low, (uint8_t)high);
}

static uint32_t any_digits(struct regex *r, int min, int max)
{
    return regex_repeat(r, digit_range(r, '0', '9'), (uint32_t)min, (uint32_t)max);
}

static uint32_t optional(struct regex *r, uint32_t a)
{
    return regex_union(r, a, REGEX_EMPTY);
}

static uint32_t text(struct regex *r, const char *s)
{
    return regex_literal(r, s, strlen(s));
}

/* Returns "." and 1 to max digits. */
static uint32_t any_fraction(struct regex *r, int max)
{
    return regex_concat(r, text(r, "."), any_digits(r, 1, max));
}

static uint32_t either_case_e(struct regex *r)
{
    return regex_union(r, text(r, "e"), text(r, "E"));
}

/*
 * Returns e0 to e289, with an optional plus. With 19 digits, these stay below the largest double,
 * so no reader gets an infinity.
 */
static uint32_t large_exponent(struct regex *r)
{
    const uint32_t small = regex_concat(r, optional(r, digit_range(r, '0', '1')), any_digits(r, 1, 2));
    const uint32_t two =
        regex_concat(r, text(r, "2"), regex_concat(r, digit_range(r, '0', '8'), digit_range(r, '0', '9')));
    const uint32_t plus = optional(r, text(r, "+"));
    return regex_concat(r, either_case_e(r), regex_concat(r, plus, regex_union(r, small, two)));
}

/* e-1 to e-99. */
static uint32_t small_exponent(struct regex *r)
{
    const uint32_t one = regex_concat(r, optional(r, text(r, "0")), digit_range(r, '1', '9'));
    const uint32_t two = regex_concat(r, digit_range(r, '1', '9'), digit_range(r, '0', '9'));
    return regex_concat(r, either_case_e(r), regex_concat(r, text(r, "-"), regex_union(r, one, two)));
}

/* ------------------------------------------------------------------------------- integer ranges */

/* The digit strings of length n that are at least s. */
static uint32_t at_least(struct regex *r, const char *s, int n)
{
    if (n == 0)
        return REGEX_EMPTY;
    return regex_union(r, regex_concat(r, digit_range(r, s[0], s[0]), at_least(r, s + 1, n - 1)),
                       regex_concat(r, digit_range(r, s[0] + 1, '9'), any_digits(r, n - 1, n - 1)));
}

static uint32_t at_most(struct regex *r, const char *s, int n)
{
    if (n == 0)
        return REGEX_EMPTY;
    return regex_union(r, regex_concat(r, digit_range(r, s[0], s[0]), at_most(r, s + 1, n - 1)),
                       regex_concat(r, digit_range(r, '0', s[0] - 1), any_digits(r, n - 1, n - 1)));
}

static uint32_t between(struct regex *r, const char *low, const char *high, int n)
{
    if (n == 0)
        return REGEX_EMPTY;
    if (low[0] == high[0])
        return regex_concat(r, digit_range(r, low[0], low[0]), between(r, low + 1, high + 1, n - 1));
    const uint32_t first = regex_concat(r, digit_range(r, low[0], low[0]), at_least(r, low + 1, n - 1));
    const uint32_t inner = regex_concat(r, digit_range(r, low[0] + 1, high[0] - 1), any_digits(r, n - 1, n - 1));
    const uint32_t last = regex_concat(r, digit_range(r, high[0], high[0]), at_most(r, high + 1, n - 1));
    return regex_union(r, first, regex_union(r, inner, last));
}

static int compare_digits(const struct digits *a, const struct digits *b)
{
    return a->count != b->count ? a->count - b->count : memcmp(a->at, b->at, (size_t)a->count);
}

/* Returns unsigned integers from low to high; REGEX_NOTHING if low > high. */
static uint32_t integers_between(struct regex *r, const struct digits *low, const struct digits *high)
{
    struct digits nines = {.count = low->count};
    if (compare_digits(low, high) > 0)
        return REGEX_NOTHING;
    if (low->count == high->count)
        return between(r, low->at, high->at, low->count);
    memset(nines.at, '9', (size_t)nines.count);
    uint32_t all = between(r, low->at, nines.at, low->count);
    if (high->count - low->count > 1)
        all =
            regex_union(r, all, regex_concat(r, digit_range(r, '1', '9'), any_digits(r, low->count, high->count - 2)));
    struct digits ten = {.count = high->count, .at = "1"};
    memset(ten.at + 1, '0', (size_t)ten.count - 1);
    return regex_union(r, all, between(r, ten.at, high->at, high->count));
}

static void increment(struct digits *d)
{
    int i = d->count - 1;
    while (i >= 0 && d->at[i] == '9')
        d->at[i--] = '0';
    if (i >= 0) {
        d->at[i]++;
        return;
    }
    memmove(d->at + 1, d->at, (size_t)d->count++);
    d->at[0] = '1';
}

/* d is not 0. */
static void decrement(struct digits *d)
{
    int i = d->count - 1;
    while (d->at[i] == '0')
        d->at[i--] = '9';
    d->at[i]--;
    if (d->at[0] == '0' && d->count > 1)
        memmove(d->at, d->at + 1, (size_t)--d->count);
}

static bool is_zero(const struct digits *d)
{
    return d->count == 1 && d->at[0] == '0';
}

/* ----------------------------------------------------------------------------------- magnitudes */

static bool make_edge(const struct decimal *d, bool open, struct edge *e)
{
    *e = (struct edge){.open = open};
    if (d->point > MAX_BOUND_DIGITS || d->count - d->point > MAX_BOUND_DIGITS)
        return false;
    for (int i = 0; i < d->point; i++)
        e->whole.at[e->whole.count++] = i < d->count ? d->digits[i] : '0';
    if (e->whole.count == 0)
        e->whole.at[e->whole.count++] = '0';
    for (int i = d->point < 0 ? d->point : 0; i < 0; i++)
        e->fraction.at[e->fraction.count++] = '0';
    for (int i = d->point > 0 ? d->point : 0; i < d->count; i++)
        e->fraction.at[e->fraction.count++] = d->digits[i];
    return true;
}

static struct edge edge_of_zero(bool open)
{
    return (struct edge){.whole = {.count = 1, .at = "0"}, .open = open};
}

/* The upper edge without a bound: as many nines as digits are allowed. */
static struct edge edge_without_bound(const struct edge *low)
{
    struct edge e = {.whole.count = low->whole.count < INTEGER_DIGITS ? INTEGER_DIGITS : low->whole.count + 1};
    memset(e.whole.at, '9', (size_t)e.whole.count);
    return e;
}

static uint32_t integer_magnitudes(struct regex *r, const struct edge *low, const struct edge *high)
{
    struct digits first = low->whole, last = high->whole;
    if (low->fraction.count > 0 || low->open)
        increment(&first);
    if (high->fraction.count == 0 && high->open) {
        if (is_zero(&last))
            return REGEX_NOTHING;
        decrement(&last);
    }
    return integers_between(r, &first, &last);
}

/*
 * Returns the digit strings D with 0.D >= 0.f (open: 0.D > 0.f). f has no trailing zero; D may be
 * empty.
 */
static uint32_t fraction_from(struct regex *r, const char *f, int n, bool open)
{
    const uint32_t any = regex_repeat(r, digit_range(r, '0', '9'), 0, REGEX_NO_LIMIT);
    if (n == 0 && !open)
        return any;
    if (n == 0) {
        const uint32_t zeros = regex_repeat(r, text(r, "0"), 0, REGEX_NO_LIMIT);
        return regex_concat(r, zeros, regex_concat(r, digit_range(r, '1', '9'), any));
    }
    return regex_union(r, regex_concat(r, digit_range(r, f[0], f[0]), fraction_from(r, f + 1, n - 1, open)),
                       regex_concat(r, digit_range(r, f[0] + 1, '9'), any));
}

/* Returns the digit strings D with 0.D <= 0.f (open: 0.D < 0.f). */
static uint32_t fraction_to(struct regex *r, const char *f, int n, bool open)
{
    const uint32_t any = regex_repeat(r, digit_range(r, '0', '9'), 0, REGEX_NO_LIMIT);
    if (n == 0)
        return open ? REGEX_NOTHING : regex_repeat(r, text(r, "0"), 0, REGEX_NO_LIMIT);
    const uint32_t same = regex_concat(r, digit_range(r, f[0], f[0]), fraction_to(r, f + 1, n - 1, open));
    const uint32_t less = regex_concat(r, digit_range(r, '0', f[0] - 1), any);
    return regex_union(r, REGEX_EMPTY, regex_union(r, same, less));
}

/*
 * Returns an integer part followed by a point and one of the digit strings; without a point if that
 * is empty.
 */
static uint32_t with_fraction(struct regex *r, const struct digits *whole, uint32_t fractions)
{
    const int max = whole->count < EXACT_DIGITS ? EXACT_DIGITS - whole->count : 1;
    uint32_t rest = regex_concat(r, text(r, "."), regex_and(r, fractions, any_digits(r, 1, max)));
    if (regex_nullable(r, fractions))
        rest = optional(r, rest);
    return regex_concat(r, regex_literal(r, whole->at, (size_t)whole->count), rest);
}

/* Numbers without sign and exponent from low to high. */
static uint32_t decimal_magnitudes(struct regex *r, const struct edge *low, const struct edge *high)
{
    const uint32_t from = fraction_from(r, low->fraction.at, low->fraction.count, low->open);
    const uint32_t to = fraction_to(r, high->fraction.at, high->fraction.count, high->open);
    const int order = compare_digits(&low->whole, &high->whole);
    if (order > 0)
        return REGEX_NOTHING;
    if (order == 0)
        return with_fraction(r, &low->whole, regex_and(r, from, to));
    struct digits first = low->whole, last = high->whole;
    increment(&first);
    decrement(&last);
    const uint32_t inner =
        regex_concat(r, integers_between(r, &first, &last), optional(r, any_fraction(r, FRACTION_DIGITS)));
    const uint32_t edges = regex_union(r, with_fraction(r, &low->whole, from), with_fraction(r, &high->whole, to));
    return regex_union(r, inner, edges);
}

/* Numbers with exponents, if they are certainly within the bounds. */
static uint32_t exponent_magnitudes(struct regex *r, const struct edge *low, const struct edge *high, bool bounded)
{
    const uint32_t mantissa = regex_concat(r, digit_range(r, '1', '9'), optional(r, any_fraction(r, EXACT_DIGITS - 1)));
    const bool one = low->whole.count == 1 && low->whole.at[0] == '1' && low->fraction.count == 0 && !low->open;
    uint32_t all = REGEX_NOTHING;
    if (is_zero(&low->whole) && low->fraction.count == 0 && !is_zero(&high->whole))
        all = regex_concat(r, mantissa, small_exponent(r)); /* more than 0, less than 1 */
    if (!bounded && (is_zero(&low->whole) || one))
        all = regex_union(r, all, regex_concat(r, mantissa, large_exponent(r))); /* 1 or more */
    return all;
}

static uint32_t magnitudes(struct regex *r, const struct edge *low, const struct edge *high, bool integers)
{
    const struct edge end = high ? *high : edge_without_bound(low);
    if (integers)
        return integer_magnitudes(r, low, &end);
    return regex_union(r, decimal_magnitudes(r, low, &end), exponent_magnitudes(r, low, &end, high != NULL));
}

static uint32_t unbounded_number(struct regex *r, bool integers)
{
    const uint32_t whole =
        regex_union(r, text(r, "0"), regex_concat(r, digit_range(r, '1', '9'), any_digits(r, 0, INTEGER_DIGITS - 1)));
    uint32_t rest = REGEX_EMPTY;
    if (!integers) {
        const uint32_t negative = regex_concat(r, either_case_e(r), regex_concat(r, text(r, "-"), any_digits(r, 1, 3)));
        rest = regex_concat(r, optional(r, any_fraction(r, FRACTION_DIGITS)),
                            optional(r, regex_union(r, negative, large_exponent(r))));
    }
    return regex_concat(r, optional(r, text(r, "-")), regex_concat(r, whole, rest));
}

bool number_regex(struct regex *r, const struct number_range *range, bool integers, uint32_t *out)
{
    const struct decimal zero = {0};
    struct edge low, high;
    uint32_t all = REGEX_NOTHING;

    if (!range->has_low && !range->has_high) {
        *out = unbounded_number(r, integers);
        return true;
    }
    const int low_sign = range->has_low ? decimal_compare(&range->low, &zero) : -1;
    const int high_sign = range->has_high ? decimal_compare(&range->high, &zero) : 1;
    if (low_sign < 0) { /* negative numbers; 0 is written without a sign */
        if (high_sign < 0) {
            const struct decimal d = decimal_negated(range->high);
            if (!make_edge(&d, range->high_open, &low))
                return false;
        } else {
            low = edge_of_zero(true);
        }
        if (range->has_low) {
            const struct decimal d = decimal_negated(range->low);
            if (!make_edge(&d, range->low_open, &high))
                return false;
        }
        all = regex_concat(r, text(r, "-"), magnitudes(r, &low, range->has_low ? &high : NULL, integers));
    }
    if (high_sign >= 0) {
        low = edge_of_zero(low_sign == 0 && range->low_open);
        if (low_sign > 0 && !make_edge(&range->low, range->low_open, &low))
            return false;
        if (range->has_high && !make_edge(&range->high, range->high_open, &high))
            return false;
        all = regex_union(r, all, magnitudes(r, &low, range->has_high ? &high : NULL, integers));
    }
    *out = all;
    return true;
}

/* ------------------------------------------------------------------------------------ multiples */

/* Returns the spellings of a fraction: a point and the j digits s, trailing zeros optional. */
static uint32_t written_fraction(struct regex *r, const char *s, int j)
{
    int n = j;
    while (n > 0 && s[n - 1] == '0')
        n--;
    if (n == 0)
        return j == 0 ? REGEX_EMPTY
                      : optional(r, regex_concat(r, text(r, "."), regex_repeat(r, text(r, "0"), 1, (uint32_t)j)));
    return regex_concat(
        r, text(r, "."),
        regex_concat(r, regex_literal(r, s, (size_t)n), regex_repeat(r, text(r, "0"), 0, (uint32_t)(j - n))));
}

/* Numbers with j digits after the point whose last k digits are s. */
static uint32_t ending(struct regex *r, const char *s, int k, int j)
{
    if (k > j) { /* s begins in the integer part, whose leading zeros are dropped */
        const int n = k - j;
        int zeros = 0;
        while (zeros < n - 1 && s[zeros] == '0')
            zeros++;
        const uint32_t shorter = regex_literal(r, s + zeros, (size_t)(n - zeros));
        const uint32_t longer = regex_concat(r, any_digits(r, 1, EXACT_DIGITS), regex_literal(r, s, (size_t)n));
        return regex_concat(r, regex_union(r, shorter, longer), written_fraction(r, s + n, j));
    }
    const uint32_t whole = any_digits(r, 1, EXACT_DIGITS);
    int n = k;
    while (n > 0 && s[n - 1] == '0')
        n--;
    if (n == 0) /* the fraction is zero and may be omitted */
        return regex_concat(r, whole,
                            optional(r, regex_concat(r, text(r, "."),
                                                     regex_concat(r, any_digits(r, 0, j - k),
                                                                  regex_repeat(r, text(r, "0"), 0, (uint32_t)k)))));
    const uint32_t last =
        regex_concat(r, regex_literal(r, s, (size_t)n), regex_repeat(r, text(r, "0"), 0, (uint32_t)(k - n)));
    return regex_concat(r, whole, regex_concat(r, text(r, "."), regex_concat(r, any_digits(r, j - k, j - k), last)));
}

/*
 * Digit strings whose value without the point is a multiple of p. A DFA by Horner's rule: its
 * states are the remainder and the number of digits that may follow. p is coprime to 10, so the
 * position of the point and trailing zeros do not matter.
 */
static uint32_t remainder_regex(struct regex *r, unsigned p)
{
    uint32_t rest[2][2][MAX_PRIME_PART + 1]; /* [step parity][after the point][remainder] */
    for (unsigned rem = 0; rem < p; rem++)
        rest[0][0][rem] = rest[0][1][rem] = rem == 0 ? REGEX_EMPTY : REGEX_NOTHING;
    int now = 0;
    for (int left = 1; left <= EXACT_DIGITS; left++, now = !now) {
        for (int after = 1; after >= 0; after--) {
            for (unsigned rem = 0; rem < p; rem++) {
                uint32_t ways[12];
                size_t n = 0;
                for (unsigned d = 0; d < 10; d++)
                    ways[n++] = regex_concat(r, digit_range(r, (int)('0' + d), (int)('0' + d)),
                                             rest[now][after][(rem * 10 + d) % p]);
                if (rem == 0)
                    ways[n++] = REGEX_EMPTY;
                if (!after)
                    ways[n++] = regex_concat(r, text(r, "."), rest[!now][1][rem]);
                rest[!now][after][rem] = regex_union_of(r, ways, n);
            }
        }
    }
    return rest[now][0][0];
}

/* Numbers with j digits after the point whose last k digits are a multiple of `unit`. */
static bool suffix_regex(struct regex *r, unsigned long long unit, int k, int j, uint32_t *out)
{
    uint32_t ways[MAX_SUFFIXES];
    unsigned long long all = 1;
    size_t n = 0;
    for (int i = 0; i < k; i++)
        all *= 10;
    if ((all + unit - 1) / unit > MAX_SUFFIXES)
        return false;
    for (unsigned long long value = 0; value < all; value += unit) {
        char s[20];
        unsigned long long v = value;
        for (int i = k - 1; i >= 0; i--, v /= 10)
            s[i] = (char)('0' + v % 10);
        ways[n++] = ending(r, s, k, j);
    }
    *out = regex_union_of(r, ways, n);
    return true;
}

bool multiple_regex(struct regex *r, const struct decimal *m, uint32_t *remainders, uint32_t *out)
{
    const int j = m->count > m->point ? m->count - m->point : 0; /* digits after the point */
    const int zeros = m->point > m->count ? m->point - m->count : 0;
    unsigned long long n = 0, unit = 1;
    int twos = 0, fives = 0;
    uint32_t all;

    if (m->count > 9 || j >= EXACT_DIGITS - 1 || zeros > 12)
        return false;
    for (int i = 0; i < m->count; i++)
        n = n * 10 + (unsigned long long)(m->digits[i] - '0');
    for (; n % 2 == 0; n /= 2, unit *= 2)
        twos++;
    for (; n % 5 == 0; n /= 5, unit *= 5)
        fives++;
    for (int i = 0; i < zeros; i++)
        unit *= 10;
    const int k = (twos > fives ? twos : fives) + zeros;
    if (n > MAX_PRIME_PART || k > EXACT_DIGITS || !suffix_regex(r, unit, k, j, &all))
        return false;
    if (n > 1 && !remainders[n])
        remainders[n] = remainder_regex(r, (unsigned)n);
    if (n > 1)
        all = regex_and(r, all, remainders[n]);
    /* At most the digits that a double preserves, so that readers that use doubles agree. */
    uint32_t exact = any_digits(r, 1, EXACT_DIGITS);
    if (j > 0)
        exact = regex_union(r, exact, regex_concat(r, any_digits(r, 1, EXACT_DIGITS - j), any_fraction(r, j)));
    *out = regex_concat(r, optional(r, text(r, "-")), regex_and(r, all, exact));
    return true;
}
