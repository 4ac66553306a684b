/* errors.c - see errors.h. */
#include "server/errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"

static const char *openai_type(int status)
{
    return status == 429 ? "rate_limit_error" : status >= 500 ? "server_error" : "invalid_request_error";
}

static const char *anthropic_type(int status)
{
    static const struct {
        int status;
        const char *type;
    } types[] = {{401, "authentication_error"}, {403, "permission_error"}, {404, "not_found_error"},
                 {413, "request_too_large"},    {429, "rate_limit_error"}, {503, "overloaded_error"}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].status == status)
            return types[i].type;
    return status >= 500 ? "api_error" : "invalid_request_error";
}

static void fill(struct api_error *e, int status, const char *code, const char *fmt, va_list list) RWKV7_PRINTF(4, 0);
static void fill(struct api_error *e, int status, const char *code, const char *fmt, va_list list)
{
    e->status = status;
    e->code = code;
    vsnprintf(e->message, sizeof e->message, fmt, list);
    rwkv7_text_plain(e->message); /* may quote the request, truncated within a character */
}

bool error_request(struct api_error *e, const char *param, const char *fmt, ...)
{
    va_list list;
    if (e->status)
        return false;
    va_start(list, fmt);
    fill(e, 400, NULL, fmt, list);
    va_end(list);
    snprintf(e->param, sizeof e->param, "%s", param ? param : "");
    rwkv7_text_plain(e->param);
    return false;
}

bool error_other(struct api_error *e, int status, const char *code, const char *fmt, ...)
{
    va_list list;
    if (e->status)
        return false;
    va_start(list, fmt);
    fill(e, status, code, fmt, list);
    va_end(list);
    return false;
}

bool error_library(struct api_error *e, const struct rwkv7_error *err)
{
    return error_other(e, err->status == RWKV7_ERR_USAGE || err->status == RWKV7_ERR_VOCAB ? 400 : 500, NULL, "%s",
                       err->message);
}

void error_rename(struct api_error *e, const char *from, const char *to)
{
    const size_t n = strlen(from);
    char text[sizeof e->message];
    if (strncmp(e->param, from, n) != 0 || (e->param[n] && e->param[n] != '['))
        return;
    const char *rest = e->message;
    if (strncmp(rest, e->param, strlen(e->param)) == 0)
        rest += strlen(e->param);
    snprintf(text, sizeof text, "%s%s", rest == e->message ? "" : to, rest);
    memcpy(e->message, text, sizeof text);
    snprintf(e->param, sizeof e->param, "%s", to);
    rwkv7_text_plain(e->message);
}

/* Adds the string, or null if there is none. */
static void add_optional(struct json_tree *t, cJSON *to, const char *name, const char *text)
{
    json_add_item(t, to, name, text && *text ? cJSON_CreateString(text) : cJSON_CreateNull());
}

cJSON *error_add(struct json_tree *t, cJSON *to, const struct api_error *e)
{
    cJSON *const error = json_add_object(t, to, "error");
    json_add_string(t, error, "message", e->message);
    json_add_string(t, error, "type", openai_type(e->status));
    add_optional(t, error, "param", e->param);
    return error;
}

char *error_body(const struct api_error *e, enum error_form form, const char *request_id)
{
    struct json_tree t;
    cJSON *const root = json_tree_object(&t);
    if (form == ERRORS_OPENAI) {
        add_optional(&t, error_add(&t, root, e), "code", e->code);
    } else if (form == ERRORS_OLLAMA) {
        json_add_string(&t, root, "error", e->message);
    } else {
        json_add_string(&t, root, "type", "error");
        cJSON *const error = json_add_object(&t, root, "error");
        json_add_string(&t, error, "type", anthropic_type(e->status));
        json_add_string(&t, error, "message", e->message);
        add_optional(&t, root, "request_id", request_id);
    }
    return json_tree_text(&t, false);
}
