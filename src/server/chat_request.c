/* chat_request.c - see chat_request.h. */
#include "server/chat_request.h"

#include <string.h>

#include "base/mem.h"
#include "server/chat_prompt.h"
#include "server/tool_fields.h"

/*
 * A constraint applies from the first token, so a constrained answer has no thoughts. It is an
 * error if the request asks for them; the server's default is ignored.
 */
static void forgo_thoughts(struct job *job, const char *param, bool given, struct api_error *e)
{
    if (given && job->thinking != THINK_OFF && job->thinking != THINK_EMPTY)
        error_request(e, param, "%s: a constrained text has no thoughts before it", param);
    job->thinking = THINK_OFF;
}

static void read_thinking(struct job *job, const struct fields *f)
{
    static const struct {
        const char *name;
        enum thinking thinking;
    } efforts[] = {{"none", THINK_EMPTY},
                   {"minimal", THINK_EMPTY},
                   {"low", THINK_SHORT},
                   {"medium", THINK_NORMAL},
                   {"high", THINK_LONG}};
    const char *effort = NULL;
    bool enable = false;
    const cJSON *const kwargs = field_of(f, "chat_template_kwargs");
    const struct fields inner = {kwargs, f->error};
    job->thinking = job->server->options->thinking;
    field_string(f, "reasoning_effort", &effort);
    if (kwargs && !cJSON_IsObject(kwargs))
        error_request(f->error, "chat_template_kwargs", "chat_template_kwargs: expected an object");
    else if (kwargs && field_of(&inner, "enable_thinking")) {
        field_bool(&inner, "enable_thinking", &enable);
        job->thinking = enable ? THINK_ON : THINK_EMPTY;
    }
    size_t i = 0;
    while (effort && i < sizeof efforts / sizeof *efforts && strcmp(effort, efforts[i].name) != 0)
        i++;
    if (effort && i == sizeof efforts / sizeof *efforts)
        error_request(f->error, "reasoning_effort",
                      "reasoning_effort: expected none, minimal, low, medium or high, found '%.60s'", effort);
    else if (effort)
        job->thinking = efforts[i].thinking;
    if (!job->server->options->template->thinks)
        job->thinking = THINK_OFF;
    if (job->generation.grammar)
        forgo_thoughts(job, effort ? "reasoning_effort" : "enable_thinking", effort || enable, f->error);
}

static bool read_scores(struct generation *g, const struct fields *f)
{
    bool wanted = false;
    int64_t top = 0;
    field_bool(f, "logprobs", &wanted);
    field_whole(f, "top_logprobs", 0, GENERATION_TOP, &top);
    if (top > 0 && !wanted)
        error_request(f->error, "top_logprobs", "top_logprobs: needs logprobs");
    g->top = wanted ? (int)top : -1;
    return f->error->status == 0;
}

/*
 * Compiles the grammar of an answer that may call tools. If the client began the answer, the grammar
 * must allow its text: this fails here and not in the worker.
 */
static bool compile_tools(struct job *job, struct api_error *e)
{
    const struct server_options *const o = job->server->options;
    const struct tools_answer answer = {o->template, job->thinking, job->prefilled};
    char field[TOOLS_FIELD];
    struct rwkv7_error err;
    enum rwkv7_status status = tools_compile(&job->tools, &answer, o->tokenizer, &job->generation.grammar, field, &err);
    if (status == RWKV7_ERR_USAGE)
        return error_request(e, field, "%s", err.message);
    if (status == RWKV7_OK)
        status = tools_check_start(job->generation.grammar, o->tokenizer, job->given.bytes, job->given.size, &err);
    if (status == RWKV7_ERR_USAGE)
        return error_request(e, "messages", "messages: an answer with these tools cannot begin with the last message");
    return status == RWKV7_OK || error_library(e, &err);
}

/* Tokenizes the prompt. Sets its marks: the number of tokens up to the end of each message. */
static bool encode(struct job *job, const struct chat_prompt *prompt, struct api_error *e)
{
    const struct server_options *const o = job->server->options;
    struct job_prompt *const p = &job->prompts[0];
    const bool begins = prompt_begins_with_bos(o->tokenizer, o->bos, session_use_at_start(job));
    struct prompt pieces = {.tokenizer = o->tokenizer};
    size_t done = 0;
    const size_t before = job->context.size - prompt->text.size; /* text of earlier answers */
    p->marks = mem_alloc(CHAT_MARKS, sizeof *p->marks);
    bool fine = p->marks != NULL;
    for (size_t i = 0; i < prompt->end_count && fine; i++) {
        const size_t end = before + prompt->ends[i];
        fine = prompt_add_text(&pieces, job->context.bytes + done, end - done, NULL) == RWKV7_OK;
        p->marks[p->mark_count++] = pieces.end + begins;
        done = end;
    }
    prompt_free(&pieces);
    if (!fine)
        return error_other(e, 500, NULL, "out of memory for the prompt");
    return session_use_encode(job, 0, job->context.bytes, job->context.size, begins, false, e);
}

bool chat_read_prompt(struct job *job, const struct fields *f)
{
    const struct server_options *const o = job->server->options;
    struct chat_prompt prompt = {0};
    bool fine = chat_prompt_read(o->template, &job->tools, job->thinking, f, job->use, &prompt);
    job->prefilled = prompt.prefilled;
    if (fine && job->keeps_context && job->context.size > 0)
        text_add_string(&job->context, o->template->between);
    if (fine)
        text_add(&job->context, prompt.text.bytes, prompt.text.size);
    if (fine)
        text_add(&job->given, prompt.text.bytes + prompt.answer, prompt.text.size - prompt.answer);
    if (fine && (job->given.failed || job->context.failed))
        fine = error_other(f->error, 500, NULL, "out of memory for the prompt");
    job->prompts = fine ? mem_alloc(1, sizeof *job->prompts) : NULL;
    if (fine && !job->prompts)
        fine = error_other(f->error, 500, NULL, "out of memory for the prompt");
    if (fine) {
        job->prompt_count = 1;
        fine = encode(job, &prompt, f->error);
        if (fine && job->prompts[0].count > o->max_prompt)
            fine = error_request(f->error, "messages", "messages: expected at most %llu tokens",
                                 (unsigned long long)o->max_prompt);
    }
    if (job->keeps_context)
        job->context.size -= job->given.size;
    else
        text_free(&job->context);
    text_free(&prompt.text);
    return fine;
}

bool chat_read(struct job *job, cJSON *request, struct api_error *e)
{
    const struct fields f = {request, e};
    struct generation *const g = &job->generation;
    const struct chat_template *const template = job->server->options->template;
    job->chat = true;
    if (!generation_read(g, job->server, &f, (int64_t)job->server->options->max_tokens) || !read_scores(g, &f))
        return false;
    if (g->max_tokens == 0)
        return error_request(e, "max_tokens", "max_tokens: expected at least 1");
    for (size_t i = 0; i < TEMPLATE_STOPS; i++)
        if (template->stops[i] && !generation_add_stop(g, template->stops[i], e))
            return false;
    if (!tool_fields_read(&f, &job->tools))
        return false;
    if (g->grammar && tools_are_used(&job->tools))
        return error_request(e, "tools", "tools: a constrained answer cannot call tools; see tool_choice");
    read_thinking(job, &f);
    if (e->status || !session_use_read(job, &f) || !chat_read_prompt(job, &f))
        return false;
    if (tools_are_used(&job->tools) && !compile_tools(job, e))
        return false;
    if (!job_add_choices(job))
        return error_other(e, 500, NULL, "out of memory for the answer");
    return session_use_check(job, e);
}
