/* lookup.c - drafts by lookup; see lookup.h. */
#include "generate/lookup.h"

#include <string.h>

#include "base/mem.h"
#include "base/splitmix.h"

enum { FIRST_ROOM = 1024 };

void lookup_clear(struct lookup *l)
{
    for (int i = 0; i < LOOKUP_TABLES; i++)
        mem_free(l->places[i]);
    mem_free(l->tokens);
    *l = (struct lookup){0};
}

/* Returns the entry for the `length` tokens before `end`, which must exist. */
static uint32_t *place_of(const struct lookup *l, int table, size_t end)
{
    const size_t length = LOOKUP_SHORT + (size_t)table;
    uint64_t hash = length;
    for (size_t i = end - length; i < end; i++)
        hash = splitmix_hash(hash + SPLITMIX_STEP + l->tokens[i]);
    return &l->places[table][hash & (2 * l->room - 1)];
}

/* Adds the sequences that end before `place` to the tables. */
static void enter(struct lookup *l, size_t place)
{
    for (int i = 0; i < LOOKUP_TABLES; i++)
        if (place >= LOOKUP_SHORT + (size_t)i)
            *place_of(l, i, place) = (uint32_t)place;
}

/* Doubles the room. */
static bool grow(struct lookup *l)
{
    const size_t room = l->room ? 2 * l->room : FIRST_ROOM;
    struct lookup larger = {.count = l->count, .room = room};
    larger.tokens = mem_alloc(room, sizeof *larger.tokens);
    bool complete = room <= LOOKUP_MOST && larger.tokens;
    for (int i = 0; i < LOOKUP_TABLES && complete; i++) {
        larger.places[i] = mem_alloc(2 * room, sizeof *larger.places[i]);
        complete = larger.places[i];
    }
    if (!complete) {
        lookup_clear(&larger);
        return false;
    }
    if (l->count > 0)
        memcpy(larger.tokens, l->tokens, l->count * sizeof *l->tokens);
    for (size_t i = 0; i < l->count; i++)
        enter(&larger, i);
    lookup_clear(l);
    *l = larger;
    return true;
}

void lookup_add(struct lookup *l, const uint32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (l->count == l->room && !grow(l)) {
            lookup_clear(l);
            if (!grow(l))
                return;
        }
        l->tokens[l->count] = ids[i];
        enter(l, l->count++);
    }
}

/* Returns how many tokens before `place` equal those at the end of the text. */
static size_t agreement(const struct lookup *l, size_t place)
{
    size_t n = 0;
    while (n < place && n < LOOKUP_MATCH && l->tokens[place - 1 - n] == l->tokens[l->count - 1 - n])
        n++;
    return n;
}

size_t lookup_draft(const struct lookup *l, uint32_t *ids, size_t room, size_t *match)
{
    *match = 0;
    for (int i = LOOKUP_TABLES; i-- > 0;) {
        const size_t length = LOOKUP_SHORT + (size_t)i;
        const size_t place = l->count >= length ? *place_of(l, i, l->count) : 0;
        if (place == 0 || (*match = agreement(l, place)) < length)
            continue;
        for (size_t j = 0; j < room; j++) /* past its end, the text is assumed to repeat */
            ids[j] = place + j < l->count ? l->tokens[place + j] : ids[place + j - l->count];
        return room;
    }
    *match = 0;
    return 0;
}
