/* job.c - see job.h. */
#define _GNU_SOURCE /* POLLRDHUP */
#include "server/job.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/sys.h"
#include "server/session_use.h"

struct job *job_create(struct server *s, const struct protocol *protocol)
{
    struct job *const job = mem_alloc(1, sizeof *job);
    char digits[ID_DIGITS + 1];
    if (!job)
        return NULL;
    server_new_id(s, digits);
    job->server = s;
    job->protocol = protocol;
    snprintf(job->id, sizeof job->id, "%s%s", protocol->id_prefix, digits);
    job->created = (int64_t)time(NULL);
    job->arrived = sys_seconds();
    job->last_write = job->arrived;
    job->references = 1;
    job->fd = -1;
    pthread_mutex_init(&job->lock, NULL);
    return job;
}

static void free_prompt(struct job_prompt *p)
{
    mem_free(p->ids);
    text_free(&p->echo);
    scores_free(&p->scores);
    mem_free(p->marks);
    rwkv7_session_close(p->session);
}

static void free_choice(struct choice *c)
{
    scheduled_close(&c->run);
    text_free(&c->text);
    text_free(&c->thought);
    text_free(&c->answer);
    tool_calls_free(&c->calls);
    text_free(&c->blocks.text);
    text_free(&c->blocks.thought);
    mem_free(c->drawn);
    scores_free(&c->scores);
}

void job_release(struct job *job)
{
    pthread_mutex_lock(&job->lock);
    const int left = --job->references;
    pthread_mutex_unlock(&job->lock);
    if (left > 0)
        return;
    for (size_t i = 0; i < job->choice_count; i++)
        free_choice(&job->choices[i]);
    for (size_t i = 0; i < job->prompt_count; i++)
        free_prompt(&job->prompts[i]);
    rwkv7_session_close(job->shared);
    mem_free(job->choices);
    mem_free(job->prompts);
    session_use_free(job->use);
    generation_free(&job->generation);
    tools_free(&job->tools);
    text_free(&job->given);
    text_free(&job->context);
    text_free(&job->out);
    cJSON_free(job->body);
    pthread_mutex_destroy(&job->lock);
    mem_free(job);
}

bool job_add_choices(struct job *job)
{
    const size_t each = job->generation.choices;
    const int top = job->generation.top;
    job->choices = mem_alloc(job->prompt_count, each * sizeof *job->choices);
    if (!job->choices)
        return false;
    job->choice_count = job->prompt_count * each;
    for (size_t i = 0; i < job->choice_count; i++) {
        struct choice *const c = &job->choices[i];
        c->job = job;
        c->prompt = &job->prompts[i / each];
        c->index = i;
        c->number = i % each;
        c->stop = -1;
        c->scores.width = top > 0 ? (size_t)top : 0;
    }
    for (size_t i = 0; i < job->prompt_count; i++) {
        job->prompts[i].scores.width = top > 0 ? (size_t)top : 0;
        job->prompts[i].scored = job->echo && top >= 0;
        job->prompt_tokens += job->prompts[i].count;
    }
    return true;
}

bool job_splits(const struct job *job)
{
    return job->chat && (!job->generation.grammar || tools_are_used(&job->tools));
}

/* --------------------------------------------------------------------------------------- worker */

/* Resumes the connection if it is suspended. The caller holds the lock. */
static void wake(struct job *job)
{
    if (!job->sleeping)
        return;
    job->sleeping = false;
    job->wake(job->connection);
}

void job_write(struct job *job, const char *bytes, size_t size)
{
    pthread_mutex_lock(&job->lock);
    if (job->out_begin >= JOB_OUTPUT / 2) { /* discard what was sent */
        job->out.size -= job->out_begin;
        memmove(job->out.bytes, job->out.bytes + job->out_begin, job->out.size);
        job->out_begin = 0;
    }
    text_add(&job->out, bytes, size);
    wake(job);
    pthread_mutex_unlock(&job->lock);
    job->last_write = sys_seconds();
}

/* Appends an event. A part is NULL if memory was short. */
static void write_event(struct job *job, const char *const *parts, size_t count)
{
    struct text all = {0};
    for (size_t i = 0; i < count; i++)
        if (parts[i])
            text_add_string(&all, parts[i]);
        else
            all.failed = true;
    if (all.failed) {
        pthread_mutex_lock(&job->lock);
        job->out.failed = true;
        pthread_mutex_unlock(&job->lock);
    } else {
        job_write(job, all.bytes, all.size);
    }
    text_free(&all);
}

void job_event(struct job *job, const char *type, char *text)
{
    const char *const parts[] = {type ? "event: " : "", type ? type : "", type ? "\n" : "", "data: ", text, "\n\n"};
    write_event(job, parts, sizeof parts / sizeof *parts);
    cJSON_free(text);
}

void job_typed_event(struct job *job, struct json_tree *event)
{
    char type[64] = "";
    const cJSON *const item = cJSON_GetObjectItemCaseSensitive(event->root, "type");
    if (cJSON_IsString(item))
        snprintf(type, sizeof type, "%s", item->valuestring);
    job_event(job, type, json_tree_text(event, false));
}

void job_line(struct job *job, char *text)
{
    const char *const parts[] = {text, "\n"};
    write_event(job, parts, sizeof parts / sizeof *parts);
    cJSON_free(text);
}

bool job_is_full(struct job *job)
{
    pthread_mutex_lock(&job->lock);
    job->stalled = job->out.size - job->out_begin > JOB_OUTPUT * 3 / 4;
    const bool full = job->stalled;
    pthread_mutex_unlock(&job->lock);
    return full;
}

bool job_is_empty(struct job *job)
{
    pthread_mutex_lock(&job->lock);
    const bool empty = job->out.size == job->out_begin;
    pthread_mutex_unlock(&job->lock);
    return empty;
}

bool job_lacks_memory(struct job *job)
{
    pthread_mutex_lock(&job->lock);
    const bool failed = job->out.failed;
    pthread_mutex_unlock(&job->lock);
    return failed;
}

/*
 * libmicrohttpd does not notice when the client of a suspended connection disconnects, so the
 * worker polls the socket. The lock keeps the HTTP thread from closing the descriptor meanwhile.
 */
bool job_is_gone(struct job *job)
{
    pthread_mutex_lock(&job->lock);
    if (!job->gone && job->fd >= 0) {
#ifdef POLLRDHUP
        struct pollfd p = {.fd = job->fd, .events = POLLRDHUP};
#else
        struct pollfd p = {.fd = job->fd};
#endif
        job->gone = poll(&p, 1, 0) > 0;
    }
    const bool gone = job->gone;
    pthread_mutex_unlock(&job->lock);
    return gone;
}

void job_end(struct job *job, char *body)
{
    pthread_mutex_lock(&job->lock);
    job->done = true;
    job->body = body;
    wake(job);
    pthread_mutex_unlock(&job->lock);
}

void job_fail(struct job *job, const struct api_error *e)
{
    if (job->generation.stream)
        job->protocol->fail(job, e);
    pthread_mutex_lock(&job->lock);
    job->error = *e;
    pthread_mutex_unlock(&job->lock);
    job_end(job, NULL);
}

/* ------------------------------------------------------------------------------------ protocols */

cJSON *job_head(struct json_tree *t, const struct job *job, const char *object)
{
    cJSON *const root = json_tree_object(t);
    json_add_string(t, root, "id", job->id);
    json_add_string(t, root, "object", object);
    json_add_number(t, root, "created", (double)job->created);
    json_add_string(t, root, "model", job->server->name);
    json_add_string(t, root, "system_fingerprint", job->server->fingerprint);
    return root;
}

uint64_t job_cached_tokens(const struct job *job)
{
    uint64_t cached = 0;
    for (size_t i = 0; i < job->prompt_count; i++)
        cached += job->prompts[i].known + job->prompts[i].cached;
    return cached;
}

uint64_t job_read_tokens(const struct job *job)
{
    uint64_t tokens = job->prompt_tokens;
    for (size_t i = 0; i < job->prompt_count; i++)
        tokens += job->prompts[i].known;
    return tokens;
}

void job_add_usage(struct json_tree *t, cJSON *to, const struct job *job)
{
    const uint64_t prompts = job_read_tokens(job);
    uint64_t tokens = 0;
    for (size_t i = 0; i < job->choice_count; i++)
        tokens += job->choices[i].tokens;
    cJSON *const usage = json_add_object(t, to, "usage");
    json_add_number(t, usage, "prompt_tokens", (double)prompts);
    json_add_number(t, usage, "completion_tokens", (double)tokens);
    json_add_number(t, usage, "total_tokens", (double)(prompts + tokens));
    json_add_number(t, json_add_object(t, usage, "prompt_tokens_details"), "cached_tokens",
                    (double)job_cached_tokens(job));
}

void job_add_seed(struct json_tree *t, cJSON *to, const struct job *job)
{
    json_add_whole(t, to, "seed", job->generation.seed);
}

const char *job_finish_reason(const struct choice *c)
{
    return c->end == RWKV7_END_LENGTH ? "length" : tool_calls_complete(&c->calls) ? "tool_calls" : "stop";
}

void job_call_id(const struct choice *c, const char *prefix, size_t index, char id[JOB_CALL_ID])
{
    const char *const digits = c->job->id + strlen(c->job->protocol->id_prefix);
    snprintf(id, JOB_CALL_ID, "%s%.16s%02zx%02zx", prefix, digits, c->index, index);
}

void job_add_json(struct json_tree *t, cJSON *to, const char *name, const char *json, size_t size)
{
    char *const text = mem_string(json, size);
    if (text)
        cJSON_Minify(text);
    json_add_item(t, to, name, text ? cJSON_CreateRaw(text) : NULL);
    mem_free(text);
}

void job_add_arguments(struct json_tree *t, cJSON *to, const char *name, const struct tool_call *call)
{
    if (call->complete)
        job_add_json(t, to, name, call->arguments.bytes, call->arguments.size);
    else
        json_add_object(t, to, name);
}

void job_finish_stream(struct job *job, const char *object)
{
    static const char done[] = "data: [DONE]\n\n";
    if (job->generation.include_usage || (job->use && job->use->report)) {
        struct json_tree t;
        cJSON *const root = job_head(&t, job, object);
        json_add_array(&t, root, "choices");
        if (job->generation.include_usage)
            job_add_usage(&t, root, job);
        session_use_report(&t, root, job);
        job_event(job, NULL, json_tree_text(&t, false));
    }
    job_write(job, done, sizeof done - 1);
}

void job_fail_stream(struct job *job, const struct api_error *e)
{
    struct json_tree t;
    json_add_number(&t, error_add(&t, json_tree_object(&t), e), "code", e->status);
    job_event(job, NULL, json_tree_text(&t, false));
}
