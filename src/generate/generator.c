/*
 * generator.c - the driver of one request: the session evaluates the pending tokens, the request
 * draws from the logits. rwkv7.h documents the API, request.h the state machine, scheduler.h the
 * driver of many requests.
 *
 * A token is evaluated when the next one is requested, not when it is drawn. So its text is
 * available before it is evaluated, and the last token of a text is evaluated only if the state
 * after it is needed (rwkv7_generator_sync).
 */
#include "generate/generator.h"

#include <string.h>

#include "base/float_env.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/status.h"
#include "base/sys.h"
#include "generate/drawn.h"
#include "generate/mark.h"
#include "generate/saved_state.h"
#include "text/sampler.h"

enum { BORDERS = 8, FEED = 1 << 16 /* bytes of text between two evaluations */ };

struct rwkv7_generator {
    struct request request;
    struct rwkv7_session *session; /* not owned */
    float *logits;                 /* [V] */
    const float *row;              /* [V] the current logits, in `logits` or `drawn` */
    bool has_logits;               /* they belong to the last evaluated token */
    struct drawn drawn;
    enum rwkv7_bos bos;
    bool begun;           /* the prompt has begun; token 0 was added if needed */
    struct reading reads; /* evaluates the prompt; progress and cancellation */
    rwkv7_progress *progress;
    void *progress_arg;
    struct rwkv7_generator_stats stats;

    struct prompt_cache *cache; /* or NULL */
    uint64_t bytes;             /* bytes of text fed */
    uint64_t borders[BORDERS];  /* values of `bytes` */
    size_t border_count;

    struct mark mark; /* has a session only if the text is resumable or a session was lent */
    bool unmarked;    /* `mark` does not include the last step yet, see generator_shown */
    size_t lost;      /* bytes at the end of the last step's text that did not reach the reader */
    struct saved_state loaded;
    bool was_loaded, reseed;
};

/* -------------------------------------------------------------------------------------- opening */

static bool is_cancelled(const struct rwkv7_generator *g)
{
    return atomic_load_explicit(&g->request.cancelled, memory_order_relaxed);
}

static bool read_progress(void *arg, uint64_t done, uint64_t total)
{
    struct rwkv7_generator *const g = arg;
    return !is_cancelled(g) && (!g->progress || g->progress(g->progress_arg, done, total));
}

enum rwkv7_status rwkv7_generator_create(struct rwkv7_session *session, const struct rwkv7_tokenizer *tokenizer,
                                         const struct rwkv7_generator_options *given, struct rwkv7_generator **out,
                                         struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    struct rwkv7_generator_options opt;
    const int vocab = rwkv7_model_info(rwkv7_session_model(session))->shape.vocab;
    *out = NULL;
    enum rwkv7_status status = OPTIONS_READ(rwkv7_generator_options, &opt, given, grammar, err);
    if (status == RWKV7_OK)
        status = rwkv7_tokenizer_check(tokenizer, vocab, err);
    if (status != RWKV7_OK)
        return status;
    struct rwkv7_generator *const g = mem_alloc(1, sizeof *g);
    if (!g)
        return fail_memory(err, "the generator");
    g->session = session;
    g->bos = opt.bos;
    g->reseed = opt.reseed;
    g->progress = opt.progress;
    g->progress_arg = opt.progress_arg;
    g->reads = (struct reading){.chunk = RWKV7_CHUNK, .progress = read_progress, .arg = g};
    status = request_open(&g->request, tokenizer, vocab, &opt, err);
    g->stats.seed = status == RWKV7_OK ? sampler_random(g->request.sampler) : 0;
    g->logits = status == RWKV7_OK ? mem_alloc((size_t)vocab, sizeof *g->logits) : NULL;
    g->row = g->logits;
    if (status == RWKV7_OK && !g->logits)
        status = fail_memory(err, "the logits");
    if (status == RWKV7_OK && opt.resumable)
        status = mark_open(&g->mark, session, err);
    if (status == RWKV7_OK)
        *out = g;
    else
        rwkv7_generator_close(g);
    return status;
}

void rwkv7_generator_close(struct rwkv7_generator *g)
{
    if (!g)
        return;
    saved_state_free(&g->loaded);
    mark_close(&g->mark);
    speculation_settle(&g->request.speculation, g->session, NULL);
    request_clear(&g->request);
    drawn_clear(&g->drawn);
    mem_free(g->logits);
    mem_free(g);
}

void generator_use_cache(struct rwkv7_generator *g, struct prompt_cache *cache)
{
    g->cache = cache;
}

struct speculation *generator_speculation(struct rwkv7_generator *g)
{
    return &g->request.speculation;
}

bool generator_mark_border(struct rwkv7_generator *g)
{
    if (g->border_count == BORDERS)
        return false;
    g->borders[g->border_count++] = g->bytes;
    return true;
}

void generator_set_limit(struct rwkv7_generator *g, uint64_t limit)
{
    g->request.limit = limit;
}

enum rwkv7_status generator_follow(struct rwkv7_generator *g, const char *text, size_t size, struct rwkv7_error *err)
{
    return request_follow(&g->request, text, size, err);
}

void generator_start_with(struct rwkv7_generator *g, const float *logits)
{
    memcpy(g->logits, logits, (size_t)g->request.vocab * sizeof *logits);
    g->row = g->logits;
    g->has_logits = g->begun = true;
}

bool generator_is_ready(const struct rwkv7_generator *g)
{
    return g->has_logits;
}

void generator_lend_mark(struct rwkv7_generator *g, struct rwkv7_session *session)
{
    mark_lend(&g->mark, session, true);
}

void rwkv7_generator_cancel(struct rwkv7_generator *g)
{
    request_cancel(&g->request);
}

const struct rwkv7_generator_stats *rwkv7_generator_stats(struct rwkv7_generator *g)
{
    g->stats.struct_size = sizeof g->stats;
    g->stats.prompt_tokens = g->reads.done;
    g->stats.tokens = g->request.tokens;
    g->stats.steps = g->request.speculation.total_steps;
    g->stats.drafted = g->request.speculation.total_drafted;
    g->stats.accepted = g->request.speculation.total_accepted;
    return &g->stats;
}

/* -------------------------------------------------------------------------------------- reading */

/* Evaluates `count` pending tokens of the prompt. logits: after the last token. */
static enum rwkv7_status read_prompt(struct rwkv7_generator *g, size_t count, float *logits, struct rwkv7_error *err)
{
    const uint32_t *ids;
    bool last;
    const double begin = sys_seconds();
    const uint64_t before = g->reads.done;
    request_pending(&g->request, count, &ids, &last);
    const size_t all = g->request.prompt.end - g->request.prompt.begin;
    const enum rwkv7_status status = reading_eval(&g->reads, g->session, ids, count, all - count, logits, err);
    request_evaluated(&g->request, (size_t)(g->reads.done - before));
    g->stats.prompt_seconds += sys_seconds() - begin;
    g->row = g->logits;
    g->has_logits = status == RWKV7_OK && logits;
    return status;
}

/*
 * Stores for each border how many tokens end at or before it, and returns the number of borders.
 * ids [count]: all tokens fed.
 */
static size_t find_marks(const struct rwkv7_generator *g, const uint32_t *ids, size_t count, size_t marks[BORDERS])
{
    size_t at = 0, n = 0, length;
    uint64_t bytes = 0;
    for (size_t i = 0; i < g->border_count; i++) {
        for (; at < count; at++) {
            rwkv7_tokenizer_bytes(g->request.prompt.tokenizer, ids[at], &length);
            if (bytes + length > g->borders[i])
                break;
            bytes += length;
        }
        marks[n++] = at;
    }
    return n;
}

/* Evaluates the whole prompt, using the cache. */
static enum rwkv7_status read_with_cache(struct rwkv7_generator *g, float *logits, struct rwkv7_error *err)
{
    const uint32_t *ids;
    bool last;
    size_t marks[BORDERS], cached = 0;
    enum rwkv7_status status = prompt_cache_open(g->cache, rwkv7_session_model(g->session), err);
    if (status != RWKV7_OK)
        return status;
    const size_t count = request_pending(&g->request, SIZE_MAX, &ids, &last),
                 mark_count = find_marks(g, ids, count, marks);
    const double begin = sys_seconds();
    const uint64_t before = g->reads.done;
    status = prompt_cache_read(g->cache, &g->reads, g->session, ids, count, marks, mark_count, logits, &cached, err);
    request_evaluated(&g->request, (size_t)(g->reads.done - before));
    g->stats.prompt_seconds += sys_seconds() - begin;
    g->stats.cached_tokens = cached;
    g->row = g->logits;
    g->has_logits = status == RWKV7_OK && logits;
    return status;
}

/* Evaluates the last drawn token, and up to `ahead` guesses of the next ones. */
static enum rwkv7_status read_drawn(struct rwkv7_generator *g, uint64_t ahead, struct rwkv7_error *err)
{
    struct request *const r = &g->request;
    const uint32_t *id;
    bool last;
    const double begin = sys_seconds();
    request_pending(r, 1, &id, &last);
    g->has_logits = false;
    const enum rwkv7_status status =
        drawn_eval(&g->drawn, &r->speculation, r->sampler, g->session, *id, ahead, g->logits, &g->row, err);
    if (status != RWKV7_OK)
        return status;
    request_evaluated(r, 1);
    g->stats.seconds += sys_seconds() - begin;
    g->stats.evaluated++;
    g->has_logits = true;
    return RWKV7_OK;
}

static enum rwkv7_status begin(struct rwkv7_generator *g, struct rwkv7_error *err)
{
    if (g->begun)
        return RWKV7_OK;
    g->begun = true;
    return request_begin(&g->request, g->bos, rwkv7_session_tokens(g->session) == 0 && !g->was_loaded, err);
}

/*
 * Starts a prompt after a loaded text. It continues the shown text; text that was not shown is
 * dropped.
 */
static enum rwkv7_status begin_feeding(struct rwkv7_generator *g, struct rwkv7_error *err)
{
    struct rwkv7_bytes *const shown = &g->loaded.piece[SAVED_SHOWN];
    enum rwkv7_status status = speculation_settle(&g->request.speculation, g->session, err);
    if (status == RWKV7_OK)
        status = begin(g, err);
    mark_clear(&g->mark);
    g->unmarked = false;
    if (status == RWKV7_OK && shown->size > 0)
        status = request_feed(&g->request, shown->data, shown->size, err);
    *shown = (struct rwkv7_bytes){0};
    return status;
}

/* Evaluates the tokens saved after the loaded state and restores the mark from them. */
static enum rwkv7_status read_saved(struct rwkv7_generator *g, struct rwkv7_error *err)
{
    const size_t count = g->loaded.piece[SAVED_PENDING].size / sizeof(uint32_t);
    enum rwkv7_status status = RWKV7_OK;
    size_t length;

    for (size_t i = 0; i < count && status == RWKV7_OK; i++) {
        const uint32_t id = saved_state_token(&g->loaded, i);
        const uint8_t *const text = rwkv7_tokenizer_bytes(g->request.prompt.tokenizer, id, &length);
        status = mark_token(&g->mark, g->session, 0, id, text, length, SIZE_MAX, err);
    }
    if (status == RWKV7_OK)
        mark_show(&g->mark, g->loaded.piece[SAVED_HELD].size);
    for (size_t i = 0; i < count && status == RWKV7_OK; i++) {
        const uint32_t id = saved_state_token(&g->loaded, i);
        status = rwkv7_session_eval(g->session, &id, 1, RWKV7_LOGITS_LAST, g->logits, err);
        speculation_read(&g->request.speculation, &id, 1);
    }
    return status;
}

/* Continues the loaded text. */
static enum rwkv7_status resume(struct rwkv7_generator *g, struct rwkv7_error *err)
{
    const struct rwkv7_bytes *const logits = &g->loaded.piece[SAVED_LOGITS], *const held = &g->loaded.piece[SAVED_HELD],
                                    *const sampler = &g->loaded.piece[SAVED_SAMPLER];
    const size_t size = (size_t)g->request.vocab * sizeof *g->logits;

    if (g->request.matcher)
        return fail(err, RWKV7_ERR_USAGE, "a constraint cannot check a loaded text from its middle; add a prompt");
    if (g->loaded.piece[SAVED_PENDING].size > 0) {
        const enum rwkv7_status status = read_saved(g, err);
        if (status != RWKV7_OK)
            return status;
    } else if (logits->size == size) {
        memcpy(g->logits, logits->data, size);
    } else {
        return RWKV7_OK;
    }
    g->has_logits = true;
    if (sampler->size > 0) {
        const enum rwkv7_status status =
            rwkv7_sampler_load_memory(g->request.sampler, sampler->data, sampler->size, err);
        if (status != RWKV7_OK)
            return status;
        if (g->reseed)
            sampler_set_random(g->request.sampler, g->stats.seed);
        else
            g->stats.seed = sampler_random(g->request.sampler);
    }
    return request_continue_text(&g->request, held, err);
}

/*
 * Adds the last step to the mark. Its text counts as shown, except for the bytes given to
 * generator_unshow. The session has not evaluated the drawn token yet.
 */
enum rwkv7_status generator_shown(struct rwkv7_generator *g, struct rwkv7_error *err)
{
    const size_t lost = g->lost;
    if (!g->unmarked)
        return RWKV7_OK;
    g->unmarked = false;
    g->lost = 0;
    return request_mark(&g->request, lost, g->session, &g->mark, err);
}

void generator_unshow(struct rwkv7_generator *g, size_t bytes)
{
    g->lost = bytes < g->request.step.length ? bytes : g->request.step.length;
}

/*
 * Evaluates all tokens fed and drawn, and up to `ahead` guesses of the next ones. logits: whether
 * the logits after the last token are needed.
 */
static enum rwkv7_status read_all(struct rwkv7_generator *g, bool logits, uint64_t ahead, struct rwkv7_error *err)
{
    enum rwkv7_status status = begin(g, err);
    if (status == RWKV7_OK)
        status = generator_shown(g, err);
    if (status == RWKV7_OK)
        status = request_end_prompt(&g->request, err);
    if (status != RWKV7_OK)
        return status;
    const size_t pending = g->request.prompt.end - g->request.prompt.begin;
    if (pending > 0 && g->request.drawn_pending)
        status = read_drawn(g, ahead, err);
    else if (pending > 0 && g->cache && rwkv7_session_tokens(g->session) == 0)
        status = read_with_cache(g, logits ? g->logits : NULL, err);
    else if (pending > 0)
        status = read_prompt(g, pending, logits ? g->logits : NULL, err);
    else if (g->was_loaded && g->request.fed == 0)
        status = resume(g, err);
    saved_state_free(&g->loaded);
    g->was_loaded = false;
    return status;
}

/*
 * Evaluates all pending tokens except the last: more may follow, and only the final one needs
 * logits.
 */
static enum rwkv7_status drain(struct rwkv7_generator *g, struct rwkv7_error *err)
{
    enum rwkv7_status status = RWKV7_OK;
    while (status == RWKV7_OK && !g->cache && g->request.prompt.end - g->request.prompt.begin > RWKV7_CHUNK)
        status = read_prompt(g, RWKV7_CHUNK, NULL, err);
    return status;
}

enum rwkv7_status rwkv7_generator_feed(struct rwkv7_generator *g, const void *text, size_t size,
                                       struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    const char *from = text;
    enum rwkv7_status status = size > 0 ? begin_feeding(g, err) : begin(g, err);
    while (size > 0 && status == RWKV7_OK) {
        const size_t piece = size < FEED ? size : FEED;
        status = request_feed(&g->request, from, piece, err);
        g->bytes += piece;
        from += piece;
        size -= piece;
        if (status == RWKV7_OK)
            status = drain(g, err);
    }
    return status;
}

enum rwkv7_status rwkv7_generator_feed_tokens(struct rwkv7_generator *g, const uint32_t *ids, size_t count,
                                              struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    enum rwkv7_status status = count > 0 ? begin_feeding(g, err) : begin(g, err);
    if (status == RWKV7_OK)
        status = request_feed_tokens(&g->request, ids, count, err);
    return status == RWKV7_OK ? drain(g, err) : status;
}

enum rwkv7_status rwkv7_generator_sync(struct rwkv7_generator *g, struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    const enum rwkv7_status status = read_all(g, true, 0, err);
    return status == RWKV7_OK ? speculation_settle(&g->request.speculation, g->session, err) : status;
}

enum rwkv7_status generator_read_only(struct rwkv7_generator *g, struct rwkv7_error *err)
{
    return read_all(g, false, 0, err);
}

/* -------------------------------------------------------------------------------------- writing */

enum rwkv7_status rwkv7_generator_next(struct rwkv7_generator *g, const struct rwkv7_step **step,
                                       struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    struct request *const r = &g->request;
    enum rwkv7_status status = RWKV7_OK;
    enum rwkv7_end end = RWKV7_END_NONE;
    static const struct rwkv7_step nothing = {.struct_size = sizeof nothing, .text = "", .stop = -1};

    *step = &nothing;
    if (r->end != RWKV7_END_NONE)
        return fail(err, RWKV7_ERR_USAGE, "the text has ended");
    if ((status = generator_shown(g, err)) != RWKV7_OK)
        return status;
    if (r->tokens >= r->limit)
        end = RWKV7_END_LENGTH;
    else if (!read_progress(g, g->reads.done, g->reads.done))
        end = RWKV7_END_CANCELLED;
    if (end == RWKV7_END_NONE)
        status = read_all(g, true, r->limit - r->tokens - 1, err);
    if (status == RWKV7_OK && end == RWKV7_END_NONE && !read_progress(g, g->reads.done, g->reads.done))
        end = RWKV7_END_CANCELLED; /* cancelled during the evaluation */
    if (status == RWKV7_ERR_STOPPED) {
        status = RWKV7_OK;
        end = RWKV7_END_CANCELLED;
    }
    if (status == RWKV7_OK && end == RWKV7_END_NONE && !g->has_logits)
        return fail(err, RWKV7_ERR_USAGE, "the prompt is empty: nothing to continue");
    if (end == RWKV7_END_NONE && r->stop >= 0)
        end = RWKV7_END_STOP; /* the loaded text ended before a stop string */
    if (status == RWKV7_OK)
        status = end == RWKV7_END_NONE ? request_draw(r, g->row, err) : request_end(r, end, err);
    if (status == RWKV7_OK && r->end != RWKV7_END_NONE)
        status = speculation_settle(&g->request.speculation, g->session, err);
    if (status != RWKV7_OK)
        return status;
    g->unmarked = true;
    *step = &r->step;
    return RWKV7_OK;
}

enum rwkv7_status generator_go_back(struct rwkv7_generator *g, size_t *back, const char **text, size_t *length,
                                    struct rwkv7_error *err)
{
    struct mark *const m = &g->mark;
    *back = 0;
    enum rwkv7_status status = generator_shown(g, err);
    if (status != RWKV7_OK || m->count == 0)
        return status;
    status = mark_settle(m, err);
    if (status != RWKV7_OK)
        return status;
    rwkv7_session_copy(g->session, m->before);
    *back = m->count;
    *text = m->text;
    *length = m->size - m->hidden;
    return RWKV7_OK;
}

/* Loads from the file at `path`, or, if that is NULL, from *image. */
static enum rwkv7_status load(struct rwkv7_generator *g, const char *path, const struct rwkv7_bytes *image,
                              struct rwkv7_error *err)
{
    const char *const name = path ? path : IN_MEMORY;
    if (g->begun)
        return fail(err, RWKV7_ERR_USAGE, "%s: a state must be loaded before the prompt is fed", name);
    struct rwkv7_session *spare = NULL; /* g's session must not change if the file is invalid */
    struct saved_state saved = {0};
    enum rwkv7_status status = rwkv7_session_clone(g->session, &spare, err);
    if (status == RWKV7_OK)
        status = saved_state_load(&saved, spare, g->request.prompt.tokenizer, path, image, err);
    if (status == RWKV7_OK && !saved_state_is_consistent(&saved, g->request.prompt.tokenizer))
        status =
            fail(err, RWKV7_ERR_STATE,
                 "%s: the tokens after the state do not match its text: it was saved with another vocabulary", name);
    if (status != RWKV7_OK)
        goto done;
    rwkv7_session_copy(g->session, spare);
    saved_state_free(&g->loaded);
    g->loaded = saved;
    saved = (struct saved_state){0};
    mark_clear(&g->mark);
    g->unmarked = false;
    g->was_loaded = true;
done:
    saved_state_free(&saved);
    rwkv7_session_close(spare);
    return status;
}

enum rwkv7_status rwkv7_generator_load(struct rwkv7_generator *g, const char *path, struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    return load(g, path, NULL, err);
}

enum rwkv7_status rwkv7_generator_load_memory(struct rwkv7_generator *g, const void *image, size_t size,
                                              struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    const struct rwkv7_bytes bytes = {(void *)(uintptr_t)image, size}; /* only read */
    return load(g, NULL, &bytes, err);
}

/* Saves to the file at `path`, or, if that is NULL, to *image. */
static enum rwkv7_status save(struct rwkv7_generator *g, const char *path, struct rwkv7_bytes *image,
                              struct rwkv7_error *err)
{
    struct saved_state saved = {0};
    size_t held;
    enum rwkv7_status status = rwkv7_generator_sync(g, err);
    if (status == RWKV7_OK)
        status = mark_settle(&g->mark, err);
    if (status == RWKV7_OK)
        status = rwkv7_sampler_save_memory(g->request.sampler, &saved.piece[SAVED_SAMPLER], err);
    if (status != RWKV7_OK)
        return status;
    const struct mark *const m = &g->mark;
    if (m->count > 0) {
        const size_t shown = m->size - m->hidden;
        saved.piece[SAVED_PENDING] = (struct rwkv7_bytes){m->tokens, m->count * sizeof *m->tokens};
        saved.piece[SAVED_SHOWN] = (struct rwkv7_bytes){m->text, shown};
        saved.piece[SAVED_HELD] = (struct rwkv7_bytes){m->text + shown, m->hidden};
    } else {
        const uint8_t *const bytes = rwkv7_stream_held(g->request.stream, &held);
        saved.piece[SAVED_HELD] = (struct rwkv7_bytes){(void *)(uintptr_t)bytes, held};
        if (g->has_logits)
            saved.piece[SAVED_LOGITS] =
                (struct rwkv7_bytes){(void *)(uintptr_t)g->row, (size_t)g->request.vocab * sizeof *g->row};
    }
    status =
        saved_state_store(&saved, m->count > 0 ? m->before : g->session, g->request.prompt.tokenizer, path, image, err);
    rwkv7_bytes_clear(&saved.piece[SAVED_SAMPLER]);
    return status;
}

enum rwkv7_status rwkv7_generator_save(struct rwkv7_generator *g, const char *path, struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    return save(g, path, NULL, err);
}

enum rwkv7_status rwkv7_generator_save_memory(struct rwkv7_generator *g, struct rwkv7_bytes *image,
                                              struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    *image = (struct rwkv7_bytes){0};
    return save(g, NULL, image, err);
}
