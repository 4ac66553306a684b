/*
 * embeddings.c - POST /v1/embeddings, and /api/embed and /api/embeddings of Ollama's API: a vector
 * for each text. RWKV models have no part that was trained for embeddings. The vector is what the last layer knows after the last token: the input of
 * its channel mix (the normalised hidden vector), scaled to length 1.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/c_numbers.h"
#include "base/mem.h"
#include "base/sys.h"
#include "server/base64.h"
#include "server/handlers.h"

enum { INPUTS = 2048 };

/* -------------------------------------------------------------------------------------- answers */

/* Stores the vector as floats in the choice's text. */
static bool keep(struct job *job, struct choice *c)
{
    const struct rwkv7_shape *const shape = &rwkv7_model_info(job->server->options->model)->shape;
    const size_t width = (size_t)shape->channels, layers = (size_t)shape->layers;
    float *const all = mem_alloc(layers, width * sizeof *all);
    double sum = 0;
    if (!all)
        return false;
    float *const last = all + (layers - 1) * width;
    rwkv7_session_get_state(c->run.session, NULL, NULL, all);
    for (size_t i = 0; i < width; i++)
        sum += (double)last[i] * last[i];
    for (size_t i = 0; i < width && sum > 0; i++)
        last[i] = (float)(last[i] / sqrt(sum));
    c->text.size = 0;
    text_add(&c->text, last, width * sizeof *last);
    mem_free(all);
    return !c->text.failed;
}

/* Appends the vector as a JSON list. cJSON's numbers would take seven times as much memory. */
static void add_numbers(struct text *list, const struct choice *c)
{
    C_NUMBERS;
    const size_t width = c->text.size / sizeof(float);
    for (size_t i = 0; i < width; i++) {
        char digits[32];
        float x;
        memcpy(&x, c->text.bytes + i * sizeof x, sizeof x);
        snprintf(digits, sizeof digits, "%c%.9g", i > 0 ? ',' : '[', isfinite(x) ? (double)x : 0.0);
        text_add_string(list, digits);
    }
    text_add(list, "]", sizeof "]");
}

/* name: NULL: `to` is a list. */
static void add_vector(struct json_tree *t, cJSON *to, const char *name, const struct choice *c, bool base64)
{
    struct text text = {0};
    if (base64) {
        text_add_base64(&text, c->text.bytes, c->text.size);
        json_add_text(t, to, name, text.bytes, text.size);
    } else {
        add_numbers(&text, c);
        json_add_item(t, to, name, text.failed ? NULL : cJSON_CreateRaw(text.bytes));
    }
    t->failed = t->failed || text.failed;
    text_free(&text);
}

static char *body(struct job *job)
{
    struct json_tree t;
    cJSON *const root = json_tree_object(&t);
    json_add_string(&t, root, "object", "list");
    cJSON *const data = json_add_array(&t, root, "data");
    for (size_t i = 0; i < job->choice_count && !t.failed; i++) {
        cJSON *const one = json_add_object(&t, data, NULL);
        json_add_string(&t, one, "object", "embedding");
        json_add_number(&t, one, "index", (double)i);
        add_vector(&t, one, "embedding", &job->choices[i], job->base64);
    }
    json_add_string(&t, root, "model", job->server->name);
    cJSON *const usage = json_add_object(&t, root, "usage");
    json_add_number(&t, usage, "prompt_tokens", (double)job->prompt_tokens);
    json_add_number(&t, usage, "total_tokens", (double)job->prompt_tokens);
    return json_tree_text(&t, false);
}

static void add_nanoseconds(struct json_tree *t, cJSON *to, const char *name, double seconds)
{
    json_add_whole(t, to, name, seconds > 0 ? (uint64_t)(1e9 * seconds) : 0);
}

static char *ollama_body(struct job *job)
{
    struct json_tree t;
    cJSON *const root = json_tree_object(&t);
    json_add_string(&t, root, "model", job->server->name);
    cJSON *const list = json_add_array(&t, root, "embeddings");
    for (size_t i = 0; i < job->choice_count && !t.failed; i++)
        add_vector(&t, list, NULL, &job->choices[i], false);
    add_nanoseconds(&t, root, "total_duration", sys_seconds() - job->arrived);
    add_nanoseconds(&t, root, "load_duration", job->started - job->arrived); /* the time in the queue */
    json_add_number(&t, root, "prompt_eval_count", (double)job->prompt_tokens);
    return json_tree_text(&t, false);
}

/* The form of Ollama's older endpoint, for one text. */
static char *ollama_old_body(struct job *job)
{
    struct json_tree t;
    add_vector(&t, json_tree_object(&t), "embedding", &job->choices[0], false);
    return json_tree_text(&t, false);
}

static const struct protocol ollama_embed = {.id_prefix = "embd-", .keep = keep, .body = ollama_body};
static const struct protocol ollama_old = {.id_prefix = "embd-", .keep = keep, .body = ollama_old_body};
static const struct protocol embeddings = {.id_prefix = "embd-", .keep = keep, .body = body};

/* ------------------------------------------------------------------------------------- requests */

static bool read_format(struct job *job, const struct fields *f)
{
    const int64_t width = rwkv7_model_info(job->server->options->model)->shape.channels;
    const char *format = "float";
    int64_t dimensions = width;
    if (job->protocol == &embeddings) /* Ollama's API has one form */
        field_string(f, "encoding_format", &format);
    field_whole(f, "dimensions", 1, INT32_MAX, &dimensions);
    if (strcmp(format, "float") != 0 && strcmp(format, "base64") != 0)
        error_request(f->error, "encoding_format", "encoding_format: expected float or base64");
    if (dimensions != width)
        error_request(f->error, "dimensions", "dimensions: expected %lld, the length of this model's vectors",
                      (long long)width);
    job->base64 = strcmp(format, "base64") == 0;
    return f->error->status == 0;
}

static bool read_input(struct job *job, struct job_prompt *p, const cJSON *input, struct api_error *e)
{
    const struct server_options *const o = job->server->options;
    const bool begins = prompt_begins_with_bos(o->tokenizer, o->bos, rwkv7_session_tokens(o->start) == 0);
    struct rwkv7_error err;
    if (cJSON_IsArray(input))
        server_read_ids(job->server, input, "input", &p->ids, &p->count, e);
    else if (server_encode(job->server, input->valuestring, strlen(input->valuestring),
                           begins ? ENCODE_AFTER_END : ENCODE_TEXT, &p->ids, &p->count, &err) != RWKV7_OK)
        error_library(e, &err);
    if (!e->status && p->count == 0)
        error_request(e, "input", "input: expected texts that are not empty");
    return e->status == 0;
}

/* Reads "input": "text", ["text", ...], [1, ...] or [[1, ...], ...]. */
static bool read_inputs(struct job *job, const struct fields *f)
{
    struct api_error *const e = f->error;
    const cJSON *const input = field_of(f, "input"), *const first = cJSON_IsArray(input) ? input->child : NULL;
    const bool several = cJSON_IsString(first) || cJSON_IsArray(first);
    uint64_t tokens = 0;
    if (!several && !cJSON_IsString(input) && !cJSON_IsNumber(first))
        return error_request(e, "input", "input: expected a string, a list of strings, token ids or lists of them");
    const size_t count = several ? (size_t)cJSON_GetArraySize(input) : 1;
    if (count > INPUTS)
        return error_request(e, "input", "input: expected at most %d texts", INPUTS);
    job->prompts = mem_alloc(count, sizeof *job->prompts);
    if (!job->prompts)
        return error_other(e, 500, NULL, "out of memory for the texts");
    for (const cJSON *one = several ? first : input; job->prompt_count < count; one = one->next) {
        struct job_prompt *const p = &job->prompts[job->prompt_count++];
        if (several && cJSON_IsString(one) != cJSON_IsString(first))
            return error_request(e, "input", "input: the elements differ in their types");
        if (several && !cJSON_IsString(one) && !cJSON_IsArray(one))
            return error_request(e, "input", "input: expected strings or lists of token ids");
        if (!read_input(job, p, one, e))
            return false;
        tokens += p->count;
        if (tokens > job->server->options->max_prompt)
            return error_request(e, "input", "input: expected at most %llu tokens",
                                 (unsigned long long)job->server->options->max_prompt);
    }
    return true;
}

static bool read_request(struct job *job, cJSON *request, struct api_error *e)
{
    const struct fields fields = {request, e}, *const f = &fields;
    if (!generation_read(&job->generation, job->server, f, 1) || !read_format(job, f) || !read_inputs(job, f))
        return false;
    job->generation.max_tokens = job->generation.choices = 1; /* drawn, and not used */
    job->generation.stream = false;
    return job_add_choices(job) || error_other(e, 500, NULL, "out of memory for the answer");
}

void embeddings_handler(const struct call *call, struct reply *reply)
{
    handle_job(call, &embeddings, read_request, reply);
}

static bool read_old(struct job *job, cJSON *request, struct api_error *e)
{
    const cJSON *const prompt = cJSON_GetObjectItemCaseSensitive(request, "prompt");
    if (!cJSON_IsString(prompt))
        return error_request(e, "prompt", "prompt: expected a string");
    cJSON_DeleteItemFromObjectCaseSensitive(request, "input");
    cJSON *const input = cJSON_DetachItemFromObjectCaseSensitive(request, "prompt");
    if (!cJSON_AddItemToObject(request, "input", input)) {
        cJSON_Delete(input);
        return error_other(e, 500, NULL, "out of memory for the request");
    }
    if (read_request(job, request, e))
        return true;
    error_rename(e, "input", "prompt");
    return false;
}

void ollama_embed_handler(const struct call *call, struct reply *reply)
{
    handle_job(call, &ollama_embed, read_request, reply);
}

void ollama_embeddings_handler(const struct call *call, struct reply *reply)
{
    handle_job(call, &ollama_old, read_old, reply);
}
