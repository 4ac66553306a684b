/*
 * choose.c - POST /v1/choose: ranks texts by the probability that the model continues a prompt with
 * them.
 *
 * Each choice becomes a prompt of the job: the tokens of the prompt, then those of the choice, which
 * are tokenized separately, as `rwkv7 eval` and lm-evaluation-harness do. The worker evaluates the
 * tokens that all share once, and scores each choice from a copy of the state.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "server/convert.h"
#include "server/handlers.h"

enum { CHOICES = 256 };

/* -------------------------------------------------------------------------------------- answers */

struct ranked {
    size_t index;
    double logprob; /* of all its tokens */
};

static int compare(const void *a, const void *b)
{
    const struct ranked *const x = a, *const y = b;
    if (x->logprob != y->logprob)
        return x->logprob > y->logprob ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

static double sum_of(const struct scores *s)
{
    double sum = 0;
    for (size_t i = 0; i < s->count; i++)
        sum += s->at[i].logprob;
    return sum;
}

static void add_choice(struct json_tree *t, cJSON *list, const struct job *job, const struct ranked *r, double all)
{
    const struct job_prompt *const p = &job->prompts[r->index];
    const double tokens = (double)p->scores.count;
    cJSON *const one = json_add_object(t, list, NULL);
    json_add_string(t, one, "object", "choice");
    json_add_number(t, one, "index", (double)r->index);
    json_add_text(t, one, "choice", p->echo.bytes, p->echo.size);
    json_add_number(t, one, "tokens", tokens);
    json_add_logprob(t, one, "logprob", r->logprob);
    json_add_logprob(t, one, "probability", exp(r->logprob - all));
    json_add_logprob(t, one, "perplexity", exp(-r->logprob / tokens));
}

static void add_usage(struct json_tree *t, cJSON *to, const struct job *job)
{
    size_t tokens = job->prompts[0].shared;
    for (size_t i = 0; i < job->prompt_count; i++)
        tokens += job->prompts[i].count - job->prompts[i].shared;
    cJSON *const usage = json_add_object(t, to, "usage");
    json_add_number(t, usage, "prompt_tokens", (double)tokens);
    json_add_number(t, usage, "completion_tokens", 0);
    json_add_number(t, usage, "total_tokens", (double)tokens);
}

/* The choices, the most probable first. */
static char *body(struct job *job)
{
    struct json_tree t;
    const size_t count = job->prompt_count;
    struct ranked *const ranked = mem_alloc(count, sizeof *ranked);
    double sum = 0;
    if (!ranked)
        return NULL;
    for (size_t i = 0; i < count; i++)
        ranked[i] = (struct ranked){i, sum_of(&job->prompts[i].scores)};
    qsort(ranked, count, sizeof *ranked, compare);
    for (size_t i = 0; i < count; i++)
        sum += exp(ranked[i].logprob - ranked[0].logprob);
    const double all = ranked[0].logprob + log(sum);
    cJSON *const root = job_head(&t, job, "list");
    cJSON *const list = json_add_array(&t, root, "data");
    for (size_t i = 0; i < count; i++)
        add_choice(&t, list, job, &ranked[i], all);
    add_usage(&t, root, job);
    mem_free(ranked);
    return json_tree_text(&t, false);
}

/* It has no streams. */
static const struct protocol choose = {.id_prefix = "choose-", .body = body};

/* ------------------------------------------------------------------------------------- requests */

/* Makes a prompt of the job: the tokens of `start`, then those of the choice. */
static bool add_prompt(struct job *job, const struct job_prompt *start, const cJSON *choice, struct api_error *e)
{
    struct job_prompt *const p = &job->prompts[job->prompt_count];
    uint32_t *ids = NULL;
    size_t count = 0, total;
    struct rwkv7_error err;
    if (!cJSON_IsString(choice) || !*choice->valuestring)
        return error_request(e, "choices", "choices: expected strings that are not empty");
    if (server_encode(job->server, choice->valuestring, strlen(choice->valuestring), ENCODE_TEXT, &ids, &count, &err) !=
        RWKV7_OK)
        return error_library(e, &err);
    p->ids = size_add(start->count, count, &total) ? mem_alloc(total, sizeof *p->ids) : NULL;
    if (p->ids) {
        job->prompt_count++;
        memcpy(p->ids, start->ids, start->count * sizeof *p->ids);
        memcpy(p->ids + start->count, ids, count * sizeof *p->ids);
        p->count = total;
        p->shared = start->count;
        text_add_string(&p->echo, choice->valuestring);
    }
    const bool fine = p->ids && !p->echo.failed;
    mem_free(ids);
    return fine || error_other(e, 500, NULL, "out of memory for the choices");
}

static bool add_prompts(struct job *job, const struct job_prompt *start, const cJSON *list, struct api_error *e)
{
    const uint64_t most = job->server->options->max_prompt;
    const int count = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
    if (count == 0 || count > CHOICES)
        return error_request(e, "choices", "choices: expected a list of 1 to %d strings", CHOICES);
    job->prompts = mem_alloc((size_t)count, sizeof *job->prompts);
    if (!job->prompts)
        return error_other(e, 500, NULL, "out of memory for the choices");
    uint64_t tokens = 0;
    for (const cJSON *one = list->child; one; one = one->next) {
        if (!add_prompt(job, start, one, e))
            return false;
        tokens += job->prompts[job->prompt_count - 1].count;
        if (tokens > most)
            return error_request(e, "choices",
                                 "choices: expected at most %llu tokens in all, each choice with the prompt",
                                 (unsigned long long)most);
    }
    return job_add_choices(job) || error_other(e, 500, NULL, "out of memory for the choices");
}

/* The prompt is read as by /v1/completions, so that it has the same tokens. */
static bool choose_read(struct job *job, cJSON *request, struct api_error *e)
{
    struct conversion c;
    convert_begin(&c, request, e);
    cJSON *const list = convert_take(request, "choices"); /* /v1/completions has a constraint of this name */
    struct job *const start = job_create(job->server, &choose);
    convert_move(&c, request, "input", request, "prompt"); /* the name in ai00 */
    convert_set(&c, "max_tokens", cJSON_CreateNumber(1));
    if (!start || c.request.failed)
        error_other(e, 500, NULL, "out of memory for the request");
    else if (completions_read(start, request, e) && start->choice_count != 1)
        error_request(e, "prompt", "prompt: expected one prompt");
    else if (!e->status && start->use)
        error_request(e, "session", "session: choices follow the prompt only, not a session or a state");
    else if (!e->status && start->generation.stream)
        error_request(e, "stream", "stream is not supported: the choices are ranked when all are known");
    job->generation.choices = 1;
    job->echo = true; /* with log probabilities */
    const bool fine = !e->status && add_prompts(job, &start->prompts[0], list, e);
    if (start)
        job_release(start);
    cJSON_Delete(list);
    return fine;
}

void choose_handler(const struct call *call, struct reply *reply)
{
    handle_job(call, &choose, choose_read, reply);
}
