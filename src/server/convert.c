/* convert.c - see convert.h. */
#include "server/convert.h"

#include <string.h>

#include "server/chat_request.h"

cJSON *convert_take(cJSON *object, const char *name)
{
    cJSON *const item = cJSON_DetachItemFromObjectCaseSensitive(object, name);
    if (!cJSON_IsNull(item))
        return item;
    cJSON_Delete(item);
    return NULL;
}

void convert_begin(struct conversion *c, cJSON *request, struct api_error *e)
{
    *c = (struct conversion){.request = {.root = request}, .error = e};
}

cJSON *convert_set(struct conversion *c, const char *name, cJSON *item)
{
    cJSON_DeleteItemFromObjectCaseSensitive(c->request.root, name);
    json_add_item(&c->request, c->request.root, name, item);
    return cJSON_GetObjectItemCaseSensitive(c->request.root, name);
}

cJSON *convert_begin_messages(struct conversion *c, const char *name)
{
    cJSON *const old = convert_take(c->request.root, name);
    c->messages = convert_set(c, "messages", cJSON_CreateArray());
    return old;
}

void convert_move(struct conversion *c, cJSON *from, const char *name, cJSON *to, const char *new_name)
{
    cJSON *const item = convert_take(from, name);
    if (!item)
        return;
    cJSON_DeleteItemFromObjectCaseSensitive(to, new_name);
    json_add_item(&c->request, to, new_name, item);
}

cJSON *convert_add_message(struct conversion *c, const char *role)
{
    c->last = json_add_object(&c->request, c->messages, NULL);
    json_add_string(&c->request, c->last, "role", role);
    return c->last;
}

void convert_add_call(struct conversion *c, cJSON *message, const char *id, const char *name, cJSON *arguments)
{
    struct json_tree *const t = &c->request;
    cJSON *calls = cJSON_GetObjectItemCaseSensitive(message, "tool_calls");
    if (!calls)
        calls = json_add_array(t, message, "tool_calls");
    cJSON *const call = json_add_object(t, calls, NULL);
    json_add_string(t, call, "id", id);
    json_add_string(t, call, "type", "function");
    cJSON *const function = json_add_object(t, call, "function");
    json_add_string(t, function, "name", name);
    json_add_item(t, function, "arguments", arguments);
}

const char *convert_string(const cJSON *object, const char *name)
{
    const cJSON *const item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsString(item) ? item->valuestring : "";
}

bool convert_check_text(const cJSON *content, const char *type, const char *param, struct api_error *e)
{
    if (!content || cJSON_IsNull(content) || cJSON_IsString(content))
        return true;
    if (!cJSON_IsArray(content))
        return error_request(e, param, "%s: expected a string or a list of parts", param);
    for (const cJSON *part = content->child; part; part = part->next) {
        const char *const found = convert_string(part, "type");
        if (strcmp(found, type) != 0)
            return error_request(e, param, "%s: expected parts of the type '%s', found '%.60s'", param, type, found);
        if (!cJSON_IsString(cJSON_GetObjectItemCaseSensitive(part, "text")))
            return error_request(e, param, "%s: a part has no text", param);
    }
    return true;
}

bool convert_read(struct conversion *c, struct job *job, const struct renamed *names, size_t count)
{
    cJSON *const request = c->request.root;
    struct api_error *const e = c->error;
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i].own, names[i].chat) != 0)
            convert_move(c, request, names[i].own, request, names[i].chat);
    if (e->status)
        return false;
    if (c->request.failed)
        return error_other(e, 500, NULL, "out of memory for the request");
    if (chat_read(job, request, e)) {
        if (job->choice_count != 1)
            return error_request(e, "n", "n: expected 1 in this protocol");
        if (job->generation.top >= 0)
            return error_request(e, "logprobs", "logprobs is not supported in this protocol");
        return true;
    }
    for (size_t i = 0; i < count; i++)
        error_rename(e, names[i].chat, names[i].own);
    return false;
}
