/* chat.c - POST /v1/chat/completions: answers the last message of a conversation. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "server/handlers.h"
#include "server/json_body.h"

/* -------------------------------------------------------------------------------------- answers */

static void add_scores(struct json_tree *t, cJSON *one, const struct choice *c)
{
    if (c->job->generation.top < 0)
        json_add_item(t, one, "logprobs", cJSON_CreateNull());
    else
        scores_chat(c->job->server, &c->scores, t, one);
}

/* Starts a stream event and returns its object "delta". */
static cJSON *begin_event(struct json_tree *t, cJSON **one, const struct choice *c)
{
    cJSON *const root = job_head(t, c->job, "chat.completion.chunk");
    *one = json_add_object(t, json_add_array(t, root, "choices"), NULL);
    json_add_number(t, *one, "index", (double)c->index);
    return json_add_object(t, *one, "delta");
}

static void end_event(struct json_tree *t, cJSON *one, const struct choice *c, bool with_scores, const char *reason)
{
    if (with_scores)
        add_scores(t, one, c);
    else
        json_add_item(t, one, "logprobs", cJSON_CreateNull());
    json_add_item(t, one, "finish_reason", reason ? cJSON_CreateString(reason) : cJSON_CreateNull());
    job_event(c->job, json_tree_text(t, false));
}

static void begin(struct job *job, struct choice *c)
{
    struct json_tree t;
    cJSON *one;
    cJSON *const delta = begin_event(&t, &one, c);
    (void)job;
    json_add_string(&t, delta, "role", "assistant");
    json_add_string(&t, delta, "content", "");
    end_event(&t, one, c, false, NULL);
}

static void piece(struct job *job, struct choice *c)
{
    struct json_tree t;
    cJSON *one;
    cJSON *const delta = begin_event(&t, &one, c);
    (void)job;
    if (c->thought.size > 0)
        json_add_text(&t, delta, "reasoning_content", c->thought.bytes, c->thought.size);
    if (c->text.size > 0)
        json_add_text(&t, delta, "content", c->text.bytes, c->text.size);
    end_event(&t, one, c, true, NULL);
    c->text.size = c->thought.size = 0;
    scores_clear(&c->scores);
}

static void end(struct job *job, struct choice *c)
{
    struct json_tree t;
    cJSON *one;
    begin_event(&t, &one, c);
    (void)job;
    end_event(&t, one, c, c->scores.count > 0, job_finish_reason(c));
}

static void finish(struct job *job)
{
    job_finish_stream(job, "chat.completion.chunk");
}

static char *body(struct job *job)
{
    struct json_tree t;
    cJSON *const root = job_head(&t, job, "chat.completion");
    cJSON *const choices = json_add_array(&t, root, "choices");
    for (size_t i = 0; i < job->choice_count; i++) {
        const struct choice *const c = &job->choices[i];
        cJSON *const one = json_add_object(&t, choices, NULL);
        json_add_number(&t, one, "index", (double)c->index);
        cJSON *const message = json_add_object(&t, one, "message");
        json_add_string(&t, message, "role", "assistant");
        if (c->thought.size > 0)
            json_add_text(&t, message, "reasoning_content", c->thought.bytes, c->thought.size);
        json_add_text(&t, message, "content", c->text.bytes, c->text.size);
        add_scores(&t, one, c);
        json_add_string(&t, one, "finish_reason", job_finish_reason(c));
    }
    job_add_usage(&t, root, job);
    job_add_seed(&t, root, job);
    return json_tree_text(&t, false);
}

static const struct protocol chat = {
    .id_prefix = "chatcmpl-", .begin = begin, .piece = piece, .end = end, .finish = finish, .body = body};

/* ------------------------------------------------------------------------------------- messages */

enum role { ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT };

/* The prompt of a conversation, built message by message. */
struct transcript {
    const struct chat_template *template;
    enum thinking thinking; /* of the last turn */
    struct text text;
    struct text user;   /* user messages since the last answer */
    bool any_user;      /* there is such a message, perhaps an empty one */
    struct text system; /* messages before the first turn */
    bool any_turn;
};

static void add_owned(struct transcript *t, char *text)
{
    if (text)
        text_add_string(&t->text, text);
    t->text.failed = t->text.failed || !text;
    mem_free(text);
}

/* Adds the system prompt. Called when the first turn begins. */
static void add_system(struct transcript *t)
{
    text_add(&t->system, "", 1);
    if (!t->system.failed && t->system.size > 1)
        add_owned(t, chat_template_system(t->template, t->system.bytes));
    t->text.failed = t->text.failed || t->system.failed;
    text_free(&t->system);
}

/* Adds the user's turn and the opening of the answer. */
static void add_turn(struct transcript *t, enum thinking thinking)
{
    if (!t->any_turn)
        add_system(t);
    text_add(&t->user, "", 1);
    if (!t->user.failed)
        add_owned(t, chat_template_turn(t->template, t->user.bytes, !t->any_turn, thinking));
    t->text.failed = t->text.failed || t->user.failed;
    text_free(&t->user);
    t->any_turn = true;
    t->any_user = false;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Adds an answer in the form that the model writes: one space, then the trimmed text. */
static void add_answer(struct transcript *t, const char *content, size_t size)
{
    add_turn(t, THINK_OFF);
    while (size > 0 && is_space(*content)) {
        content++;
        size--;
    }
    while (size > 0 && is_space(content[size - 1]))
        size--;
    text_add(&t->text, " ", size > 0);
    text_add(&t->text, content, size);
}

static void add_message(struct transcript *t, enum role role, const struct text *content)
{
    struct text *const to = role == ROLE_SYSTEM && !t->any_turn && !t->any_user ? &t->system : &t->user;
    if (role == ROLE_ASSISTANT) {
        add_answer(t, content->bytes, content->size);
        return;
    }
    if (to->size > 0)
        text_add(to, "\n", 1);
    text_add(to, content->bytes, content->size);
    t->any_user = t->any_user || to == &t->user;
}

/* Reads message content: a string, null, or a list of parts {"type":"text","text":".."}. */
static bool read_content(const cJSON *content, const char *param, struct text *out, struct api_error *e)
{
    if (!content || cJSON_IsNull(content))
        return true;
    if (cJSON_IsString(content)) {
        text_add_string(out, content->valuestring);
        return true;
    }
    if (!cJSON_IsArray(content))
        return error_request(e, param, "%s: expected a string or a list of parts", param);
    for (const cJSON *part = content->child; part; part = part->next) {
        const cJSON *const type = cJSON_GetObjectItemCaseSensitive(part, "type");
        const cJSON *const text = cJSON_GetObjectItemCaseSensitive(part, "text");
        if (!cJSON_IsString(type) || strcmp(type->valuestring, "text") != 0 || !cJSON_IsString(text))
            return error_request(e, param, "%s: expected parts of the type 'text', found '%.60s'", param,
                                 cJSON_IsString(type) ? type->valuestring : "something else");
        text_add_string(out, text->valuestring);
    }
    return true;
}

static bool read_role(const cJSON *message, const char *param, enum role *role, struct api_error *e)
{
    static const struct {
        const char *name;
        enum role role;
    } roles[] = {
        {"system", ROLE_SYSTEM}, {"developer", ROLE_SYSTEM}, {"user", ROLE_USER}, {"assistant", ROLE_ASSISTANT}};
    const cJSON *const name = cJSON_GetObjectItemCaseSensitive(message, "role");
    for (size_t i = 0; cJSON_IsString(name) && i < sizeof roles / sizeof *roles; i++)
        if (strcmp(name->valuestring, roles[i].name) == 0) {
            *role = roles[i].role;
            return true;
        }
    return error_request(e, param, "%s: expected the role system, developer, user or assistant, found '%.60s'", param,
                         cJSON_IsString(name) ? name->valuestring : "something else");
}

static bool read_message(struct transcript *t, const cJSON *message, int index, struct api_error *e)
{
    char param[48];
    enum role role = ROLE_USER;
    struct text content = {0};
    snprintf(param, sizeof param, "messages[%d]", index);
    if (!read_role(message, param, &role, e))
        return false;
    const cJSON *const calls = cJSON_GetObjectItemCaseSensitive(message, "tool_calls");
    if (calls && !cJSON_IsNull(calls) && cJSON_GetArraySize(calls) > 0)
        return error_request(e, param, "%s: tool_calls is not supported", param);
    const bool fine = read_content(cJSON_GetObjectItemCaseSensitive(message, "content"), param, &content, e);
    if (fine) {
        t->text.failed = t->text.failed || content.failed;
        add_message(t, role, &content);
    }
    text_free(&content);
    return fine;
}

/*
 * Builds the prompt of the whole conversation. *prefilled: the last message is the start of the
 * answer.
 */
static bool read_messages(struct transcript *t, const struct fields *f, bool *prefilled)
{
    const cJSON *const messages = field_of(f, "messages");
    int index = 0;
    if (!cJSON_IsArray(messages) || !messages->child)
        return error_request(f->error, "messages", "messages: expected a list of messages");
    for (const cJSON *one = messages->child; one; one = one->next)
        if (!read_message(t, one, index++, f->error))
            return false;
    *prefilled = t->any_turn && !t->any_user;
    if (!*prefilled && !t->any_user)
        return error_request(f->error, "messages", "messages: expected a message of the user");
    if (!*prefilled)
        add_turn(t, t->thinking);
    if (t->text.failed || t->user.failed)
        return error_other(f->error, 500, NULL, "out of memory for the prompt");
    return true;
}

/* ------------------------------------------------------------------------------------- requests */

/*
 * A constraint applies from the first token, so a constrained answer has no thoughts. It is an
 * error if the request asks for them; the server's default is ignored.
 */
static void forgo_thoughts(struct job *job, const char *param, bool given, struct api_error *e)
{
    if (given && job->thinking != THINK_OFF && job->thinking != THINK_EMPTY)
        error_request(e, param, "%s: a constrained text has no thoughts before it", param);
    job->thinking = THINK_OFF;
}

static void read_thinking(struct job *job, const struct fields *f)
{
    static const struct {
        const char *name;
        enum thinking thinking;
    } efforts[] = {{"none", THINK_EMPTY},
                   {"minimal", THINK_EMPTY},
                   {"low", THINK_SHORT},
                   {"medium", THINK_NORMAL},
                   {"high", THINK_LONG}};
    const char *effort = NULL;
    bool enable = false;
    const cJSON *const kwargs = field_of(f, "chat_template_kwargs");
    const struct fields inner = {kwargs, f->error};
    job->thinking = job->server->options->thinking;
    field_string(f, "reasoning_effort", &effort);
    if (kwargs && !cJSON_IsObject(kwargs))
        error_request(f->error, "chat_template_kwargs", "chat_template_kwargs: expected an object");
    else if (kwargs && field_of(&inner, "enable_thinking")) {
        field_bool(&inner, "enable_thinking", &enable);
        job->thinking = enable ? THINK_ON : THINK_EMPTY;
    }
    size_t i = 0;
    while (effort && i < sizeof efforts / sizeof *efforts && strcmp(effort, efforts[i].name) != 0)
        i++;
    if (effort && i == sizeof efforts / sizeof *efforts)
        error_request(f->error, "reasoning_effort",
                      "reasoning_effort: expected none, minimal, low, medium or high, found '%.60s'", effort);
    else if (effort)
        job->thinking = efforts[i].thinking;
    if (!job->server->options->template->thinks)
        job->thinking = THINK_OFF;
    if (job->generation.grammar)
        forgo_thoughts(job, effort ? "reasoning_effort" : "enable_thinking", effort || enable, f->error);
}

static bool read_scores(struct generation *g, const struct fields *f)
{
    bool wanted = false;
    int64_t top = 0;
    field_bool(f, "logprobs", &wanted);
    field_whole(f, "top_logprobs", 0, GENERATION_TOP, &top);
    if (top > 0 && !wanted)
        error_request(f->error, "top_logprobs", "top_logprobs: needs logprobs");
    g->top = wanted ? (int)top : -1;
    return f->error->status == 0;
}

static bool read_prompt(struct job *job, const struct fields *f)
{
    const struct server_options *const o = job->server->options;
    struct transcript t = {.template = o->template, .thinking = job->thinking};
    struct rwkv7_error err;
    bool fine = read_messages(&t, f, &job->prefilled);
    job->prompts = fine ? mem_alloc(1, sizeof *job->prompts) : NULL;
    if (fine && !job->prompts)
        fine = error_other(f->error, 500, NULL, "out of memory for the prompt");
    if (fine) {
        struct job_prompt *const p = &job->prompts[0];
        const bool begins = prompt_begins_with_bos(o->tokenizer, o->bos, rwkv7_session_tokens(o->start) == 0);
        job->prompt_count = 1;
        if (server_encode(job->server, t.text.bytes, t.text.size, begins ? ENCODE_AFTER_END : ENCODE_TEXT, &p->ids,
                          &p->count, &err) != RWKV7_OK)
            fine = error_library(f->error, &err);
        else if (p->count > o->max_prompt)
            fine = error_request(f->error, "messages", "messages: expected at most %llu tokens",
                                 (unsigned long long)o->max_prompt);
    }
    text_free(&t.text);
    text_free(&t.user);
    text_free(&t.system);
    return fine;
}

static bool read_request(struct job *job, const struct fields *f)
{
    struct generation *const g = &job->generation;
    const struct chat_template *const template = job->server->options->template;
    job->chat = true;
    if (!generation_read(g, job->server, f, (int64_t)job->server->options->max_tokens) || !read_scores(g, f))
        return false;
    if (g->max_tokens == 0)
        return error_request(f->error, "max_tokens", "max_tokens: expected at least 1");
    for (size_t i = 0; i < TEMPLATE_STOPS; i++)
        if (template->stops[i] && !generation_add_stop(g, template->stops[i], f->error))
            return false;
    read_thinking(job, f);
    if (f->error->status || !read_prompt(job, f))
        return false;
    return job_add_choices(job) || error_other(f->error, 500, NULL, "out of memory for the answer");
}

void chat_handler(const struct call *call, struct reply *reply)
{
    cJSON *const json = json_body_parse(call->body, call->size, &reply->error);
    struct job *const job = json ? job_create(call->server, &chat) : NULL;
    const struct fields f = {json, &reply->error};
    if (json && !job)
        error_other(&reply->error, 500, NULL, "out of memory for the request");
    else if (job && read_request(job, &f))
        reply->job = job;
    else if (job)
        job_release(job);
    cJSON_Delete(json);
}
