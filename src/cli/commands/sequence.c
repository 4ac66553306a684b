/* sequence.c - see sequence.h. */
#include "cli/commands/sequence.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_tree.h"
#include "cli/commands/constraint.h"
#include "cli/commands/engine.h"
#include "cli/commands/json_line.h"
#include "cli/commands/logprobs.h"
#include "cli/commands/overrides.h"
#include "cli/io/messages.h"
#include "cli/io/prompt.h"
#include "cli/io/terminal.h"
#include "cli/options/request_options.h"

static const char *const request_members[] = {"id",      "prompt", "any_json", "schema",
                                              "grammar", "regex",  "choices",  NULL};

/* Frees the session at once: the result may wait long for those before it. */
static void release(struct sequence *s)
{
    scheduled_close(&s->job);
}

static void finish(struct sequence *s, const char *reason)
{
    s->reason = reason;
    s->finished = true;
    s->end = seconds();
    release(s);
}

static void refuse(struct sequence *s, const char *fmt, ...) RWKV7_PRINTF(2, 3);
static void refuse(struct sequence *s, const char *fmt, ...)
{
    va_list list;
    va_start(list, fmt);
    vsnprintf(s->error, sizeof s->error, fmt, list);
    va_end(list);
    rwkv7_text_plain(s->error); /* it may quote the line, truncated inside a UTF-8 character */
    finish(s, NULL);
}

/* Finishes the sequence with an error of the library. */
static void refuse_for(struct sequence *s, const struct rwkv7_error *err)
{
    s->no_memory = err->status == RWKV7_ERR_MEMORY;
    refuse(s, "%s", err->message);
}

static void refuse_why(struct sequence *s, const char *why)
{
    s->no_memory = strcmp(why, JSON_LINE_NO_MEMORY) == 0;
    refuse(s, "%s", why);
}

static void lack_memory(struct sequence *s, const char *what)
{
    s->no_memory = true;
    refuse(s, "out of memory for %s", what);
}

static bool append(struct sequence *s, const char *text, size_t length)
{
    if (s->room - s->length <= length) {
        const size_t room = 2 * (s->length + length) + 64;
        char *const grown = realloc(s->text, room);
        if (!grown) {
            lack_memory(s, "the text");
            return false;
        }
        s->text = grown;
        s->room = room;
    }
    if (length > 0)
        memcpy(s->text + s->length, text, length);
    s->length += length;
    s->text[s->length] = '\0';
    return true;
}

static void prepare(struct sequence *s, const struct engine *engine, const struct rwkv7_session *start,
                    struct rwkv7_grammar *grammar, const char *prompt)
{
    const size_t size = strlen(prompt), stripped = prompt_stripped_size(prompt, size);
    struct request_options options;
    struct rwkv7_error err;
    request_options_fill(&options, &s->args, s->seed);
    engine_use_drafts(engine, &options.generate);
    options.generate.max_tokens = limit_option(&s->args);
    options.generate.grammar = grammar;
    s->ends_in_space = stripped < size && !s->args.strip;
    if (scheduled_open(&s->job, start, engine->tokenizer, &options.generate, prompt, s->args.strip ? stripped : size,
                       &err) != RWKV7_OK)
        refuse_for(s, &err);
    else if (s->job.request.fed == 0)
        refuse(s, "the prompt is empty and the vocabulary has no begin-of-document token");
    else if (s->args.tokens == 0 && append(s, "", 0))
        finish(s, "length");
    s->job.owner = s;
}

static void parse(struct sequence *s, const struct engine *engine, const struct rwkv7_session *start, const char *line,
                  size_t length)
{
    const char *const *const stops = s->args.stops.at;
    char why[256];
    s->json = json_line_parse(line, length, "id", why);
    const cJSON *const prompt = cJSON_GetObjectItemCaseSensitive(s->json, "prompt");
    if (*why || !overrides_apply(&s->args, s->json, request_members, why))
        refuse_why(s, why);
    else if (!cJSON_IsString(prompt))
        refuse(s, "expected a string 'prompt'");
    s->own_stops = s->args.stops.at != stops;
    if (s->args.sampling.seed.given)
        s->seed = s->args.sampling.seed.value;
    struct rwkv7_grammar *own = NULL; /* the request keeps it */
    struct rwkv7_error err;
    bool found = false;
    if (!s->finished && constraint_of_line(s->json, engine, &own, &found, &err) != RWKV7_OK)
        refuse_for(s, &err);
    if (!s->finished)
        prepare(s, engine, start, found ? own : engine->grammar, prompt->valuestring);
    rwkv7_grammar_close(own);
}

struct sequence *sequence_start(const struct request_args *args, const struct engine *engine,
                                const struct rwkv7_session *start, uint64_t number, const char *line, size_t length,
                                uint64_t seed)
{
    struct sequence *const s = calloc(1, sizeof *s);
    if (!s) {
        complain(FAILED, "out of memory for a prompt");
        return NULL;
    }
    s->line = number;
    s->args = *args;
    s->args.sampling.seed.given = false;
    s->seed = seed;
    s->begin = seconds();
    parse(s, engine, start, line, length);
    return s;
}

static bool add_logprobs(struct sequence *s, const struct engine *engine, const struct rwkv7_step *step)
{
    if (s->args.logprobs > 0)
        logprobs_add(&s->logprobs, engine->tokenizer, step);
    return !s->logprobs.failed;
}

void sequence_take(struct sequence *s, const struct engine *engine)
{
    const struct rwkv7_step *const step = &s->job.request.step;
    if (s->prompt_end == 0)
        s->prompt_end = seconds();
    if (s->job.err.status != RWKV7_OK)
        refuse_for(s, &s->job.err);
    else if (!add_logprobs(s, engine, step))
        lack_memory(s, "the log probabilities");
    else if (append(s, step->text, step->length) && step->end != RWKV7_END_NONE)
        finish(s, end_name(step->end));
}

uint64_t sequence_prompt_tokens(const struct sequence *s)
{
    return s->job.request.evaluated < s->job.request.fed ? s->job.request.evaluated : s->job.request.fed;
}

uint64_t sequence_tokens(const struct sequence *s)
{
    return s->job.request.tokens;
}

char *sequence_result(struct sequence *s)
{
    struct json_tree t;
    cJSON *const json = json_tree_object(&t);
    const cJSON *const id = cJSON_GetObjectItemCaseSensitive(s->json, "id");
    json_add_number(&t, json, "line", (double)s->line);
    if (id)
        json_add_item(&t, json, "id", cJSON_Duplicate(id, true));
    if (s->reason) {
        json_add_string(&t, json, "text", s->text);
        json_add_string(&t, json, "finish", s->reason);
        json_add_number(&t, json, "prompt_tokens", (double)s->job.request.fed);
        json_add_number(&t, json, "tokens", (double)s->job.request.tokens);
        if (s->args.sampling.temperature > 0)
            json_add_whole(&t, json, "seed", s->seed);
        if (s->logprobs.root)
            json_add_tree(&t, json, "logprobs", &s->logprobs);
        json_add_micros(&t, json, "prompt_seconds", s->prompt_end > 0 ? s->prompt_end - s->begin : 0);
        json_add_micros(&t, json, "seconds", s->end - s->begin);
    } else {
        json_add_string(&t, json, "error", s->error);
    }
    json_add_string(&t, json, "fingerprint", s->fingerprint);
    return json_tree_text(&t, false);
}

void sequence_close(struct sequence *s)
{
    if (!s)
        return;
    release(s);
    if (s->own_stops)
        free(s->args.stops.at);
    cJSON_Delete(s->json);
    json_tree_free(&s->logprobs);
    free(s->text);
    free(s);
}
