/*
 * editor.c - see editor.h. libedit manages the line and the screen. This file adds pasted text,
 * Tab, ^C, ^Z and window resizing. They are handled in read_byte(), where the program waits for
 * keys, because libedit would handle them in signal handlers or not at all.
 */
#if !defined(_XOPEN_SOURCE)
#define _XOPEN_SOURCE 700 /* wcwidth */
#endif
#include "cli/io/editor.h"

#ifdef HAVE_LIBEDIT
#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include "base/inputs.h"
#include "cli/io/complete.h"
#include "cli/io/history.h"
#include "cli/io/io.h"
#include "cli/io/line_input.h"
#include "cli/io/lookup.h"
#include "cli/io/messages.h"
#include "cli/io/signals.h"

/*
 * Bracketed paste: when enabled, the terminal sends these sequences before and after pasted text.
 */
static const char paste_on[] = "\033[?2004h", paste_off[] = "\033[?2004l", paste_begin[] = "\033[200~",
                  paste_end[] = "\033[201~";

struct editor {
    const struct line_options *options;
    const char *prompt;
    EditLine *edit;
    History *history;
    char path[PATH_ROOM];     /* history file; empty: history is not saved */
    struct input_file *input; /* protects the history from outputs until it is written */
    char **lines;             /* [line_count] typed lines, for the history */
    size_t line_count, line_room;
    mbstate_t shift;
    struct termios keys; /* terminal settings before editing; its signal keys */
    bool quoted;         /* the last key was ^V: insert the next one literally */
    int columns;         /* width of the terminal when the line was drawn */
    bool too_long;       /* pasted text exceeded the limit */
};

static struct editor *owner(EditLine *edit)
{
    struct editor *e = NULL;
    el_get(edit, EL_CLIENTDATA, &e);
    return e;
}

static char *current_prompt(EditLine *edit)
{
    return (char *)(uintptr_t)owner(edit)->prompt;
}

/* ------------------------------------------------------------------------------------- terminal */

static volatile sig_atomic_t attention; /* a signal must be handled before the next key */
static volatile sig_atomic_t stop_asked, continued;

static void on_signal(int number)
{
    if (number == SIGTSTP)
        stop_asked = 1;
    if (number == SIGCONT)
        continued = 1;
    attention = 1;
}

static const int watched[] = {SIGTSTP, SIGCONT, SIGWINCH};
enum { WATCHED = sizeof watched / sizeof watched[0] };

/* Installs the signal handlers used while a line is edited. An ignored SIGTSTP stays ignored. */
static void watch_signals(struct sigaction before[WATCHED])
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < WATCHED; i++) {
        sigaction(watched[i], NULL, &before[i]);
        if (watched[i] != SIGTSTP || before[i].sa_handler != SIG_IGN)
            sigaction(watched[i], &action, NULL);
    }
}

static void unwatch_signals(const struct sigaction before[WATCHED])
{
    for (int i = 0; i < WATCHED; i++)
        sigaction(watched[i], &before[i], NULL);
}

/* Sends a control sequence, unless the terminal has none and would show it. */
static void send_control(const char *sequence)
{
    const char *const term = getenv("TERM");
    size_t written;
    if (!term || !*term || strcmp(term, "dumb") == 0)
        return;
    io_write(STDOUT_FILENO, sequence, strlen(sequence), &written);
}

static int terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* Returns the number of screen rows that the prompt and the line occupy above the cursor's row. */
static int rows_above(const struct editor *e, int columns)
{
    const LineInfo *const line = el_line(e->edit);
    int row = 0, column = (int)strlen(e->prompt);
    mbstate_t shift = {0};
    for (const char *at = line->buffer; at < line->cursor;) {
        wchar_t c;
        const size_t n = mbrtowc(&c, at, (size_t)(line->cursor - at), &shift);
        if (n == 0 || n > (size_t)(line->cursor - at))
            break;
        at += n;
        const int width = c == L'\t' ? 8 - column % 8 : c == L'\n' ? columns - column : wcwidth(c);
        column += width > 0 ? width : width < 0 ? 2 : 0; /* control: ^X */
        if (column >= columns) {
            row++;
            column = column > columns ? width : 0;
        }
    }
    return row;
}

/*
 * Redraws the line after the window was resized, or after the program was stopped and continued.
 * Some terminals rewrap lines when their width changes, and some do not; only rows that belong to
 * the line in both cases are cleared.
 */
static void draw_again(struct editor *e, bool moved)
{
    char up[32] = "\r\033[J";
    const int before = e->columns, now = terminal_columns();
    const int rows = rows_above(e, before < now ? now : before);
    if (!moved && rows > 0)
        snprintf(up, sizeof up, "\r\033[%dA\033[J", rows);
    send_control(up);
    e->columns = now;
    el_resize(e->edit);
    el_set(e->edit, EL_REFRESH);
}

/* Handles ^Z: restores the terminal and stops the process. */
static void stop(struct editor *e)
{
    struct sigaction action = {.sa_handler = SIG_DFL}, before;
    send_control(paste_off);
    el_set(e->edit, EL_PREP_TERM, 0);
    sigemptyset(&action.sa_mask);
    sigaction(SIGTSTP, &action, &before);
    raise(SIGTSTP);
    sigaction(SIGTSTP, &before, NULL);
    continued = 1; /* also if no shell could stop it (orphaned process group) */
}

static void attend(struct editor *e)
{
    attention = 0;
    if (stop_asked) {
        stop_asked = 0;
        stop(e);
    }
    const bool moved = continued;
    if (continued) { /* also after SIGSTOP: the shell has changed the terminal's settings */
        continued = 0;
        el_set(e->edit, EL_PREP_TERM, 0);
        el_set(e->edit, EL_PREP_TERM, 1);
        send_control(paste_on);
    }
    draw_again(e, moved);
}

/*
 * Sends the signal of a key such as ^C to all programs at this terminal, as the terminal does
 * outside of editing. Returns false if the key has none.
 */
static bool send_signal(const struct editor *e, char key)
{
    static const struct {
        int place, number;
    } signals[] = {{VINTR, SIGINT}, {VQUIT, SIGQUIT}, {VSUSP, SIGTSTP}};
    for (size_t i = 0; i < sizeof signals / sizeof *signals && (e->keys.c_lflag & ISIG); i++)
        if (e->keys.c_cc[signals[i].place] == (cc_t)key)
            return kill(0, signals[i].number) == 0;
    return false;
}

/*
 * Reads one byte from the terminal; is_key: typed, so it may send a signal. Returns false if
 * interrupted, which libedit itself would not notice.
 */
static bool read_byte(struct editor *e, char *byte, bool is_key)
{
    while (!interrupted) {
        if (attention)
            attend(e);
        if (!io_wait_until(STDIN_FILENO, &attention))
            continue;
        const ssize_t n = interrupted ? 0 : read(STDIN_FILENO, byte, 1);
        if (n == 1 && !interrupted && is_key && *byte != '\0') {
            const bool quoted = e->quoted;
            e->quoted = !quoted && *byte == '\026';
            if (!quoted && send_signal(e, *byte))
                continue;
        }
        if (interrupted || n == 1)
            return !interrupted;
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        hung_up = interrupted = 1; /* the terminal is gone; SIGHUP may arrive later or be ignored */
    }
    return false;
}

/*
 * Reads one character; returns -1 if interrupted. NULs are dropped because messages cannot contain
 * them. The kernel turns a ^D typed before the terminal was set up into a NUL, which libedit would
 * take for "quote the next key".
 */
static int read_character(EditLine *edit, wchar_t *out)
{
    struct editor *const e = owner(edit);
    char byte;
    while (read_byte(e, &byte, true)) {
        if (byte == '\0')
            continue;
        const bool broken_off = !mbsinit(&e->shift);
        size_t length = mbrtowc(out, &byte, 1, &e->shift);
        if (length == (size_t)-1 && broken_off) { /* a truncated character came before */
            memset(&e->shift, 0, sizeof e->shift);
            length = mbrtowc(out, &byte, 1, &e->shift);
        }
        if (length == (size_t)-2)
            continue; /* incomplete: more bytes follow */
        if (length != (size_t)-1)
            return 1;
        memset(&e->shift, 0, sizeof e->shift);
    }
    return -1;
}

/* ----------------------------------------------------------------------------------------- keys */

/*
 * Converts pasted text for libedit: line ends become LF, and invalid bytes are removed. Returns the
 * new size.
 */
static size_t clean(char *text, size_t size)
{
    size_t kept = 0, n;
    mbstate_t shift = {0};
    for (size_t i = 0; i < size; i += n) {
        wchar_t c;
        n = mbrtowc(&c, text + i, size - i, &shift);
        if (n == 0 || n > size - i) {
            memset(&shift, 0, sizeof shift);
            n = 1;
            continue;
        }
        if (text[i] == '\r') {
            if (i + 1 < size && text[i + 1] == '\n')
                continue;
            text[i] = '\n';
        }
        memmove(text + kept, text + i, n);
        kept += n;
    }
    while (kept > 0 && text[kept - 1] == '\n')
        kept--;
    text[kept] = '\0';
    return kept;
}

/* Inserts pasted text into the line, including newlines, as one message that is not sent yet. */
static unsigned char take_paste(EditLine *edit, int key)
{
    enum { END = sizeof paste_end - 1 };
    struct editor *const e = owner(edit);
    size_t size = 0, room = 0;
    char *text = NULL, byte;
    bool ended = false, good = true;
    (void)key;
    while (!ended && read_byte(e, &byte, false)) {
        if (room - size < 2) {
            char *const grown = realloc(text, room = 2 * room + 1024);
            good = grown != NULL;
            if (!good)
                break;
            text = grown;
        }
        if (size < LINE_MOST + END)
            text[size++] = byte;
        else {
            e->too_long = true;
            memmove(text + size - END, text + size - END + 1, END - 1);
            text[size - 1] = byte;
        }
        ended = size >= END && memcmp(text + size - END, paste_end, END) == 0;
    }
    if (ended && clean(text, size - END) > 0)
        good = el_insertstr(edit, text) == 0;
    free(text);
    return good ? CC_REFRESH : CC_ERROR;
}

/* Handles Tab. */
static unsigned char complete(EditLine *edit, int key)
{
    const struct editor *const e = owner(edit);
    const LineInfo *const line = el_line(edit);
    struct completion found;
    unsigned char result = CC_ERROR;
    (void)key;
    complete_line(e->options->words, e->options->word_count, line->buffer, (size_t)(line->cursor - line->buffer),
                  &found);
    if (*found.text && el_insertstr(edit, found.text) == 0) {
        result = CC_REFRESH;
    } else if (found.count > 1) {
        putc('\n', stdout);
        for (size_t i = 0; i < found.count; i++) {
            print_plain(stdout, found.names[i]);
            fputs(i + 1 < found.count ? "  " : "\n", stdout);
        }
        result = CC_REDISPLAY;
    }
    completion_free(&found);
    return result;
}

/* -------------------------------------------------------------------------------------- history */

/*
 * Registers the history file as an input. A new one is created empty and private. If it cannot be
 * created, editor_close() reports that.
 */
static int add_input(struct editor *e)
{
    struct rwkv7_error err;
    struct stat st;
    const int fd = open(e->path, O_RDONLY | O_CREAT | O_NONBLOCK | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return DONE;
    const bool known = fstat(fd, &st) == 0;
    close(fd);
    return !known || input_add(&st, e->path, &e->input, &err) == RWKV7_OK ? DONE : report(&err);
}

/*
 * Loads the history. A history named by --history must be valid; if the default one is not, the
 * program continues without.
 */
static int open_history(struct editor *e)
{
    const char *const named = e->options->history;
    e->history = history_new();
    if (!e->history)
        return complain(FAILED, "out of memory for the history");
    if (!e->options->keeps_history)
        return DONE;
    if (named)
        snprintf(e->path, sizeof e->path, "%s", named);
    else if (!history_default(e->path))
        e->path[0] = '\0';
    if (!e->path[0])
        return DONE;
    if (!history_load(e->history, e->path)) {
        complain(FAILED, "%s: not a history file, or unreadable; left unchanged", e->path);
        e->path[0] = '\0';
        return named ? FAILED : DONE;
    }
    const int code = add_input(e);
    if (code != DONE)
        e->path[0] = '\0';
    return code;
}

static int add_line(struct editor *e, const char *line)
{
    HistEvent event;
    if (e->line_count == e->line_room) {
        const size_t room = 2 * e->line_room + 16;
        char **const grown = realloc(e->lines, room * sizeof *grown);
        if (!grown)
            return complain(FAILED, "out of memory for the history");
        e->lines = grown;
        e->line_room = room;
    }
    if (!(e->lines[e->line_count] = strdup(line)))
        return complain(FAILED, "out of memory for the history");
    e->line_count++;
    history(e->history, &event, H_ENTER, line);
    return DONE;
}

/* ---------------------------------------------------------------------------------------- lines */

int editor_open(struct editor **out, const struct line_options *options)
{
    struct editor *const e = *out = calloc(1, sizeof *e);
    if (!e)
        return complain(FAILED, "out of memory for input lines");
    e->options = options;
    /* Use the locale's character set, as the terminal does; without a locale, UTF-8. */
    if (!setlocale(LC_CTYPE, "") || strcmp(setlocale(LC_CTYPE, NULL), "C") == 0)
        setlocale(LC_CTYPE, "C.UTF-8");
    const int code = open_history(e);
    if (code != DONE)
        return code;
    e->edit = el_init("rwkv7", stdin, stdout, stderr);
    if (!e->edit)
        return complain(FAILED, "cannot set up the terminal for editing");
    el_set(e->edit, EL_CLIENTDATA, e);
    el_set(e->edit, EL_PROMPT, current_prompt);
    el_set(e->edit, EL_EDITOR, "emacs");
    /*
     * ^C, ^Z and ^S in pasted text are text. The terminal cannot know, so it passes them on while a
     * line is edited; those that are typed are handled in read_byte().
     */
    el_set(e->edit, EL_SETTY, "-d", "-isig", "-ixon", NULL);
    el_set(e->edit, EL_HIST, history, e->history);
    el_set(e->edit, EL_GETCFN, read_character);
    el_set(e->edit, EL_ADDFN, "rwkv7-paste", "insert pasted text", take_paste);
    el_set(e->edit, EL_ADDFN, "rwkv7-complete", "complete a command", complete);
    el_set(e->edit, EL_BIND, "\t", "rwkv7-complete", NULL);
    el_source(e->edit, NULL);
    el_set(e->edit, EL_BIND, paste_begin, "rwkv7-paste", NULL);
    return DONE;
}

void editor_close(struct editor *e)
{
    if (!e)
        return;
    input_remove(e->input);
    if (e->path[0] && e->line_count > 0)
        history_keep(e->path, e->lines, e->line_count);
    for (size_t i = 0; i < e->line_count; i++)
        free(e->lines[i]);
    free(e->lines);
    if (e->edit)
        el_end(e->edit);
    if (e->history)
        history_end(e->history);
    free(e);
}

int editor_line(struct editor *e, const char *prompt, char **text)
{
    struct sigaction before[WATCHED];
    int length;
    e->prompt = prompt;
    e->too_long = false;
    *text = NULL;
    watch_signals(before);
    e->quoted = false;
    if (tcgetattr(STDIN_FILENO, &e->keys) != 0)
        e->keys.c_lflag = 0;
    el_resize(e->edit); /* the window may have been resized */
    e->columns = terminal_columns();
    /*
     * libedit would do this after printing the prompt; keys typed in between would be handled by
     * the terminal's line mode.
     */
    el_set(e->edit, EL_PREP_TERM, 1);
    send_control(paste_on);
    const char *const line = el_gets(e->edit, &length);
    send_control(paste_off);
    el_set(e->edit, EL_PREP_TERM, 0);
    unwatch_signals(before);
    if (interrupted)
        clearerr(stdout); /* a write error caused by the signal is not a failure; see out_close */
    if (!line || length <= 0)
        return DONE;
    if (e->too_long)
        return complain(MISUSED, "pasted text: expected at most %zu bytes", LINE_MOST);
    const size_t size = strlen(line);
    *text = strndup(line, size - (size > 0 && line[size - 1] == '\n'));
    if (!*text)
        return complain(FAILED, "out of memory for the line");
    return **text ? add_line(e, *text) : DONE;
}

#else
typedef int editor_is_not_compiled_in; /* C does not allow an empty file */
#endif
