/* talk.c - see talk.h. How conversations are kept in files stands in talk_file.c. */
#include "cli/talk.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cache.h"
#include "cli/sampling.h"
#include "cli/terminal.h"
#include "cli/tuned.h"

enum {
    STEP = 64,             /* tokens read at once: each weight is read once for so many, and ^C is looked at between */
    SNAPSHOTS = 256 << 20, /* bytes that the states before turns may take together */
};

static size_t logits_bytes(const struct talk *t)
{
    return (size_t)rwkv7_model_info(t->engine->model)->shape.vocab * sizeof *t->logits;
}

int talk_create(struct talk *t, const struct args *args, const struct engine *engine)
{
    struct rwkv7_error err;
    *t = (struct talk){.args = args, .engine = engine};
    if (rwkv7_session_create(engine->model, &t->base, &err) != RWKV7_OK ||
        rwkv7_session_create(engine->model, &t->session, &err) != RWKV7_OK ||
        rwkv7_session_create(engine->model, &t->asked, &err) != RWKV7_OK ||
        rwkv7_session_create(engine->model, &t->mark, &err) != RWKV7_OK)
        return report(&err);
    t->logits = malloc(logits_bytes(t));
    t->asked_logits = malloc(logits_bytes(t));
    if (!t->logits || !t->asked_logits)
        return complain(FAILED, "out of memory for the logits");
    return tuned_start(args, engine->model, t->base);
}

static void forget_turn(struct turn *turn)
{
    free(turn->user);
    free(turn->unread);
    rwkv7_session_close(turn->before);
}

void log_clear(struct log *log)
{
    for (size_t i = 0; i < log->turn_count; i++)
        forget_turn(&log->turns[i]);
    free(log->turns);
    free(log->unread);
    free(log->tokens);
    *log = (struct log){0};
}

void talk_free(struct talk *t)
{
    log_clear(&t->log);
    free(t->logits);
    free(t->asked_logits);
    rwkv7_session_close(t->mark);
    rwkv7_session_close(t->asked);
    rwkv7_session_close(t->session);
    rwkv7_session_close(t->base);
    *t = (struct talk){0};
}

/* ----------------------------------------------------------------------------------------------------------- reading */

static int reserve(struct talk *t, size_t count)
{
    if (t->log.room - t->log.count >= count)
        return DONE;
    const size_t room = 2 * (t->log.count + count);
    uint32_t *const grown = realloc(t->log.tokens, room * sizeof *grown);
    if (!grown)
        return complain(FAILED, "out of memory for the conversation");
    t->log.tokens = grown;
    t->log.room = room;
    return DONE;
}

/*
 * The session, of this talk, reads tokens [from, to) of the log; early out when interrupted. Logits after the last one if it is the end
 * of a text.
 */
static int evaluate(struct talk *t, struct rwkv7_session *session, size_t from, size_t to, bool logits)
{
    struct rwkv7_error err;
    for (size_t at = from; at < to && !interrupted;) {
        const size_t step = to - at < STEP ? to - at : STEP;
        const bool last = logits && at + step == to;
        if (rwkv7_session_eval(session, t->log.tokens + at, step, last ? RWKV7_LOGITS_LAST : RWKV7_LOGITS_NONE,
                               last ? t->logits : NULL, &err) != RWKV7_OK)
            return report(&err);
        at += step;
        progress_show("reading", (double)(at - from) / (double)(to - from), (double)(at - from), "tokens");
    }
    progress_clear();
    return DONE;
}

/*
 * Adds text to what is unread, and its tokens to the log: of a final text all, else those that no text behind it can change. They are
 * not evaluated. The tokens are those of one long text, however it was cut.
 */
static int add_text(struct talk *t, const char *text, bool final)
{
    struct rwkv7_error err;
    size_t count, covered;
    const size_t old = t->log.unread ? strlen(t->log.unread) : 0, size = old + strlen(text);
    char *const all = realloc(t->log.unread, size + 1);
    if (!all)
        return complain(FAILED, "out of memory for the conversation");
    strcpy(all + old, text);
    t->log.unread = all;
    const int code = reserve(t, size + 1);
    if (code != DONE)
        return code;
    if (rwkv7_tokenizer_encode(t->engine->tokenizer, all, size, final, t->log.tokens + t->log.count, size, &count,
                               &covered, &err) != RWKV7_OK)
        return report(&err);
    t->log.count += count;
    memmove(all, all + covered, size - covered + 1);
    return DONE;
}

/* The beginning of a conversation, which the prompt cache may know. */
static int read_start(struct talk *t)
{
    struct cache cache;
    size_t at = 0;
    const bool cached = t->args->prompt_cache != NULL;
    int code = cached ? cache_open(&cache, t->args, t->engine->model) : DONE;
    if (code == DONE && cached)
        at = cache_find(&cache, t->session, t->log.tokens, t->log.count);
    if (code == DONE)
        code = evaluate(t, t->session, at, t->log.count, false);
    size_t place;
    if (code == DONE && cached && !interrupted && cache_plan(at, t->log.count + 1, NULL, 0, &place, 1) > 0 &&
        place == t->log.count) {
        cache_keep(&cache, t->session, t->log.tokens, t->log.count);
        cache_trim(&cache);
    }
    return code;
}

int talk_start(struct talk *t, const char *system)
{
    log_clear(&t->log);
    t->asked_count = 0;
    rwkv7_session_copy(t->session, t->base);
    int code = reserve(t, 1);
    if (code != DONE)
        return code;
    if (rwkv7_session_tokens(t->base) == 0 &&
        (t->args->bos || (!t->args->no_bos && rwkv7_tokenizer_has_end_of_text(t->engine->tokenizer))))
        t->log.tokens[t->log.count++] = RWKV7_END_OF_TEXT;
    t->behind_text = rwkv7_session_tokens(t->base) > 0 && !*system;
    if (rwkv7_session_tokens(t->base) > 0 && *system)
        code = add_text(t, "\n\n", false);
    if (code != DONE)
        return code;
    char *const text = template_system(system);
    code = text ? add_text(t, text, false) : complain(FAILED, "out of memory for the conversation");
    free(text);
    if (code == DONE)
        code = read_start(t);
    if (code == DONE && interrupted)
        code = complain(INTERRUPTED, "stopped while the system prompt was read");
    return code;
}

/* ------------------------------------------------------------------------------------------------------------- turns */

/* Gives up the oldest of the states before turns, as far as they take too much memory together. */
static void limit_snapshots(struct talk *t)
{
    const uint64_t each = rwkv7_model_info(t->engine->model)->session_bytes;
    const uint64_t most = SNAPSHOTS / (each ? each : 1);
    const size_t keep = most > 1 ? (size_t)most : 2;
    if (t->log.turn_count > keep) {
        struct turn *const turn = &t->log.turns[t->log.turn_count - keep - 1];
        rwkv7_session_close(turn->before);
        turn->before = NULL;
    }
}

static int begin_turn(struct talk *t, const char *user)
{
    struct rwkv7_error err;
    if (t->log.turn_count == t->log.turn_room) {
        const size_t room = t->log.turn_room ? 2 * t->log.turn_room : 16;
        struct turn *const grown = realloc(t->log.turns, room * sizeof *grown);
        if (!grown)
            return complain(FAILED, "out of memory for the conversation");
        t->log.turns = grown;
        t->log.turn_room = room;
    }
    struct turn turn = {
        .user = strdup(user), .begin = t->log.count, .unread = strdup(t->log.unread ? t->log.unread : "")};
    if (!turn.user || !turn.unread || rwkv7_session_clone(t->session, &turn.before, &err) != RWKV7_OK) {
        forget_turn(&turn);
        return complain(FAILED, "out of memory for the conversation");
    }
    t->log.turns[t->log.turn_count++] = turn;
    limit_snapshots(t);
    return DONE;
}

int talk_undo(struct talk *t)
{
    struct turn *const turn = &t->log.turns[t->log.turn_count - 1];
    if (!turn->before) {
        rwkv7_session_copy(t->mark, t->base);
        const int code = evaluate(t, t->mark, 0, turn->begin, false);
        if (code != DONE)
            return code;
        if (interrupted)
            return complain(INTERRUPTED, "stopped; nothing is taken back");
    }
    rwkv7_session_copy(t->session, turn->before ? turn->before : t->mark);
    t->log.turn_count--;
    t->asked_count = 0;
    t->log.count = turn->begin;
    free(t->log.unread);
    t->log.unread = turn->unread;
    turn->unread = NULL;
    forget_turn(turn);
    return DONE;
}

int talk_ask(struct talk *t, const char *user, enum thinking thinking)
{
    const double begin = seconds();
    const size_t from = t->log.count;
    int code = begin_turn(t, user);
    if (code != DONE)
        return code;
    char *const text = template_turn(user, t->log.turn_count == 1 && !t->behind_text, thinking);
    code = text ? add_text(t, text, true) : complain(FAILED, "out of memory for the conversation");
    free(text);
    if (code == DONE)
        code = evaluate(t, t->session, from, t->log.count, true);
    t->last.asked = t->log.count - from;
    t->last.asking = seconds() - begin;
    if (code != DONE || interrupted) {
        const int undone = talk_undo(t);
        return code != DONE ? code : undone;
    }
    rwkv7_session_copy(t->asked, t->session);
    memcpy(t->asked_logits, t->logits, logits_bytes(t));
    t->asked_count = t->log.count;
    t->asked_thinking = thinking;
    return DONE;
}

int talk_ask_again(struct talk *t, enum thinking thinking)
{
    if (t->asked_count > 0 && t->asked_thinking == thinking) {
        rwkv7_session_copy(t->session, t->asked);
        memcpy(t->logits, t->asked_logits, logits_bytes(t));
        t->log.count = t->asked_count;
        if (t->log.unread)
            *t->log.unread = '\0';
        return DONE;
    }
    char *const user = strdup(t->log.turns[t->log.turn_count - 1].user);
    int code = user ? talk_undo(t) : complain(FAILED, "out of memory for the conversation");
    if (code == DONE)
        code = talk_ask(t, user, thinking);
    free(user);
    return code;
}

/* ----------------------------------------------------------------------------------------------------------- answers */

/* The answer in the making. */
struct answer {
    struct talk *talk;
    struct rwkv7_sampler *sampler;
    struct rwkv7_stream *stream;
    int (*show)(void *arg, const char *text, size_t length);
    void *arg;

    /*
     * When a stop string may have begun, the session is copied to talk->mark before it reads the token with the first of its
     * bytes. If it is one, the answer ends there: the session goes back to the mark, and what was shown of that token and
     * those behind it becomes unread text.
     */
    size_t mark; /* tokens in the log at the mark; 0: there is no mark */
    char *since; /* what was shown since then */
    size_t since_size;
};

static int shown_since(struct answer *a, const char *text, size_t length)
{
    if (length == 0)
        return DONE;
    char *const grown = realloc(a->since, a->since_size + length + 1);
    if (!grown)
        return complain(FAILED, "out of memory for the answer");
    memcpy(grown + a->since_size, text, length);
    a->since = grown;
    a->since_size += length;
    a->since[a->since_size] = '\0';
    return DONE;
}

/* Shows what a token adds. *stop: the answer ends with it. */
static int say(struct answer *a, uint32_t id, bool *stop)
{
    struct talk *const t = a->talk;
    struct rwkv7_error err;
    const char *text;
    size_t held, length;
    int found;

    const uint8_t *const bytes = rwkv7_tokenizer_bytes(t->engine->tokenizer, id, &length);
    if (rwkv7_stream_push(a->stream, bytes, length, &text, &length, &found, &err) != RWKV7_OK)
        return report(&err);
    rwkv7_stream_held(a->stream, &held);
    if ((held > 0 || found >= 0) && a->mark == 0) {
        rwkv7_session_copy(t->mark, t->session);
        a->mark = t->log.count;
    } else if (held == 0 && found < 0) {
        a->mark = 0;
        a->since_size = 0;
    }
    *stop = found >= 0;
    const int code = a->mark > 0 ? shown_since(a, text, length) : DONE;
    return code == DONE ? a->show(a->arg, text, length) : code;
}

static void go_back_to_mark(struct answer *a)
{
    struct talk *const t = a->talk;
    rwkv7_session_copy(t->session, t->mark);
    t->log.count = a->mark;
    free(t->log.unread);
    t->log.unread = a->since_size > 0 ? a->since : NULL;
    if (t->log.unread)
        a->since = NULL;
}

static int answer_tokens(struct answer *a)
{
    struct talk *const t = a->talk;
    const bool has_end = rwkv7_tokenizer_has_end_of_text(t->engine->tokenizer);
    struct rwkv7_error err;
    int code = DONE;

    t->last.end = ANSWER_LONG;
    while (t->last.answered != (uint64_t)(int64_t)t->args->tokens) {
        uint32_t id;
        bool stop = false;
        if (interrupted) {
            t->last.end = ANSWER_INTERRUPTED;
            break;
        }
        if (rwkv7_sampler_next(a->sampler, t->logits, &id, &err) != RWKV7_OK)
            return report(&err);
        if (has_end && id == RWKV7_END_OF_TEXT) {
            t->last.end = ANSWER_COMPLETE;
            break;
        }
        t->last.answered++;
        code = say(a, id, &stop);
        if (code != DONE)
            return code;
        if (stop) {
            t->last.end = ANSWER_COMPLETE;
            go_back_to_mark(a);
            return DONE;
        }
        code = reserve(t, 1);
        if (code != DONE)
            return code;
        t->log.tokens[t->log.count++] = id;
        if (rwkv7_session_eval(t->session, &id, 1, RWKV7_LOGITS_LAST, t->logits, &err) != RWKV7_OK)
            return report(&err);
    }
    const char *text;
    size_t length;
    if (rwkv7_stream_finish(a->stream, &text, &length, &err) != RWKV7_OK)
        return report(&err);
    return a->show(a->arg, text, length);
}

/* The model would speak for the user next: that is where its answer ends, besides the stop strings of the options. */
static int create_stream(const struct talk *t, struct rwkv7_stream **out)
{
    static const char *const usual[] = {"\n\nUser:", "\nUser:"};
    const struct text_list *const given = &t->args->stops;
    struct rwkv7_error err;
    const char **const stops = malloc((given->count + 2) * sizeof *stops);
    if (!stops)
        return complain(FAILED, "out of memory for the answer");
    memcpy(stops, usual, sizeof usual);
    for (size_t i = 0; i < given->count; i++)
        stops[2 + i] = given->at[i];
    const enum rwkv7_status status = rwkv7_stream_create(stops, given->count + 2, out, &err);
    free(stops);
    return status == RWKV7_OK ? DONE : report(&err);
}

int talk_answer(struct talk *t, uint64_t seed, int (*show)(void *arg, const char *text, size_t length), void *arg)
{
    struct answer a = {.talk = t, .show = show, .arg = arg};
    const double begin = seconds();
    t->last.answered = 0;
    t->answers++;
    int code = sampling_create(t->args, t->engine, seed, &a.sampler);
    if (code == DONE)
        code = create_stream(t, &a.stream);
    if (code == DONE)
        code = answer_tokens(&a);
    t->last.answering = seconds() - begin;
    free(a.since);
    rwkv7_stream_close(a.stream);
    rwkv7_sampler_close(a.sampler);
    return code;
}
