/* results.c - see results.h. */
#include "cli/commands/results.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/inputs.h"
#include "cli/commands/fingerprint.h"
#include "cli/io/io.h"

#define RESULT_MOST (16 * LINE_MOST) /* bytes of a line that is read again: log probabilities take many */

/* Two programs that write to one file would write into each other's lines. The lock goes when the file is closed, however. */
static bool locked_by_another(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_SETLK, &lock) != 0 && (errno == EACCES || errno == EAGAIN);
}

/*
 * A FIFO is waited for until it has a reader. Not within open(): that would be interrupted only by a signal that comes after it has begun
 * to wait.
 */
static int open_fifo(const char *name, int flags)
{
    static const struct timespec pause = {.tv_nsec = 50000000};
    int fd;
    while ((fd = open(name, flags | O_NONBLOCK)) < 0 && errno == ENXIO && !interrupted)
        nanosleep(&pause, NULL);
    if (fd >= 0)
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
}

int results_open(struct results *r, const char *name, bool resume, bool create)
{
    struct rwkv7_error err;
    struct stat st;
    if (!name || strcmp(name, "-") == 0 || r->fd >= 0)
        return DONE;
    r->name = name;
    const bool is_fifo = stat(name, &st) == 0 && S_ISFIFO(st.st_mode);
    if (is_fifo && !create) /* signals are not caught yet, and it may have to wait for its reader */
        return DONE;
    /* Without resume it is not read: a program that could read its own FIFO would never learn that nobody else does. */
    const int flags = (resume ? O_RDWR : O_WRONLY) | O_CLOEXEC;
    r->fd = is_fifo ? open_fifo(name, flags) : open(name, flags | (create ? O_CREAT : 0), 0666);
    if (r->fd < 0 && errno == ENOENT && !create)
        return DONE;
    if (r->fd < 0 && interrupted)
        return INTERRUPTED;
    if (r->fd < 0 || fstat(r->fd, &st) != 0)
        return complain(FAILED, "cannot write to %s: %s", name, strerror(errno));
    if (input_refuse(&st, name, &err) != RWKV7_OK)
        return report(&err);
    r->regular = S_ISREG(st.st_mode);
    if (resume && !r->regular)
        return complain(FAILED, "%s: cannot be resumed: it is no regular file", name);
    if (r->regular && locked_by_another(r->fd))
        return complain(FAILED, "%s: another program writes to it", name);
    if (fstat(r->fd, &st) != 0) /* again: another program may have written and ended before the lock */
        return complain(FAILED, "cannot write to %s: %s", name, strerror(errno));
    if (r->regular && st.st_size > 0 && !resume)
        return complain(FAILED, "%s holds something already: --resume goes on with it", name);
    return DONE;
}

/* The members of a result by which it is known. */
struct result {
    double line; /* NaN when it is no result */
    bool failed; /* it has an error instead of a text */
    bool json;   /* it is JSON from its first byte, whatever follows */
    size_t size; /* bytes of that */
    char fingerprint[FINGERPRINT_ROOM];
};

static int read_result(const struct results *r, const char *text, struct result *out)
{
    const char *end;
    bool no_memory;
    cJSON *const json = json_tree_parse(text, strlen(text), &end, &no_memory);
    if (no_memory)
        return complain(FAILED, "%s: out of memory for a result", r->name);
    const char *const fingerprint = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "fingerprint"));
    *out = (struct result){.line = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(json, "line")),
                           .failed = cJSON_GetObjectItemCaseSensitive(json, "error") != NULL,
                           .json = json != NULL,
                           .size = json ? (size_t)(end - text) : 0};
    if (fingerprint && strlen(fingerprint) < sizeof out->fingerprint)
        memcpy(out->fingerprint, fingerprint, strlen(fingerprint) + 1);
    cJSON_Delete(json);
    return DONE;
}

/* Whether the result, the next one of the file, is that of the line of the input. */
static int compare(const struct results *r, const struct result *result, uint64_t number, const char *fingerprint)
{
    const unsigned long long at = (unsigned long long)r->done + 1;
    if (isnan(result->line))
        return complain(REJECTED,
                        "%s: cannot be resumed: its line %llu: expected the result of line %llu of the input, "
                        "found something else",
                        r->name, at, (unsigned long long)number);
    if (result->line != (double)number)
        return complain(REJECTED,
                        "%s: cannot be resumed: its line %llu: expected the result of line %llu of the input, "
                        "found that of line %.0f",
                        r->name, at, (unsigned long long)number, result->line);
    if (!*result->fingerprint)
        return complain(REJECTED,
                        "%s: cannot be resumed: its line %llu does not say what it was made from; "
                        "an older version of this program wrote it",
                        r->name, at);
    if (strncmp(result->fingerprint, fingerprint, FINGERPRINT_RUN) != 0)
        return complain(REJECTED,
                        "%s: cannot be resumed: its line %llu was made with another model, vocabulary or state, "
                        "other options or another version of this program",
                        r->name, at);
    if (strcmp(result->fingerprint, fingerprint) != 0)
        return complain(REJECTED, "%s: cannot be resumed: its line %llu was made from another line %llu of the input",
                        r->name, at, (unsigned long long)number);
    return DONE;
}

static bool all_zero(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] != '\0')
            return false;
    return true;
}

/* The members of a result in their order (sequence_result); some may be missing. */
static const char *const members[] = {"line",   "id",   "text",     "error",          "finish",  "prompt_tokens",
                                      "tokens", "seed", "logprobs", "prompt_seconds", "seconds", "fingerprint"};
enum { MEMBERS = sizeof members / sizeof members[0] };

/* The first byte behind a string that begins at `at` with its quote; the end of the text if it is torn. */
static const char *skip_string(const char *at)
{
    for (at++; *at && *at != '"'; at++)
        at += *at == '\\' && at[1] != '\0';
    return *at ? at + 1 : at;
}

/* Is the key at `at`, torn or not, one of the members behind the first `from`? Its index; MEMBERS: no. */
static size_t find_member(const char *at, size_t from)
{
    const char *const end = skip_string(at);
    const bool torn = end[-1] != '"' || end == at + 1;
    const size_t n = (size_t)(end - at) - 1 - !torn;
    while (from < MEMBERS && !(strncmp(at + 1, members[from], n) == 0 && (torn || members[from][n] == '\0')))
        from++;
    return from;
}

/* Are these the first bytes of a result of a line of the input behind `last`? What another program wrote is not cut off. */
static bool begins_result(const char *text, uint64_t last)
{
    static const char head[] = "{\"line\":";
    const size_t n = sizeof head - 1, written = strlen(text);
    if (written <= n)
        return strncmp(text, head, written) == 0;
    const size_t digits = strspn(text + n, "0123456789");
    const bool whole = text[n + digits] != '\0';
    if (strncmp(text, head, n) != 0 || digits > 19 ||
        (whole && (text[n + digits] != ',' || strtoull(text + n, NULL, 10) <= last)))
        return false;
    int depth = 1;
    size_t next = 1; /* member */
    bool key = true; /* a string of the outer object would be one */
    for (const char *at = text + n + digits + whole; *at;) {
        if (*at == '"' && key && depth == 1) {
            next = find_member(at, next) + 1;
            if (next > MEMBERS)
                return false;
            at = skip_string(at);
            if (*at && *at != ':')
                return false;
            key = false;
            continue;
        }
        if (*at == '"') {
            at = skip_string(at);
            continue;
        }
        if ((key && depth == 1) || *at == ' ' || *at == '\t') /* results have no white space between their members */
            return false;
        depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
        key = *at == ',' && depth == 1;
        at++;
    }
    return true;
}

/*
 * Whether this, which is no JSON, is what may be left of the result that was written last: its first bytes, and NULs where the file grew
 * before a power cut and its content did not reach the disk. NULs alone say so only behind another result.
 */
static bool is_torn(const struct results *r, const char *text, size_t length, uint64_t last)
{
    const size_t written = strlen(text);
    return (written > 0 || r->done > 0) && begins_result(text, last) && all_zero(text + written, length - written);
}

/* The next line of the input and its fingerprint; LINE_END at the end. */
static int next_fingerprint(struct line_input *in, uint64_t run, enum line_kind *kind,
                            char fingerprint[FINGERPRINT_ROOM])
{
    char *line;
    size_t length;
    const int code = line_input_next_filled(in, true, kind, &line, &length);
    if (code == DONE && (*kind == LINE_READY || *kind == LINE_TOO_LONG))
        fingerprint_text(run, line, *kind == LINE_TOO_LONG ? 0 : length, fingerprint);
    return code;
}

/* Goes over the results of the file; *end: bytes of those; *ended: the last one has its newline. */
static int read_results(struct results *r, uint64_t run, struct line_input *file, struct line_input *in, off_t *end,
                        bool *ended)
{
    enum line_kind kind, kind_in;
    char *text, fingerprint[FINGERPRINT_ROOM] = "";
    size_t length;
    struct result result;
    int code;
    for (;;) {
        code = line_input_next(file, true, &kind, &text, &length);
        if (code != DONE || kind == LINE_END || kind == LINE_LATER)
            return code;
        if (kind == LINE_TOO_LONG)
            return complain(FAILED, "%s: cannot be resumed: its line %llu is longer than %zu bytes", r->name,
                            (unsigned long long)r->done + 1, file->most);
        *ended = file->bytes > (uint64_t)*end + length;
        code = read_result(r, text, &result);
        if (code == DONE && !*ended && !result.json && is_torn(r, text, length, in->number)) {
            *ended = true;
            return DONE;
        }
        if (code == DONE)
            code = next_fingerprint(in, run, &kind_in, fingerprint);
        if (code != DONE)
            return code;
        if (kind_in == LINE_END && !interrupted)
            return complain(REJECTED,
                            "%s: cannot be resumed: it has more results than the input has lines, expected "
                            "%llu, found line %llu",
                            r->name, (unsigned long long)r->done, (unsigned long long)r->done + 1);
        if (interrupted)
            return INTERRUPTED;
        /* Only what has no newline may have NULs: they are where the newline did not reach the disk. */
        if ((*ended ? strlen(text) < length : !all_zero(text + result.size, length - result.size)))
            result.line = NAN;
        code = compare(r, &result, in->number, fingerprint);
        if (code != DONE)
            return code;
        r->done++;
        r->failed += result.failed;
        *end = *ended ? (off_t)file->bytes : *end + (off_t)result.size;
    }
}

int results_resume(struct results *r, uint64_t run, struct line_input *in)
{
    /* Through the descriptor that is open: to close another one of the same file would end the lock. */
    struct line_input file = {.in = {.name = r->name, .fd = r->fd, .begun = true}, .most = RESULT_MOST};
    off_t end = 0;
    bool ended = true;
    int code = read_results(r, run, &file, in, &end, &ended);
    file.in.fd = -1;
    line_input_close(&file);
    if (code == DONE && interrupted) /* not all of it was read, and nothing is to be cut off */
        code = INTERRUPTED;
    if (code == DONE && (ftruncate(r->fd, end) != 0 || lseek(r->fd, end, SEEK_SET) < 0))
        return complain(FAILED, "cannot write to %s: %s", r->name, strerror(errno));
    return code == DONE && !ended ? results_write(r, "\n", 1) : code;
}

int results_write(const struct results *r, const char *line, size_t length)
{
    if (!r->name) {
        const int code = out_write(line, length);
        return code == DONE ? out_flush() : code;
    }
    size_t written;
    switch (io_write(r->fd, line, length, &written)) {
    case IO_DONE:
        return DONE;
    case IO_INTERRUPTED:
        return INTERRUPTED;
    case IO_FAILED:
        break;
    }
    return complain(FAILED, "cannot write to %s: %s", r->name, strerror(errno));
}

int results_close(struct results *r, int code)
{
    const bool lost = r->fd >= 0 && close(r->fd) != 0 && errno != EINTR;
    r->fd = -1;
    return lost && code == DONE ? complain(FAILED, "cannot write to %s: %s", r->name, strerror(errno)) : code;
}
