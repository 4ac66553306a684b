/*
 * states.c - /v1/states: sessions and named states. GET /v1/states lists them and POST reads a text
 * into a new one; /v1/states/ID has GET and PUT (its file) and DELETE; POST /v1/states/ID/fork and
 * /undo.
 */
#include <string.h>

#include "base/mem.h"
#include "server/chat_request.h"
#include "server/handlers.h"
#include "server/json_body.h"
#include "server/session_use.h"

static bool is_on(const struct call *call, struct api_error *e)
{
    return call->server->store || error_other(e, 404, NULL, "states are switched off (--state-ram)");
}

/* ------------------------------------------------------------------------------- list and create */

struct listing {
    struct json_tree tree;
    cJSON *data;
    uint64_t state; /* bytes of a state of the model */
};

static void show(void *arg, const struct session_info *info)
{
    struct listing *const l = arg;
    struct json_tree *const t = &l->tree;
    if (t->failed)
        return;
    cJSON *const one = json_add_object(t, l->data, NULL);
    json_add_string(t, one, "id", info->id);
    json_add_string(t, one, "object", "state");
    if (!info->on_disk) {
        json_add_number(t, one, "tokens", (double)info->tokens);
        json_add_number(t, one, "turns", (double)info->turns);
    }
    json_add_number(t, one, "bytes", (double)(info->on_disk ? info->bytes : l->state));
    json_add_bool(t, one, "busy", info->busy);
    json_add_string(t, one, "stored", info->on_disk ? "disk" : "memory");
}

static void list_states(const struct call *call, struct reply *reply)
{
    struct listing l;
    cJSON *const root = json_tree_object(&l.tree);
    json_add_string(&l.tree, root, "object", "list");
    l.data = json_add_array(&l.tree, root, "data");
    l.state = rwkv7_model_info(call->server->options->model)->session_bytes;
    session_store_list(call->server->store, show, &l);
    reply->body = json_tree_text(&l.tree, false);
}

/* Describes a text, as "state" of an answer does. */
static char *describe(const struct call *call, const char *id, const struct session_text *text)
{
    struct json_tree t;
    cJSON *const root = json_tree_object(&t);
    json_add_string(&t, root, "id", id);
    json_add_string(&t, root, "object", "state");
    json_add_number(&t, root, "tokens", (double)session_text_tokens(text));
    json_add_number(&t, root, "turns", (double)text->turn_count);
    json_add_number(&t, root, "bytes", (double)rwkv7_model_info(call->server->options->model)->session_bytes);
    return json_tree_text(&t, false);
}

static char *body(struct job *job)
{
    struct json_tree t;
    const struct session_use *const use = job->use;
    cJSON *const root = json_tree_object(&t);
    json_add_string(&t, root, "id", use->id);
    json_add_string(&t, root, "object", "state");
    json_add_number(&t, root, "tokens", (double)(job->prompts[0].known + job->prompts[0].count));
    json_add_number(&t, root, "turns", 1);
    json_add_number(&t, root, "bytes", (double)rwkv7_model_info(job->server->options->model)->session_bytes);
    cJSON *const usage = json_add_object(&t, root, "usage");
    json_add_number(&t, usage, "prompt_tokens", (double)(job->prompts[0].known + job->prompts[0].count));
    json_add_number(&t, json_add_object(&t, usage, "prompt_tokens_details"), "cached_tokens",
                    (double)(job->prompts[0].known + job->prompts[0].cached));
    return json_tree_text(&t, false);
}

static const struct protocol reading = {.id_prefix = "state-", .body = body};

static bool read_text(struct job *job, const char *text, struct api_error *e)
{
    const struct server_options *const o = job->server->options;
    const bool begins = prompt_begins_with_bos(o->tokenizer, o->bos, session_use_at_start(job));
    const bool named =
        job->server->end_text && strncmp(text, job->server->end_text, strlen(job->server->end_text)) == 0;
    return session_use_encode(job, 0, text, strlen(text), begins && !named, true, e);
}

static bool read_ids(struct job *job, const cJSON *list, struct api_error *e)
{
    struct job_prompt *const p = &job->prompts[0];
    return server_read_ids(job->server, list, "tokens", &p->ids, &p->count, e) && session_use_prepend(job, 0, e);
}

/* Exactly one of three fields has the text. */
static bool read_source(struct job *job, const struct fields *f)
{
    struct api_error *const e = f->error;
    const cJSON *const messages = field_of(f, "messages"), *const tokens = field_of(f, "tokens");
    const char *prompt = NULL;
    field_string(f, "prompt", &prompt);
    if (e->status)
        return false;
    if ((prompt != NULL) + (messages != NULL) + (tokens != NULL) != 1)
        return error_request(e, "prompt", "expected one of prompt, messages and tokens");
    if (tokens && !cJSON_IsArray(tokens))
        return error_request(e, "tokens", "tokens: expected a list of token ids");
    if (messages)
        return chat_read_prompt(job, f);
    job->use->gap = true;
    job->prompts = mem_alloc(1, sizeof *job->prompts);
    if (!job->prompts)
        return error_other(e, 500, NULL, "out of memory for the prompt");
    job->prompt_count = 1;
    return prompt ? read_text(job, prompt, e) : read_ids(job, tokens, e);
}

static bool read_request(struct job *job, cJSON *request, struct api_error *e)
{
    const struct fields fields = {request, e}, *const f = &fields;
    const char *id = NULL, *state = NULL;
    field_string(f, "id", &id);
    field_string(f, "state", &state);
    if (!generation_read(&job->generation, job->server, f, 1) || !session_use_create(job, id, state, e))
        return false;
    job->use->reads_only = true;
    job->generation.max_tokens = job->generation.choices = 1; /* drawn, and not used */
    job->generation.stream = false;
    if (!read_source(job, f))
        return false;
    if (job->prompts[0].count == 0)
        return error_request(e, "prompt", "expected a text that is not empty");
    if (job->prompts[0].count > job->server->options->max_prompt)
        return error_request(e, "prompt", "expected at most %llu tokens",
                             (unsigned long long)job->server->options->max_prompt);
    return job_add_choices(job) || error_other(e, 500, NULL, "out of memory for the state");
}

void states_handler(const struct call *call, struct reply *reply)
{
    if (!is_on(call, &reply->error))
        return;
    if (strcmp(call->method, "POST") == 0)
        handle_job(call, &reading, read_request, reply);
    else
        list_states(call, reply);
}

/* ------------------------------------------------------------------------------------- one state */

static void download(const struct call *call, const char *id, struct reply *reply)
{
    struct session_store *const store = call->server->store;
    struct session_text text;
    struct rwkv7_bytes image = {0};
    struct rwkv7_error err;
    if (!session_store_get(store, id, &text, &reply->error))
        return;
    if (session_image_save(&text, session_store_context(store), &image, &err) == RWKV7_OK) {
        reply->type = "application/octet-stream";
        reply->body = image.data;
        reply->size = image.size;
    } else {
        error_library(&reply->error, &err);
    }
    session_text_clear(&text);
}

static bool read_order(const struct call *call, enum rwkv7_state_order *order, struct api_error *e)
{
    static const char *const names[] = {[RWKV7_STATE_AS_STATED] = "stated",
                                        [RWKV7_STATE_VALUE_KEY] = "value-key",
                                        [RWKV7_STATE_KEY_VALUE] = "key-value"};
    *order = RWKV7_STATE_AS_STATED;
    for (size_t i = 0; call->order && i < sizeof names / sizeof *names; i++)
        if (strcmp(call->order, names[i]) == 0) {
            *order = (enum rwkv7_state_order)i;
            return true;
        }
    return !call->order || error_request(e, "order", "order: expected stated, value-key or key-value");
}

static void upload(const struct call *call, const char *id, struct reply *reply)
{
    const struct session_context *const context = session_store_context(call->server->store);
    struct api_error *const e = &reply->error;
    enum rwkv7_state_order order;
    struct session_text text;
    struct rwkv7_error err;
    if (!session_id_is_valid(id)) {
        error_request(e, "id", "expected a name of 1 to %d letters, digits, '.', '_' and '-'", SESSION_ID);
        return;
    }
    if (!read_order(call, &order, e))
        return;
    const bool tuned = !session_image_is_state(call->body, call->size);
    const enum rwkv7_status status = tuned
                                         ? session_image_load_tuned(&text, context, call->body, call->size, order, &err)
                                         : session_image_load(&text, context, call->body, call->size, &err);
    if (status == RWKV7_ERR_USAGE) {
        error_request(e, "order", "%s with ?order=", err.message);
    } else if (status == RWKV7_ERR_MEMORY || status == RWKV7_ERR_IO) {
        error_library(e, &err);
    } else if (status != RWKV7_OK) {
        error_other(e, 400, "invalid_state", tuned ? "not a state file; read as a tuned state: %s" : "%s", err.message);
    } else {
        reply->body = describe(call, id, &text);
        if (!session_store_put(call->server->store, id, false, &text, e)) {
            cJSON_free(reply->body);
            reply->body = NULL;
        }
    }
}

static void delete_state(const struct call *call, const char *id, struct reply *reply)
{
    struct json_tree t;
    if (!session_store_delete(call->server->store, id, &reply->error))
        return;
    cJSON *const root = json_tree_object(&t);
    json_add_string(&t, root, "id", id);
    json_add_string(&t, root, "object", "state");
    json_add_bool(&t, root, "deleted", true);
    reply->body = json_tree_text(&t, false);
}

static void fork_state(const struct call *call, const char *id, const struct fields *f, struct reply *reply)
{
    const char *to = NULL;
    struct session_text text;
    field_string(f, "to", &to);
    if (!to)
        error_request(f->error, "to", "to: expected the name of the copy");
    if (f->error->status || !session_store_get(call->server->store, id, &text, f->error))
        return;
    reply->body = describe(call, to, &text);
    if (!session_store_put(call->server->store, to, true, &text, f->error)) {
        cJSON_free(reply->body);
        reply->body = NULL;
    }
}

static void undo_turns(const struct call *call, const char *id, const struct fields *f, struct reply *reply)
{
    struct session_store *const store = call->server->store;
    struct session_text text;
    int64_t turns = 1;
    field_whole(f, "turns", 1, INT32_MAX, &turns);
    if (f->error->status || !session_store_take(store, id, false, &text, NULL, f->error))
        return;
    if (!session_text_undo(&text, (size_t)turns)) {
        error_request(f->error, "turns", "turns: expected at most %zu, because the session has no more",
                      text.turn_count);
        session_store_return(store, id, NULL);
    } else {
        reply->body = describe(call, id, &text);
        session_store_return(store, id, &text);
    }
    session_text_clear(&text);
}

/* POST /v1/states/ID/fork and /undo. */
static void change_state(const struct call *call, const char *id, const char *action, struct reply *reply)
{
    static const char nothing[] = "{}";
    const bool empty = call->size == 0;
    cJSON *const json = json_body_parse(empty ? nothing : call->body, empty ? 2 : call->size, &reply->error);
    const struct fields f = {json, &reply->error};
    if (!json)
        return;
    if (strcmp(action, "fork") == 0)
        fork_state(call, id, &f, reply);
    else if (strcmp(action, "undo") == 0)
        undo_turns(call, id, &f, reply);
    else
        error_other(&reply->error, 404, NULL, "expected fork or undo");
    cJSON_Delete(json);
}

void state_handler(const struct call *call, struct reply *reply)
{
    const char *const slash = strchr(call->name, '/');
    char *const id = mem_string(call->name, slash ? (size_t)(slash - call->name) : strlen(call->name));
    if (!id)
        error_other(&reply->error, 500, NULL, "out of memory for the request");
    else if (!is_on(call, &reply->error))
        ;
    else if (slash)
        change_state(call, id, slash + 1, reply);
    else if (strcmp(call->method, "PUT") == 0)
        upload(call, id, reply);
    else if (strcmp(call->method, "DELETE") == 0)
        delete_state(call, id, reply);
    else
        download(call, id, reply);
    mem_free(id);
}
