/* messages_request.c - see messages_request.h. */
#include "server/messages_request.h"

#include <stdio.h>
#include <string.h>

#include "server/convert.h"

static const struct renamed names[] = {{"messages", "messages"},
                                       {"stop_sequences", "stop"},
                                       {"thinking", "chat_template_kwargs"},
                                       {"thinking", "enable_thinking"},
                                       {"output_config.effort", "reasoning_effort"},
                                       {"output_config.format", "response_format"}};

/* A message of the request, on its way to one or more messages of a chat. */
struct source {
    struct conversion *conversion;
    char param[48];
    bool assistant;
    cJSON *message; /* the converted one; NULL: none yet */
    cJSON *parts;   /* its content */
};

/* Returns the list to which a text part is added, and begins the message if necessary. */
static cJSON *parts_of(struct source *s)
{
    struct json_tree *const t = &s->conversion->request;
    if (!s->message)
        s->message = convert_add_message(s->conversion, s->assistant ? "assistant" : "user");
    if (!s->parts)
        s->parts = json_add_array(t, s->message, "content");
    return s->parts;
}

static bool take_call(struct source *s, cJSON *block)
{
    struct conversion *const c = s->conversion;
    cJSON *const input = convert_take(block, "input");
    if (!cJSON_IsObject(input) || !*convert_string(block, "name")) {
        cJSON_Delete(input);
        return error_request(c->error, s->param, "%s: expected a tool_use with a name and an object as input",
                             s->param);
    }
    parts_of(s);
    convert_add_call(c, s->message, convert_string(block, "id"), convert_string(block, "name"), input);
    return true;
}

/* A result becomes a message of its own. Results precede the text of the user. */
static bool take_result(struct source *s, cJSON *block)
{
    struct conversion *const c = s->conversion;
    if (!convert_check_text(cJSON_GetObjectItemCaseSensitive(block, "content"), "text", s->param, c->error))
        return false;
    if (s->message)
        return error_request(c->error, s->param, "%s: expected tool_result before other blocks", s->param);
    cJSON *const message = convert_add_message(c, "tool");
    json_add_string(&c->request, message, "tool_call_id", convert_string(block, "tool_use_id"));
    convert_move(c, block, "content", message, "content");
    return true;
}

/* Converts a block and frees it. Earlier thoughts are not part of a conversation. */
static bool take_block(struct source *s, cJSON *block)
{
    struct conversion *const c = s->conversion;
    const char *const type = convert_string(block, "type");
    bool fine = true;
    if (strcmp(type, "text") == 0 && *convert_string(block, "text")) {
        json_add_item(&c->request, parts_of(s), NULL, block);
        return true;
    }
    if (strcmp(type, "tool_use") == 0 && s->assistant)
        fine = take_call(s, block);
    else if (strcmp(type, "tool_result") == 0 && !s->assistant)
        fine = take_result(s, block);
    else if (strcmp(type, "text") != 0 && !(s->assistant && strstr(type, "thinking")))
        fine = error_request(c->error, s->param, "%s: content of the type '%.60s' is not supported", s->param, type);
    cJSON_Delete(block);
    return fine;
}

static bool take_message(struct conversion *c, cJSON *message, int index)
{
    struct source s = {.conversion = c};
    const char *const role = convert_string(message, "role");
    snprintf(s.param, sizeof s.param, "messages[%d]", index);
    s.assistant = strcmp(role, "assistant") == 0;
    if (!s.assistant && strcmp(role, "user") != 0)
        return error_request(c->error, s.param, "%s: expected the role user or assistant, found '%.60s'", s.param,
                             role);
    cJSON *const content = cJSON_GetObjectItemCaseSensitive(message, "content");
    if (cJSON_IsString(content)) {
        convert_move(c, message, "content", convert_add_message(c, role), "content");
        return true;
    }
    if (!cJSON_IsArray(content))
        return error_request(c->error, s.param, "%s: expected a string or a list of blocks as content", s.param);
    bool results = false;
    while (content->child) {
        cJSON *const block = cJSON_DetachItemFromArray(content, 0);
        results = results || strcmp(convert_string(block, "type"), "tool_result") == 0;
        if (!take_block(&s, block))
            return false;
    }
    if (!s.message && !results)
        parts_of(&s);
    return true;
}

static bool take_messages(struct conversion *c, cJSON *system, const cJSON *messages)
{
    int index = 0;
    if (!convert_check_text(system, "text", "system", c->error))
        return false;
    if (system) {
        struct json_tree *const t = &c->request;
        json_add_item(t, convert_add_message(c, "system"), "content", cJSON_Duplicate(system, true));
    }
    if (!cJSON_IsArray(messages))
        return error_request(c->error, "messages", "messages: expected a list of messages");
    for (cJSON *one = messages->child; one && !c->request.failed; one = one->next)
        if (!take_message(c, one, index++))
            return false;
    return true;
}

/* {"type":"enabled"|"adaptive"|"disabled"}. The budget is not enforced; max_tokens limits thoughts, too. */
static bool take_thinking(struct conversion *c, const cJSON *thinking)
{
    const char *const type = convert_string(thinking, "type");
    const bool off = strcmp(type, "disabled") == 0;
    if (!thinking)
        return true;
    if (!off && strcmp(type, "enabled") != 0 && strcmp(type, "adaptive") != 0)
        return error_request(c->error, "thinking", "thinking: expected the type enabled, adaptive or disabled");
    cJSON *const kwargs = convert_set(c, "chat_template_kwargs", cJSON_CreateObject());
    json_add_bool(&c->request, kwargs, "enable_thinking", !off);
    return true;
}

/* {"effort":"low"|.., "format":{"type":"json_schema","schema":..}} */
static bool take_output(struct conversion *c, cJSON *output)
{
    if (output && !cJSON_IsObject(output))
        return error_request(c->error, "output_config", "output_config: expected an object");
    convert_move(c, output, "effort", c->request.root, "reasoning_effort");
    convert_move(c, output, "format", c->request.root, "response_format");
    return true;
}

/*
 * The protocol requires a limit, and its clients cannot know this server's: a larger limit means
 * the server's.
 */
static bool take_limit(struct conversion *c, const struct server *server)
{
    const struct fields f = {c->request.root, c->error};
    int64_t tokens = 0;
    field_whole(&f, "max_tokens", 1, INT32_MAX, &tokens);
    if (tokens > 0 && (uint64_t)tokens > server->options->max_tokens)
        convert_set(c, "max_tokens", cJSON_CreateNumber((double)server->options->max_tokens));
    return c->error->status == 0;
}

/* {"type":"auto"|"any"|"tool"|"none", "name", "disable_parallel_tool_use"} */
static bool take_tool_choice(struct conversion *c, cJSON *choice)
{
    struct json_tree *const t = &c->request;
    const char *const type = convert_string(choice, "type");
    const struct fields f = {choice, c->error};
    bool single = false;
    if (!choice)
        return true;
    field_bool(&f, "disable_parallel_tool_use", &single);
    if (single)
        convert_set(c, "parallel_tool_calls", cJSON_CreateFalse());
    if (strcmp(type, "tool") == 0) {
        cJSON *const tool = convert_set(c, "tool_choice", cJSON_CreateObject());
        json_add_string(t, tool, "type", "function");
        json_add_string(t, tool, "name", convert_string(choice, "name"));
    } else if (strcmp(type, "auto") == 0 || strcmp(type, "none") == 0) {
        convert_set(c, "tool_choice", cJSON_CreateString(type));
    } else if (strcmp(type, "any") == 0) {
        convert_set(c, "tool_choice", cJSON_CreateString("required"));
    } else {
        error_request(c->error, "tool_choice", "tool_choice: expected the type auto, any, tool or none, found '%.60s'",
                      type);
    }
    return c->error->status == 0;
}

bool messages_read(struct job *job, cJSON *request, struct api_error *e)
{
    struct conversion c;
    convert_begin(&c, request, e);
    cJSON *const messages = convert_begin_messages(&c, "messages");
    cJSON *const system = convert_take(request, "system"), *const thinking = convert_take(request, "thinking"),
                 *const output = convert_take(request, "output_config"),
                 *const choice = convert_take(request, "tool_choice");
    const bool fine = take_messages(&c, system, messages) && take_limit(&c, job->server) &&
                      take_thinking(&c, thinking) && take_output(&c, output) && take_tool_choice(&c, choice) &&
                      convert_read(&c, job, names, sizeof names / sizeof *names);
    cJSON_Delete(messages);
    cJSON_Delete(system);
    cJSON_Delete(thinking);
    cJSON_Delete(output);
    cJSON_Delete(choice);
    return fine;
}
