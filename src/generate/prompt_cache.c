/* prompt_cache.c - states of prompt prefixes in a folder; see prompt_cache.h. */
#include "generate/prompt_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/status.h"

enum {
    NAME_ROOM = 64,
    PATH_ROOM = 4096,
    PLAN_ROOM = 64, /* maximum number of entries that one prompt creates */
    GAP = PROMPT_CACHE_GAP,
    GRID = 256,       /* tokens: the first of the doubling distances */
    ABANDONED = 3600, /* seconds after which an unfinished entry counts as abandoned */
};

struct entry {
    char name[NAME_ROOM];
    uint64_t hash, tokens;
    uint64_t size;
    time_t used;
};

struct entries {
    struct entry *at;
    size_t count, room;
};

/*
 * Refuses a folder that other users can write to: they could store a forged state under a prompt's
 * name.
 */
static enum rwkv7_status refuse_shared(const struct prompt_cache *c, const struct stat *st, struct rwkv7_error *err)
{
    if (st->st_uid != geteuid())
        return fail(err, RWKV7_ERR_IO, "cannot use %s for the prompt cache: it belongs to another user", c->folder);
    if (st->st_mode & (S_IWGRP | S_IWOTH))
        return fail(err, RWKV7_ERR_IO,
                    "cannot use %s for the prompt cache: other users may write to it; use chmod go-w", c->folder);
    return RWKV7_OK;
}

enum rwkv7_status prompt_cache_open(struct prompt_cache *c, const struct rwkv7_model *model, struct rwkv7_error *err)
{
    struct stat st;
    struct rwkv7_fingerprint fingerprint;
    const enum rwkv7_status status = rwkv7_model_fingerprint(model, &fingerprint, err);
    if (status != RWKV7_OK)
        return status;
    memcpy(&c->start, fingerprint.bytes, sizeof c->start);
    c->start += (uint64_t)c->math;
    if (mkdir(c->folder, 0700) != 0 && errno != EEXIST)
        return fail_errno(err, "cannot create %s for the prompt cache", c->folder);
    if (stat(c->folder, &st) == 0 && !S_ISDIR(st.st_mode))
        return fail(err, RWKV7_ERR_IO, "cannot use %s for the prompt cache: it is not a folder", c->folder);
    if (stat(c->folder, &st) != 0 || access(c->folder, R_OK | W_OK | X_OK) != 0)
        return fail_errno(err, "cannot use %s for the prompt cache", c->folder);
    return refuse_shared(c, &st, err);
}

static void warn(const struct prompt_cache *c, const char *fmt, ...) RWKV7_PRINTF(2, 3);

static void warn(const struct prompt_cache *c, const char *fmt, ...)
{
    char message[512];
    va_list list;
    if (!c->warn)
        return;
    va_start(list, fmt);
    vsnprintf(message, sizeof message, fmt, list);
    va_end(list);
    c->warn(c->warn_arg, message);
}

/* Adds a token to a hash; the multiplier is that of MurmurHash3's finalizer. */
static uint64_t hash_token(uint64_t hash, uint32_t id)
{
    hash = (hash ^ id) * 0xff51afd7ed558ccdu;
    return hash ^ hash >> 32;
}

static void path_of(const struct prompt_cache *c, const char *name, char path[PATH_ROOM])
{
    snprintf(path, PATH_ROOM, "%s/%s", c->folder, name);
}

/*
 * Returns whether the name is that of a temporary file of rwkv7_session_save(), left behind by a
 * killed writer.
 */
static bool unfinished(const char *name)
{
    int n = 0;
    return sscanf(name, "rwkv7-%*8[0-9a-f].tmp%n", &n) == 0 && n > 0 && name[n] == '\0';
}

/* Parses "HASH-TOKENS.state". Returns false if the file is not an entry. */
static bool parse_name(const char *name, struct entry *e)
{
    int n = 0;
    if (strlen(name) >= NAME_ROOM || strspn(name, "0123456789abcdef") != 16 ||
        sscanf(name, "%16" SCNx64 "-%19" SCNu64 ".state%n", &e->hash, &e->tokens, &n) != 2 || n == 0 || name[n] != '\0')
        return false;
    memcpy(e->name, name, strlen(name) + 1);
    return true;
}

static bool add(struct entries *list, const struct entry *e)
{
    if (list->count == list->room) {
        const size_t room = list->room ? 2 * list->room : 64;
        struct entry *const grown = mem_grow(list->at, list->count, room, sizeof *grown);
        if (!grown)
            return false;
        list->at = grown;
        list->room = room;
    }
    list->at[list->count++] = *e;
    return true;
}

/* Lists all entries, and removes abandoned temporary files. */
static void list_entries(const struct prompt_cache *c, struct entries *list)
{
    DIR *const folder = opendir(c->folder);
    const struct dirent *file;
    while (folder && (file = readdir(folder))) {
        struct entry e;
        struct stat st;
        char path[PATH_ROOM];
        const bool litter = unfinished(file->d_name);
        if (!litter && !parse_name(file->d_name, &e))
            continue;
        path_of(c, file->d_name, path);
        if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode))
            continue;
        e.size = (uint64_t)st.st_size;
        e.used = st.st_mtime;
        if (litter) {
            if (time(NULL) - e.used > ABANDONED)
                unlink(path);
        } else if (!add(list, &e)) {
            break;
        }
    }
    if (folder)
        closedir(folder);
}

static int by_tokens(const void *a, const void *b)
{
    const struct entry *const x = a, *const y = b;
    return (x->tokens > y->tokens) - (x->tokens < y->tokens);
}

static int by_use(const void *a, const void *b)
{
    const struct entry *const x = a, *const y = b;
    return (x->used > y->used) - (x->used < y->used);
}

/* Loads an entry if its contents match its name. */
static bool take(const struct prompt_cache *c, const struct entry *e, struct rwkv7_session *s, const uint32_t *ids)
{
    char path[PATH_ROOM];
    struct rwkv7_bytes note;
    struct rwkv7_error err;
    path_of(c, e->name, path);
    const enum rwkv7_status status = rwkv7_session_load(s, path, &note, &err);
    if (status == RWKV7_ERR_STATE) {
        warn(c, "prompt cache: %s; the entry is removed", err.message);
        unlink(path);
    } else if (status != RWKV7_OK && access(path, F_OK) == 0) {
        warn(c, "prompt cache: %s; the entry is not used", err.message);
    }
    if (status != RWKV7_OK)
        return false;
    const bool same = rwkv7_session_tokens(s) == e->tokens && note.size == e->tokens * sizeof *ids &&
                      memcmp(note.data, ids, note.size) == 0;
    rwkv7_bytes_clear(&note);
    if (!same) {
        rwkv7_session_reset(s);
        return false;
    }
    utimensat(AT_FDCWD, path, NULL, 0); /* marks the entry as recently used */
    return true;
}

size_t prompt_cache_find(const struct prompt_cache *c, struct rwkv7_session *s, const uint32_t *ids, size_t count)
{
    struct entries list = {0};
    size_t read = 0, matches = 0, found = 0;
    uint64_t hash = c->start;

    list_entries(c, &list);
    if (list.count > 0)
        qsort(list.at, list.count, sizeof *list.at, by_tokens);
    for (size_t i = 0; i < list.count && list.at[i].tokens <= count; i++) {
        while (read < list.at[i].tokens)
            hash = hash_token(hash, ids[read++]);
        if (list.at[i].hash == hash)
            list.at[matches++] = list.at[i];
    }
    while (matches > 0 && found == 0)
        if (take(c, &list.at[--matches], s, ids))
            found = (size_t)list.at[matches].tokens;
    mem_free(list.at);
    return found;
}

void prompt_cache_keep(const struct prompt_cache *c, const struct rwkv7_session *s, const uint32_t *ids, size_t count)
{
    char name[NAME_ROOM], path[PATH_ROOM];
    uint64_t hash = c->start;
    struct rwkv7_error err;
    struct stat st;
    for (size_t i = 0; i < count; i++)
        hash = hash_token(hash, ids[i]);
    snprintf(name, sizeof name, "%016" PRIx64 "-%zu.state", hash, count);
    path_of(c, name, path);
    if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode)) { /* opening a FIFO would block */
        warn(c, "prompt cache: %s: not a regular file; state not saved", path);
        return;
    }
    const struct rwkv7_bytes note = {(void *)(uintptr_t)ids, count * sizeof *ids};
    const enum rwkv7_status status = rwkv7_session_save(s, path, &note, &err);
    if (status != RWKV7_OK)
        warn(c, "prompt cache: %s", err.message);
}

void prompt_cache_trim(const struct prompt_cache *c)
{
    struct entries list = {0};
    uint64_t total = 0;
    list_entries(c, &list);
    if (list.count > 0)
        qsort(list.at, list.count, sizeof *list.at, by_use);
    for (size_t i = 0; i < list.count; i++)
        total += list.at[i].size;
    for (size_t i = 0; i < list.count && total > c->limit; i++) {
        char path[PATH_ROOM];
        path_of(c, list.at[i].name, path);
        unlink(path);
        total -= list.at[i].size;
    }
    mem_free(list.at);
}

void prompt_cache_consider(size_t place, size_t found, size_t *plan, size_t *n, size_t room)
{
    if (place < found + GAP || *n == room)
        return;
    size_t at = 0;
    while (at < *n && plan[at] <= place)
        at++;
    if ((at > 0 && place - plan[at - 1] < GAP) || (at < *n && plan[at] - place < GAP))
        return;
    memmove(plan + at + 1, plan + at, (*n - at) * sizeof *plan);
    plan[at] = place;
    ++*n;
}

size_t prompt_cache_plan(size_t found, size_t count, const size_t *marks, size_t mark_count, size_t *plan, size_t room)
{
    size_t n = 0;
    if (count == 0)
        return 0;
    for (size_t i = 0; i < mark_count; i++)
        if (marks[i] < count)
            prompt_cache_consider(marks[i], found, plan, &n, room);
    prompt_cache_consider(count - 1, found, plan, &n, room);
    for (size_t grid = GRID; 2 * grid < count; grid *= 2)
        prompt_cache_consider((count - 1 - grid) / grid * grid, found, plan, &n, room);
    return n;
}

enum rwkv7_status prompt_cache_read(const struct prompt_cache *c, struct reading *how, struct rwkv7_session *s,
                                    const uint32_t *ids, size_t count, const size_t *marks, size_t mark_count,
                                    float *logits, size_t *cached, struct rwkv7_error *err)
{
    size_t plan[PLAN_ROOM];
    /* The last token is always evaluated, for its logits. */
    size_t at = prompt_cache_find(c, s, ids, count > 0 ? count - 1 : 0);
    const size_t planned = prompt_cache_plan(at, count, marks, mark_count, plan, PLAN_ROOM);
    enum rwkv7_status status = RWKV7_OK;
    *cached = at;
    how->done += at;
    for (size_t i = 0; i <= planned && status == RWKV7_OK; i++) {
        const size_t next = i < planned ? plan[i] : count;
        status = reading_eval(how, s, ids + at, next - at, count - next, i == planned ? logits : NULL, err);
        at = next;
        if (i < planned && status == RWKV7_OK)
            prompt_cache_keep(c, s, ids, at);
    }
    if (planned > 0)
        prompt_cache_trim(c);
    return status;
}
