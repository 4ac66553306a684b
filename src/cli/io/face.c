/* face.c - see face.h. */
#include "cli/io/face.h"

#include <ctype.h>
#include <string.h>

#include "cli/io/messages.h"
#include "cli/io/output.h"

static int put(const char *text)
{
    return out_write(text, strlen(text));
}

/* Shows one byte of a thought or of the text of the answer. */
static int show_text(struct face *f, char c)
{
    int code = DONE;
    if (f->part == FACE_THOUGHT && f->thoughts == THOUGHTS_HIDE)
        return DONE;
    if (!f->any && isspace((unsigned char)c))
        return DONE;
    if (c == '\n') {
        f->newlines++;
        return DONE;
    }
    if (!f->any && f->part == FACE_THOUGHT)
        code = f->dim ? out_control("\033[2m") : put("<think>");
    f->any = true;
    for (; code == DONE && f->newlines > 0; f->newlines--)
        code = put("\n");
    return code == DONE ? out_write(&c, 1) : code;
}

/* Shows the text and the calls that `calls` has found. */
static int show_found(struct face *f)
{
    struct tool_event e;
    int code = f->calls.failed ? complain(FAILED, "out of memory for the answer") : DONE;
    for (size_t i = 0; i < f->content.size && code == DONE; i++)
        code = show_text(f, f->content.bytes[i]);
    f->content.size = 0;
    while (code == DONE && tool_calls_next(&f->calls, &e)) {
        if (e.kind == TOOL_CALL_ARGUMENTS) {
            code = out_write(e.text, e.size);
            continue;
        }
        const char *const parts[] = {f->any ? "\n" : "", "{\"name\": \"", e.call->name.bytes, "\", \"arguments\": "};
        if (e.kind == TOOL_CALL_ENDS)
            code = put("}");
        else
            for (size_t i = 0; i < sizeof parts / sizeof *parts && code == DONE; i++)
                code = put(parts[i]);
        f->any = true;
        f->newlines = 0;
    }
    return code;
}

static int show_byte(struct face *f, char c)
{
    if (f->part != FACE_ANSWER || !f->with_calls)
        return show_text(f, c);
    tool_calls_add(&f->calls, &c, 1, &f->content);
    return show_found(f);
}

static int end_thought(struct face *f)
{
    if (f->part != FACE_THOUGHT || !f->any)
        return DONE;
    return f->dim ? out_control("\033[0m") : put("</think>");
}

/* Begins the next part after a complete tag. */
static int next_part(struct face *f)
{
    int code = end_thought(f);
    if (code == DONE && f->any)
        code = put("\n\n");
    f->part = f->part == FACE_START ? FACE_THOUGHT : FACE_ANSWER;
    f->newlines = 0;
    f->any = false;
    return code;
}

/* Shows the bytes that looked like the start of a tag but are not one. */
static int show_matched(struct face *f, const char *tag)
{
    int code = DONE;
    const size_t n = f->matched;
    f->matched = 0;
    if (f->part == FACE_START)
        f->part = FACE_ANSWER;
    for (size_t i = 0; i < n && code == DONE; i++)
        code = show_byte(f, tag[i]);
    return code;
}

static int take(struct face *f, char c)
{
    static const char *const tags[] = {[FACE_START] = "<think>", [FACE_THOUGHT] = "</think>"};
    if (f->part != FACE_ANSWER) {
        const char *const tag = tags[f->part];
        if (f->part == FACE_START && f->matched == 0 && isspace((unsigned char)c))
            return DONE;
        if (c != tag[f->matched]) {
            const int code = show_matched(f, tag);
            if (code != DONE)
                return code;
        }
        if (f->part != FACE_ANSWER && c == tag[f->matched]) {
            if (tag[++f->matched] != '\0')
                return DONE;
            f->matched = 0;
            return next_part(f);
        }
    }
    return show_byte(f, c);
}

int face_show(void *face, const char *text, size_t length)
{
    int code = DONE;
    for (size_t i = 0; i < length && code == DONE; i++)
        code = take(face, text[i]);
    return code == DONE ? out_flush() : code;
}

int face_begin(struct face *f, bool dim, enum thoughts thoughts, bool with_calls, const char *opening)
{
    *f = (struct face){.dim = dim, .thoughts = thoughts, .with_calls = with_calls};
    return face_show(f, opening, strlen(opening));
}

int face_end(struct face *f, bool complete)
{
    int code = f->part != FACE_ANSWER ? show_matched(f, f->part == FACE_START ? "<think>" : "</think>") : DONE;
    if (code == DONE && f->with_calls) {
        tool_calls_end(&f->calls, complete, &f->content);
        code = show_found(f);
    }
    if (code == DONE)
        code = end_thought(f);
    if (code == DONE)
        code = put("\n");
    tool_calls_free(&f->calls);
    text_free(&f->content);
    return code == DONE ? out_flush() : code;
}
