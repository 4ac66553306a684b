/* tool_calls.c - see tool_calls.h. */
#include "generate/tool_calls.h"

#include <string.h>

#include "base/mem.h"

static const char *const fixed[] = {
    [TOOL_CALLS_CONTENT] = "<tool_call>",      [TOOL_CALLS_HEAD] = "\n{\"name\": \"",
    [TOOL_CALLS_MIDDLE] = ", \"arguments\": ", [TOOL_CALLS_TAIL] = "\n</tool_call>",
    [TOOL_CALLS_AFTER] = "<tool_call>",
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void enter(struct tool_calls *t, enum tool_calls_part part)
{
    t->part = part;
    t->matched = t->given = 0;
}

/* -------------------------------------------------------------------------------------- content */

/* Adds a byte of content. White space is held back until more content follows. */
static void put(struct tool_calls *t, char c, struct text *content)
{
    if (is_space(c)) {
        text_add(&t->blanks, &c, 1);
        return;
    }
    text_add(content, t->blanks.bytes, t->blanks.size);
    t->blanks.size = 0;
    text_add(content, &c, 1);
}

/* Adds the bytes of a partly matched tag as content. */
static void give_up(struct tool_calls *t, struct text *content)
{
    const size_t n = t->matched;
    const size_t given = t->given;
    t->matched = t->given = 0;
    for (size_t i = given; i < n; i++)
        put(t, fixed[TOOL_CALLS_CONTENT][i], content);
}

static void take_content(struct tool_calls *t, char c, struct text *content)
{
    const char *const tag = fixed[TOOL_CALLS_CONTENT];
    if (c != tag[t->matched])
        give_up(t, content); /* only its first byte is a "<", so no later part of it begins a tag */
    if (c != tag[t->matched]) {
        put(t, c, content);
        return;
    }
    if (tag[++t->matched] == '\0') {
        t->blanks.size = 0;
        enter(t, TOOL_CALLS_HEAD);
    }
}

/* ---------------------------------------------------------------------------------------- calls */

/* Starts the call whose name is complete. */
static void begin_call(struct tool_calls *t)
{
    if (t->count == t->room) {
        const size_t room = t->room ? 2 * t->room : 4;
        struct tool_call *const grown = mem_grow(t->calls, t->count, room, sizeof *grown);
        if (!grown) {
            t->failed = true;
            return;
        }
        t->calls = grown;
        t->room = room;
    }
    text_add(&t->name, "", 1);
    if (t->name.failed) {
        t->failed = true;
        return;
    }
    t->name.size--;
    t->calls[t->count++] = (struct tool_call){.name = t->name};
    t->name = (struct text){0};
}

/* Reads a byte of the arguments: JSON, which ends before the "}" of the object around it. */
static void take_argument(struct tool_calls *t, char c)
{
    struct tool_call *const call = &t->calls[t->count - 1];
    if (t->in_string) {
        t->in_string = t->escaped || c != '"';
        t->escaped = !t->escaped && c == '\\';
    } else if (c == '}' && t->depth == 0) {
        call->complete = true;
        enter(t, TOOL_CALLS_TAIL);
        return;
    } else if (c == '{' || c == '[') {
        t->depth++;
    } else if (c == '}' || c == ']') {
        t->depth -= t->depth > 0;
    } else {
        t->in_string = c == '"';
    }
    text_add(&call->arguments, &c, 1);
    t->failed = t->failed || call->arguments.failed;
}

/* Reads a byte of the part's fixed text; the part `next` follows it. */
static void take_fixed(struct tool_calls *t, char c, enum tool_calls_part next)
{
    const char *const text = fixed[t->part];
    if (t->part == TOOL_CALLS_AFTER && t->matched == 0 && is_space(c))
        return;
    if (c != text[t->matched])
        enter(t, TOOL_CALLS_MALFORMED);
    else if (text[++t->matched] == '\0')
        enter(t, next);
}

static void take(struct tool_calls *t, char c, struct text *content)
{
    switch (t->part) {
    case TOOL_CALLS_CONTENT:
        take_content(t, c, content);
        break;
    case TOOL_CALLS_HEAD:
        take_fixed(t, c, TOOL_CALLS_NAME);
        break;
    case TOOL_CALLS_NAME:
        if (c != '"') {
            text_add(&t->name, &c, 1);
            break;
        }
        begin_call(t);
        enter(t, TOOL_CALLS_MIDDLE);
        break;
    case TOOL_CALLS_MIDDLE:
        take_fixed(t, c, TOOL_CALLS_ARGUMENTS);
        break;
    case TOOL_CALLS_ARGUMENTS:
        take_argument(t, c);
        break;
    case TOOL_CALLS_TAIL:
        take_fixed(t, c, TOOL_CALLS_AFTER);
        break;
    case TOOL_CALLS_AFTER:
        take_fixed(t, c, TOOL_CALLS_HEAD);
        break;
    case TOOL_CALLS_MALFORMED:
        break;
    }
}

void tool_calls_add(struct tool_calls *t, const char *text, size_t size, struct text *content)
{
    for (size_t i = 0; i < size && !t->failed; i++)
        take(t, text[i], content);
    t->failed = t->failed || t->blanks.failed || t->name.failed || content->failed;
}

void tool_calls_prefill(struct tool_calls *t, const char *text, size_t size)
{
    struct text content = {0};
    tool_calls_add(t, text, size, &content);
    text_free(&content);
    t->blanks.size = 0;
    t->given = t->matched;
}

void tool_calls_end(struct tool_calls *t, bool complete, struct text *content)
{
    if (t->part == TOOL_CALLS_CONTENT && complete)
        give_up(t, content);
    t->blanks.size = 0;
}

void tool_calls_free(struct tool_calls *t)
{
    for (size_t i = 0; i < t->count; i++) {
        text_free(&t->calls[i].name);
        text_free(&t->calls[i].arguments);
    }
    mem_free(t->calls);
    text_free(&t->blanks);
    text_free(&t->name);
    *t = (struct tool_calls){0};
}

bool tool_calls_complete(const struct tool_calls *t)
{
    return t->count > 0 && t->calls[t->count - 1].complete && t->part != TOOL_CALLS_HEAD && t->part != TOOL_CALLS_NAME;
}

/* --------------------------------------------------------------------------------------- events */

bool tool_calls_pending(const struct tool_calls *t)
{
    if (t->told == t->count)
        return false;
    const struct tool_call *const call = &t->calls[t->told];
    return !t->told_begin || t->told_bytes < call->arguments.size || call->complete;
}

bool tool_calls_next(struct tool_calls *t, struct tool_event *event)
{
    if (!tool_calls_pending(t))
        return false;
    const struct tool_call *const call = &t->calls[t->told];
    *event = (struct tool_event){.index = t->told, .call = call};
    if (!t->told_begin) {
        event->kind = TOOL_CALL_BEGINS;
        t->told_begin = true;
    } else if (t->told_bytes < call->arguments.size) {
        event->kind = TOOL_CALL_ARGUMENTS;
        event->text = call->arguments.bytes + t->told_bytes;
        event->size = call->arguments.size - t->told_bytes;
        t->told_bytes = call->arguments.size;
    } else {
        event->kind = TOOL_CALL_ENDS;
        t->told++;
        t->told_begin = false;
        t->told_bytes = 0;
    }
    return true;
}
