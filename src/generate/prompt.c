/* prompt.c - text to tokens, piece by piece; see prompt.h. */
#include "generate/prompt.h"

#include <string.h>

#include "base/mem.h"
#include "base/status.h"

enum { BLOCK = 1 << 16 }; /* bytes tokenized at a time, so that the buffer stays small */
enum { ROOM = 1 << 12 };  /* ids at a time: enough for any single character */

bool prompt_begins_with_bos(const struct rwkv7_tokenizer *tokenizer, enum rwkv7_bos bos, bool at_start)
{
    if (bos != RWKV7_BOS_AUTO)
        return bos == RWKV7_BOS_ALWAYS;
    return at_start && rwkv7_tokenizer_has_end_of_text(tokenizer);
}

void prompt_free(struct prompt *p)
{
    mem_free(p->text);
    mem_free(p->ids);
    *p = (struct prompt){0};
}

enum rwkv7_status prompt_reserve(struct prompt *p, size_t count, struct rwkv7_error *err)
{
    size_t room;
    if (p->room - p->end >= count)
        return RWKV7_OK;
    if (p->begin > 0) {
        memmove(p->ids, p->ids + p->begin, (p->end - p->begin) * sizeof *p->ids);
        p->end -= p->begin;
        p->begin = 0;
        if (p->room - p->end >= count)
            return RWKV7_OK;
    }
    uint32_t *const grown = size_add(p->end, count, &room) && size_mul(room, 2, &room)
                                ? mem_grow(p->ids, p->end, room, sizeof *grown)
                                : NULL;
    if (!grown)
        return fail_memory(err, "the prompt");
    p->ids = grown;
    p->room = room;
    return RWKV7_OK;
}

/*
 * Tokenizes the text: all of it if `final`, else only the part whose tokens no later text can
 * change.
 */
static enum rwkv7_status encode(struct prompt *p, bool final, struct rwkv7_error *err)
{
    size_t used = 0, count, covered;
    do {
        enum rwkv7_status status = prompt_reserve(p, ROOM, err);
        if (status == RWKV7_OK)
            status = rwkv7_tokenizer_encode(p->tokenizer, p->text + used, p->text_size - used, final, p->ids + p->end,
                                            p->room - p->end, &count, &covered, err);
        if (status != RWKV7_OK)
            return status;
        used += covered;
        p->end += count;
    } while (count > 0);
    p->text_size -= used;
    memmove(p->text, p->text + used, p->text_size);
    return RWKV7_OK;
}

enum rwkv7_status prompt_add_text(struct prompt *p, const void *text, size_t size, struct rwkv7_error *err)
{
    const uint8_t *from = text;
    while (size > 0) {
        const size_t piece = size < BLOCK ? size : BLOCK, room = p->text_size + piece;
        if (room > p->text_room) {
            uint8_t *const grown = mem_grow(p->text, p->text_size, room, 1);
            if (!grown)
                return fail_memory(err, "the prompt");
            p->text = grown;
            p->text_room = room;
        }
        memcpy(p->text + p->text_size, from, piece);
        p->text_size += piece;
        from += piece;
        size -= piece;
        const enum rwkv7_status status = encode(p, false, err);
        if (status != RWKV7_OK)
            return status;
    }
    return RWKV7_OK;
}

enum rwkv7_status prompt_end_text(struct prompt *p, struct rwkv7_error *err)
{
    return p->text_size > 0 ? encode(p, true, err) : RWKV7_OK;
}

enum rwkv7_status prompt_add_tokens(struct prompt *p, const uint32_t *ids, size_t count, struct rwkv7_error *err)
{
    enum rwkv7_status status = prompt_end_text(p, err);
    if (status == RWKV7_OK)
        status = prompt_reserve(p, count, err);
    if (status != RWKV7_OK)
        return status;
    if (count > 0)
        memcpy(p->ids + p->end, ids, count * sizeof *ids);
    p->end += count;
    return RWKV7_OK;
}

void prompt_drop(struct prompt *p, size_t count)
{
    p->begin += count;
    if (p->begin == p->end)
        p->begin = p->end = 0;
}
