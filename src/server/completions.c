/* completions.c - POST /v1/completions: continues texts. */
#include <string.h>

#include "base/mem.h"
#include "server/handlers.h"
#include "server/session_use.h"
#include "server/tool_fields.h"

enum { DEFAULT_TOKENS = 16, PROMPTS = 256, SCORES = 1 << 21 };

/* -------------------------------------------------------------------------------------- answers */

static cJSON *add_choice(struct json_tree *t, cJSON *choices, const struct choice *c, const char *text, size_t size)
{
    cJSON *const one = json_add_object(t, choices, NULL);
    json_add_number(t, one, "index", (double)c->index);
    json_add_text(t, one, "text", text, size);
    return one;
}

static void add_scores(struct json_tree *t, cJSON *one, struct choice *c, bool with_prompt)
{
    if (c->job->generation.top < 0)
        json_add_item(t, one, "logprobs", cJSON_CreateNull());
    else
        scores_completion(c->job->server, with_prompt ? &c->prompt->scores : NULL, &c->scores, &c->offset, t, one);
}

static void send(struct job *job, struct choice *c, const struct text *text, bool with_prompt, const char *reason)
{
    struct json_tree t;
    cJSON *const root = job_head(&t, job, "text_completion");
    cJSON *const one = add_choice(&t, json_add_array(&t, root, "choices"), c, text->bytes, text->size);
    add_scores(&t, one, c, with_prompt);
    json_add_item(&t, one, "finish_reason", reason ? cJSON_CreateString(reason) : cJSON_CreateNull());
    job_event(job, NULL, json_tree_text(&t, false));
}

/* Sends the echoed prompt, if any, with its scores. The scores of the answer come later. */
static void begin(struct job *job, struct choice *c)
{
    struct scores waiting = c->scores;
    if (!job->echo)
        return;
    c->scores = (struct scores){.width = waiting.width};
    send(job, c, &c->prompt->echo, true, NULL);
    c->scores = waiting;
}

static void piece(struct job *job, struct choice *c)
{
    send(job, c, &c->text, false, NULL);
    c->text.size = 0;
    scores_clear(&c->scores);
}

static void end(struct job *job, struct choice *c)
{
    send(job, c, &c->text, false, job_finish_reason(c));
}

static void finish(struct job *job)
{
    job_finish_stream(job, "text_completion");
}

static char *body(struct job *job)
{
    struct json_tree t;
    cJSON *const root = job_head(&t, job, "text_completion");
    cJSON *const choices = json_add_array(&t, root, "choices");
    for (size_t i = 0; i < job->choice_count; i++) {
        struct choice *const c = &job->choices[i];
        struct text all = {0};
        if (job->echo)
            text_add(&all, c->prompt->echo.bytes, c->prompt->echo.size);
        text_add(&all, c->text.bytes, c->text.size);
        cJSON *const one = add_choice(&t, choices, c, all.bytes, all.size);
        t.failed = t.failed || all.failed;
        text_free(&all);
        add_scores(&t, one, c, job->echo);
        json_add_string(&t, one, "finish_reason", job_finish_reason(c));
    }
    job_add_usage(&t, root, job);
    job_add_seed(&t, root, job);
    session_use_report(&t, root, job);
    return json_tree_text(&t, false);
}

static const struct protocol completions = {.id_prefix = "cmpl-",
                                            .stream_type = JOB_EVENTS,
                                            .ping = JOB_PING,
                                            .begin = begin,
                                            .piece = piece,
                                            .end = end,
                                            .finish = finish,
                                            .fail = job_fail_stream,
                                            .body = body};

/* -------------------------------------------------------------------------------------- prompts */

/* Sets the echoed text of the prompt's tokens; invalid UTF-8 becomes U+FFFD. */
static bool show_tokens(const struct server *s, struct job_prompt *p, struct api_error *e)
{
    struct rwkv7_stream *stream = NULL;
    struct rwkv7_error err;
    const char *text;
    size_t size, length;
    int stop;
    enum rwkv7_status status = rwkv7_stream_create(NULL, 0, &stream, &err);
    for (size_t i = p->hidden; i < p->count && status == RWKV7_OK; i++) {
        const char *const bytes = server_token_text(s, p->ids[i], &size);
        status = rwkv7_stream_push(stream, (const uint8_t *)bytes, size, &text, &length, &stop, &err);
        if (status == RWKV7_OK)
            text_add(&p->echo, text, length);
    }
    if (status == RWKV7_OK)
        status = rwkv7_stream_finish(stream, &text, &length, &err);
    if (status == RWKV7_OK)
        text_add(&p->echo, text, length);
    rwkv7_stream_close(stream);
    return status == RWKV7_OK || error_library(e, &err);
}

/* Prepends token 0, which is evaluated but not reported. */
static bool add_hidden(struct job_prompt *p)
{
    uint32_t *const ids = mem_alloc(p->count + 1, sizeof *ids);
    if (!ids)
        return false;
    ids[0] = RWKV7_END_OF_TEXT;
    if (p->count > 0)
        memcpy(ids + 1, p->ids, p->count * sizeof *ids);
    mem_free(p->ids);
    p->ids = ids;
    p->count++;
    p->hidden = 1;
    return true;
}

static bool read_text(struct job *job, struct job_prompt *p, const char *text, enum rwkv7_bos bos, struct api_error *e)
{
    const struct server *const s = job->server;
    const bool at_start = session_use_at_start(job);
    if (!session_use_encode(job, (size_t)(p - job->prompts), text, strlen(text), false, true, e))
        return false;
    if (job->echo)
        text_add_string(&p->echo, text);
    const bool has = p->count > 0 && p->ids[0] == RWKV7_END_OF_TEXT && s->end_text;
    if (!has && (at_start || !job->use) && prompt_begins_with_bos(s->options->tokenizer, bos, at_start) &&
        !add_hidden(p))
        return error_other(e, 500, NULL, "out of memory for the prompt");
    return true;
}

static bool read_tokens(struct job *job, struct job_prompt *p, const cJSON *list, struct api_error *e)
{
    const struct server *const s = job->server;
    if (!server_read_ids(s, list, "prompt", &p->ids, &p->count, e))
        return false;
    const bool start = p->count == 0 && s->end_text && session_use_at_start(job); /* of a document */
    const bool begins = s->options->bos == RWKV7_BOS_ALWAYS && (!job->use || session_use_at_start(job));
    if ((start || begins) && !add_hidden(p))
        return error_other(e, 500, NULL, "out of memory for the prompt");
    if (job->echo && !show_tokens(s, p, e))
        return false;
    return session_use_prepend(job, (size_t)(p - job->prompts), e);
}

/*
 * Reads "prompt": "text", ["text", ...], [1, ...] or [[1, ...], ...]. Returns the first element;
 * *count: their number.
 */
static const cJSON *prompt_list(const struct fields *f, size_t *count)
{
    const cJSON *const value = field_of(f, "prompt");
    const cJSON *const first = cJSON_IsArray(value) ? value->child : NULL;
    *count = 1;
    if (cJSON_IsString(value) || (cJSON_IsArray(value) && (!first || cJSON_IsNumber(first))))
        return value;
    if (!value || !(cJSON_IsString(first) || cJSON_IsArray(first))) {
        error_request(f->error, "prompt", "prompt: expected a string, a list of strings, token ids or lists of them");
        return NULL;
    }
    *count = (size_t)cJSON_GetArraySize(value);
    if (*count > PROMPTS)
        error_request(f->error, "prompt", "prompt: expected at most %d prompts, found %zu", PROMPTS, *count);
    return first;
}

static bool read_prompts(struct job *job, const struct fields *f)
{
    struct api_error *const e = f->error;
    const struct server_options *const o = job->server->options;
    size_t count;
    uint64_t tokens = 0;
    bool special = true;
    field_bool(f, "add_special_tokens", &special);
    const enum rwkv7_bos bos = special ? o->bos : RWKV7_BOS_NEVER;
    const cJSON *one = prompt_list(f, &count);
    if (e->status)
        return false;
    job->prompts = mem_alloc(count, sizeof *job->prompts);
    if (!job->prompts)
        return error_other(e, 500, NULL, "out of memory for the prompts");
    for (; job->prompt_count < count; one = one->next) {
        struct job_prompt *const p = &job->prompts[job->prompt_count++];
        if (cJSON_IsString(one)  ? !read_text(job, p, one->valuestring, bos, e)
            : cJSON_IsArray(one) ? !read_tokens(job, p, one, e)
                                 : !error_request(e, "prompt", "prompt: the elements differ in their types"))
            return false;
        if (p->echo.failed)
            return error_other(e, 500, NULL, "out of memory for the prompts");
        if (p->count == 0 && job->use && !session_use_at_start(job))
            return error_request(e, "prompt", "prompt: the text has ended, so expected a prompt that is not empty");
        if (p->count == 0)
            return error_request(e, "prompt", "prompt: it is empty, and the vocabulary has no start of a document");
        tokens += p->count;
        if (tokens > o->max_prompt)
            return error_request(e, "prompt", "prompt: expected at most %llu tokens",
                                 (unsigned long long)o->max_prompt);
    }
    return true;
}

bool completions_read(struct job *job, cJSON *request, struct api_error *e)
{
    const struct fields f = {request, e};
    struct generation *const g = &job->generation;
    int64_t top = -1;
    if (!generation_read(g, job->server, &f, DEFAULT_TOKENS) || !tool_fields_refuse(&f))
        return false;
    field_bool(&f, "echo", &job->echo);
    field_whole(&f, "logprobs", 0, GENERATION_TOP, &top);
    g->top = (int)top;
    if (g->max_tokens == 0 && !job->echo)
        error_request(e, "max_tokens", "max_tokens: 0 is allowed with echo only");
    if (e->status || !session_use_read(job, &f) || !read_prompts(job, &f))
        return false;
    if (job->use)
        job->use->gap = true;
    if (!job_add_choices(job))
        return error_other(e, 500, NULL, "out of memory for the answer");
    if (job->echo && top >= 0 && job->prompt_tokens * g->choices * (uint64_t)(top + 1) > SCORES)
        return error_request(e, "logprobs", "logprobs: expected at most %d log probabilities of prompts", SCORES);
    return session_use_check(job, e);
}

void completions_handler(const struct call *call, struct reply *reply)
{
    handle_job(call, &completions, completions_read, reply);
}
