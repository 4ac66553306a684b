/* fingerprint.c - see fingerprint.h. */
#include "cli/commands/fingerprint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands/engine.h"
#include "cli/io/messages.h"
#include "cli/options/args.h"

/* FNV-1a: detects mistakes; it is not a cryptographic hash. */
static uint64_t add_bytes(uint64_t hash, const void *data, size_t n)
{
    const unsigned char *const bytes = data;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

#define FNV_OFFSET_BASIS 0xcbf29ce484222325u

static uint64_t add_text(uint64_t hash, const char *text)
{
    return add_bytes(hash, text, strlen(text) + 1);
}

/*
 * Options of batch that do not change an answer, or whose content is hashed instead. All
 * other options are hashed, so that a new option is included by default.
 */
static const char *const without_effect[] = {"help",   "version",  "no-config", "model", "vocab",       "type",
                                             "sparse", "mlock",    "cpu",       "state", "state-order", "parallel",
                                             "output", "resume",   "threads",   "quiet", "speculate",   "draft-model",
                                             "schema", "any-json", "grammar",   "regex", "choice",      NULL};

static bool has_effect(const struct option *o, const struct command *command)
{
    if (!o->name || !(o->commands & command->bit))
        return false;
    for (size_t i = 0; without_effect[i]; i++)
        if (strcmp(o->name, without_effect[i]) == 0)
            return false;
    return true;
}

static uint64_t add_biases(uint64_t hash, const struct bias_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        hash = add_bytes(hash, &list->at[i].id, sizeof list->at[i].id);
        hash = add_bytes(hash, &list->at[i].bias, sizeof list->at[i].bias);
    }
    return add_bytes(hash, &list->count, sizeof list->count);
}

static uint64_t add_option(uint64_t hash, const void *args, const struct option *o)
{
    const void *const field = args_value(o, args);
    const struct text_list *const texts = field;
    hash = add_text(hash, o->name);
    switch (o->value.kind) {
    case FLAG:
        return add_bytes(hash, field, sizeof(bool));
    case NAME:
    case INPUT:
    case SHAPE:
    case TEXT: {
        const char *const text = *(const char *const *)field;
        return add_text(hash, text ? text : "");
    }
    case TEXTS:
        for (size_t i = 0; i < texts->count; i++)
            hash = add_text(hash, texts->at[i]);
        return add_bytes(hash, &texts->count, sizeof texts->count);
    case CHOICE:
    case WHOLE:
        return add_bytes(hash, field, sizeof(int));
    case REAL:
        return add_bytes(hash, field, sizeof(float));
    case COUNTS: {
        const struct count_list *const counts = field;
        return add_bytes(hash, counts->at, counts->count * sizeof *counts->at);
    }
    case SEED: {
        const struct seed_option *const seed = field;
        hash = add_bytes(hash, &seed->given, sizeof seed->given);
        return seed->given ? add_bytes(hash, &seed->value, sizeof seed->value) : hash;
    }
    case BANS:
    case BIASES:
        return add_biases(hash, field);
    }
    return hash;
}

/* Adds the text of every token id. */
static uint64_t add_vocabulary(uint64_t hash, const struct rwkv7_tokenizer *tokenizer)
{
    for (uint32_t id = 0; id < rwkv7_tokenizer_size(tokenizer); id++) {
        size_t length = 0;
        const uint8_t *const bytes = rwkv7_tokenizer_bytes(tokenizer, id, &length);
        hash = add_bytes(hash, &length, sizeof length);
        if (bytes)
            hash = add_bytes(hash, bytes, length);
    }
    return hash;
}

/* Adds the WKV matrices of a tuned state, which holds nothing else. */
static int add_state(uint64_t *hash, const struct engine *engine, const struct rwkv7_session *start)
{
    const struct rwkv7_shape *const shape = &rwkv7_model_info(engine->model)->shape;
    const size_t count = (size_t)shape->layers * (size_t)shape->channels * (size_t)shape->head_size;
    float *const wkv = calloc(count, sizeof *wkv);
    if (!wkv)
        return complain(FAILED, "out of memory for the state");
    rwkv7_session_get_state(start, NULL, wkv, NULL);
    *hash = add_bytes(*hash, wkv, count * sizeof *wkv);
    free(wkv);
    return DONE;
}

int fingerprint_of_run(const struct batch_args *args, const struct engine *engine, const struct rwkv7_session *start,
                       uint64_t *run)
{
    struct rwkv7_fingerprint model;
    struct rwkv7_error err;
    if (rwkv7_model_fingerprint(engine->model, &model, &err) != RWKV7_OK)
        return report(&err);
    uint64_t hash = add_bytes(FNV_OFFSET_BASIS, &model, sizeof model);
    hash = add_vocabulary(hash, engine->tokenizer);
    for (const struct option *o = option_table; o->help; o++)
        if (has_effect(o, args->common.command))
            hash = add_option(hash, args, o);
    if (engine->grammar)
        hash = add_bytes(hash, &engine->grammar_hash, sizeof engine->grammar_hash);
    const int code = args->tuned.state ? add_state(&hash, engine, start) : DONE;
    *run = hash;
    return code;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

void fingerprint_text(uint64_t run, const char *line, size_t length, char text[FINGERPRINT_ROOM])
{
    for (; length > 0 && is_space(*line); line++)
        length--;
    while (length > 0 && is_space(line[length - 1]))
        length--;
    snprintf(text, FINGERPRINT_ROOM, "%016" PRIx64 "-%016" PRIx64, run, add_bytes(FNV_OFFSET_BASIS, line, length));
}
