/*
 * numbers.c - parses numbers strictly. strtol and strtod alone would also accept leading spaces,
 * hexadecimal numbers, "nan" and overflow.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options/args.h"

static bool ends(const char *text, const char *at, const char **end)
{
    if (end)
        *end = at;
    return at != text && errno == 0 && (end || *at == '\0');
}

bool parse_whole(const char *text, long long *out, const char **end)
{
    char *at;
    errno = 0;
    if (!isdigit((unsigned char)text[text[0] == '-']))
        return false;
    *out = strtoll(text, &at, 10);
    return ends(text, at, end);
}

bool parse_unsigned(const char *text, uint64_t *out, const char **end)
{
    char *at;
    errno = 0;
    if (!isdigit((unsigned char)text[0]))
        return false;
    *out = strtoull(text, &at, 10);
    return ends(text, at, end);
}

bool parse_real(const char *text, double *out, const char **end)
{
    char *at;
    errno = 0;
    const size_t n = strspn(text, "+-.0123456789eE");
    if (n == 0 || isalpha((unsigned char)text[0]))
        return false;
    *out = strtod(text, &at);
    if (errno == ERANGE && fabs(*out) < 1) /* underflow is rounded, not an error */
        errno = 0;
    return at <= text + n && isfinite(*out) && ends(text, at, end);
}
