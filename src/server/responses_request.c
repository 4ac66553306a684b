/* responses_request.c - see responses_request.h. */
#include "server/responses_request.h"

#include <stdio.h>
#include <string.h>

#include "server/convert.h"

static const struct renamed names[] = {{"input", "messages"},
                                       {"max_output_tokens", "max_tokens"},
                                       {"reasoning.effort", "reasoning_effort"},
                                       {"text.format", "response_format"}};

static const char *const unsupported[] = {"conversation", "prompt"};

/* Gives text parts the type that they have in chats. */
static bool rename_parts(struct conversion *c, cJSON *content, const char *param)
{
    for (cJSON *part = cJSON_IsArray(content) ? content->child : NULL; part; part = part->next) {
        const char *const type = convert_string(part, "type");
        if (strcmp(type, "input_text") != 0 && strcmp(type, "output_text") != 0)
            return error_request(c->error, param, "%s: content of the type '%.60s' is not supported", param, type);
        cJSON_DeleteItemFromObjectCaseSensitive(part, "type");
        json_add_string(&c->request, part, "type", "text");
    }
    return true;
}

static bool take_message(struct conversion *c, cJSON *item, const char *param)
{
    static const char *const roles[] = {"system", "developer", "user", "assistant"};
    const char *const role = convert_string(item, "role");
    cJSON *const content = cJSON_GetObjectItemCaseSensitive(item, "content");
    size_t i = 0;
    while (i < sizeof roles / sizeof *roles && strcmp(role, roles[i]) != 0)
        i++;
    if (i == sizeof roles / sizeof *roles)
        return error_request(c->error, param,
                             "%s: expected the role system, developer, user or assistant, found '%.60s'", param, role);
    if (!cJSON_IsString(content) && !cJSON_IsArray(content))
        return error_request(c->error, param, "%s: expected a string or a list of parts as content", param);
    if (!rename_parts(c, content, param) || !convert_check_text(content, "text", param, c->error))
        return false;
    convert_move(c, item, "content", convert_add_message(c, role), "content");
    return true;
}

/* Calls belong to the answer that they follow. */
static bool take_call(struct conversion *c, cJSON *item, const char *param)
{
    cJSON *message = c->last;
    if (!*convert_string(item, "name") || !cJSON_IsString(cJSON_GetObjectItemCaseSensitive(item, "arguments")))
        return error_request(c->error, param, "%s: expected a name, and arguments as a string", param);
    if (strcmp(convert_string(message, "role"), "assistant") != 0)
        message = convert_add_message(c, "assistant");
    convert_add_call(c, message, convert_string(item, "call_id"), convert_string(item, "name"),
                     convert_take(item, "arguments"));
    return true;
}

static bool take_result(struct conversion *c, cJSON *item, const char *param)
{
    cJSON *const output = cJSON_GetObjectItemCaseSensitive(item, "output");
    if (!rename_parts(c, output, param) || !convert_check_text(output, "text", param, c->error))
        return false;
    cJSON *const message = convert_add_message(c, "tool");
    json_add_string(&c->request, message, "tool_call_id", convert_string(item, "call_id"));
    convert_move(c, item, "output", message, "content");
    return true;
}

static bool take_item(struct conversion *c, cJSON *item, int index)
{
    const char *const type = convert_string(item, "type");
    char param[32];
    snprintf(param, sizeof param, "input[%d]", index);
    if (!cJSON_IsObject(item))
        return error_request(c->error, param, "%s: expected an object", param);
    if (!*type || strcmp(type, "message") == 0)
        return take_message(c, item, param);
    if (strcmp(type, "function_call") == 0)
        return take_call(c, item, param);
    if (strcmp(type, "function_call_output") == 0)
        return take_result(c, item, param);
    if (strcmp(type, "reasoning") == 0) /* earlier thoughts are not part of a conversation */
        return true;
    return error_request(c->error, param, "%s: items of the type '%.60s' are not supported", param, type);
}

static bool take_input(struct conversion *c, cJSON *input)
{
    struct json_tree *const t = &c->request;
    const struct fields f = {t->root, c->error};
    const char *instructions = NULL;
    int index = 0;
    field_string(&f, "instructions", &instructions);
    if (c->error->status)
        return false;
    if (instructions)
        json_add_string(t, convert_add_message(c, "system"), "content", instructions);
    if (cJSON_IsString(input)) {
        json_add_string(t, convert_add_message(c, "user"), "content", input->valuestring);
        return true;
    }
    if (!cJSON_IsArray(input))
        return error_request(c->error, "input", "input: expected a string or a list of items");
    for (cJSON *one = input->child; one && !t->failed; one = one->next)
        if (!take_item(c, one, index++))
            return false;
    return true;
}

/* Moves a member of an object of the request to the request. */
static bool take_inner(struct conversion *c, const char *outer, const char *inner, const char *chat)
{
    cJSON *const object = cJSON_GetObjectItemCaseSensitive(c->request.root, outer);
    if (object && !cJSON_IsNull(object) && !cJSON_IsObject(object))
        return error_request(c->error, outer, "%s: expected an object", outer);
    convert_move(c, object, inner, c->request.root, chat);
    return true;
}

static bool refuse(const struct conversion *c)
{
    const struct fields f = {c->request.root, c->error};
    bool background = false;
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++)
        if (field_of(&f, unsupported[i]))
            return error_request(c->error, unsupported[i], "%s is not supported", unsupported[i]);
    field_bool(&f, "background", &background);
    if (background)
        error_request(c->error, "background", "background is not supported");
    return c->error->status == 0;
}

/* Reads where the conversation continues and whether its answer is stored. */
static bool read_store(const struct conversion *c, struct job *job)
{
    const struct fields f = {c->request.root, c->error};
    const char *previous = NULL;
    job->stores = true;
    field_bool(&f, "store", &job->stores);
    field_string(&f, "previous_response_id", &previous);
    if (previous && !*previous)
        error_request(c->error, "previous_response_id", "previous_response_id: expected the id of an answer");
    if (previous) /* what is too long is found to be unknown */
        snprintf(job->previous, sizeof job->previous, "%s", previous);
    return c->error->status == 0;
}

bool responses_read(struct job *job, cJSON *request, struct api_error *e)
{
    struct conversion c;
    convert_begin(&c, request, e);
    cJSON *const input = convert_begin_messages(&c, "input");
    const bool fine = refuse(&c) && read_store(&c, job) && take_input(&c, input) &&
                      take_inner(&c, "reasoning", "effort", "reasoning_effort") &&
                      take_inner(&c, "text", "format", "response_format") &&
                      convert_read(&c, job, names, sizeof names / sizeof *names);
    cJSON_Delete(input);
    return fine;
}
