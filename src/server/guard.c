/* guard.c - see guard.h. */
#include "server/guard.h"

#include <string.h>
#include <strings.h>

/* Compares in a time that depends only on the length of `given`. */
static bool equal_keys(const char *key, const char *given)
{
    const size_t n = strlen(given), length = strlen(key);
    unsigned char difference = n != length;
    for (size_t i = 0; i < n; i++)
        difference |= (unsigned char)(given[i] ^ key[length > 0 ? i % length : 0]);
    return difference == 0;
}

static bool known_key(const struct server_options *o, const char *given)
{
    bool known = false;
    for (size_t i = 0; i < o->key_count; i++) /* no early exit: constant time */
        known |= equal_keys(o->keys[i], given);
    return known;
}

bool guard_key(const struct server_options *o, const char *authorization, const char *x_api_key)
{
    if (o->key_count == 0)
        return true;
    if (x_api_key && known_key(o, x_api_key))
        return true;
    return authorization && strncasecmp(authorization, "Bearer ", 7) == 0 && known_key(o, authorization + 7);
}

/* Returns whether `text` is HOST or HOST:PORT for this host. */
static bool is_host(const char *text, const char *host)
{
    const size_t n = strlen(host);
    if (strncasecmp(text, host, n) != 0)
        return false;
    if (text[n] == '\0')
        return true;
    return text[n] == ':' && text[n + 1] && strspn(text + n + 1, "0123456789") == strlen(text + n + 1);
}

static const char *const loopback[] = {"localhost", "127.0.0.1", "[::1]"};
#define LOOPBACK (sizeof loopback / sizeof *loopback)

/* Returns whether `text` is a name of this computer, or NAME:PORT. */
static bool names_loopback(const char *text)
{
    bool local = false;
    for (size_t i = 0; i < LOOPBACK; i++)
        local = local || is_host(text, loopback[i]);
    return local;
}

bool guard_is_socket(const char *host)
{
    const size_t n = strlen(host);
    return n > 5 && strcmp(host + n - 5, ".sock") == 0;
}

bool guard_is_loopback(const char *host)
{
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 || strncmp(host, "127.", 4) == 0;
}

/* Returns whether the list "A,B,..." contains the origin. */
static bool listed(const char *list, const char *origin)
{
    const size_t size = strlen(origin);
    while (*list) {
        const size_t n = strcspn(list, ",");
        if ((n == size && strncasecmp(list, origin, n) == 0) || (n == 1 && *list == '*'))
            return true;
        list += n + (list[n] == ',');
    }
    return false;
}

/* Returns whether a Host header is an IP address, with or without a port. */
static bool is_address(const char *host)
{
    const size_t n = strcspn(host, ":");
    if (*host == '[')
        return true;
    return n > 0 && strspn(host, "0123456789.") == n && host[n - 1] != '.';
}

bool guard_origin(const struct server_options *o, const char *origin, const char *host)
{
    static const char *const apps[] = {"app://", "file://", "tauri://", "vscode-webview://"};
    static const char *const schemes[] = {"http://", "https://"};
    const bool trusted = host && (o->key_count > 0 || is_address(host));
    for (size_t i = 0; i < sizeof apps / sizeof *apps; i++)
        if (strncmp(origin, apps[i], strlen(apps[i])) == 0)
            return true;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        const size_t n = strlen(schemes[i]);
        if (strncmp(origin, schemes[i], n) == 0 &&
            (names_loopback(origin + n) || (trusted && strcasecmp(origin + n, host) == 0)))
            return true;
    }
    return o->cors && listed(o->cors, origin);
}

bool guard_host(const struct server_options *o, const char *host)
{
    if (guard_is_socket(o->host) || !guard_is_loopback(o->host))
        return true;
    return host && (names_loopback(host) || is_host(host, o->host));
}

bool guard_reading(const struct server_options *o, const char *host)
{
    return o->key_count > 0 || guard_is_socket(o->host) ||
           (host && (names_loopback(host) || is_address(host) || is_host(host, o->host)));
}

bool guard_header(const char *name, const char *value)
{
    static const char word[] = "!#$%&'*+-.^_`|~abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    if (!*name || name[strspn(name, word)])
        return false;
    for (; value && *value; value++)
        if (((unsigned char)*value < 0x20 && *value != '\t') || *value == 0x7f)
            return false;
    return true;
}

bool guard_request_id(const char *text)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    const size_t n = strlen(text);
    return n > 0 && n <= 64 && strspn(text, safe) == n;
}
