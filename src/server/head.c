/* head.c - see head.h. */
#include "server/head.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "server/guard.h"

struct head {
    int lengths, encodings, hosts;
    bool chunked;
    bool malformed; /* a name or value contains an invalid character */
    const char *at; /* end of the previous header in the library's memory; NULL: do not check */
    size_t left;    /* bytes of the head after `at` */
};

/*
 * Moves to a text that follows the previous one in memory. Only the line ends that the library
 * replaced by NUL bytes may be between them, `most` bytes at most.
 */
static void follow(struct head *h, const char *text, size_t size, size_t most)
{
    size_t gap = 0;
    if (!h->at)
        return;
    while (gap < h->left && gap <= most && h->at + gap != text && h->at[gap] == '\0')
        gap++;
    if (gap > most || h->at + gap != text || size > h->left - gap) {
        h->malformed = true;
        h->at = NULL;
        return;
    }
    h->at = text + size;
    h->left -= gap + size;
}

/* Moves to the value of a header, from the end of its name. */
static void follow_value(struct head *h, const char *value)
{
    const size_t skipped = h->left > 1 ? 1 + strspn(h->at + 1, " \t") : 0; /* the colon, which is a NUL now */
    h->at += skipped;
    h->left -= skipped;
    follow(h, value, strlen(value), 0);
}

static enum MHD_Result check_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct head *const h = arg;
    (void)kind;
    follow(h, name, strlen(name), 2);
    if (h->at && value)
        follow_value(h, value);
    h->malformed = h->malformed || !guard_header(name, value);
    if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0)
        h->lengths++;
    if (strcasecmp(name, MHD_HTTP_HEADER_HOST) == 0)
        h->hosts++;
    if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
        h->encodings++;
        h->chunked = value && strcasecmp(value, "chunked") == 0;
    }
    return MHD_YES;
}

/*
 * Versions before 0.9.77 end a value at a NUL byte and drop the rest, also that of a header of
 * several lines; newer ones refuse these requests. The old ones keep the head in one piece of
 * memory, so what they drop is found between the texts that they return.
 */
static bool drops_bytes(void)
{
    int major = 0, minor = 0, patch = 0;
    sscanf(MHD_get_version(), "%d.%d.%d", &major, &minor, &patch);
    return major == 0 && (minor < 9 || (minor == 9 && patch < 77));
}

/* Starts to follow the texts of the head in memory, after the first line. */
static void start_following(struct head *h, struct MHD_Connection *c, const struct first_line *line)
{
    const union MHD_ConnectionInfo *const info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    const size_t version_size = strlen(line->version);
    if (!info || !drops_bytes())
        return;
    h->at = line->method;
    h->left = info->header_size;
    follow(h, line->method, strlen(line->method), 0);
    follow(h, line->uri, line->uri_size, 1);
    follow(h, line->version, version_size, 1);
}

bool head_check(struct MHD_Connection *c, const struct first_line *line, bool *has_body, struct api_error *e)
{
    struct head h = {0};
    start_following(&h, c, line);
    MHD_get_connection_values(c, MHD_HEADER_KIND, check_header, &h);
    if (h.at)
        follow(&h, h.at + h.left, 0, 4); /* two line ends */
    *has_body = h.lengths > 0 || h.encodings > 0 || h.malformed;
    if (h.malformed)
        return error_request(e, NULL, "expected each header as 'Name: value' in one line, without control characters");
    if (h.lengths > 1 || h.encodings > 1 || (h.lengths > 0 && h.encodings > 0))
        return error_request(e, NULL, "expected one Content-Length or one Transfer-Encoding");
    if (h.encodings > 0 && !h.chunked)
        return error_request(e, NULL, "expected the Transfer-Encoding chunked");
    return h.hosts <= 1 || error_request(e, NULL, "expected one Host");
}
