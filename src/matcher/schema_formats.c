/* schema_formats.c - see schema_formats.h. */
#include "matcher/schema_formats.h"

#include <string.h>

/* RFC 3339; the Gregorian calendar. Year 0 is excluded, because some libraries reject it. */
#define YEAR "(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
#define LEAP_YEAR "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
#define DATE                                                                                             \
    "(?:" YEAR "-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)" \
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))|" LEAP_YEAR "-02-29)"
#define OFFSET "(?:[Zz]|[+\\-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
#define TIME \
    "(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,12})?" OFFSET "|23:59:60(?:\\.[0-9]{1,12})?[Zz])"
/* RFC 3339, appendix A */
#define DURATION_TIME "T(?:[0-9]{1,9}H(?:[0-9]{1,9}M(?:[0-9]{1,9}S)?)?|[0-9]{1,9}M(?:[0-9]{1,9}S)?|[0-9]{1,9}S)"
#define DURATION_DATE "(?:[0-9]{1,9}D|[0-9]{1,9}M(?:[0-9]{1,9}D)?|[0-9]{1,9}Y(?:[0-9]{1,9}M(?:[0-9]{1,9}D)?)?)"
#define DURATION "P(?:" DURATION_DATE "(?:" DURATION_TIME ")?|" DURATION_TIME "|[0-9]{1,9}W)"
/* RFC 5321 with an unquoted local part of at most 64 characters, and a domain with a dot. */
#define LABEL "[A-Za-z0-9](?:[A-Za-z0-9\\-]{0,30}[A-Za-z0-9])?"
#define ATOM "[A-Za-z0-9!#$%&'*+/=?^_`{|}~\\-]+"
#define EMAIL "(?=[^@]{1,64}@)" ATOM "(?:\\." ATOM ")*@(?:" LABEL "\\.){1,6}" LABEL
#define OCTET "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
#define IPV4 OCTET "(?:\\." OCTET "){3}"
/* RFC 3986, section 3.2.2 */
#define H16 "[0-9A-Fa-f]{1,4}"
#define LS32 "(?:" H16 ":" H16 "|" IPV4 ")"
#define IPV6                                                                                                        \
    "(?:(?:" H16 ":){6}" LS32 "|::(?:" H16 ":){5}" LS32 "|(?:" H16 ")?::(?:" H16 ":){4}" LS32 "|(?:" H16 "(?::" H16 \
    "){0,1})?::(?:" H16 ":){3}" LS32 "|(?:" H16 "(?::" H16 "){0,2})?::(?:" H16 ":){2}" LS32 "|(?:" H16 "(?::" H16   \
    "){0,3})?::" H16 ":" LS32 "|(?:" H16 "(?::" H16 "){0,4})?::" LS32 "|(?:" H16 "(?::" H16 "){0,5})?::" H16        \
    "|(?:" H16 "(?::" H16 "){0,6})?::)"
#define UUID "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
/* RFC 3986; U is empty, or the further characters of RFC 3987 */
#define PERCENT "%[0-9A-Fa-f]{2}"
#define UNRESERVED(U) "A-Za-z0-9._~!$&'()*+,;=\\-" U
#define PCHAR(U) "(?:[" UNRESERVED(U) ":@]|" PERCENT ")"
#define TAIL(U) "(?:\\?(?:" PCHAR(U) "|[/?])*)?(?:#(?:" PCHAR(U) "|[/?])*)?"
#define AUTHORITY(U)                                                                                                   \
    "(?:(?:[" UNRESERVED(U) ":]|" PERCENT ")*@)?(?:\\[" IPV6 "\\]|(?:[" UNRESERVED(U) "]|" PERCENT ")*)(?::[0-9]{0,5}" \
                                                                                      ")?"
#define SEGMENTS(U) "(?:/" PCHAR(U) "*)*"
#define HIER(U) "//" AUTHORITY(U) SEGMENTS(U) "|/(?:" PCHAR(U) "+" SEGMENTS(U) ")?"
#define NO_COLON(U) "(?:[" UNRESERVED(U) "@]|" PERCENT ")"
#define SCHEME "[A-Za-z][A-Za-z0-9+.\\-]*:"
#define INTERNATIONAL "\\u00a0-\\ud7ff\\uf900-\\ufdcf\\ufdf0-\\uffef"
#define POINTER "(?:/(?:[^~/]|~[01])*)*"

static const struct {
    const char *name, *syntax; /* NULL: not supported */
} formats[] = {
    {"date", DATE},
    {"time", TIME},
    {"date-time", DATE "[Tt]" TIME},
    {"duration", DURATION},
    {"email", EMAIL},
    {"idn-email", EMAIL},
    {"hostname", ""}, /* built() */
    {"idn-hostname", ""},
    {"ipv4", IPV4},
    {"ip-address", IPV4}, /* draft 3 */
    {"ipv6", IPV6},
    {"uuid", UUID},
    {"uri", ""},
    {"uri-reference", ""},
    {"iri", ""},
    {"iri-reference", ""},
    {"json-pointer", POINTER},
    {"relative-json-pointer", "(?:0|[1-9][0-9]{0,8})(?:#|" POINTER ")"},
    {"uri-template", NULL},
    {"regex", NULL},
};

struct builder {
    struct regex *regex;
    bool failed; /* out of memory */
};

static uint32_t parsed(struct builder *b, const char *syntax)
{
    uint32_t node = REGEX_NOTHING;
    if (regex_parse(b->regex, syntax, strlen(syntax), 0, &node, NULL) != RWKV7_OK)
        b->failed = true;
    return node;
}

/* Up to `max` labels of up to `length` characters, separated by dots. */
static uint32_t labels(struct builder *b, uint32_t max, uint32_t length)
{
    struct regex *r = b->regex;
    const uint32_t edge = parsed(b, "[A-Za-z0-9]");
    const uint32_t inner = regex_repeat(r, parsed(b, "[A-Za-z0-9\\-]"), 0, length - 2);
    const uint32_t more = regex_union(r, REGEX_EMPTY, regex_concat(r, inner, edge));
    /*
     * "--" as characters 3 and 4 is reserved. This also excludes "xn--", whose Punycode cannot be
     * checked here.
     */
    const uint32_t reserved = parsed(b, "..--[\\s\\S]*");
    const uint32_t label = regex_and(r, regex_concat(r, edge, more), regex_not(r, reserved));
    const uint32_t dotted = regex_concat(r, regex_literal(r, ".", 1), label);
    return regex_concat(r, label, regex_repeat(r, dotted, 0, max - 1));
}

/* RFC 1123. A name may have 253 characters; the two forms below have at most 251 and 247. */
static uint32_t hostname_regex(struct builder *b)
{
    return regex_union(b->regex, labels(b, 4, 62), labels(b, 8, 30));
}

/* A URI or an IRI; with `reference` a relative one too. */
static uint32_t uri_regex(struct builder *b, bool international, bool reference)
{
    struct regex *r = b->regex;
    const uint32_t hier = parsed(b, international ? HIER(INTERNATIONAL) : HIER(""));
    const uint32_t tail = parsed(b, international ? TAIL(INTERNATIONAL) : TAIL(""));
    const uint32_t first = parsed(b, international ? PCHAR(INTERNATIONAL) : PCHAR(""));
    const uint32_t no_colon = parsed(b, international ? NO_COLON(INTERNATIONAL) : NO_COLON(""));
    const uint32_t segments = parsed(b, international ? SEGMENTS(INTERNATIONAL) : SEGMENTS(""));
    const uint32_t rootless = regex_concat(r, regex_repeat(r, first, 1, REGEX_NO_LIMIT), segments);
    const uint32_t absolute = regex_concat(r, parsed(b, SCHEME), regex_union(r, hier, rootless));
    if (!reference)
        return regex_concat(r, absolute, tail);
    const uint32_t relative = regex_concat(r, regex_repeat(r, no_colon, 1, REGEX_NO_LIMIT), segments);
    const uint32_t any[] = {absolute, hier, relative, REGEX_EMPTY};
    return regex_concat(r, regex_union_of(r, any, 4), tail);
}

static uint32_t built(struct builder *b, const char *name)
{
    if (strstr(name, "hostname"))
        return hostname_regex(b);
    return uri_regex(b, name[0] == 'i', strchr(name, '-') != NULL);
}

enum format_kind format_regex(struct regex *r, const char *name, size_t size, uint32_t *out)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (strlen(formats[i].name) != size || memcmp(formats[i].name, name, size) != 0)
            continue;
        if (!formats[i].syntax)
            return FORMAT_UNSUPPORTED;
        struct builder b = {.regex = r};
        *out = *formats[i].syntax ? parsed(&b, formats[i].syntax) : built(&b, formats[i].name);
        return b.failed ? FORMAT_FAILED : FORMAT_KNOWN;
    }
    return FORMAT_UNKNOWN;
}
