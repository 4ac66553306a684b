/* ollama_info.c - GET /api/tags, /api/version, /api/ps, POST /api/show: Ollama's API. */
#include "server/ollama_info.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json_tree.h"
#include "server/handlers.h"
#include "server/json_body.h"

/* The version of Ollama's API whose fields are here. Clients require a minimum. */
#define OLLAMA_VERSION "0.12.0"

void ollama_time(int64_t seconds, long nanoseconds, char text[OLLAMA_TIME])
{
    const time_t whole = (time_t)seconds;
    struct tm tm;
    if (!gmtime_r(&whole, &tm))
        tm = (struct tm){.tm_year = 70, .tm_mday = 1};
    const size_t n = strftime(text, OLLAMA_TIME, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, OLLAMA_TIME - n, ".%09ldZ", nanoseconds);
}

void ollama_now(char text[OLLAMA_TIME])
{
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    ollama_time(now.tv_sec, now.tv_nsec, text);
}

/* "191K", "2.9B" */
static void format_count(uint64_t count, char text[32])
{
    static const char units[] = " KMB";
    double x = (double)count;
    size_t unit = 0;
    while (x >= 1000 && unit < 3) {
        x /= 1000;
        unit++;
    }
    snprintf(text, 32, x < 10 && unit > 0 ? "%.1f%c" : "%.0f%c", x, units[unit]);
    if (unit == 0)
        text[strlen(text) - 1] = '\0';
}

/* The type of most of the parameters. */
static const char *type_of(const struct rwkv7_model_info *info)
{
    size_t best = 0;
    for (size_t i = 1; i < RWKV7_TYPES_ROOM; i++)
        if (info->type_parameters[i] > info->type_parameters[best])
            best = i;
    return rwkv7_type_name((enum rwkv7_type)best);
}

static void add_details(struct json_tree *t, cJSON *to, const struct rwkv7_model_info *info)
{
    char count[32];
    cJSON *const details = json_add_object(t, to, "details");
    format_count(info->parameters, count);
    json_add_string(t, details, "parent_model", "");
    json_add_string(t, details, "format", info->container);
    json_add_string(t, details, "family", "rwkv7");
    json_add_string(t, json_add_array(t, details, "families"), NULL, "rwkv7");
    json_add_string(t, details, "parameter_size", count);
    json_add_string(t, details, "quantization_level", type_of(info));
}

/* Adds the model to a list. */
static cJSON *add_model(struct json_tree *t, cJSON *list, const struct server *s)
{
    const struct rwkv7_model_info *const info = rwkv7_model_info(s->options->model);
    cJSON *const model = json_add_object(t, list, NULL);
    json_add_string(t, model, "name", s->name);
    json_add_string(t, model, "model", s->name);
    json_add_number(t, model, "size", (double)info->weight_bytes);
    json_add_string(t, model, "digest", s->fingerprint);
    add_details(t, model, info);
    return model;
}

static void add_started(struct json_tree *t, cJSON *to, const char *name, const struct server *s)
{
    char text[OLLAMA_TIME];
    ollama_time(s->started, 0, text);
    json_add_string(t, to, name, text);
}

void ollama_tags_handler(const struct call *call, struct reply *reply)
{
    struct json_tree t;
    cJSON *const list = json_add_array(&t, json_tree_object(&t), "models");
    add_started(&t, add_model(&t, list, call->server), "modified_at", call->server);
    reply->body = json_tree_text(&t, false);
}

/* The model that is loaded: always this one, until the server ends. */
void ollama_ps_handler(const struct call *call, struct reply *reply)
{
    char text[OLLAMA_TIME];
    struct json_tree t;
    cJSON *const model = add_model(&t, json_add_array(&t, json_tree_object(&t), "models"), call->server);
    ollama_time(4102444800, 0, text); /* the year 2100 */
    json_add_string(&t, model, "expires_at", text);
    json_add_number(&t, model, "size_vram", 0);
    json_add_number(&t, model, "context_length", HANDLERS_CONTEXT);
    reply->body = json_tree_text(&t, false);
}

void ollama_version_handler(const struct call *call, struct reply *reply)
{
    struct json_tree t;
    (void)call;
    json_add_string(&t, json_tree_object(&t), "version", OLLAMA_VERSION);
    reply->body = json_tree_text(&t, false);
}

void ollama_show_handler(const struct call *call, struct reply *reply)
{
    const struct server *const s = call->server;
    const struct rwkv7_model_info *const info = rwkv7_model_info(s->options->model);
    cJSON *const json = json_body_parse(call->body, call->size, &reply->error);
    struct json_tree t;
    if (!json)
        return;
    cJSON_Delete(json);
    cJSON *const root = json_tree_object(&t);
    json_add_string(&t, root, "license", "");
    json_add_string(&t, root, "modelfile", "");
    json_add_string(&t, root, "parameters", "");
    json_add_string(&t, root, "template", "");
    add_details(&t, root, info);
    cJSON *const details = json_add_object(&t, root, "model_info");
    json_add_string(&t, details, "general.architecture", "rwkv7");
    json_add_string(&t, details, "general.basename", s->name);
    json_add_number(&t, details, "general.parameter_count", (double)info->parameters);
    json_add_number(&t, details, "rwkv7.context_length", HANDLERS_CONTEXT);
    json_add_number(&t, details, "rwkv7.embedding_length", info->shape.channels);
    json_add_number(&t, details, "rwkv7.block_count", info->shape.layers);
    json_add_number(&t, details, "rwkv7.vocab_size", info->shape.vocab);
    cJSON *const can = json_add_array(&t, root, "capabilities");
    json_add_string(&t, can, NULL, "completion");
    json_add_string(&t, can, NULL, "tools");
    if (s->options->template->thinks)
        json_add_string(&t, can, NULL, "thinking");
    add_started(&t, root, "modified_at", s);
    reply->body = json_tree_text(&t, false);
}
