/* chat.c - POST /v1/chat/completions: answers the last message of a conversation. */
#include "server/chat_request.h"
#include "server/handlers.h"

static void add_scores(struct json_tree *t, cJSON *one, const struct choice *c)
{
    if (c->job->generation.top < 0)
        json_add_item(t, one, "logprobs", cJSON_CreateNull());
    else
        scores_chat(c->job->server, &c->scores, t, one);
}

/* Starts a stream event and returns its object "delta". */
static cJSON *begin_event(struct json_tree *t, cJSON **one, const struct choice *c)
{
    cJSON *const root = job_head(t, c->job, "chat.completion.chunk");
    *one = json_add_object(t, json_add_array(t, root, "choices"), NULL);
    json_add_number(t, *one, "index", (double)c->index);
    return json_add_object(t, *one, "delta");
}

static void end_event(struct json_tree *t, cJSON *one, const struct choice *c, bool with_scores, const char *reason)
{
    if (with_scores)
        add_scores(t, one, c);
    else
        json_add_item(t, one, "logprobs", cJSON_CreateNull());
    json_add_item(t, one, "finish_reason", reason ? cJSON_CreateString(reason) : cJSON_CreateNull());
    job_event(c->job, NULL, json_tree_text(t, false));
}

static void begin(struct job *job, struct choice *c)
{
    struct json_tree t;
    cJSON *one;
    cJSON *const delta = begin_event(&t, &one, c);
    (void)job;
    json_add_string(&t, delta, "role", "assistant");
    json_add_string(&t, delta, "content", "");
    end_event(&t, one, c, false, NULL);
}

static void piece(struct job *job, struct choice *c)
{
    struct json_tree t;
    cJSON *one;
    cJSON *const delta = begin_event(&t, &one, c);
    (void)job;
    if (c->thought.size > 0)
        json_add_text(&t, delta, "reasoning_content", c->thought.bytes, c->thought.size);
    if (c->text.size > 0)
        json_add_text(&t, delta, "content", c->text.bytes, c->text.size);
    end_event(&t, one, c, true, NULL);
    c->text.size = c->thought.size = 0;
    scores_clear(&c->scores);
}

static void end(struct job *job, struct choice *c)
{
    struct json_tree t;
    cJSON *one;
    begin_event(&t, &one, c);
    (void)job;
    end_event(&t, one, c, c->scores.count > 0, job_finish_reason(c));
}

static void finish(struct job *job)
{
    job_finish_stream(job, "chat.completion.chunk");
}

static char *body(struct job *job)
{
    struct json_tree t;
    cJSON *const root = job_head(&t, job, "chat.completion");
    cJSON *const choices = json_add_array(&t, root, "choices");
    for (size_t i = 0; i < job->choice_count; i++) {
        const struct choice *const c = &job->choices[i];
        cJSON *const one = json_add_object(&t, choices, NULL);
        json_add_number(&t, one, "index", (double)c->index);
        cJSON *const message = json_add_object(&t, one, "message");
        json_add_string(&t, message, "role", "assistant");
        if (c->thought.size > 0)
            json_add_text(&t, message, "reasoning_content", c->thought.bytes, c->thought.size);
        json_add_text(&t, message, "content", c->text.bytes, c->text.size);
        add_scores(&t, one, c);
        json_add_string(&t, one, "finish_reason", job_finish_reason(c));
    }
    job_add_usage(&t, root, job);
    job_add_seed(&t, root, job);
    return json_tree_text(&t, false);
}

static const struct protocol chat = {.id_prefix = "chatcmpl-",
                                     .stream_type = JOB_EVENTS,
                                     .ping = JOB_PING,
                                     .begin = begin,
                                     .piece = piece,
                                     .end = end,
                                     .finish = finish,
                                     .fail = job_fail_stream,
                                     .body = body};

void chat_handler(const struct call *call, struct reply *reply)
{
    handle_job(call, &chat, chat_read, reply);
}
