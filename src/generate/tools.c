/* tools.c - see tools.h. */
#include "generate/tools.h"

#include <stdio.h>
#include <string.h>

#include "base/json_tree.h"
#include "base/mem.h"
#include "base/status.h"
#include "matcher/calls.h"

/* ------------------------------------------------------------------------------------- reading */

/* A tool of a list, and where its members are. */
struct source {
    const cJSON *tool, *members; /* the members are in `tool`, or in its "function" */
    const char *prefix;          /* of the names of members: "" or "function." */
    size_t index;
    char *field;
    struct rwkv7_error *err;
};

/* Fails with a message about a member of the tool; "": the tool itself. */
static enum rwkv7_status refuse(const struct source *s, const char *member, const char *expected)
{
    snprintf(s->field, TOOLS_FIELD, "tools[%zu]%s%s%s", s->index, *member ? "." : "", *member ? s->prefix : "", member);
    return fail(s->err, RWKV7_ERR_USAGE, "%s: expected %s", s->field, expected);
}

static bool is_null(const cJSON *value)
{
    return !value || cJSON_IsNull(value);
}

static bool is_name(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:";
    const size_t n = strlen(text);
    return n > 0 && n <= TOOLS_NAME && strspn(text, allowed) == n;
}

/* Puts a space after each colon and comma of compact JSON, as in the texts of the training data. */
static void add_spaced(struct text *to, const char *json)
{
    bool in_string = false;
    for (; *json; json++) {
        text_add(to, json, 1);
        if (in_string && *json == '\\')
            text_add(to, ++json, 1);
        else if (*json == '"')
            in_string = !in_string;
        else if (!in_string && (*json == ':' || *json == ','))
            text_add(to, " ", 1);
    }
}

/* Returns the JSON of a tree with these spaces; NULL: out of memory. */
static char *spaced_text(struct json_tree *t)
{
    struct text spaced = {0};
    char *const compact = json_tree_text(t, false);
    if (compact)
        add_spaced(&spaced, compact);
    cJSON_free(compact);
    text_add(&spaced, "", 1);
    if (!compact || spaced.failed)
        text_free(&spaced);
    return spaced.bytes;
}

/* Finds the schema of the arguments; *found is NULL if there is none. */
static enum rwkv7_status find_schema(const struct source *s, const cJSON **found, const char **name)
{
    static const char *const names[] = {"parameters", "input_schema", "inputSchema"};
    *found = NULL;
    *name = names[0];
    for (size_t i = 0; i < sizeof names / sizeof *names && !*found; i++) {
        const cJSON *const value = cJSON_GetObjectItemCaseSensitive(s->members, names[i]);
        if (!is_null(value)) {
            *found = value;
            *name = names[i];
        }
    }
    const cJSON *const type = cJSON_GetObjectItemCaseSensitive(*found, "type");
    if (*found && !cJSON_IsObject(*found))
        return refuse(s, *name, "a JSON Schema");
    if (type && (!cJSON_IsString(type) || strcmp(type->valuestring, "object") != 0))
        return refuse(s, *name, "a JSON Schema of the type object");
    return RWKV7_OK;
}

/* Sets tool->schema. Arguments are an object, whether the schema says so or not. */
static enum rwkv7_status write_schema(struct tool *tool, const cJSON *schema, struct rwkv7_error *err)
{
    struct json_tree t = {.root = schema ? cJSON_Duplicate(schema, true) : cJSON_CreateObject()};
    t.failed = !t.root;
    if (t.root && !cJSON_GetObjectItemCaseSensitive(t.root, "type"))
        json_add_string(&t, t.root, "type", "object");
    if (t.root && !schema)
        json_add_bool(&t, t.root, "additionalProperties", false);
    char *const text = json_tree_text(&t, false);
    tool->schema = text ? mem_string(text, strlen(text)) : NULL;
    cJSON_free(text);
    return tool->schema ? RWKV7_OK : fail_memory(err, "the tools");
}

/* Sets tool->shown. */
static enum rwkv7_status write_shown(struct tool *tool, const char *description, const cJSON *schema,
                                     struct rwkv7_error *err)
{
    struct json_tree t;
    cJSON *const root = json_tree_object(&t);
    json_add_string(&t, root, "type", "function");
    cJSON *const function = json_add_object(&t, root, "function");
    json_add_string(&t, function, "name", tool->name);
    if (description)
        json_add_string(&t, function, "description", description);
    if (schema)
        json_add_item(&t, function, "parameters", cJSON_Duplicate(schema, true));
    tool->shown = spaced_text(&t);
    return tool->shown ? RWKV7_OK : fail_memory(err, "the tools");
}

static enum rwkv7_status read_tool(const struct tools *tools, struct tool *tool, struct source *s)
{
    const cJSON *const type = cJSON_GetObjectItemCaseSensitive(s->tool, "type"), *schema;
    const cJSON *const function = cJSON_GetObjectItemCaseSensitive(s->tool, "function");
    enum rwkv7_status status;
    if (!cJSON_IsObject(s->tool))
        return refuse(s, "", "an object");
    if (!is_null(type) && (!cJSON_IsString(type) ||
                           (strcmp(type->valuestring, "function") != 0 && strcmp(type->valuestring, "custom") != 0)))
        return refuse(s, "type", "'function'");
    if (function && !cJSON_IsObject(function))
        return refuse(s, "function", "an object");
    s->members = function ? function : s->tool;
    s->prefix = function ? "function." : "";
    const cJSON *const name = cJSON_GetObjectItemCaseSensitive(s->members, "name");
    const cJSON *const description = cJSON_GetObjectItemCaseSensitive(s->members, "description");
    const cJSON *const strict = cJSON_GetObjectItemCaseSensitive(s->members, "strict");
    if (!cJSON_IsString(name) || !is_name(name->valuestring))
        return refuse(s, "name", "a name of at most 128 letters, digits and _-./:");
    for (size_t i = 0; i < tools->count; i++)
        if (strcmp(tools->list[i].name, name->valuestring) == 0)
            return refuse(s, "name", "a name that no other tool has");
    if (!is_null(description) && !cJSON_IsString(description))
        return refuse(s, "description", "a string");
    if (!is_null(strict) && !cJSON_IsBool(strict))
        return refuse(s, "strict", "true or false");
    if ((status = find_schema(s, &schema, &tool->schema_field)) != RWKV7_OK)
        return status;
    tool->in_function = function != NULL;
    tool->strict = cJSON_IsTrue(strict);
    tool->name = mem_string(name->valuestring, strlen(name->valuestring));
    if (!tool->name)
        return fail_memory(s->err, "the tools");
    status = write_schema(tool, schema, s->err);
    return status == RWKV7_OK
               ? write_shown(tool, is_null(description) ? NULL : description->valuestring, schema, s->err)
               : status;
}

static void free_tool(struct tool *tool)
{
    mem_free(tool->name);
    mem_free(tool->shown);
    mem_free(tool->schema);
}

enum rwkv7_status tools_read(struct tools *t, const cJSON *list, char field[TOOLS_FIELD], struct rwkv7_error *err)
{
    struct source s = {.field = field, .err = err, .prefix = ""};
    enum rwkv7_status status = RWKV7_OK;
    const int count = cJSON_GetArraySize(list);
    *t = (struct tools){0};
    snprintf(field, TOOLS_FIELD, "tools");
    if (!cJSON_IsArray(list))
        return fail(err, RWKV7_ERR_USAGE, "tools: expected a list of tools");
    if (count > TOOLS_MOST)
        return fail(err, RWKV7_ERR_USAGE, "tools: expected at most %d tools, found %d", TOOLS_MOST, count);
    t->list = mem_alloc((size_t)count, sizeof *t->list);
    if (!t->list)
        return fail_memory(err, "the tools");
    for (const cJSON *one = list->child; one && status == RWKV7_OK; one = one->next) {
        struct tool tool = {0};
        s.tool = s.members = one;
        s.prefix = "";
        s.index = t->count;
        status = read_tool(t, &tool, &s);
        if (status == RWKV7_OK)
            t->list[t->count++] = tool;
        else
            free_tool(&tool);
    }
    return status;
}

bool tools_require(struct tools *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->list[i].name, name) != 0)
            continue;
        t->mode = TOOLS_REQUIRED;
        t->only = &t->list[i];
        t->single = true;
        return true;
    }
    return false;
}

void tools_free(struct tools *t)
{
    for (size_t i = 0; i < t->count; i++)
        free_tool(&t->list[i]);
    mem_free(t->list);
    *t = (struct tools){0};
}

bool tools_are_used(const struct tools *t)
{
    return t->count > 0 && t->mode != TOOLS_NONE;
}

/* -------------------------------------------------------------------------------------- prompts */

static void separate(struct text *to)
{
    text_add(to, "\n", to->size > 0);
}

void tools_add_system(const struct tools *t, struct text *to)
{
    separate(to);
    text_add_string(to, "You can call functions. Between <tools> and </tools>, each line describes one of them:\n"
                        "<tools>\n");
    for (size_t i = 0; i < t->count; i++) {
        text_add_string(to, t->list[i].shown);
        text_add(to, "\n", 1);
    }
    text_add_string(to, "</tools>\n"
                        "To call a function, answer with its name and its arguments in this form:\n"
                        "<tool_call>\n"
                        "{\"name\": \"NAME\", \"arguments\": {\"ARGUMENT\": VALUE}}\n"
                        "</tool_call>");
}

void tools_add_call(struct text *to, const char *name, const char *arguments)
{
    separate(to);
    text_add_string(to, "<tool_call>\n{\"name\": \"");
    text_add_string(to, name);
    text_add_string(to, "\", \"arguments\": ");
    text_add_string(to, arguments);
    text_add_string(to, "}\n</tool_call>");
}

void tools_add_result(struct text *to, const char *result, size_t size)
{
    separate(to);
    text_add_string(to, "<tool_response>\n");
    text_add(to, result, size);
    text_add_string(to, "\n</tool_response>");
}

/* -------------------------------------------------------------------------------------- grammar */

enum rwkv7_status tools_compile(const struct tools *t, const struct tools_answer *answer,
                                const struct rwkv7_tokenizer *tokenizer, struct rwkv7_grammar **out,
                                char field[TOOLS_FIELD], struct rwkv7_error *err)
{
    const char *stops[TEMPLATE_STOPS], *const opening = chat_template_opening(answer->thinking);
    const bool is_thought = !answer->prefilled && strstr(opening, "</think"); /* lacks only its last byte */
    char closed[TOOLS_FIELD];
    struct call_grammar calls = {
        .is_free = t->mode == TOOLS_AUTO,
        .thoughts = !answer->prefilled && (t->mode == TOOLS_AUTO || (*opening && !is_thought)),
        .opening = is_thought ? closed : "",
        .most = t->single ? 1 : TOOLS_CALLS,
        .stops = stops,
    };
    struct call_function *const functions = mem_alloc(t->count, sizeof *functions);
    size_t refused = SIZE_MAX;
    *out = NULL;
    snprintf(closed, sizeof closed, "%s>", opening);
    snprintf(field, TOOLS_FIELD, "tools");
    if (!functions)
        return fail_memory(err, "the tools");
    for (size_t i = 0; i < TEMPLATE_STOPS; i++)
        if (answer->template->stops[i])
            stops[calls.stop_count++] = answer->template->stops[i];
    for (size_t i = 0; i < t->count; i++) {
        const struct tool *const tool = &t->list[i];
        if (!t->only || t->only == tool)
            functions[calls.count++] = (struct call_function){tool->name, tool->schema, tool->strict};
    }
    calls.functions = functions;
    const enum rwkv7_status status = grammar_of_calls(&calls, tokenizer, out, &refused, err);
    if (status == RWKV7_ERR_USAGE && refused < calls.count) {
        const struct tool *const tool = t->only ? t->only : &t->list[refused];
        snprintf(field, TOOLS_FIELD, "tools[%zu].%s%s", (size_t)(tool - t->list), tool->in_function ? "function." : "",
                 tool->schema_field);
    }
    if (status == RWKV7_ERR_USAGE)
        fail_where(err, "%s: ", field);
    mem_free(functions);
    return status;
}

/* A grammar is about bytes, so any tokens of the text will do. */
enum rwkv7_status tools_follow(struct rwkv7_matcher *m, const struct rwkv7_tokenizer *tokenizer, const char *text,
                               size_t size, struct rwkv7_error *err)
{
    size_t room, count = 0, covered;
    if (size == 0)
        return RWKV7_OK;
    uint32_t *const ids = size_mul(size, 3, &room) ? mem_alloc(room, sizeof *ids) : NULL; /* as BPE needs */
    if (!ids)
        return fail_memory(err, "the text");
    enum rwkv7_status status = rwkv7_tokenizer_encode(tokenizer, text, size, true, ids, room, &count, &covered, err);
    for (size_t i = 0; i < count && status == RWKV7_OK; i++)
        status = rwkv7_matcher_advance(m, ids[i], err);
    mem_free(ids);
    return status;
}

enum rwkv7_status tools_check_start(struct rwkv7_grammar *grammar, const struct rwkv7_tokenizer *tokenizer,
                                    const char *text, size_t size, struct rwkv7_error *err)
{
    struct rwkv7_matcher *m;
    enum rwkv7_status status = rwkv7_matcher_create(grammar, &m, err);
    if (status != RWKV7_OK)
        return status;
    status = tools_follow(m, tokenizer, text, size, err);
    rwkv7_matcher_close(m);
    return status;
}
