/* assets.h - the files that are compiled in and sent as they are (cmake/Assets.cmake). */
#ifndef SERVER_ASSETS_H
#define SERVER_ASSETS_H

#include <stddef.h>

struct MHD_Response;

struct asset {
    const char *type;   /* Content-Type */
    const char *policy; /* Content-Security-Policy */
    const char *data;   /* [size] */
    size_t size;
};

struct asset asset_page(void);
struct asset asset_openapi(void);
/*
 * Returns the answer with the file, and its HTTP status in *status: 304, without the file, if the
 * If-None-Match header (NULL: none) has its tag. NULL: out of memory.
 */
struct MHD_Response *asset_response(const struct asset *a, const char *if_none_match, int *status);

#endif
