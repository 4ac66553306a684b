/* splitter.c - see splitter.h. */
#include "server/splitter.h"

static const char *const tags[] = {[SPLITTER_START] = "<think>", [SPLITTER_THOUGHT] = "</think>"};

static void put(struct splitter *s, char c, struct text *to)
{
    if (!s->any && text_is_space(c))
        return;
    if (c == '\n') {
        s->newlines++;
        return;
    }
    for (; s->newlines > 0; s->newlines--)
        text_add(to, "\n", 1);
    text_add(to, &c, 1);
    s->any = true;
}

static struct text *target(const struct splitter *s, struct text *thought, struct text *answer)
{
    return s->part == SPLITTER_THOUGHT ? thought : answer;
}

/* Handles the bytes of a partly matched tag as text. */
static void give_up(struct splitter *s, struct text *thought, struct text *answer)
{
    const char *const tag = tags[s->part];
    const size_t n = s->matched;
    s->matched = 0;
    if (s->part == SPLITTER_START)
        s->part = SPLITTER_ANSWER;
    for (size_t i = 0; i < n; i++)
        put(s, tag[i], target(s, thought, answer));
}

static void take(struct splitter *s, char c, struct text *thought, struct text *answer)
{
    if (s->part == SPLITTER_START && s->matched == 0 && text_is_space(c))
        return;
    if (s->part != SPLITTER_ANSWER && c != tags[s->part][s->matched])
        give_up(s, thought, answer);
    if (s->part == SPLITTER_ANSWER || c != tags[s->part][s->matched]) {
        put(s, c, target(s, thought, answer));
        return;
    }
    if (tags[s->part][++s->matched] != '\0')
        return;
    s->part = s->part == SPLITTER_START ? SPLITTER_THOUGHT : SPLITTER_ANSWER;
    s->matched = s->newlines = 0;
    s->any = false;
}

void splitter_add(struct splitter *s, const char *text, size_t size, struct text *thought, struct text *answer)
{
    for (size_t i = 0; i < size; i++)
        take(s, text[i], thought, answer);
}

void splitter_end(struct splitter *s, struct text *thought, struct text *answer)
{
    if (s->part != SPLITTER_ANSWER)
        give_up(s, thought, answer);
}
