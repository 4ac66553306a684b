/* tool_fields.c - see tool_fields.h. */
#include "server/tool_fields.h"

#include <string.h>

/* Reads the name of {"type": "function", "function": {"name": ..}}, also without the inner object. */
static const char *chosen_name(const cJSON *choice)
{
    const cJSON *const type = cJSON_GetObjectItemCaseSensitive(choice, "type");
    const cJSON *const function = cJSON_GetObjectItemCaseSensitive(choice, "function");
    const cJSON *const name = cJSON_GetObjectItemCaseSensitive(function ? function : choice, "name");
    const bool fits = cJSON_IsString(type) && strcmp(type->valuestring, "function") == 0 && cJSON_IsString(name);
    return fits ? name->valuestring : NULL;
}

static bool read_choice(const struct fields *f, struct tools *out)
{
    static const char field[] = "tool_choice";
    static const struct {
        const char *name;
        enum tools_mode mode;
    } modes[] = {{"auto", TOOLS_AUTO}, {"none", TOOLS_NONE}, {"required", TOOLS_REQUIRED}};
    const cJSON *const choice = field_of(f, field);
    if (!choice)
        return true;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (!cJSON_IsString(choice) || strcmp(choice->valuestring, modes[i].name) != 0)
            continue;
        out->mode = modes[i].mode;
        if (out->mode == TOOLS_REQUIRED && out->count == 0)
            return error_request(f->error, field, "%s: there are no tools", field);
        return true;
    }
    const char *const name = chosen_name(choice);
    if (!name)
        return error_request(f->error, field, "%s: expected auto, none, required or a function", field);
    return tools_require(out, name) || error_request(f->error, field, "%s: there is no tool '%.60s'", field, name);
}

bool tool_fields_read(const struct fields *f, struct tools *out)
{
    const cJSON *const list = field_of(f, "tools");
    char field[TOOLS_FIELD];
    struct rwkv7_error err;
    bool parallel = true;
    *out = (struct tools){0};
    const enum rwkv7_status status = list ? tools_read(out, list, field, &err) : RWKV7_OK;
    if (status == RWKV7_ERR_USAGE)
        return error_request(f->error, field, "%s", err.message);
    if (status != RWKV7_OK)
        return error_library(f->error, &err);
    field_bool(f, "parallel_tool_calls", &parallel);
    out->single = !parallel;
    return f->error->status == 0 && read_choice(f, out);
}

bool tool_fields_refuse(const struct fields *f)
{
    const cJSON *const list = field_of(f, "tools");
    return !list || (cJSON_IsArray(list) && !list->child) ||
           error_request(f->error, "tools", "tools: only chats have tools");
}

/* The arguments are a string of JSON text; an object is accepted too. */
static bool add_call(const cJSON *call, const char *param, struct text *to, struct api_error *e)
{
    const cJSON *const function = cJSON_GetObjectItemCaseSensitive(call, "function");
    const cJSON *const name = cJSON_GetObjectItemCaseSensitive(function, "name");
    const cJSON *const arguments = cJSON_GetObjectItemCaseSensitive(function, "arguments");
    if (!cJSON_IsString(name))
        return error_request(e, param, "%s: expected tool_calls with the name of a function", param);
    if (cJSON_IsString(arguments)) {
        tools_add_call(to, name->valuestring, *arguments->valuestring ? arguments->valuestring : "{}");
        return true;
    }
    if (arguments && !cJSON_IsObject(arguments))
        return error_request(e, param, "%s: expected tool_calls with a string of arguments", param);
    char *const text = arguments ? cJSON_PrintUnformatted(arguments) : NULL;
    if (arguments && !text)
        return error_other(e, 500, NULL, "out of memory for the prompt");
    tools_add_call(to, name->valuestring, text ? text : "{}");
    cJSON_free(text);
    return true;
}

bool tool_fields_add_calls(const cJSON *calls, const char *param, struct text *to, struct api_error *e)
{
    if (calls && !cJSON_IsNull(calls) && !cJSON_IsArray(calls))
        return error_request(e, param, "%s: expected a list of tool_calls", param);
    for (const cJSON *one = calls ? calls->child : NULL; one; one = one->next)
        if (!add_call(one, param, to, e))
            return false;
    return true;
}
