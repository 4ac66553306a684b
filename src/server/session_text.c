/* session_text.c - see session_text.h. */
#include "server/session_text.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "server/text.h"

/* ------------------------------------------------------------------------------------ snapshots */

static uint64_t bytes_of(const struct rwkv7_session *session)
{
    return rwkv7_model_info(rwkv7_session_model(session))->session_bytes;
}

struct snapshot *snapshot_create(struct rwkv7_session *session, atomic_uint_least64_t *bytes)
{
    struct snapshot *const s = mem_alloc(1, sizeof *s);
    if (!s)
        return NULL;
    atomic_init(&s->references, 1);
    s->bytes = bytes;
    s->session = session;
    atomic_fetch_add(bytes, bytes_of(session));
    return s;
}

struct snapshot *snapshot_share(struct snapshot *s)
{
    if (s)
        atomic_fetch_add(&s->references, 1);
    return s;
}

void snapshot_release(struct snapshot *s)
{
    if (!s || atomic_fetch_sub(&s->references, 1) > 1)
        return;
    atomic_fetch_sub(s->bytes, bytes_of(s->session));
    rwkv7_session_close(s->session);
    mem_free(s);
}

/* ---------------------------------------------------------------------------------------- texts */

static char *copy_string(const char *text, bool *failed)
{
    char *const copy = text ? mem_string(text, strlen(text)) : NULL;
    *failed = *failed || (text && !copy);
    return copy;
}

static void clear_turn(struct session_turn *turn)
{
    mem_free(turn->unread);
    mem_free(turn->user);
    snapshot_release(turn->state);
    *turn = (struct session_turn){0};
}

void session_text_clear(struct session_text *t)
{
    for (size_t i = 0; i < t->turn_count; i++)
        clear_turn(&t->turns[i]);
    mem_free(t->turns);
    mem_free(t->log);
    mem_free(t->unread);
    snapshot_release(t->state);
    snapshot_release(t->base);
    *t = (struct session_text){0};
}

bool session_text_copy(struct session_text *to, const struct session_text *from)
{
    bool failed = false;
    *to = (struct session_text){.history = from->history, .gap = from->gap, .rootless = from->rootless};
    to->log = mem_alloc(from->count, sizeof *to->log);
    to->turns = mem_alloc(from->turn_count, sizeof *to->turns);
    to->unread = copy_string(from->unread, &failed);
    failed = failed || !to->log || !to->turns;
    if (!failed && from->count > 0)
        memcpy(to->log, from->log, from->count * sizeof *to->log);
    to->room = to->count = failed ? 0 : from->count;
    for (size_t i = 0; i < from->turn_count && !failed; i++) {
        const struct session_turn *const turn = &from->turns[i];
        to->turns[i] = (struct session_turn){.tokens = turn->tokens,
                                             .unread = copy_string(turn->unread, &failed),
                                             .user = copy_string(turn->user, &failed),
                                             .history = turn->history,
                                             .gap = turn->gap,
                                             .state = snapshot_share(turn->state)};
        to->turn_room = ++to->turn_count;
    }
    to->base = snapshot_share(from->base);
    to->state = snapshot_share(from->state);
    if (failed)
        session_text_clear(to);
    return !failed;
}

static uint64_t base_tokens(const struct session_text *t)
{
    return t->base ? rwkv7_session_tokens(t->base->session) : 0;
}

size_t session_text_evaluated(const struct session_text *t)
{
    return t->state ? (size_t)(rwkv7_session_tokens(t->state->session) - base_tokens(t)) : 0;
}

uint64_t session_text_tokens(const struct session_text *t)
{
    return base_tokens(t) + t->count;
}

uint64_t session_text_bytes(const struct session_text *t)
{
    uint64_t bytes = t->room * sizeof *t->log + t->turn_room * sizeof *t->turns + (t->unread ? strlen(t->unread) : 0);
    for (size_t i = 0; i < t->turn_count; i++)
        bytes +=
            (t->turns[i].unread ? strlen(t->turns[i].unread) : 0) + (t->turns[i].user ? strlen(t->turns[i].user) : 0);
    return bytes;
}

/* ---------------------------------------------------------------------------------------- turns */

bool session_text_undo(struct session_text *t, size_t turns)
{
    if (turns > t->turn_count)
        return false;
    if (turns == 0)
        return true;
    struct session_turn *const to = &t->turns[t->turn_count - turns];
    snapshot_release(t->state);
    mem_free(t->unread);
    t->count = to->tokens;
    t->state = to->state;
    t->unread = to->unread;
    t->history = to->history;
    t->gap = to->gap;
    to->state = NULL;
    to->unread = NULL;
    for (size_t i = 0; i < turns; i++)
        clear_turn(&t->turns[--t->turn_count]);
    return true;
}

size_t session_text_find(const struct session_text *t, uint64_t history)
{
    if (history == t->history)
        return 0;
    for (size_t i = 1; i <= t->turn_count; i++)
        if (t->turns[t->turn_count - i].history == history)
            return i;
    return SIZE_MAX;
}

bool session_text_drop_states(struct session_text *t, size_t keep)
{
    bool any = false;
    for (size_t i = 0; i + keep < t->turn_count; i++) {
        any = any || t->turns[i].state;
        snapshot_release(t->turns[i].state);
        t->turns[i].state = NULL;
    }
    return any;
}

/* Makes room for `more` tokens in the log and for one turn. */
static bool reserve(struct session_text *t, size_t more)
{
    size_t room;
    if (t->room - t->count < more) {
        uint32_t *const grown = size_add(t->count, more, &room) && size_mul(room, 2, &room)
                                    ? mem_grow(t->log, t->count, room, sizeof *grown)
                                    : NULL;
        if (!grown)
            return false;
        t->log = grown;
        t->room = room;
    }
    if (t->turn_count == t->turn_room) {
        struct session_turn *const grown = mem_grow(t->turns, t->turn_count, 2 * t->turn_room + 4, sizeof *grown);
        if (!grown)
            return false;
        t->turns = grown;
        t->turn_room = 2 * t->turn_room + 4;
    }
    return true;
}

/* Makes the state the base of the text and drops the turns. There must be a state. */
static void rebase(struct session_text *t)
{
    const size_t evaluated = session_text_evaluated(t);
    for (size_t i = 0; i < t->turn_count; i++)
        clear_turn(&t->turns[i]);
    t->turn_count = 0;
    t->count -= evaluated;
    if (t->count > 0)
        memmove(t->log, t->log + evaluated, t->count * sizeof *t->log);
    snapshot_release(t->base);
    t->base = t->state;
    t->state = NULL;
}

void session_text_root(struct session_text *t)
{
    if (t->state)
        rebase(t);
    for (size_t i = 0; i < t->turn_count; i++)
        clear_turn(&t->turns[i]);
    t->turn_count = 0;
    t->history = 0;
    t->rootless = false;
}

void session_text_restart(struct session_text *t)
{
    if (t->rootless)
        session_text_clear(t);
    else
        session_text_undo(t, t->turn_count);
}

void session_text_forget(struct session_text *t, size_t keep)
{
    if (t->turn_count <= keep)
        return;
    const size_t dropped = t->turn_count - keep;
    for (size_t i = 0; i < dropped; i++)
        clear_turn(&t->turns[i]);
    t->turn_count = keep;
    memmove(t->turns, t->turns + dropped, keep * sizeof *t->turns);
    t->rootless = true;
}

bool session_text_grow(struct session_text *t, const struct session_growth *g, size_t limit)
{
    bool failed = !reserve(t, g->counts[0] + g->counts[1]);
    char *const user = copy_string(g->user, &failed);
    char *const unread = g->unread_size > 0 ? mem_string(g->unread, g->unread_size) : NULL;
    if (failed || (g->unread_size > 0 && !unread)) {
        mem_free(user);
        mem_free(unread);
        snapshot_release(g->state);
        return false;
    }
    session_text_forget(t, SESSION_TURNS - 1);
    t->turns[t->turn_count++] = (struct session_turn){
        .tokens = t->count, .unread = t->unread, .user = user, .history = t->history, .gap = t->gap, .state = t->state};
    for (int i = 0; i < 2; i++) {
        if (g->counts[i] > 0)
            memcpy(t->log + t->count, g->ids[i], g->counts[i] * sizeof *t->log);
        t->count += g->counts[i];
    }
    t->state = g->state;
    t->unread = unread;
    t->history = g->history;
    t->gap = g->gap;
    session_text_drop_states(t, SESSION_STATES);
    if (t->count > limit) {
        rebase(t);
        t->rootless = true;
    }
    return true;
}

/* -------------------------------------------------------------------------------------- history */

uint64_t session_history(uint64_t before, char role, const char *text, size_t size)
{
    struct hash hash;
    text_trim(&text, &size);
    hash_begin(&hash);
    hash_add(&hash, &before, sizeof before);
    hash_add(&hash, &role, 1);
    if (size > 0)
        hash_add(&hash, text, size);
    const struct hash_value value = hash_end(&hash);
    return value.low ? value.low : 1;
}
