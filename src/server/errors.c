/* errors.c - see errors.h. */
#include "server/errors.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/json_tree.h"
#include "base/status.h"

static const char *type_of(int status)
{
    return status == 429 ? "rate_limit_error" : status >= 500 ? "server_error" : "invalid_request_error";
}

static void fill(struct api_error *e, int status, const char *code, const char *fmt, va_list list) RWKV7_PRINTF(4, 0);
static void fill(struct api_error *e, int status, const char *code, const char *fmt, va_list list)
{
    e->status = status;
    e->type = type_of(status);
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

static cJSON *begin(struct json_tree *t, const struct api_error *e)
{
    cJSON *const error = json_add_object(t, json_tree_object(t), "error");
    json_add_string(t, error, "message", e->message);
    json_add_string(t, error, "type", e->type);
    json_add_item(t, error, "param", *e->param ? cJSON_CreateString(e->param) : cJSON_CreateNull());
    return error;
}

char *error_body(const struct api_error *e)
{
    struct json_tree t;
    cJSON *const error = begin(&t, e);
    json_add_item(&t, error, "code", e->code ? cJSON_CreateString(e->code) : cJSON_CreateNull());
    return json_tree_text(&t, false);
}

char *error_event(const struct api_error *e)
{
    struct json_tree t;
    cJSON *const error = begin(&t, e);
    json_add_number(&t, error, "code", e->status);
    return json_tree_text(&t, false);
}
