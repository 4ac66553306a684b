/* ollama_request.c - see ollama_request.h. */
#include "server/ollama_request.h"

#include <string.h>

#include "server/convert.h"

static const struct renamed names[] = {{"num_predict", "max_tokens"},
                                       {"format", "response_format"},
                                       {"think", "reasoning_effort"},
                                       {"think", "enable_thinking"}};

/* Members of "options". The others do not change a text, or are refused. */
static const char *const options[] = {
    "temperature", "top_p", "top_k", "min_p", "seed", "stop", "num_predict", "presence_penalty", "frequency_penalty"};

/* Members of "options" that this server does not have, and their values without an effect. */
static const struct {
    const char *name;
    double neutral;
} unsupported[] = {{"repeat_penalty", 1}, {"mirostat", 0}, {"tfs_z", 1}, {"typical_p", 1}};

static bool take_options(struct conversion *c)
{
    cJSON *const given = convert_take(c->request.root, "options");
    const struct fields f = {given, c->error};
    if (given && !cJSON_IsObject(given))
        error_request(c->error, "options", "options: expected an object");
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported && !c->error->status; i++) {
        const cJSON *const value = field_of(&f, unsupported[i].name);
        if (value && !(cJSON_IsNumber(value) && value->valuedouble == unsupported[i].neutral))
            error_request(c->error, unsupported[i].name, "%s is not supported", unsupported[i].name);
    }
    for (size_t i = 0; i < sizeof options / sizeof *options && !c->error->status; i++)
        convert_move(c, given, options[i], c->request.root, options[i]);
    cJSON_Delete(given);
    return c->error->status == 0;
}

/* num_predict: negative numbers mean no limit of the request's own. */
static bool take_limit(struct conversion *c, const struct server *server)
{
    const struct fields f = {c->request.root, c->error};
    const double most = (double)server->options->max_tokens;
    int64_t tokens = -1;
    const bool given = field_of(&f, "num_predict") || !field_of(&f, "max_tokens");
    field_whole(&f, "num_predict", -2, INT32_MAX, &tokens);
    if (c->error->status == 0 && given)
        convert_set(c, "num_predict", cJSON_CreateNumber(tokens < 0 ? most : (double)tokens));
    return c->error->status == 0;
}

/* "json", or a schema. */
static bool take_format(struct conversion *c)
{
    struct json_tree *const t = &c->request;
    cJSON *const format = convert_take(t->root, "format");
    const bool is_text = cJSON_IsString(format);
    const bool none = !format || (is_text && !*format->valuestring);
    const bool json = is_text && strcmp(format->valuestring, "json") == 0;
    if (!none && !json && !cJSON_IsObject(format))
        error_request(c->error, "format", "format: expected \"json\" or a schema");
    if (none || c->error->status) {
        cJSON_Delete(format);
        return c->error->status == 0;
    }
    cJSON *const chat = convert_set(c, "format", cJSON_CreateObject());
    json_add_string(t, chat, "type", json ? "json_object" : "json_schema");
    if (json)
        cJSON_Delete(format);
    else
        json_add_item(t, chat, "schema", format);
    return true;
}

/* true, false, or an effort. */
static bool take_think(struct conversion *c)
{
    cJSON *const think = cJSON_GetObjectItemCaseSensitive(c->request.root, "think");
    if (!think || cJSON_IsNull(think) || cJSON_IsString(think))
        return true;
    if (!cJSON_IsBool(think))
        return error_request(c->error, "think", "think: expected true, false or an effort");
    cJSON *const kwargs = convert_set(c, "chat_template_kwargs", cJSON_CreateObject());
    json_add_bool(&c->request, kwargs, "enable_thinking", cJSON_IsTrue(think));
    cJSON_DeleteItemFromObjectCaseSensitive(c->request.root, "think");
    return true;
}

static bool refuse_images(const cJSON *object, struct api_error *e)
{
    return cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(object, "images")) == 0 ||
           error_request(e, "images", "images is not supported");
}

/* Converts what both endpoints have. */
static bool take_common(struct conversion *c, const struct server *server)
{
    if (!cJSON_GetObjectItemCaseSensitive(c->request.root, "stream")) /* answers are streams by default */
        convert_set(c, "stream", cJSON_CreateTrue());
    return refuse_images(c->request.root, c->error) && take_options(c) && take_limit(c, server) && take_format(c) &&
           take_think(c);
}

bool ollama_read_chat(struct job *job, cJSON *request, struct api_error *e)
{
    struct conversion c;
    convert_begin(&c, request, e);
    const cJSON *const messages = cJSON_GetObjectItemCaseSensitive(request, "messages");
    for (const cJSON *one = cJSON_IsArray(messages) ? messages->child : NULL; one; one = one->next)
        if (!refuse_images(one, e))
            return false;
    return take_common(&c, job->server) && convert_read(&c, job, names, sizeof names / sizeof *names);
}

/*
 * "context": the tokens of the conversation so far, from an earlier answer. Their text is taken, and
 * tokenized again with the prompt, so that the tokens are those of the same conversation in
 * /api/chat.
 */
static bool take_context(struct conversion *c, struct job *job)
{
    const struct server *const s = job->server;
    const int64_t vocab = rwkv7_model_info(s->options->model)->shape.vocab;
    const struct fields f = {c->request.root, c->error};
    const cJSON *const list = field_of(&f, "context");
    job->keeps_context = true;
    if (list && !cJSON_IsArray(list))
        return error_request(c->error, "context", "context: expected a list of token ids");
    for (const cJSON *one = list ? list->child : NULL; one; one = one->next) {
        int64_t id;
        size_t size;
        if (!json_whole(one, 0, vocab - 1, &id))
            return error_request(c->error, "context", "context: expected token ids from 0 to %lld",
                                 (long long)vocab - 1);
        const void *const bytes = rwkv7_tokenizer_bytes(s->options->tokenizer, (uint32_t)id, &size);
        if (size > 0) /* the start of the document has no text */
            text_add(&job->context, bytes, size);
    }
    return !job->context.failed || error_other(c->error, 500, NULL, "out of memory for the prompt");
}

/* The prompt as it is, without the chat template. */
static bool read_raw(struct conversion *c, struct job *job)
{
    cJSON *const request = c->request.root;
    convert_move(c, request, "num_predict", request, "max_tokens");
    convert_move(c, request, "format", request, "response_format");
    if (c->request.failed)
        return error_other(c->error, 500, NULL, "out of memory for the request");
    if (completions_read(job, request, c->error))
        return job->choice_count == 1 || error_request(c->error, "n", "n: expected 1 in this protocol");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        error_rename(c->error, names[i].chat, names[i].own);
    return false;
}

bool ollama_read_generate(struct job *job, cJSON *request, struct api_error *e)
{
    static const struct renamed own[] = {{"prompt", "messages"}};
    const struct fields f = {request, e};
    const char *prompt = "", *system = "", *template = "";
    struct conversion c;
    bool raw = false;
    convert_begin(&c, request, e);
    field_string(&f, "prompt", &prompt);
    field_string(&f, "system", &system);
    field_string(&f, "template", &template);
    field_bool(&f, "raw", &raw);
    if (cJSON_GetArraySize(field_of(&f, "tools")) > 0)
        error_request(e, "tools", "tools: only /api/chat has tools");
    if (*template)
        error_request(e, "template", "template is not supported; see serve --template");
    if (e->status || !take_common(&c, job->server))
        return false;
    if (raw)
        return read_raw(&c, job);
    if (!take_context(&c, job))
        return false;
    cJSON_Delete(convert_begin_messages(&c, "messages"));
    if (*system)
        json_add_string(&c.request, convert_add_message(&c, "system"), "content", system);
    json_add_string(&c.request, convert_add_message(&c, "user"), "content", prompt);
    if (convert_read(&c, job, names, sizeof names / sizeof *names))
        return true;
    error_rename(e, own->chat, own->own);
    return false;
}

bool ollama_is_empty(const cJSON *request, bool *unload)
{
    const cJSON *const prompt = cJSON_GetObjectItemCaseSensitive(request, "prompt"),
                       *const messages = cJSON_GetObjectItemCaseSensitive(request, "messages"),
                       *const keep = cJSON_GetObjectItemCaseSensitive(request, "keep_alive");
    const bool zero =
        (cJSON_IsNumber(keep) && keep->valuedouble == 0) || (cJSON_IsString(keep) && keep->valuestring[0] == '0');
    *unload = zero;
    return (!prompt || cJSON_IsNull(prompt) || (cJSON_IsString(prompt) && !*prompt->valuestring)) &&
           (!messages || cJSON_IsNull(messages) || (cJSON_IsArray(messages) && !messages->child));
}
