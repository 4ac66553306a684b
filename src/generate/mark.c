/* mark.c - the state at the end of the shown text; see mark.h. */
#include "generate/mark.h"

#include <string.h>

#include "base/mem.h"
#include "base/status.h"

enum { TOKENS = 64, BYTES = 1024 }; /* initial capacities; more is rarely held back */

enum rwkv7_status mark_open(struct mark *m, const struct rwkv7_session *like, struct rwkv7_error *err)
{
    return rwkv7_session_clone(like, &m->before, err);
}

void mark_lend(struct mark *m, struct rwkv7_session *session, bool trim)
{
    m->before = session;
    m->borrowed = true;
    m->trim = trim;
}

void mark_close(struct mark *m)
{
    if (!m->borrowed)
        rwkv7_session_close(m->before);
    mem_free(m->tokens);
    mem_free(m->ends);
    mem_free(m->text);
    *m = (struct mark){0};
}

void mark_clear(struct mark *m)
{
    m->count = m->size = m->hidden = 0;
}

static bool reserve(struct mark *m, size_t bytes)
{
    size_t size;
    if (m->count == m->room) {
        const size_t room = m->room ? 2 * m->room : TOKENS;
        uint32_t *const tokens = mem_grow(m->tokens, m->count, room, sizeof *tokens);
        if (tokens)
            m->tokens = tokens;
        size_t *const ends = mem_grow(m->ends, m->count, room, sizeof *ends);
        if (ends)
            m->ends = ends;
        if (!tokens || !ends)
            return false;
        m->room = room;
    }
    if (m->text_room - m->size < bytes || !m->text) {
        if (!size_add(m->size, bytes, &size) || !size_mul(size, 2, &size))
            return false;
        size = size < BYTES ? BYTES : size;
        char *const text = mem_grow(m->text, m->size, size, 1);
        if (!text)
            return false;
        m->text = text;
        m->text_room = size;
    }
    return true;
}

void mark_show(struct mark *m, size_t held)
{
    m->hidden = held < m->size ? held : m->size;
    while (m->trim && m->hidden < m->size && m->text[m->size - m->hidden - 1] == '\n')
        m->hidden++;
    if (m->hidden == 0)
        mark_clear(m);
}

/* Removes the first `count` tokens. */
static void drop(struct mark *m, size_t count)
{
    const size_t bytes = count > 0 ? m->ends[count - 1] : 0;
    m->count -= count;
    m->size -= bytes;
    memmove(m->tokens, m->tokens + count, m->count * sizeof *m->tokens);
    memmove(m->text, m->text + bytes, m->size);
    for (size_t i = 0; i < m->count; i++)
        m->ends[i] = m->ends[i + count] - bytes;
}

enum rwkv7_status mark_token(struct mark *m, const struct rwkv7_session *session, size_t tried, uint32_t id,
                             const uint8_t *text, size_t size, size_t held, struct rwkv7_error *err)
{
    if (!m->before)
        return RWKV7_OK;
    if (!reserve(m, size))
        return fail_memory(err, "the text");
    if (size > 0)
        memcpy(m->text + m->size, text, size);
    m->size += size;
    m->tokens[m->count] = id;
    m->ends[m->count++] = m->size;
    mark_show(m, held);
    if (m->count > 0 && m->hidden <= size) { /* the hidden text begins in this token */
        drop(m, m->count - 1);
        return rwkv7_session_copy_tried(m->before, session, tried, err);
    }
    return RWKV7_OK;
}

enum rwkv7_status mark_settle(struct mark *m, struct rwkv7_error *err)
{
    while (m->count > 0 && m->ends[0] <= m->size - m->hidden) { /* one by one: exact bits */
        const enum rwkv7_status status = rwkv7_session_eval(m->before, m->tokens, 1, RWKV7_LOGITS_NONE, NULL, err);
        if (status != RWKV7_OK)
            return status;
        drop(m, 1);
    }
    return RWKV7_OK;
}
