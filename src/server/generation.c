/* generation.c - see generation.h. */
#include "server/generation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "server/constraint.h"

/*
 * Unsupported fields that would change the answer. They are refused, because an answer that ignores
 * them would be wrong. `neutral`: a value that has no effect and is accepted.
 */
static const struct {
    const char *name, *neutral; /* JSON text, or NULL */
} unsupported[] = {
    {"functions", "[]"},
    {"function_call", "\"none\""},
    {"suffix", "\"\""},
    {"stop_token_ids", "[]"},
    {"bad_words", "[]"},
    {"min_tokens", "0"},
    {"repetition_penalty", "1"},
    {"include_stop_str_in_output", "false"},
    {"use_beam_search", "false"},
    {"prompt_logprobs", NULL},
    {"thinking_budget", NULL},
    {"modalities", "[\"text\"]"},
    {"audio", NULL},
};

static void refuse_unsupported(const struct fields *f)
{
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++) {
        const char *const name = unsupported[i].name;
        const cJSON *const value = field_of(f, name);
        if (!value || f->error->status)
            continue;
        char *const text = cJSON_PrintUnformatted(value);
        if (!text)
            error_other(f->error, 500, NULL, "out of memory for the request");
        else if (!unsupported[i].neutral || strcmp(text, unsupported[i].neutral) != 0)
            error_request(f->error, name, "%s is not supported", name);
        cJSON_free(text);
    }
}

bool generation_add_stop(struct generation *g, const char *text, struct api_error *e)
{
    if (g->stop_count == sizeof g->stops / sizeof *g->stops)
        return error_request(e, "stop", "stop: too many strings");
    char *const copy = mem_string(text, strlen(text));
    if (!copy)
        return error_other(e, 500, NULL, "out of memory for the stop strings");
    g->stops[g->stop_count++] = copy;
    return true;
}

/* A string, or a list of strings; null in a list is ignored. */
static void read_stops(struct generation *g, const struct fields *f)
{
    const cJSON *const value = field_of(f, "stop");
    if (!value)
        return;
    if (!cJSON_IsString(value) && !cJSON_IsArray(value)) {
        error_request(f->error, "stop", "stop: expected a string or a list of strings");
        return;
    }
    const cJSON *one = cJSON_IsArray(value) ? value->child : value;
    for (; one && !f->error->status; one = cJSON_IsArray(value) ? one->next : NULL) {
        if (cJSON_IsNull(one))
            continue;
        if (!cJSON_IsString(one))
            error_request(f->error, "stop", "stop: expected a string or a list of strings");
        else if (g->stop_count == GENERATION_STOPS)
            error_request(f->error, "stop", "stop: expected at most %d strings", GENERATION_STOPS);
        else if (strlen(one->valuestring) > 1024)
            error_request(f->error, "stop", "stop: expected at most 1024 bytes in a string");
        else if (*one->valuestring) /* ignore empty strings */
            generation_add_stop(g, one->valuestring, f->error);
    }
    g->client_stops = g->stop_count;
}

static void read_biases(struct generation *g, const struct server *s, const struct fields *f)
{
    const cJSON *const value = field_of(f, "logit_bias");
    const int vocab = rwkv7_model_info(s->options->model)->shape.vocab;
    if (!value || f->error->status)
        return;
    if (!cJSON_IsObject(value)) {
        error_request(f->error, "logit_bias", "logit_bias: expected an object");
        return;
    }
    const int count = cJSON_GetArraySize(value);
    g->biases = mem_alloc((size_t)count, sizeof *g->biases);
    if (!g->biases) {
        error_other(f->error, 500, NULL, "out of memory for logit_bias");
        return;
    }
    g->sampling.biases = g->biases;
    for (const cJSON *one = value->child; one; one = one->next) {
        char *end;
        const unsigned long id = strtoul(one->string, &end, 10);
        if (*one->string < '0' || *one->string > '9' || *end || id >= (unsigned long)vocab) {
            error_request(f->error, "logit_bias", "logit_bias: expected token ids from 0 to %d", vocab - 1);
            return;
        }
        if (!cJSON_IsNumber(one) || !(fabs(one->valuedouble) <= 100)) {
            error_request(f->error, "logit_bias", "logit_bias: expected numbers from -100 to 100");
            return;
        }
        const float bias = one->valuedouble == -100 ? -INFINITY : (float)one->valuedouble;
        g->biases[g->sampling.bias_count++] = (struct rwkv7_token_bias){(uint32_t)id, bias};
    }
}

/*
 * Converts a given number for the sampler options, where 0 means the default and RWKV7_ZERO means
 * 0.
 */
static float given_number(double x)
{
    return (float)x == 0.0f ? RWKV7_ZERO : (float)x;
}

static void read_sampling(struct generation *g, const struct fields *f)
{
    double temperature = 1, top_p = 1, min_p = 0, presence = 0, frequency = 0, decay = 0.996;
    int64_t top_k = 0, seed = INT64_MIN;
    field_number(f, "temperature", 0, 1000, &temperature);
    field_number(f, "top_p", 0, 1, &top_p);
    field_whole(f, "top_k", -1, INT32_MAX, &top_k);
    field_number(f, "min_p", 0, 1, &min_p);
    field_number(f, "alpha_presence", -2, 2, &presence);
    field_number(f, "presence_penalty", -2, 2, &presence);
    field_number(f, "alpha_frequency", -2, 2, &frequency);
    field_number(f, "frequency_penalty", -2, 2, &frequency);
    field_number(f, "alpha_decay", 0, 1, &decay);
    field_number(f, "penalty_decay", 0, 1, &decay);
    field_whole(f, "seed", -((int64_t)1 << 53), (int64_t)1 << 53, &seed);
    g->sampling.temperature = given_number(temperature);
    g->sampling.top_p = given_number(top_p);
    g->sampling.top_k = top_k < 0 ? 0 : (int)top_k;
    g->sampling.min_p = (float)min_p;
    g->sampling.presence_penalty = (float)presence;
    g->sampling.frequency_penalty = (float)frequency;
    g->sampling.penalty_decay = given_number(decay);
    if (seed != INT64_MIN)
        g->seed = (uint64_t)seed;
}

static void read_limits(struct generation *g, const struct server *s, const struct fields *f, int64_t tokens)
{
    static const char *const names[] = {"n_predict", "max_completion_tokens", "max_tokens"};
    const int64_t most = (int64_t)s->options->max_tokens;
    tokens = tokens < most ? tokens : most;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        field_whole(f, names[i], 0, most, &tokens);
    g->max_tokens = (uint64_t)tokens;
}

bool generation_read(struct generation *g, const struct server *s, const struct fields *f, int64_t default_tokens)
{
    int64_t n = 1, best_of = 0;
    const char *model = s->name;
    char digits[ID_DIGITS + 1];
    *g = (struct generation){.top = -1, .cache = true};
    server_new_id((struct server *)s, digits);
    g->seed = strtoull(digits, NULL, 16) & 0xffffffff; /* 32 bits: short enough to type */
    field_string(f, "model", &model);
    if (s->options->strict_model && strcmp(model, s->name) != 0) {
        error_other(f->error, 404, "model_not_found", "the model '%.100s' does not exist; there is '%.100s'", model,
                    s->name);
    }
    refuse_unsupported(f);
    read_sampling(g, f);
    read_limits(g, s, f, default_tokens);
    field_whole(f, "n", 1, GENERATION_CHOICES, &n);
    field_whole(f, "best_of", 1, GENERATION_CHOICES, &best_of);
    if (best_of > 0 && best_of != n)
        error_request(f->error, "best_of", "best_of: expected the value of n");
    g->choices = (size_t)n;
    field_bool(f, "stream", &g->stream);
    field_bool(f, "ignore_eos", &g->ignore_end);
    field_bool(f, "cache_prompt", &g->cache);
    const char *salt = "";
    field_string(f, "cache_salt", &salt);
    if (snprintf(g->salt, sizeof g->salt, "%s", salt) > GENERATION_SALT)
        error_request(f->error, "cache_salt", "cache_salt: expected at most %d bytes", GENERATION_SALT);
    const cJSON *const options = field_of(f, "stream_options");
    if (options && !cJSON_IsObject(options))
        error_request(f->error, "stream_options", "stream_options: expected an object");
    const struct fields inner = {options, f->error};
    if (options)
        field_bool(&inner, "include_usage", &g->include_usage);
    read_stops(g, f);
    read_biases(g, s, f);
    constraint_read(f, s->options->tokenizer, &g->grammar);
    return f->error->status == 0;
}

void generation_free(struct generation *g)
{
    for (size_t i = 0; i < g->stop_count; i++)
        mem_free(g->stops[i]);
    mem_free(g->biases);
    rwkv7_grammar_close(g->grammar);
    *g = (struct generation){0};
}

struct rwkv7_generator_options generation_options(const struct generation *g, size_t index,
                                                  struct rwkv7_sampler_options *sampling)
{
    *sampling = g->sampling;
    sampling->seed = g->seed + index;
    return (struct rwkv7_generator_options){.sampling = sampling,
                                            .stops = (const char *const *)g->stops,
                                            .stop_count = g->stop_count,
                                            .max_tokens = g->max_tokens,
                                            .logprobs = g->top < 0   ? 0
                                                        : g->top > 0 ? g->top
                                                                     : 1,
                                            .ignore_end = g->ignore_end,
                                            .grammar = g->grammar};
}
