/* info.c - GET /health, /v1/models, /v1/models/NAME, /metrics. */
#include <string.h>

#include "server/handlers.h"
#include "server/routes.h"
#include "server/session_store.h"

static void add_model(struct json_tree *t, cJSON *to, const struct server *s)
{
    const struct rwkv7_model_info *const info = rwkv7_model_info(s->options->model);
    json_add_string(t, to, "id", s->name);
    json_add_string(t, to, "object", "model");
    json_add_number(t, to, "created", (double)s->started);
    json_add_string(t, to, "owned_by", "rwkv7");
    cJSON *const meta = json_add_object(t, to, "meta");
    json_add_string(t, meta, "architecture", info->version);
    json_add_number(t, meta, "n_params", (double)info->parameters);
    json_add_number(t, meta, "n_vocab", info->shape.vocab);
    json_add_number(t, meta, "n_embd", info->shape.channels);
    json_add_number(t, meta, "n_layer", info->shape.layers);
    json_add_number(t, meta, "state_bytes", (double)info->session_bytes);
    json_add_string(t, meta, "fingerprint", s->fingerprint);
}

void health_handler(const struct call *call, struct reply *reply)
{
    struct json_tree t;
    if (atomic_load(&call->server->draining)) {
        error_other(&reply->error, 503, "shutting_down", "the server is shutting down");
        return;
    }
    json_add_string(&t, json_tree_object(&t), "status", "ok");
    reply->body = json_tree_text(&t, false);
}

void models_handler(const struct call *call, struct reply *reply)
{
    struct json_tree t;
    cJSON *const root = json_tree_object(&t);
    json_add_string(&t, root, "object", "list");
    add_model(&t, json_add_object(&t, json_add_array(&t, root, "data"), NULL), call->server);
    reply->body = json_tree_text(&t, false);
}

void model_handler(const struct call *call, struct reply *reply)
{
    struct json_tree t;
    if (strcmp(call->name, call->server->name) != 0) {
        error_other(&reply->error, 404, "model_not_found", "the model '%.100s' does not exist; there is '%.100s'",
                    call->name, call->server->name);
        return;
    }
    add_model(&t, json_tree_object(&t), call->server);
    reply->body = json_tree_text(&t, false);
}

void metrics_handler(const struct call *call, struct reply *reply)
{
    struct text text = {0};
    const char *endpoints[METRIC_ENDPOINTS] = {0};
    if (!call->server->options->metrics) {
        error_other(&reply->error, 404, NULL, "metrics are switched off");
        return;
    }
    struct server *const s = call->server;
    metrics_set(&s->metrics, METRIC_STORED, s->store ? (double)session_store_count(s->store) : 0);
    metrics_set(&s->metrics, METRIC_STATE_BYTES,
                (double)(atomic_load(&s->cache_bytes) + (s->store ? session_store_bytes(s->store) : 0)));
    for (unsigned i = 0; i < METRIC_ENDPOINTS; i++)
        endpoints[i] = route_path(i);
    metrics_print(&call->server->metrics, endpoints, call->server->name,
                  rwkv7_runtime_cpu(call->server->options->runtime), &text);
    text_add(&text, "", 1);
    reply->type = "text/plain; version=0.0.4; charset=utf-8";
    if (!text.failed && (reply->body = cJSON_malloc(text.size)))
        memcpy(reply->body, text.bytes, text.size);
    text_free(&text);
}
