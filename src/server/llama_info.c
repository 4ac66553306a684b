/* llama_info.c - POST /apply-template, GET /props, GET /slots: what clients of llama.cpp's server ask. */
#include "server/chat_request.h"
#include "server/handlers.h"

static bool read_template(struct job *job, cJSON *request, struct api_error *e)
{
    job->keeps_context = true;
    return chat_read(job, request, e);
}

/* The prompt that a chat has, as text. */
void apply_template_handler(const struct call *call, struct reply *reply)
{
    struct json_tree t;
    handle_job(call, &chat_protocol, read_template, reply);
    struct job *const job = reply->job;
    if (!job)
        return;
    text_add(&job->context, job->given.bytes, job->given.size);
    json_add_text(&t, json_tree_object(&t), "prompt", job->context.bytes, job->context.size);
    t.failed = t.failed || job->context.failed;
    reply->body = json_tree_text(&t, false);
    job_release(job);
    reply->job = NULL;
}

/* The defaults of requests; llama.cpp has -1 for a random seed. */
static void add_defaults(struct json_tree *t, cJSON *to, const struct server_options *o)
{
    cJSON *const settings = json_add_object(t, to, "default_generation_settings");
    json_add_number(t, settings, "n_ctx", HANDLERS_CONTEXT);
    cJSON *const params = json_add_object(t, settings, "params");
    json_add_number(t, params, "seed", -1);
    json_add_number(t, params, "temperature", 1);
    json_add_number(t, params, "top_k", 0);
    json_add_number(t, params, "top_p", 1);
    json_add_number(t, params, "min_p", 0);
    json_add_number(t, params, "presence_penalty", 0);
    json_add_number(t, params, "frequency_penalty", 0);
    json_add_number(t, params, "n_predict", (double)o->max_tokens);
}

void props_handler(const struct call *call, struct reply *reply)
{
    const struct server *const s = call->server;
    struct json_tree t;
    cJSON *const root = json_tree_object(&t);
    add_defaults(&t, root, s->options);
    json_add_number(&t, root, "total_slots", (double)s->options->parallel);
    json_add_string(&t, root, "model_alias", s->name);
    json_add_string(&t, root, "model_path", s->name); /* not the path: clients learn no file names */
    json_add_string(&t, root, "chat_template", "");   /* see /apply-template */
    json_add_string(&t, root, "bos_token", "");
    json_add_string(&t, root, "eos_token", s->end_text ? s->end_text : "");
    cJSON *const modalities = json_add_object(&t, root, "modalities");
    json_add_bool(&t, modalities, "vision", false);
    json_add_bool(&t, modalities, "audio", false);
    json_add_string(&t, root, "build_info", rwkv7_version());
    reply->body = json_tree_text(&t, false);
}

/* Slots are interchangeable here, so the first ones are reported as busy. */
void slots_handler(const struct call *call, struct reply *reply)
{
    struct json_tree t;
    cJSON *const list = json_tree_array(&t);
    const double running = metrics_gauge(&call->server->metrics, METRIC_RUNNING);
    for (size_t i = 0; i < call->server->options->parallel && !t.failed; i++) {
        cJSON *const slot = json_add_object(&t, list, NULL);
        json_add_number(&t, slot, "id", (double)i);
        json_add_number(&t, slot, "n_ctx", HANDLERS_CONTEXT);
        json_add_bool(&t, slot, "is_processing", (double)i < running);
    }
    reply->body = json_tree_text(&t, false);
}
