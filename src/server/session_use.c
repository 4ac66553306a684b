/* session_use.c - see session_use.h. */
#include "server/session_use.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "server/base64.h"
#include "server/job.h"

/* --------------------------------------------------------------------------------------- fields */

static bool open_use(struct job *job, struct api_error *e)
{
    if (!job->server->store)
        return error_request(e, "session", "sessions and states are switched off (--state-ram)");
    if (!job->use)
        job->use = mem_alloc(1, sizeof *job->use);
    if (!job->use)
        return error_other(e, 500, NULL, "out of memory for the request");
    job->use->store = job->server->store;
    return true;
}

/* Names the field in an error of the store. */
static bool blame(struct api_error *e, const char *field)
{
    if (e->status == 400 || e->status == 404)
        snprintf(e->param, sizeof e->param, "%s", field);
    return false;
}

static bool take(struct session_use *use, const char *id, const char *field, bool *created, struct api_error *e)
{
    if (!session_store_take(use->store, id, true, &use->text, created, e))
        return blame(e, field);
    snprintf(use->id, sizeof use->id, "%s", id);
    use->taken = use->kept = true;
    return true;
}

/* Takes `fork`, a new session that begins as a copy of `session`. */
static bool take_copy(struct session_use *use, const char *session, const char *fork, struct api_error *e)
{
    struct session_text copy;
    bool created;
    if (!session_store_get(use->store, session, &copy, e))
        return blame(e, "session");
    if (!take(use, fork, "fork", &created, e) ||
        (!created && !error_request(e, "fork", "there is a session '%s' already", fork))) {
        session_text_clear(&copy);
        return false;
    }
    session_text_clear(&use->text);
    use->text = copy;
    return true;
}

static enum return_state read_return(const struct fields *f)
{
    const cJSON *const value = field_of(f, "return_state");
    if (!value || cJSON_IsFalse(value))
        return RETURN_NONE;
    if (cJSON_IsTrue(value))
        return RETURN_INFO;
    if (!cJSON_IsString(value) || strcmp(value->valuestring, "base64") != 0)
        error_request(f->error, "return_state", "return_state: expected true, false or \"base64\"");
    return RETURN_IMAGE;
}

bool session_use_read(struct job *job, const struct fields *f)
{
    struct api_error *const e = f->error;
    const char *session = job->session_header, *fork = NULL, *state = NULL;
    bool created = true;
    field_string(f, "session", &session);
    field_string(f, "fork", &fork);
    field_string(f, "state", &state);
    const enum return_state returns = read_return(f);
    const bool stores = job->stores && job->server->store;
    if (*job->previous && (session || fork || state))
        error_request(e, "previous_response_id", "previous_response_id: expected neither a session nor a state");
    if (*job->previous && !job->server->store)
        error_request(e, "previous_response_id", "previous_response_id: answers are not stored (--state-ram)");
    if (fork && !session)
        error_request(e, "fork", "fork: needs a session");
    if (fork && state)
        error_request(e, "state", "state: expected either a state or a fork");
    if (e->status || (!session && !state && returns == RETURN_NONE && !stores && !*job->previous))
        return e->status == 0;
    if (!open_use(job, e))
        return false;
    struct session_use *const use = job->use;
    use->returns = returns;
    use->stores = stores;
    use->kept = returns != RETURN_NONE || stores;
    if (*job->previous && !session_store_get_answer(use->store, job->previous, &use->text, &use->intro, e))
        return blame(e, "previous_response_id");
    if (fork)
        return take_copy(use, session, fork, e);
    if (session && !take(use, session, "session", &created, e))
        return false;
    if (state && created) { /* else the session has begun with a state already, or without one */
        session_text_clear(&use->text);
        if (!session_store_get(use->store, state, &use->text, e))
            return blame(e, "state");
        session_text_root(&use->text);
    }
    if (!session && returns == RETURN_INFO)
        return session_use_create(job, NULL, NULL, e);
    return true;
}

bool session_use_create(struct job *job, const char *id, const char *state, struct api_error *e)
{
    char digits[ID_DIGITS + 1], name[SESSION_ID + 1];
    bool created;
    server_new_id(job->server, digits);
    snprintf(name, sizeof name, "state-%s", digits);
    if (!open_use(job, e))
        return false;
    struct session_use *const use = job->use;
    if (state && !session_store_get(use->store, state, &use->text, e))
        return blame(e, "state");
    if (state)
        session_text_root(&use->text);
    struct session_text before = use->text; /* a state that the request begins with */
    use->text = (struct session_text){0};
    const bool taken = take(use, id ? id : name, "id", &created, e);
    session_text_clear(&use->text);
    use->text = before;
    if (!taken)
        return false;
    return created || error_request(e, "id", "there is a state '%s' already", job->use->id);
}

bool session_use_check(const struct job *job, struct api_error *e)
{
    if (!job->use || !job->use->kept)
        return true;
    if (job->generation.max_tokens == 0)
        return error_request(e, "max_tokens", "max_tokens: expected at least 1 with a session");
    if (job->choice_count > 1) {
        const char *const field = job->prompt_count > 1 ? "prompt" : "n";
        return error_request(e, field, "%s: expected one prompt and one answer with session, return_state or store",
                             field);
    }
    return true;
}

void session_use_release(struct session_use *use)
{
    if (use && use->taken)
        session_store_return(use->store, use->id, NULL);
    if (use)
        use->taken = false;
}

void session_use_free(struct session_use *use)
{
    if (!use)
        return;
    session_use_release(use);
    session_text_clear(&use->text);
    mark_close(&use->mark);
    text_free(&use->visible);
    cJSON_Delete(use->report);
    mem_free(use->user);
    mem_free(use);
}

/* -------------------------------------------------------------------------------------- prompts */

bool session_use_at_start(const struct job *job)
{
    const struct session_use *const use = job->use;
    return rwkv7_session_tokens(job->server->options->start) == 0 &&
           !(use && (session_text_tokens(&use->text) > 0 || use->text.unread));
}

/* Sets the tokens of a prompt: those of the log that are not evaluated, then ids [count]. */
static bool set_ids(struct job *job, size_t index, const uint32_t *ids, size_t count, struct api_error *e)
{
    struct job_prompt *const p = &job->prompts[index];
    const struct session_text *const text = &job->use->text;
    const size_t evaluated = session_text_evaluated(text), repeated = text->count - evaluated;
    size_t room;
    uint32_t *const all = size_add(repeated, count, &room) ? mem_alloc(room, sizeof *all) : NULL;
    if (!all)
        return error_other(e, 500, NULL, "out of memory for the prompt");
    if (repeated > 0)
        memcpy(all, text->log + evaluated, repeated * sizeof *all);
    if (count > 0)
        memcpy(all + repeated, ids, count * sizeof *all);
    mem_free(p->ids);
    p->ids = all;
    p->count = room;
    p->hidden += repeated;
    p->known = session_text_tokens(text) - repeated;
    p->follows = text->state || text->base;
    job->use->repeated = repeated;
    return true;
}

bool session_use_encode(struct job *job, size_t index, const char *text, size_t size, bool begins, bool named,
                        struct api_error *e)
{
    const char *const unread = job->use ? job->use->text.unread : NULL;
    struct job_prompt *const p = &job->prompts[index];
    const enum encode_start start = begins ? ENCODE_AFTER_END : named && !unread ? ENCODE_NAMED : ENCODE_TEXT;
    struct rwkv7_error err;
    struct text all = {0};
    if (unread) {
        text_add_string(&all, unread);
        text_add(&all, text, size);
        text = all.bytes;
        size = all.size;
    }
    uint32_t *ids = NULL;
    size_t count = 0;
    bool fine = !all.failed || error_other(e, 500, NULL, "out of memory for the prompt");
    if (fine && server_encode(job->server, text, size, start, &ids, &count, &err) != RWKV7_OK)
        fine = error_library(e, &err);
    text_free(&all);
    if (fine && job->use) {
        fine = set_ids(job, index, ids, count, e);
        mem_free(ids);
    } else if (fine) {
        p->ids = ids;
        p->count = count;
    }
    return fine;
}

bool session_use_prepend(struct job *job, size_t index, struct api_error *e)
{
    struct job_prompt *const p = &job->prompts[index];
    const char *const unread = job->use ? job->use->text.unread : NULL;
    struct rwkv7_error err;
    uint32_t *first = NULL;
    size_t count = 0, room;
    if (!job->use)
        return true;
    if (!unread)
        return set_ids(job, index, p->ids, p->count, e);
    if (server_encode(job->server, unread, strlen(unread), ENCODE_TEXT, &first, &count, &err) != RWKV7_OK)
        return error_library(e, &err);
    uint32_t *const all = size_add(count, p->count, &room) ? mem_grow(first, count, room, sizeof *all) : NULL;
    if (!all) {
        mem_free(first);
        return error_other(e, 500, NULL, "out of memory for the prompt");
    }
    if (p->count > 0)
        memcpy(all + count, p->ids, p->count * sizeof *all);
    p->hidden += count;
    const bool fine = set_ids(job, index, all, room, e);
    mem_free(all);
    return fine;
}

/* --------------------------------------------------------------------------------------- worker */

const struct rwkv7_session *session_use_start(const struct job *job)
{
    const struct session_text *const text = job->use ? &job->use->text : NULL;
    return text && text->state  ? text->state->session
           : text && text->base ? text->base->session
                                : job->server->options->start;
}

enum rwkv7_status session_use_begin(struct choice *c, struct rwkv7_error *err)
{
    struct session_use *const use = c->job->use;
    if (!use || !use->kept || use->reads_only || use->mark.before)
        return RWKV7_OK;
    use->mark.trim = c->job->chat;
    return mark_open(&use->mark, c->run.session, err);
}

enum rwkv7_status session_use_step(struct choice *c, size_t new_text, struct rwkv7_error *err)
{
    struct session_use *const use = c->job->use;
    if (!use || !use->kept || use->reads_only)
        return RWKV7_OK;
    if (new_text > 0)
        text_add(&use->visible, c->text.bytes + c->text.size - new_text, new_text);
    if (use->visible.failed)
        return fail_memory(err, "the session");
    return request_mark(&c->run.request, 0, c->run.session, &use->mark, err);
}

/* Sets the member "state" of the answer. */
static enum rwkv7_status make_report(struct session_use *use, uint64_t bytes, struct rwkv7_error *err)
{
    struct json_tree t;
    struct rwkv7_bytes image = {0};
    enum rwkv7_status status = RWKV7_OK;
    cJSON *const root = json_tree_object(&t);
    if (*use->id)
        json_add_string(&t, root, "id", use->id);
    json_add_number(&t, root, "tokens", (double)session_text_tokens(&use->text));
    json_add_number(&t, root, "bytes", (double)bytes);
    if (use->returns == RETURN_IMAGE) {
        struct text digits = {0};
        status = session_image_save(&use->text, session_store_context(use->store), &image, err);
        if (status == RWKV7_OK)
            text_add_base64(&digits, image.data, image.size);
        rwkv7_bytes_clear(&image);
        json_add_text(&t, root, "data", digits.bytes, digits.size);
        t.failed = t.failed || digits.failed;
        text_free(&digits);
    }
    if (status == RWKV7_OK && t.failed)
        status = fail_memory(err, "the state");
    if (status == RWKV7_OK) {
        use->report = t.root;
        t.root = NULL;
    }
    json_tree_free(&t);
    return status;
}

/*
 * Takes the session after the answer: that of the mark if some text was not shown, else the choice's
 * own.
 */
static struct rwkv7_session *take_session(struct choice *c, struct session_growth *g)
{
    struct session_use *const use = c->job->use;
    const struct mark *const m = &use->mark;
    struct rwkv7_session **from = &c->run.session;
    if (use->reads_only) {
        from = &c->prompt->session;
    } else {
        g->ids[1] = c->drawn;
        g->counts[1] = c->drawn_count - m->count;
    }
    if (m->count > 0) {
        from = &use->mark.before;
        g->unread = m->text;
        g->unread_size = m->size - m->hidden;
    }
    struct rwkv7_session *const session = *from;
    *from = NULL;
    return session;
}

enum rwkv7_status session_use_end(struct choice *c, struct rwkv7_error *err)
{
    struct job *const job = c->job;
    struct session_use *const use = job->use;
    const struct job_prompt *const p = c->prompt;
    if (!use || !use->kept)
        return RWKV7_OK;
    struct session_growth g = {
        .ids = {p->ids + use->repeated}, .counts = {p->count - use->repeated}, .user = use->user, .gap = use->gap};
    struct api_error e = {0};
    enum rwkv7_status status = mark_settle(&use->mark, err);
    if (status != RWKV7_OK)
        return status;
    g.history = use->history;
    if (use->history && !use->reads_only)
        g.history =
            session_history(use->history, c->calls.count > 0 ? 'x' : 'a', use->visible.bytes, use->visible.size);
    struct rwkv7_session *const session = take_session(c, &g);
    g.state = snapshot_create(session, session_store_context(use->store)->bytes);
    if (!g.state) {
        rwkv7_session_close(session);
        return fail_memory(err, "the session");
    }
    if (!session_text_grow(&use->text, &g, (size_t)job->server->options->max_prompt))
        return fail_memory(err, "the session");
    if (use->returns != RETURN_NONE)
        status = make_report(use, rwkv7_model_info(job->server->options->model)->session_bytes, err);
    if (status == RWKV7_OK && use->stores &&
        !session_store_put_answer(use->store, job->id, &use->text, &use->intro, &e))
        status = fail(err, RWKV7_ERR_MEMORY, "%s", e.message);
    if (status == RWKV7_OK && use->taken) {
        session_store_return(use->store, use->id, &use->text);
        use->taken = false;
    }
    return status;
}

void session_use_report(struct json_tree *t, cJSON *to, const struct job *job)
{
    if (!job->use || !job->use->report)
        return;
    json_add_item(t, to, "state", job->use->report);
    job->use->report = NULL;
}
