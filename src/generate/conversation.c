/*
 * conversation.c - the conversation of `chat`; see conversation.h. conversation_file.c saves and
 * loads it.
 */
#include "generate/conversation.h"

#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/sys.h"
#include "base/text.h"

enum {
    STEP = 64,             /* tokens evaluated between checks for cancellation */
    SNAPSHOTS = 256 << 20, /* maximum bytes of the states before turns */
};

static enum rwkv7_status no_memory(struct rwkv7_error *err)
{
    return fail_memory(err, "the conversation");
}

static char *copy_text(const char *text)
{
    return mem_string(text, strlen(text));
}

static size_t logits_bytes(const struct conversation *c)
{
    return (size_t)rwkv7_model_info(c->model)->shape.vocab * sizeof *c->logits;
}

enum rwkv7_status conversation_create(struct conversation *c, struct rwkv7_model *model,
                                      const struct rwkv7_tokenizer *tokenizer, const struct conversation_options *opt,
                                      struct rwkv7_error *err)
{
    *c = (struct conversation){.options = *opt, .tokenizer = tokenizer, .model = model};
    if (!opt->template)
        c->options.template = chat_template_at(0);
    struct rwkv7_session **const sessions[] = {&c->base, &c->session, &c->asked, &c->mark};
    enum rwkv7_status status = RWKV7_OK;
    for (size_t i = 0; i < sizeof sessions / sizeof *sessions && status == RWKV7_OK; i++)
        status = rwkv7_session_create(model, sessions[i], err);
    if (status == RWKV7_OK) {
        c->logits = mem_alloc(logits_bytes(c), 1);
        c->asked_logits = mem_alloc(logits_bytes(c), 1);
        if (!c->logits || !c->asked_logits)
            status = fail_memory(err, "the logits");
    }
    if (status == RWKV7_OK && opt->generate.draft_model)
        status =
            draft_model_open(&c->drafts.model, opt->generate.draft_model, rwkv7_model_info(model)->shape.vocab, err);
    if (status != RWKV7_OK)
        conversation_free(c);
    return status;
}

static void clear_turn(struct turn *turn)
{
    mem_free(turn->user);
    mem_free(turn->unread);
    rwkv7_session_close(turn->before);
}

void conversation_log_clear(struct conversation_log *log)
{
    for (size_t i = 0; i < log->turn_count; i++)
        clear_turn(&log->turns[i]);
    mem_free(log->turns);
    mem_free(log->unread);
    mem_free(log->tokens);
    *log = (struct conversation_log){0};
}

void conversation_free(struct conversation *c)
{
    conversation_end_answer(c);
    conversation_log_clear(&c->log);
    draft_text_close(&c->drafts);
    mem_free(c->logits);
    mem_free(c->asked_logits);
    mem_free(c->base_unread);
    rwkv7_session_close(c->mark);
    rwkv7_session_close(c->asked);
    rwkv7_session_close(c->session);
    rwkv7_session_close(c->base);
    *c = (struct conversation){0};
}

/* -------------------------------------------------------------------------------------- reading */

static enum rwkv7_status reserve(struct conversation *c, size_t count, struct rwkv7_error *err)
{
    size_t room;
    if (c->log.room - c->log.count >= count)
        return RWKV7_OK;
    uint32_t *const grown = size_add(c->log.count, count, &room) && size_mul(room, 2, &room)
                                ? mem_grow(c->log.tokens, c->log.count, room, sizeof *grown)
                                : NULL;
    if (!grown)
        return no_memory(err);
    c->log.tokens = grown;
    c->log.room = room;
    return RWKV7_OK;
}

static struct reading reading(const struct conversation *c)
{
    return (struct reading){
        .chunk = STEP, .progress = c->options.generate.progress, .arg = c->options.generate.progress_arg};
}

/* Returns whether the user cancelled while the last tokens were evaluated. */
static bool is_cancelled(const struct conversation *c, uint64_t done)
{
    const struct rwkv7_generator_options *const o = &c->options.generate;
    return o->progress && !o->progress(o->progress_arg, done, done);
}

/* Evaluates tokens [from, to) of the log with `session`. logits: after the last token, or NULL. */
static enum rwkv7_status evaluate(struct conversation *c, struct rwkv7_session *session, size_t from, size_t to,
                                  float *logits, struct rwkv7_error *err)
{
    struct reading how = reading(c);
    const enum rwkv7_status status = reading_eval(&how, session, c->log.tokens + from, to - from, 0, logits, err);
    if (status == RWKV7_OK && is_cancelled(c, how.done))
        return fail(err, RWKV7_ERR_STOPPED, "cancelled");
    return status;
}

/*
 * Tokenizes text and appends the tokens to the log without evaluating them: all tokens if `final`,
 * else only those that no later text can change. The rest of the text stays in `unread`. So tokens
 * do not depend on how the text is divided. text: NULL if its allocation failed.
 */
static enum rwkv7_status add_text(struct conversation *c, const char *text, bool final, struct rwkv7_error *err)
{
    size_t count, covered, room;
    if (!text)
        return no_memory(err);
    const size_t old = c->log.unread ? strlen(c->log.unread) : 0, size = old + strlen(text);
    char *const all = mem_grow(c->log.unread, old, size + 1, 1);
    if (!all)
        return no_memory(err);
    strcpy(all + old, text);
    c->log.unread = all;
    if (!size_mul(size, 3, &room)) /* BPE needs up to three tokens per byte */
        return no_memory(err);
    enum rwkv7_status status = reserve(c, room + 1, err);
    if (status == RWKV7_OK)
        status = rwkv7_tokenizer_encode(c->tokenizer, all, size, final, c->log.tokens + c->log.count, room, &count,
                                        &covered, err);
    if (status != RWKV7_OK)
        return status;
    c->log.count += count;
    memmove(all, all + covered, size - covered + 1);
    return RWKV7_OK;
}

bool conversation_is_from_start(const struct conversation *c)
{
    return rwkv7_session_tokens(c->base) == 0 && !c->options.trained && !c->base_is_loaded;
}

/*
 * Evaluates the start of a conversation, using the prompt cache. The cache finds states by all
 * their tokens, so it is not used if the base is not the start of a document.
 */
static enum rwkv7_status read_start(struct conversation *c, struct rwkv7_error *err)
{
    struct prompt_cache *const cache = conversation_is_from_start(c) ? c->options.cache : NULL;
    size_t at = 0, place;
    enum rwkv7_status status = cache ? prompt_cache_open(cache, c->model, err) : RWKV7_OK;
    if (status == RWKV7_OK && cache)
        at = prompt_cache_find(cache, c->session, c->log.tokens, c->log.count);
    if (status == RWKV7_OK)
        status = evaluate(c, c->session, at, c->log.count, NULL, err);
    if (status == RWKV7_OK && cache && prompt_cache_plan(at, c->log.count + 1, NULL, 0, &place, 1) > 0 &&
        place == c->log.count) {
        prompt_cache_keep(cache, c->session, c->log.tokens, c->log.count);
        prompt_cache_trim(cache);
    }
    return status;
}

enum rwkv7_status conversation_start(struct conversation *c, const char *system, struct rwkv7_error *err)
{
    const bool at_start = rwkv7_session_tokens(c->base) == 0;
    conversation_log_clear(&c->log);
    c->asked_count = 0;
    rwkv7_session_copy(c->session, c->base);
    enum rwkv7_status status = reserve(c, 1, err);
    if (status != RWKV7_OK)
        return status;
    if (at_start && prompt_begins_with_bos(c->tokenizer, c->options.generate.bos, at_start))
        c->log.tokens[c->log.count++] = RWKV7_END_OF_TEXT;
    c->follows_text = !at_start && !*system;
    if (c->base_unread)
        status = add_text(c, c->base_unread, false, err);
    if (status == RWKV7_OK && !at_start && *system)
        status = add_text(c, c->options.template->between, false, err);
    if (status != RWKV7_OK)
        return status;
    char *const text = chat_template_system(c->options.template, system);
    status = add_text(c, text, false, err);
    mem_free(text);
    if (status == RWKV7_OK)
        status = read_start(c, err);
    if (status == RWKV7_ERR_STOPPED)
        return fail(err, status, "cancelled while reading the system prompt");
    return status;
}

/* ---------------------------------------------------------------------------------------- turns */

/* Frees the oldest states before turns until the rest is within SNAPSHOTS. */
static void limit_snapshots(struct conversation *c)
{
    const uint64_t each = rwkv7_model_info(c->model)->session_bytes;
    const uint64_t limit = SNAPSHOTS / (each ? each : 1);
    const size_t keep = limit > 1 ? (size_t)limit : 2;
    if (c->log.turn_count > keep) {
        struct turn *const turn = &c->log.turns[c->log.turn_count - keep - 1];
        rwkv7_session_close(turn->before);
        turn->before = NULL;
    }
}

static enum rwkv7_status begin_turn(struct conversation *c, const char *user, struct rwkv7_error *err)
{
    struct conversation_log *const log = &c->log;
    if (log->turn_count == log->turn_room) {
        const size_t room = log->turn_room ? 2 * log->turn_room : 16;
        struct turn *const grown = mem_grow(log->turns, log->turn_count, room, sizeof *grown);
        if (!grown)
            return no_memory(err);
        log->turns = grown;
        log->turn_room = room;
    }
    struct turn turn = {
        .user = copy_text(user), .begin = log->count, .unread = copy_text(log->unread ? log->unread : "")};
    if (!turn.user || !turn.unread || rwkv7_session_clone(c->session, &turn.before, err) != RWKV7_OK) {
        clear_turn(&turn);
        return no_memory(err);
    }
    log->turns[log->turn_count++] = turn;
    limit_snapshots(c);
    return RWKV7_OK;
}

enum rwkv7_status conversation_undo(struct conversation *c, struct rwkv7_error *err)
{
    struct turn *const turn = &c->log.turns[c->log.turn_count - 1];
    if (!turn->before) {
        rwkv7_session_copy(c->mark, c->base);
        const enum rwkv7_status status = evaluate(c, c->mark, 0, turn->begin, NULL, err);
        if (status == RWKV7_ERR_STOPPED)
            return fail(err, status, "cancelled; nothing was undone");
        if (status != RWKV7_OK)
            return status;
    }
    rwkv7_session_copy(c->session, turn->before ? turn->before : c->mark);
    c->log.turn_count--;
    c->asked_count = 0;
    c->log.count = turn->begin;
    mem_free(c->log.unread);
    c->log.unread = turn->unread;
    turn->unread = NULL;
    clear_turn(turn);
    return RWKV7_OK;
}

enum rwkv7_status conversation_ask(struct conversation *c, const char *user, enum thinking thinking,
                                   struct rwkv7_error *err)
{
    const double begin = sys_seconds();
    const size_t from = c->log.count;
    enum rwkv7_status status = begin_turn(c, user, err);
    if (status != RWKV7_OK)
        return status;
    char *const text =
        chat_template_turn(c->options.template, user, c->log.turn_count == 1 && !c->follows_text, thinking);
    status = add_text(c, text, true, err);
    mem_free(text);
    if (status == RWKV7_OK)
        status = evaluate(c, c->session, from, c->log.count, c->logits, err);
    c->last.asked = c->log.count - from;
    c->last.asking = sys_seconds() - begin;
    if (status != RWKV7_OK) {
        conversation_undo(c, NULL); /* cannot fail: the state before the newest turn is in memory */
        return status;
    }
    rwkv7_session_copy(c->asked, c->session);
    memcpy(c->asked_logits, c->logits, logits_bytes(c));
    c->asked_count = c->log.count;
    c->asked_thinking = thinking;
    return RWKV7_OK;
}

enum rwkv7_status conversation_ask_again(struct conversation *c, enum thinking thinking, struct rwkv7_error *err)
{
    if (c->asked_count > 0 && c->asked_thinking == thinking) {
        rwkv7_session_copy(c->session, c->asked);
        memcpy(c->logits, c->asked_logits, logits_bytes(c));
        c->log.count = c->asked_count;
        if (c->log.unread)
            *c->log.unread = '\0';
        return RWKV7_OK;
    }
    char *const user = copy_text(c->log.turns[c->log.turn_count - 1].user);
    enum rwkv7_status status = user ? conversation_undo(c, err) : no_memory(err);
    if (status == RWKV7_OK)
        status = conversation_ask(c, user, thinking, err);
    mem_free(user);
    return status;
}

/* -------------------------------------------------------------------------------------- answers */

/* An answer that is being generated. */
struct answer {
    struct rwkv7_generator *generator;
    double begin;     /* start time in seconds */
    bool has_pending; /* `pending` is drawn, but neither evaluated nor in the log */
    uint32_t pending;
};

/* Returns the stop strings of the options, and the start of the user's next turn. */
static const char **stop_strings(const struct conversation *c, size_t *count)
{
    const struct chat_template *const t = c->options.template;
    const size_t given = c->options.generate.stop_count;
    const char **const stops = mem_alloc(TEMPLATE_STOPS + given, sizeof *stops);
    *count = 0;
    if (!stops)
        return NULL;
    for (size_t i = 0; i < TEMPLATE_STOPS; i++)
        if (t->stops[i])
            stops[(*count)++] = t->stops[i];
    for (size_t i = 0; i < given; i++)
        stops[(*count)++] = c->options.generate.stops[i];
    return stops;
}

enum rwkv7_status conversation_answer(struct conversation *c, uint64_t seed, struct rwkv7_error *err)
{
    struct rwkv7_generator_options options = c->options.generate;
    struct rwkv7_sampler_options sampling = c->options.sampling;
    const char **const stops = stop_strings(c, &options.stop_count);
    const char *const opening = chat_template_opening(c->asked_thinking);

    conversation_end_answer(c);
    c->last.answered = 0;
    c->answers++;
    c->answer = mem_alloc(1, sizeof *c->answer);
    if (!c->answer || !stops) {
        mem_free(stops);
        return fail_memory(err, "the answer");
    }
    c->answer->begin = sys_seconds();
    sampling.seed = seed;
    options.sampling = &sampling;
    options.stops = stops;
    options.draft_model = NULL; /* `drafts` holds it already */
    if (c->tools)
        options.grammar = c->tools;
    enum rwkv7_status status = rwkv7_generator_create(c->session, c->tokenizer, &options, &c->answer->generator, err);
    mem_free(stops);
    if (status == RWKV7_OK && c->tools)
        status = generator_follow(c->answer->generator, opening, strlen(opening), err);
    if (status != RWKV7_OK)
        return status;
    if (c->drafts_count > c->log.count) /* undone */
        c->drafts_count = c->log.count;
    if (options.speculate != 0)
        lookup_add(&c->drafts.lookup, c->log.tokens + c->drafts_count, c->log.count - c->drafts_count);
    speculation_lend(generator_speculation(c->answer->generator), &c->drafts);
    generator_set_limit(c->answer->generator, c->options.max_tokens);
    generator_start_with(c->answer->generator, c->logits);
    generator_lend_mark(c->answer->generator, c->mark);
    return RWKV7_OK;
}

void conversation_last_turn(const struct conversation *c, struct text *to)
{
    const struct turn *const turn = &c->log.turns[c->log.turn_count - 1];
    size_t length;
    for (size_t i = turn->begin; i < c->log.count; i++) {
        const uint8_t *const bytes = rwkv7_tokenizer_bytes(c->tokenizer, c->log.tokens[i], &length);
        text_add(to, bytes, length);
    }
    text_add_string(to, c->log.unread ? c->log.unread : "");
}

/* Adds the last drawn token to the log, before the session evaluates it. */
static enum rwkv7_status log_pending(struct conversation *c, struct rwkv7_error *err)
{
    struct answer *const a = c->answer;
    if (!a->has_pending)
        return RWKV7_OK;
    const enum rwkv7_status status = reserve(c, 1, err);
    if (status != RWKV7_OK)
        return status;
    c->log.tokens[c->log.count++] = a->pending;
    a->has_pending = false;
    return RWKV7_OK;
}

/* Ends the text: sets the session to the state after the shown text. */
static enum rwkv7_status end_text(struct conversation *c, struct rwkv7_error *err)
{
    struct answer *const a = c->answer;
    const char *text;
    size_t back, length;
    enum rwkv7_status status = generator_go_back(a->generator, &back, &text, &length, err);
    if (status == RWKV7_OK && back == 0) {
        status = log_pending(c, err);
        return status == RWKV7_OK ? rwkv7_generator_sync(a->generator, err) : status;
    }
    if (status != RWKV7_OK)
        return status;
    c->log.count = c->log.count + a->has_pending - back;
    a->has_pending = false;
    mem_free(c->log.unread);
    c->log.unread = mem_string(text, length);
    return c->log.unread ? RWKV7_OK : no_memory(err);
}

enum rwkv7_status conversation_next(struct conversation *c, struct rwkv7_step *step, struct rwkv7_error *err)
{
    struct answer *const a = c->answer;
    const struct rwkv7_step *made;
    enum rwkv7_status status = generator_shown(a->generator, err);
    if (status == RWKV7_OK)
        status = log_pending(c, err);
    if (status == RWKV7_OK)
        status = rwkv7_generator_next(a->generator, &made, err);
    if (status != RWKV7_OK)
        return status;
    *step = *made;
    if (step->drawn && step->end != RWKV7_END_TOKEN) {
        c->last.answered++;
        a->pending = step->id;
        a->has_pending = true;
    }
    return step->end == RWKV7_END_NONE ? RWKV7_OK : end_text(c, err);
}

enum rwkv7_status conversation_cut_answer(struct conversation *c, size_t lost, struct rwkv7_error *err)
{
    generator_unshow(c->answer->generator, lost);
    return end_text(c, err);
}

void conversation_end_answer(struct conversation *c)
{
    struct answer *const a = c->answer;
    if (!a)
        return;
    c->last.answering = sys_seconds() - a->begin;
    if (a->generator)
        c->last.writing = *rwkv7_generator_stats(a->generator);
    c->drafts_count = c->log.count; /* the generator has added the answer */
    rwkv7_generator_close(a->generator);
    mem_free(a);
    c->answer = NULL;
}
