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
#include "base/json_tree.h"
#include "cli/commands/fingerprint.h"
#include "cli/io/io.h"
#include "cli/io/messages.h"
#include "cli/io/output.h"
#include "cli/io/signals.h"
#include "cli/io/target.h"

#define RESULT_MOST (16 * LINE_MOST) /* bytes of a result line; log probabilities make them long */

/*
 * Locks the file, so that two programs cannot mix their lines. Returns whether another program
 * holds the lock. Closing any descriptor of the file in this process releases it.
 */
static bool locked_by_another(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_SETLK, &lock) != 0 && (errno == EACCES || errno == EAGAIN);
}

int results_open(struct results *r, const char *name, bool resume, bool create)
{
    struct rwkv7_error err;
    struct stat st;
    if (!name || strcmp(name, "-") == 0 || r->fd >= 0)
        return DONE;
    r->name = name;
    const bool is_fifo = stat(name, &st) == 0 && S_ISFIFO(st.st_mode);
    if (is_fifo && !create) /* opening may block, and signals are not caught yet */
        return DONE;
    /*
     * Write-only unless resuming: with a FIFO open for reading too, EPIPE would never be reported.
     */
    const int flags = (resume ? O_RDWR : O_WRONLY) | O_CLOEXEC;
    r->fd = is_fifo ? fifo_open(name, flags) : open(name, flags | (create ? O_CREAT : 0), 0666);
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
        return complain(FAILED, "%s: cannot be resumed: not a regular file", name);
    if (r->regular && locked_by_another(r->fd))
        return complain(FAILED, "%s: locked by another program that is writing to it", name);
    if (fstat(r->fd, &st) != 0) /* stat again: another program may have written before the lock */
        return complain(FAILED, "cannot write to %s: %s", name, strerror(errno));
    if (r->regular && st.st_size > 0 && !resume)
        return complain(FAILED, "%s: not empty; use --resume to continue it", name);
    return DONE;
}

/* A parsed line of the file. */
struct result {
    double line; /* NaN: not a result */
    bool failed; /* an error instead of a text */
    bool json;   /* the line starts with a JSON value */
    size_t size; /* bytes of that value */
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

/* Checks that the next result of the file belongs to this line of the input. */
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
                        "%s: cannot be resumed: its line %llu has no fingerprint; "
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

/* The members of a result in the order of sequence_result(); some are optional. */
static const char *const members[] = {"line",   "id",   "text",     "error",          "finish",  "prompt_tokens",
                                      "tokens", "seed", "logprobs", "prompt_seconds", "seconds", "fingerprint"};
enum { MEMBERS = sizeof members / sizeof members[0] };

/*
 * Returns the end of the string whose opening quote is at `at`; the end of the text if truncated.
 */
static const char *skip_string(const char *at)
{
    for (at++; *at && *at != '"'; at++)
        at += *at == '\\' && at[1] != '\0';
    return *at ? at + 1 : at;
}

/*
 * The index, at least `from`, of the member whose key, perhaps truncated, is at `at`; MEMBERS:
 * none.
 */
static size_t find_member(const char *at, size_t from)
{
    const char *const end = skip_string(at);
    const bool torn = end[-1] != '"' || end == at + 1;
    const size_t n = (size_t)(end - at) - 1 - !torn;
    while (from < MEMBERS && !(strncmp(at + 1, members[from], n) == 0 && (torn || members[from][n] == '\0')))
        from++;
    return from;
}

/*
 * Returns whether the text is the start of a result for an input line after `last`. Only such text
 * may be truncated; text of other programs is kept.
 */
static bool begins_result(const char *text, uint64_t last)
{
    static const char head[] = "{\"line\":";
    const size_t n = sizeof head - 1, written = strlen(text);
    if (written <= n)
        return strncmp(text, head, written) == 0;
    const size_t digits = strspn(text + n, "0123456789");
    const bool has_number = text[n + digits] != '\0'; /* complete */
    if (strncmp(text, head, n) != 0 || digits > 19 ||
        (has_number && (text[n + digits] != ',' || strtoull(text + n, NULL, 10) <= last)))
        return false;
    int depth = 1;
    size_t next = 1; /* index of the first member that may follow */
    bool key = true; /* a string of the outer object is a key here */
    for (const char *at = text + n + digits + has_number; *at;) {
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
        /* Results have no white space between their members. */
        if ((key && depth == 1) || *at == ' ' || *at == '\t')
            return false;
        depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
        key = *at == ',' && depth == 1;
        at++;
    }
    return true;
}

/*
 * Returns whether a last line that is not JSON is a partially written result: its first bytes, then
 * perhaps NULs. NULs appear if a power failure came after the file had grown but before its data
 * reached the disk. NULs alone count only after another result.
 */
static bool is_torn(const struct results *r, const char *text, size_t length, uint64_t last)
{
    const size_t written = strlen(text);
    return (written > 0 || r->done > 0) && begins_result(text, last) && all_zero(text + written, length - written);
}

/* Reads the next line of the input and computes its fingerprint; LINE_END at the end. */
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

/* Checks the results in the file. *end: their size in bytes; *ended: the last one has a newline. */
static int read_results(struct results *r, uint64_t run, struct line_input *file, struct line_input *in, off_t *end,
                        bool *ended)
{
    enum line_kind kind, kind_in;
    char *text, fingerprint[FINGERPRINT_ROOM] = "";
    size_t length;
    struct result result = {0};
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
        /* NULs are allowed only at the end of a line without newline, in place of the newline. */
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
    /* Uses the open descriptor: closing another one of the same file would release the lock. */
    struct line_input file = {.in = {.name = r->name, .fd = r->fd, .begun = true}, .most = RESULT_MOST};
    off_t end = 0;
    bool ended = true;
    int code = read_results(r, run, &file, in, &end, &ended);
    file.in.fd = -1;
    line_input_close(&file);
    if (code == DONE && interrupted) /* the file was not read completely: do not truncate it */
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
