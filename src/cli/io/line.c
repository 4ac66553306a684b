/* line.c - see line.h. */
#include "cli/io/line.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>
#ifdef HAVE_LIBEDIT
#include <histedit.h>
#endif

#include "base/inputs.h"
#include "base/out_file.h"
#include "base/status.h"
#include "cli/common.h"
#include "cli/io/io.h"
#include "cli/io/line_input.h"

struct line_reader {
    bool terminal;
    const char *prompt;
    struct line_input lines; /* of standard input, when they are not edited */
    bool nul;                /* the message would be cut short by one */
#ifdef HAVE_LIBEDIT
    EditLine *edit;
    History *history;
    const char *history_file; /* that was read, or may begin */
    struct input_file *input; /* it is one until it is written, so that nothing else replaces it */
    mbstate_t shift;
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

#ifdef HAVE_LIBEDIT

static char *current_prompt(EditLine *edit)
{
    struct line_reader *r = NULL;
    el_get(edit, EL_CLIENTDATA, &r);
    return (char *)(uintptr_t)r->prompt;
}

/*
 * One character from the terminal; -1 when interrupted, which libedit itself would not notice. A NUL is dropped: no message may hold
 * one, it is what the kernel makes of a ^D that was typed before the terminal was set up for editing, and libedit would take it for
 * "quote the next key", ^C and ^D among them.
 */
static int read_character(EditLine *edit, wchar_t *out)
{
    struct line_reader *r = NULL;
    el_get(edit, EL_CLIENTDATA, &r);
    while (!interrupted && io_wait(STDIN_FILENO, false) && !interrupted) {
        char byte;
        const ssize_t n = read(STDIN_FILENO, &byte, 1);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0) { /* the terminal is gone; SIGHUP may come later than that shows, or is ignored */
            hung_up = interrupted = 1;
            return -1;
        }
        if (byte == '\0')
            continue;
        const size_t length = mbrtowc(out, &byte, 1, &r->shift);
        if (length == (size_t)-2)
            continue; /* more bytes of the same character follow */
        if (length != (size_t)-1)
            return 1;
        memset(&r->shift, 0, sizeof r->shift);
    }
    return -1;
}

/* A history that cannot be read must not be replaced by a new one, which only follows on none at all. */
static bool may_begin(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_size == 0 : errno == ENOENT;
}

/* How many lines the file has, the last one with or without an end; negative when it cannot be read. */
static long count_lines(const char *path)
{
    char block[4096];
    size_t got = 0;
    long lines = 0;
    bool open_line = false;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum io_end end = fd < 0 ? IO_FAILED : IO_DONE;
    while (end == IO_DONE && (end = io_read(fd, block, sizeof block, &got)) == IO_DONE && got > 0) {
        for (size_t i = 0; i < got; i++)
            lines += block[i] == '\n';
        open_line = block[got - 1] != '\n';
    }
    if (fd >= 0)
        close(fd);
    return end == IO_DONE ? lines + open_line : -1;
}

/*
 * libedit takes a file that it can read in part for a shorter one, which would then replace it. It answers how many lines it has read
 * behind the first one, which tells that it is a history.
 */
static bool load_history(History *h, const char *path)
{
    HistEvent event;
    const int loaded = history(h, &event, H_LOAD, path);
    return loaded < 0 ? may_begin(path) : loaded == count_lines(path) - 1;
}

/* The history becomes an input; a new one begins as an empty file, private as what will be in it. That it cannot be written is said at the end. */
static int add_input(struct line_reader *r, const char *history_file)
{
    struct rwkv7_error err;
    struct stat st;
    const int fd = open(history_file, O_RDONLY | O_CREAT | O_NONBLOCK | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return DONE;
    const bool known = fstat(fd, &st) == 0;
    close(fd);
    return !known || input_add(&st, history_file, &r->input, &err) == RWKV7_OK ? DONE : report(&err);
}

static int open_editor(struct line_reader *r, const char *history_file)
{
    HistEvent event;
    /* Characters are what the terminal takes for them; without a language set, UTF-8. */
    if (!setlocale(LC_CTYPE, "") || strcmp(setlocale(LC_CTYPE, NULL), "C") == 0)
        setlocale(LC_CTYPE, "C.UTF-8");
    r->history = history_init();
    r->edit = el_init("rwkv7", stdin, stdout, stderr);
    if (!r->history || !r->edit)
        return complain(FAILED, "the terminal cannot be set up for editing");
    history(r->history, &event, H_SETSIZE, 1000);
    history(r->history, &event, H_SETUNIQUE, 1);
    if (history_file && !load_history(r->history, history_file))
        return complain(FAILED, "%s: not a history of lines, or one that cannot be read; it is left as it is",
                        history_file);
    if (history_file && add_input(r, history_file) != DONE)
        return FAILED;
    r->history_file = history_file;
    el_set(r->edit, EL_CLIENTDATA, r);
    el_set(r->edit, EL_PROMPT, current_prompt);
    el_set(r->edit, EL_EDITOR, "emacs");
    el_set(r->edit, EL_HIST, history, r->history);
    el_set(r->edit, EL_GETCFN, read_character);
    el_source(r->edit, NULL);
    return DONE;
}

/* The file appears under its name when it is complete, readable by its owner only. */
static enum rwkv7_status write_private(FILE *from, const char *path, struct rwkv7_error *err)
{
    char block[4096];
    size_t n;
    struct out_file out;
    enum rwkv7_status status = out_file_open_private(path, &out, err);
    while (status == RWKV7_OK && (n = fread(block, 1, sizeof block, from)) > 0)
        status = out_file_write(&out, block, n, err);
    if (status == RWKV7_OK && ferror(from))
        status = fail(err, RWKV7_ERR_IO, "%s: the history cannot be written", path);
    if (status == RWKV7_OK)
        status = out_file_commit(&out, err);
    out_file_abort(&out);
    return status;
}

/* libedit looks neither whether its lines were written nor, at a file without a position, for the beginning. */
static bool save_history(History *h, FILE *to)
{
    static const char beginning[] = "_HiStOrY_V2_\n";
    char found[sizeof beginning - 1];
    HistEvent event;
    return history(h, &event, H_SAVE_FP, to) >= 0 && fflush(to) == 0 && !ferror(to) && fseek(to, 0, SEEK_SET) == 0 &&
           fread(found, 1, sizeof found, to) == sizeof found && memcmp(found, beginning, sizeof found) == 0 &&
           fseek(to, 0, SEEK_SET) == 0;
}

static void keep_history(struct line_reader *r)
{
    input_remove(r->input);
    r->input = NULL;
    struct rwkv7_error err;
    FILE *const written = tmpfile(); /* libedit wants a file that has a descriptor */
    if (!written || !save_history(r->history, written))
        complain(DONE, "%s: the history cannot be written", r->history_file);
    else if (write_private(written, r->history_file, &err) != RWKV7_OK)
        report(&err);
    if (written)
        fclose(written);
}

static int edited_line(struct line_reader *r, char **text)
{
    HistEvent event;
    int length;
    /* libedit would do it behind the prompt, and who answers that quickly would type at a terminal that still makes lines of keys. */
    el_set(r->edit, EL_PREP_TERM, 1);
    const char *const line = el_gets(r->edit, &length);
    if (interrupted)
        clearerr(stdout); /* what it could not show when the signal came is no failure: out_close */
    if (!line || length <= 0)
        return DONE;
    *text = strndup(line, strcspn(line, "\n"));
    if (!*text)
        return complain(FAILED, "out of memory for the line");
    if (**text)
        history(r->history, &event, H_ENTER, *text);
    return DONE;
}

#endif

int line_open(struct line_reader **out, bool terminal, const char *history_file)
{
    struct line_reader *const r = *out = calloc(1, sizeof *r);
    if (!r)
        return complain(FAILED, "out of memory for lines");
    r->terminal = terminal;
    int code = line_input_open(&r->lines, "-");
#ifdef HAVE_LIBEDIT
    if (code == DONE && terminal)
        code = open_editor(r, history_file);
#else
    (void)history_file;
#endif
    return code;
}

void line_close(struct line_reader *r)
{
    if (!r)
        return;
#ifdef HAVE_LIBEDIT
    if (r->history_file)
        keep_history(r);
    if (r->edit)
        el_end(r->edit);
    if (r->history)
        history_end(r->history);
#endif
    line_input_close(&r->lines);
    free(r);
}

/* One line without its newline; NULL at the end and when interrupted. */
static int one_line(struct line_reader *r, const char *prompt, char **text)
{
    *text = NULL;
    r->prompt = prompt;
#ifdef HAVE_LIBEDIT
    if (r->edit)
        return edited_line(r, text);
#endif
    enum line_kind kind;
    char *line;
    size_t length;
    int code = DONE;
    if (r->terminal) {
        r->lines.closed = false; /* an end typed at a terminal is not the end for ever */
        code = out_write(prompt, strlen(prompt));
        if (code == DONE)
            code = out_flush();
    }
    if (code == DONE)
        code = line_input_next(&r->lines, true, &kind, &line, &length);
    if (code != DONE || kind == LINE_END || kind == LINE_LATER)
        return code;
    if (kind == LINE_TOO_LONG)
        return complain(FAILED, "a line of standard input is longer than %zu bytes", LINE_MOST);
    if (length > 0 && line[length - 1] == '\r')
        length--;
    r->nul = r->nul || memchr(line, '\0', length);
    *text = strndup(line, length);
    return *text ? DONE : complain(FAILED, "out of memory for the line");
}

/* Appends a line to the message, behind a newline if there is something; takes the line. */
static int join(char **message, char *line)
{
    const size_t old = *message ? strlen(*message) : 0, n = strlen(line);
    if (old + n > LINE_MOST) {
        free(line);
        return complain(FAILED, "a message of standard input is longer than %zu bytes", LINE_MOST);
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
        code = complain(MISUSED, "there is a NUL in the message, which is no text");
    if (code != DONE || interrupted) {
        free(message);
        return code;
    }
    *text = message;
    return DONE;
}
