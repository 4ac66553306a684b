/* assets.c - see assets.h. */
#include "server/assets.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "page_policy.h"

/* Defined in assets.S. */
extern const char server_page_file[];
extern const uint64_t server_page_file_size;
extern const char server_openapi_file[];
extern const uint64_t server_openapi_file_size;

/*
 * The page may run its own script and style, and connect to this server. It can load nothing from
 * elsewhere, send no form and be in no frame, and its script cannot turn text into HTML.
 */
static const char page_policy[] = "default-src 'none'; script-src '" PAGE_SCRIPT_HASH "'; style-src '" PAGE_STYLE_HASH
                                  "'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                                  "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

struct asset asset_page(void)
{
    return (struct asset){"text/html; charset=utf-8", page_policy, server_page_file, (size_t)server_page_file_size};
}

struct asset asset_openapi(void)
{
    return (struct asset){"application/json", "default-src 'none'; frame-ancestors 'none'", server_openapi_file,
                          (size_t)server_openapi_file_size};
}

/* Writes the ETag: a hash of the file. */
#define TAG_ROOM 40
static void make_tag(const struct asset *a, char tag[TAG_ROOM])
{
    struct hash h;
    hash_begin(&h);
    hash_add(&h, a->data, a->size);
    const struct hash_value value = hash_end(&h);
    snprintf(tag, TAG_ROOM, "\"%016" PRIx64 "%016" PRIx64 "\"", value.high, value.low);
}

struct MHD_Response *asset_response(const struct asset *a, const char *if_none_match, int *status)
{
    char tag[TAG_ROOM];
    make_tag(a, tag);
    const bool known = if_none_match && (strcmp(if_none_match, "*") == 0 || strstr(if_none_match, tag));
    struct MHD_Response *const r =
        MHD_create_response_from_buffer(known ? 0 : a->size, (void *)a->data, MHD_RESPMEM_PERSISTENT);
    const char *const headers[][2] = {
        {MHD_HTTP_HEADER_CONTENT_TYPE, a->type},
        {MHD_HTTP_HEADER_ETAG, tag},
        {MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache"}, /* ask each time: another program has another file */
        {MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ACCEPT},
        {"Content-Security-Policy", a->policy},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Referrer-Policy", "no-referrer"},
    };
    *status = known ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK;
    for (size_t i = 0; r && i < sizeof headers / sizeof *headers; i++)
        if (MHD_add_response_header(r, headers[i][0], headers[i][1]) != MHD_YES) {
            MHD_destroy_response(r); /* never without the policy */
            return NULL;
        }
    return r;
}
