/* line.c - see line.h. */
#include "cli/io/line.h"

#include <stdlib.h>
#include <string.h>
#ifdef HAVE_LIBEDIT
#include <histedit.h>
#endif

#include "cli/io/editor.h"
#include "cli/io/line_input.h"
#include "cli/io/messages.h"
#include "cli/io/output.h"
#include "cli/io/signals.h"

struct line_reader {
    bool terminal;
    struct line_input lines; /* standard input, if lines are not edited */
    bool nul;                /* the message contains a NUL */
#ifdef HAVE_LIBEDIT
    struct editor *editor; /* NULL: lines are not edited */
#endif
};

const char *line_editing(void)
{
#ifdef HAVE_LIBEDIT
#define TEXT_OF(x) #x
#define VERSION_TEXT(major, minor) "libedit " TEXT_OF(major) "." TEXT_OF(minor)
    return VERSION_TEXT(LIBEDIT_MAJOR, LIBEDIT_MINOR);
#else
    return "none";
#endif
}

int line_open(struct line_reader **out, const struct line_options *options)
{
    struct line_reader *const r = *out = calloc(1, sizeof *r);
    if (!r)
        return complain(FAILED, "out of memory for input lines");
    r->terminal = options->terminal;
    int code = line_input_open(&r->lines, "-");
#ifdef HAVE_LIBEDIT
    if (code == DONE && options->terminal)
        code = editor_open(&r->editor, options);
#endif
    return code;
}

void line_close(struct line_reader *r)
{
    if (!r)
        return;
#ifdef HAVE_LIBEDIT
    editor_close(r->editor);
#endif
    line_input_close(&r->lines);
    free(r);
}

/* Reads one line without its newline; NULL at the end of input or if interrupted. */
static int one_line(struct line_reader *r, const char *prompt, char **text)
{
    *text = NULL;
#ifdef HAVE_LIBEDIT
    if (r->editor)
        return editor_line(r->editor, prompt, text);
#endif
    enum line_kind kind;
    char *line;
    size_t length;
    int code = DONE;
    if (r->terminal) {
        r->lines.closed = false; /* after ^D at a terminal, more may follow */
        code = out_write(prompt, strlen(prompt));
        if (code == DONE)
            code = out_flush();
    }
    if (code == DONE)
        code = line_input_next(&r->lines, true, &kind, &line, &length);
    if (code != DONE || kind == LINE_END || kind == LINE_LATER)
        return code;
    if (kind == LINE_TOO_LONG)
        return complain(FAILED, "standard input: expected lines of at most %zu bytes", LINE_MOST);
    if (length > 0 && line[length - 1] == '\r')
        length--;
    r->nul = r->nul || memchr(line, '\0', length);
    *text = strndup(line, length);
    return *text ? DONE : complain(FAILED, "out of memory for the line");
}

/* Appends a line to the message, separated by a newline; takes ownership of the line. */
static int join(char **message, char *line)
{
    const size_t old = *message ? strlen(*message) : 0, n = strlen(line);
    if (old + n > LINE_MOST) {
        free(line);
        return complain(FAILED, "standard input: expected messages of at most %zu bytes", LINE_MOST);
    }
    char *const grown = realloc(*message, old + n + 2);
    if (grown) {
        if (old > 0)
            grown[old] = '\n';
        memcpy(grown + old + (old > 0), line, n + 1);
        *message = grown;
    }
    free(line);
    return grown ? DONE : complain(FAILED, "out of memory for the message");
}

int line_read(struct line_reader *r, char **text)
{
    static const char quotes[] = "\"\"\"";
    char *message = NULL, *line;
    bool block = false, more = true;

    r->nul = false;
    *text = NULL;
    int code = one_line(r, "> ", &line);
    if (line && strcmp(line, quotes) == 0) {
        block = true;
        line[0] = '\0';
    }
    while (code == DONE && line && more) {
        const size_t n = strlen(line);
        const bool closes = block && strcmp(line, quotes) == 0;
        more = !closes && (block || (n > 0 && line[n - 1] == '\\'));
        if (closes || (more && !block))
            line[closes ? 0 : n - 1] = '\0';
        code = join(&message, line);
        line = NULL;
        if (more && code == DONE)
            code = one_line(r, "| ", &line);
    }
    if (code == DONE && r->nul)
        code = complain(MISUSED, "message: expected text, found a NUL byte");
    if (code != DONE || interrupted) {
        free(message);
        return code;
    }
    *text = message;
    return DONE;
}
