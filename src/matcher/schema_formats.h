/* schema_formats.h - the `format` of strings, as regular expressions. */
#ifndef MATCHER_SCHEMA_FORMATS_H
#define MATCHER_SCHEMA_FORMATS_H

#include "matcher/regex.h"

enum format_kind {
    FORMAT_UNKNOWN, /* not a format of the standard: ignored, as the standard says */
    FORMAT_KNOWN,   /* *out is the expression */
    FORMAT_UNSUPPORTED,
    FORMAT_FAILED /* out of memory */
};

/*
 * Sets *out to the unquoted strings of a format. Only strings that strict and lenient validators
 * both accept are included, so some rare forms are missing: quoted local parts and address literals
 * in email addresses, leap seconds except 23:59:60Z, internationalized names, URIs with nothing
 * after the scheme.
 */
enum format_kind format_regex(struct regex *r, const char *name, size_t size, uint32_t *out);

#endif
