/* sequence.c - see sequence.h. */
#include "cli/sequence.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json_line.h"
#include "cli/logprobs.h"
#include "cli/overrides.h"
#include "cli/sampling.h"
#include "cli/terminal.h"

static const char *const own_members[] = {"id", "prompt", NULL};

/* The session and what else is large goes at once, since the result may have to wait for those before it. */
static void release(struct sequence *s)
{
    rwkv7_session_close(s->session);
    rwkv7_sampler_close(s->sampler);
    rwkv7_stream_close(s->stream);
    free(s->prompt);
    s->session = NULL;
    s->sampler = NULL;
    s->stream = NULL;
    s->prompt = NULL;
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
    rwkv7_text_plain(s->error); /* words of the line may be in it, cut inside a character */
    finish(s, NULL);
}

static bool append(struct sequence *s, const char *text, size_t length)
{
    if (s->room - s->length <= length) {
        const size_t room = 2 * (s->length + length) + 64;
        char *const grown = realloc(s->text, room);
        if (!grown) {
            refuse(s, "out of memory for the text");
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

/* The ids of the prompt, behind token 0 where documents begin with it. */
static void encode(struct sequence *s, const struct engine *engine, const char *text)
{
    const size_t size = strlen(text);
    const bool bos = s->args.bos || (!s->args.no_bos && rwkv7_tokenizer_has_end_of_text(engine->tokenizer));
    struct rwkv7_error err;
    size_t covered;
    s->prompt = malloc((size + 1) * sizeof *s->prompt);
    if (!s->prompt) {
        refuse(s, "out of memory for the prompt");
        return;
    }
    s->prompt[0] = RWKV7_END_OF_TEXT;
    if (rwkv7_tokenizer_encode(engine->tokenizer, text, size, true, s->prompt + bos, size, &s->prompt_count, &covered,
                               &err) != RWKV7_OK)
        refuse(s, "%s", err.message);
    s->prompt_count += bos;
    if (!s->finished && s->prompt_count == 0)
        refuse(s, "the prompt is empty, and this vocabulary has no token that begins a document");
}

static void prepare(struct sequence *s, const struct engine *engine, const struct rwkv7_session *start)
{
    struct rwkv7_error err;
    if (rwkv7_stream_create(s->args.stops.at, s->args.stops.count, &s->stream, &err) != RWKV7_OK ||
        rwkv7_session_clone(start, &s->session, &err) != RWKV7_OK)
        refuse(s, "%s", err.message);
    else if (sampling_create(&s->args, engine, s->seed, &s->sampler) != DONE)
        refuse(s, "the sampler could not be made");
    else if (s->args.tokens == 0 && append(s, "", 0))
        finish(s, "length");
}

static void parse(struct sequence *s, const struct engine *engine, const struct rwkv7_session *start, const char *line,
                  size_t length)
{
    const char *const *const stops = s->args.stops.at;
    char why[256];
    s->request = json_line_parse(line, length, "id", why);
    const cJSON *const prompt = cJSON_GetObjectItemCaseSensitive(s->request, "prompt");
    if (*why || !overrides_apply(&s->args, s->request, own_members, why))
        refuse(s, "%s", why);
    else if (!cJSON_IsString(prompt))
        refuse(s, "expected a string 'prompt'");
    s->own_stops = s->args.stops.at != stops;
    if (s->args.seed_given)
        s->seed = s->args.seed;
    if (!s->finished)
        encode(s, engine, prompt->valuestring);
    if (!s->finished)
        prepare(s, engine, start);
}

struct sequence *sequence_start(const struct args *args, const struct engine *engine, const struct rwkv7_session *start,
                                uint64_t number, const char *line, size_t length, uint64_t seed)
{
    struct sequence *const s = calloc(1, sizeof *s);
    if (!s) {
        complain(FAILED, "out of memory for a prompt");
        return NULL;
    }
    s->line = number;
    s->args = *args;
    s->args.seed_given = false;
    s->seed = seed;
    s->begin = seconds();
    parse(s, engine, start, line, length);
    return s;
}

bool sequence_feed(const struct sequence *s, size_t most, const uint32_t **tokens, size_t *count)
{
    const size_t left = s->prompt_count - s->fed;
    *tokens = left > 0 ? s->prompt + s->fed : &s->next;
    *count = left == 0 ? 1 : left < most ? left : most;
    return left == 0 || *count == left;
}

/* Shows a token to the stream; the text ends with a stop string or with enough tokens. */
static void take_token(struct sequence *s, const struct engine *engine, uint32_t id)
{
    struct rwkv7_error err;
    const char *text;
    size_t length;
    int stop;
    const uint8_t *const bytes = rwkv7_tokenizer_bytes(engine->tokenizer, id, &length);
    s->next = id;
    s->tokens++;
    if (rwkv7_stream_push(s->stream, bytes, length, &text, &length, &stop, &err) != RWKV7_OK) {
        refuse(s, "%s", err.message);
        return;
    }
    if (!append(s, text, length))
        return;
    const bool enough = s->tokens == s->args.tokens;
    if (stop < 0 && !enough)
        return;
    if (rwkv7_stream_finish(s->stream, &text, &length, &err) != RWKV7_OK)
        refuse(s, "%s", err.message);
    else if (append(s, text, length))
        finish(s, stop >= 0 ? "stop" : "length");
}

static void end_text(struct sequence *s)
{
    struct rwkv7_error err;
    const char *text;
    size_t length;
    if (rwkv7_stream_finish(s->stream, &text, &length, &err) != RWKV7_OK)
        refuse(s, "%s", err.message);
    else if (append(s, text, length))
        finish(s, "end");
}

static bool add_logprobs(struct sequence *s, const struct engine *engine, const float *logits, uint32_t id)
{
    if (s->args.logprobs == 0)
        return true;
    if (!s->logprobs)
        s->logprobs = cJSON_CreateArray();
    const int vocab = rwkv7_model_info(engine->model)->shape.vocab;
    cJSON *const json = logprobs_json(engine->tokenizer, logits, vocab, id, s->args.logprobs);
    if (cJSON_AddItemToArray(s->logprobs, json))
        return true;
    cJSON_Delete(json);
    return false;
}

void sequence_advance(struct sequence *s, const struct engine *engine, size_t count, const float *logits,
                      const struct rwkv7_error *err)
{
    struct rwkv7_error why;
    uint32_t id;
    if (err->status != RWKV7_OK) {
        refuse(s, "%s", err->message);
        return;
    }
    if (s->fed < s->prompt_count) {
        s->fed += count;
        if (s->fed < s->prompt_count)
            return;
        s->prompt_end = seconds();
    }
    if (rwkv7_sampler_next(s->sampler, logits, &id, &why) != RWKV7_OK)
        refuse(s, "%s", why.message);
    else if (!add_logprobs(s, engine, logits, id))
        refuse(s, "out of memory for the log probabilities");
    else if (id == RWKV7_END_OF_TEXT && rwkv7_tokenizer_has_end_of_text(engine->tokenizer))
        end_text(s);
    else
        take_token(s, engine, id);
}

char *sequence_result(const struct sequence *s)
{
    cJSON *const json = cJSON_CreateObject();
    const cJSON *const id = cJSON_GetObjectItemCaseSensitive(s->request, "id");
    bool ok = cJSON_AddNumberToObject(json, "line", (double)s->line) != NULL;
    if (id)
        ok = ok && cJSON_AddItemToObject(json, "id", cJSON_Duplicate(id, true));
    if (s->reason) {
        ok = ok && cJSON_AddStringToObject(json, "text", s->text) &&
             cJSON_AddStringToObject(json, "finish", s->reason) &&
             cJSON_AddNumberToObject(json, "prompt_tokens", (double)s->prompt_count) &&
             cJSON_AddNumberToObject(json, "tokens", s->tokens);
        if (s->args.temperature > 0)
            ok = ok && json_add_whole(json, "seed", s->seed);
        if (s->logprobs)
            ok = ok && cJSON_AddItemReferenceToObject(json, "logprobs", s->logprobs);
        ok = ok && json_add_seconds(json, "prompt_seconds", s->prompt_end > 0 ? s->prompt_end - s->begin : 0) &&
             json_add_seconds(json, "seconds", s->end - s->begin);
    } else {
        ok = ok && cJSON_AddStringToObject(json, "error", s->error);
    }
    char *const text = ok ? cJSON_PrintUnformatted(json) : NULL;
    cJSON_Delete(json);
    return text;
}

void sequence_close(struct sequence *s)
{
    if (!s)
        return;
    release(s);
    if (s->own_stops)
        free(s->args.stops.at);
    cJSON_Delete(s->request);
    cJSON_Delete(s->logprobs);
    free(s->text);
    free(s);
}
