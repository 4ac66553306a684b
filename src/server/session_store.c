/* session_store.c - see session_store.h. */
#include "server/session_store.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/out_file.h"
#include "base/status.h"
#include "base/sys.h"
#include "server/session_folder.h"

enum {
    PATH_ROOM = 4096,
    DROPPED_NAMES = 4096,
    ENTRY_BYTES = 1024, /* what an entry costs beside its text: a copy may have no bytes of its own */
};

struct entry {
    char id[SESSION_ID + 1];
    struct session_text text;
    bool taken;
    bool created;               /* by the request that took it; nobody else sees it yet */
    bool changed;               /* differs from its file */
    bool dropped;               /* only the name is left */
    bool answer;                /* it never changes, and has no file */
    struct session_intro intro; /* of an answer */
    struct entry *next;         /* the next less recently used one */
};

struct session_store {
    struct session_context context;
    uint64_t limit, state_bytes; /* state_bytes: of one state */
    const char *folder;          /* NULL: none */
    void (*warn)(void *arg, const char *line);
    void *arg;
    atomic_uint_least64_t snapshot_bytes;
    atomic_uint_least64_t text_bytes; /* with ENTRY_BYTES of each entry that is not dropped */
    atomic_size_t count;              /* texts in memory, as of the last unlock */

    pthread_mutex_t lock; /* protects the rest */
    struct entry *newest;
    uint64_t answers; /* entries that are answers */
};

bool session_id_is_valid(const char *id)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const size_t size = strlen(id);
    return size >= 1 && size <= SESSION_ID && strspn(id, allowed) == size && strcmp(id, ".") != 0 &&
           strcmp(id, "..") != 0;
}

static bool check_id(const char *id, struct api_error *e)
{
    return session_id_is_valid(id) ||
           error_request(e, "id", "expected a name of 1 to %d letters, digits, '.', '_' and '-'", SESSION_ID);
}

static void warn(const struct session_store *s, const char *id, const char *what, const char *why)
{
    char line[512];
    snprintf(line, sizeof line, "the session '%s' %s%s%s", id, what, why ? ": " : "", why ? why : "");
    if (s->warn)
        s->warn(s->arg, line);
}

/* ---------------------------------------------------------------------------------------- files */

static void path_of(const struct session_store *s, const char *id, char path[PATH_ROOM])
{
    snprintf(path, PATH_ROOM, "%s/%s.state", s->folder, id);
}

static bool has_file(const struct session_store *s, const char *id)
{
    char path[PATH_ROOM];
    struct stat st;
    if (!s->folder)
        return false;
    path_of(s, id, path);
    return lstat(path, &st) == 0;
}

static enum rwkv7_status save(const struct session_store *s, const struct entry *en, struct rwkv7_error *err)
{
    char path[PATH_ROOM];
    struct rwkv7_bytes image = {0};
    struct out_file out = {0};
    struct stat st;
    path_of(s, en->id, path);
    enum rwkv7_status status = session_image_save(&en->text, &s->context, &image, err);
    if (status == RWKV7_OK && stat(path, &st) == 0 && !S_ISREG(st.st_mode)) /* a pipe would block */
        status = fail(err, RWKV7_ERR_IO, "%s: expected a regular file", path);
    if (status == RWKV7_OK)
        status = out_file_open_private(path, &out, err);
    if (status == RWKV7_OK)
        status = out_file_write(&out, image.data, image.size, err);
    if (status == RWKV7_OK)
        status = out_file_commit(&out, err);
    out_file_abort(&out);
    rwkv7_bytes_clear(&image);
    return status;
}

static bool load(const struct session_store *s, const char *id, struct session_text *out, struct api_error *e)
{
    char path[PATH_ROOM];
    struct file_map map;
    struct rwkv7_error err;
    path_of(s, id, path);
    enum rwkv7_status status = file_map_open_replaceable(path, &map, &err);
    if (status != RWKV7_OK) {
        warn(s, id, "cannot be loaded", err.message);
        return error_other(e, 500, "state_unreadable", "the file of the state '%s' cannot be read", id);
    }
    status = session_image_load(out, &s->context, map.data, map.size, &err);
    file_map_close(&map);
    if (status == RWKV7_OK)
        return true;
    warn(s, id, "cannot be loaded", err.message);
    if (status == RWKV7_ERR_STATE)
        return error_other(e, 400, "invalid_state", "the file of the state '%s': %s", id, err.message);
    return error_library(e, &err);
}

/* -------------------------------------------------------------------------------------- entries */

static void clear_text(struct session_store *s, struct entry *en)
{
    atomic_fetch_sub(&s->text_bytes, session_text_bytes(&en->text));
    session_text_clear(&en->text);
}

static void set_text(struct session_store *s, struct entry *en, struct session_text *text)
{
    clear_text(s, en);
    en->text = *text;
    *text = (struct session_text){0};
    atomic_fetch_add(&s->text_bytes, session_text_bytes(&en->text));
}

static struct entry *find(struct session_store *s, const char *id)
{
    struct entry *en = s->newest;
    while (en && strcmp(en->id, id) != 0)
        en = en->next;
    return en;
}

static void unlink_entry(struct session_store *s, const struct entry *en)
{
    struct entry **at = &s->newest;
    while (*at != en)
        at = &(*at)->next;
    *at = en->next;
}

/* Frees a text. Only the name is left. */
static void drop(struct session_store *s, struct entry *en)
{
    clear_text(s, en);
    if (!en->dropped)
        atomic_fetch_sub(&s->text_bytes, ENTRY_BYTES);
    en->dropped = true;
}

static void undrop(struct session_store *s, struct entry *en)
{
    if (en->dropped)
        atomic_fetch_add(&s->text_bytes, ENTRY_BYTES);
    en->dropped = false;
}

static void remove_entry(struct session_store *s, struct entry *en)
{
    unlink_entry(s, en);
    drop(s, en);
    s->answers -= en->answer;
    mem_free(en);
}

static void use(struct session_store *s, struct entry *en)
{
    unlink_entry(s, en);
    en->next = s->newest;
    s->newest = en;
}

static struct entry *add(struct session_store *s, const char *id, struct api_error *e)
{
    struct entry *const en = mem_alloc(1, sizeof *en);
    if (!en) {
        error_other(e, 500, NULL, "out of memory for the state");
        return NULL;
    }
    snprintf(en->id, sizeof en->id, "%s", id);
    atomic_fetch_add(&s->text_bytes, ENTRY_BYTES);
    en->next = s->newest;
    s->newest = en;
    return en;
}

/* Frees the memory of a text. Its file, or at least its name, stays, unless it is an answer. */
static void put_away(struct session_store *s, struct entry *en)
{
    struct rwkv7_error err;
    bool kept = en->answer || (s->folder && !en->changed);
    if (!kept && s->folder) {
        kept = save(s, en, &err) == RWKV7_OK;
        if (!kept)
            warn(s, en->id, "is dropped, because it cannot be saved", err.message);
    }
    if (kept) {
        remove_entry(s, en);
        return;
    }
    drop(s, en);
}

/* Returns the least recently used answer, or other text that is in memory and not taken; NULL: none. */
static struct entry *oldest(struct session_store *s, bool answer)
{
    struct entry *found = NULL;
    for (struct entry *en = s->newest; en; en = en->next)
        if (en->answer == answer && !en->taken && !en->dropped)
            found = en;
    return found;
}

/* Returns the entry whose memory is freed next; NULL: there is none. */
static struct entry *victim(struct session_store *s)
{
    const bool answer = s->answers * s->state_bytes > s->limit / 2;
    struct entry *const found = oldest(s, answer);
    return found ? found : oldest(s, !answer);
}

/* Forgets the oldest names of dropped texts. */
static void trim_names(struct session_store *s)
{
    size_t names = 0;
    for (struct entry *en = s->newest, *next; en; en = next) {
        next = en->next;
        names += en->dropped;
        if (en->dropped && names > DROPPED_NAMES)
            remove_entry(s, en);
    }
}

static void trim(struct session_store *s)
{
    struct entry *en;
    while (session_store_bytes(s) > s->limit && (en = victim(s)))
        if (!session_text_drop_states(&en->text, 0))
            put_away(s, en);
    trim_names(s);
}

/* Returns the entry of a text, loaded if necessary; NULL: see *e. */
static struct entry *fetch(struct session_store *s, const char *id, bool create, struct api_error *e)
{
    struct entry *en = find(s, id);
    struct session_text text = {0};
    if (en && en->dropped) {
        error_other(e, 404, "session_dropped", "the session '%s' was dropped to save memory (--state-ram, --state-dir)",
                    id);
        return NULL;
    }
    if (en && en->created && !create) /* another request is creating it */
        en = NULL;
    else if (en)
        return en;
    const bool loadable = has_file(s, id);
    if (loadable && !load(s, id, &text, e))
        return NULL;
    if (!loadable && !create) {
        error_other(e, 404, "state_not_found", "there is no state '%s'", id);
        return NULL;
    }
    en = add(s, id, e);
    if (!en) {
        session_text_clear(&text);
        return NULL;
    }
    en->created = !loadable;
    set_text(s, en, &text);
    return en;
}

/* Unlocks the store after a change. */
static void unlock(struct session_store *s)
{
    size_t count = 0;
    for (const struct entry *en = s->newest; en; en = en->next)
        count += !en->dropped && !en->created;
    atomic_store(&s->count, count);
    pthread_mutex_unlock(&s->lock);
}

/* ------------------------------------------------------------------------------------ interface */

static bool refuse_answer(const char *id, struct api_error *e)
{
    return error_request(e, "id", "'%s' is an answer, which cannot be changed; see previous_response_id", id);
}

static bool copy_text(struct session_text *out, const struct entry *en, struct api_error *e)
{
    return session_text_copy(out, &en->text) || error_other(e, 500, NULL, "out of memory for the state");
}

bool session_store_get(struct session_store *s, const char *id, struct session_text *out, struct api_error *e)
{
    *out = (struct session_text){0};
    if (!check_id(id, e))
        return false;
    pthread_mutex_lock(&s->lock);
    struct entry *const en = fetch(s, id, false, e);
    const bool found = en && copy_text(out, en, e);
    if (found) {
        use(s, en);
        trim(s);
    }
    unlock(s);
    return found;
}

bool session_store_take(struct session_store *s, const char *id, bool create, struct session_text *out, bool *created,
                        struct api_error *e)
{
    *out = (struct session_text){0};
    if (!check_id(id, e))
        return false;
    pthread_mutex_lock(&s->lock);
    struct entry *const en = fetch(s, id, create, e);
    bool taken = false;
    if (en && en->taken)
        error_other(e, 409, "session_busy", "the session '%s' is in use by another request", id);
    else if (en && en->answer)
        refuse_answer(id, e);
    else if (en && copy_text(out, en, e))
        taken = en->taken = true;
    else if (en && en->created)
        remove_entry(s, en);
    if (taken) {
        use(s, en);
        trim(s);
    }
    if (taken && created)
        *created = en->created;
    unlock(s);
    return taken;
}

void session_store_return(struct session_store *s, const char *id, struct session_text *text)
{
    pthread_mutex_lock(&s->lock);
    struct entry *const en = find(s, id);
    en->taken = false;
    if (text) {
        set_text(s, en, text);
        en->created = false;
        en->changed = true;
        use(s, en);
    } else if (en->created) {
        remove_entry(s, en);
    }
    trim(s);
    unlock(s);
}

bool session_store_put(struct session_store *s, const char *id, bool must_be_new, struct session_text *text,
                       struct api_error *e)
{
    bool stored = false;
    if (check_id(id, e)) {
        pthread_mutex_lock(&s->lock);
        struct entry *en = find(s, id);
        if (en && en->taken)
            error_other(e, 409, "session_busy", "the session '%s' is in use by another request", id);
        else if (en && en->answer)
            refuse_answer(id, e);
        else if (must_be_new && ((en && !en->dropped) || has_file(s, id)))
            error_request(e, "to", "there is a state '%s' already", id);
        else if (en || (en = add(s, id, e))) {
            set_text(s, en, text);
            en->changed = true;
            en->created = false;
            undrop(s, en);
            use(s, en);
            trim(s);
            stored = true;
        }
        unlock(s);
    }
    session_text_clear(text);
    return stored;
}

bool session_store_delete(struct session_store *s, const char *id, struct api_error *e)
{
    char path[PATH_ROOM];
    if (!check_id(id, e))
        return false;
    pthread_mutex_lock(&s->lock);
    struct entry *const en = find(s, id);
    const bool on_disk = has_file(s, id);
    if (en && en->taken)
        error_other(e, 409, "session_busy", "the session '%s' is in use by another request", id);
    else if (!en && !on_disk)
        error_other(e, 404, "state_not_found", "there is no state '%s'", id);
    if (!e->status && on_disk) {
        path_of(s, id, path);
        if (unlink(path) != 0)
            error_other(e, 500, NULL, "the file of the state '%s' cannot be removed", id);
    }
    if (!e->status && en)
        remove_entry(s, en);
    unlock(s);
    return e->status == 0;
}

/* --------------------------------------------------------------------------------------- answers */

/* Returns an answer; NULL: see *e, with this code. */
static struct entry *find_answer(struct session_store *s, const char *id, const char *code, struct api_error *e)
{
    struct entry *const en = find(s, id);
    if (en && en->answer)
        return en;
    error_other(e, 404, code, "there is no stored answer '%s': it was deleted, or dropped to save memory", id);
    return NULL;
}

bool session_store_put_answer(struct session_store *s, const char *id, const struct session_text *text,
                              const struct session_intro *intro, struct api_error *e)
{
    struct session_text copy;
    if (!session_text_copy(&copy, text))
        return error_other(e, 500, NULL, "out of memory for the answer's state");
    session_text_root(&copy);
    pthread_mutex_lock(&s->lock);
    struct entry *en = find(s, id);
    if (en)
        error_other(e, 409, NULL, "there is a state '%s' already", id);
    else if ((en = add(s, id, e))) {
        en->answer = true;
        en->intro = *intro;
        s->answers++;
        set_text(s, en, &copy);
        trim(s);
    }
    unlock(s);
    session_text_clear(&copy);
    return e->status == 0;
}

bool session_store_get_answer(struct session_store *s, const char *id, struct session_text *out,
                              struct session_intro *intro, struct api_error *e)
{
    *out = (struct session_text){0};
    pthread_mutex_lock(&s->lock);
    struct entry *const en = find_answer(s, id, "previous_response_not_found", e);
    const bool found = en && copy_text(out, en, e);
    if (found) {
        *intro = en->intro;
        use(s, en);
    }
    unlock(s);
    return found;
}

bool session_store_delete_answer(struct session_store *s, const char *id, struct api_error *e)
{
    pthread_mutex_lock(&s->lock);
    struct entry *const en = find_answer(s, id, "response_not_found", e);
    if (en)
        remove_entry(s, en);
    unlock(s);
    return en != NULL;
}

/* ------------------------------------------------------------------------------------------ lists */

/* Shows the files of texts that are not in memory. */
static void list_files(struct session_store *s, void (*show)(void *arg, const struct session_info *info), void *arg)
{
    static const char ending[] = ".state";
    DIR *const folder = s->folder ? opendir(s->folder) : NULL;
    const struct dirent *file;
    while (folder && (file = readdir(folder))) {
        char id[SESSION_ID + 1], path[PATH_ROOM];
        const size_t size = strlen(file->d_name);
        struct stat st;
        if (size < sizeof ending || size - strlen(ending) > SESSION_ID ||
            strcmp(file->d_name + size - strlen(ending), ending) != 0)
            continue;
        snprintf(id, sizeof id, "%.*s", (int)(size - strlen(ending)), file->d_name);
        path_of(s, id, path);
        if (!session_id_is_valid(id) || find(s, id) || stat(path, &st) != 0 || !S_ISREG(st.st_mode))
            continue;
        show(arg, &(struct session_info){.id = id, .bytes = (uint64_t)st.st_size, .on_disk = true});
    }
    if (folder)
        closedir(folder);
}

void session_store_list(struct session_store *s, void (*show)(void *arg, const struct session_info *info), void *arg)
{
    pthread_mutex_lock(&s->lock);
    for (const struct entry *en = s->newest; en; en = en->next) {
        const struct session_info info = {
            .id = en->id, .tokens = session_text_tokens(&en->text), .turns = en->text.turn_count, .busy = en->taken};
        if (!en->dropped && !en->created)
            show(arg, &info);
    }
    list_files(s, show, arg);
    pthread_mutex_unlock(&s->lock);
}

size_t session_store_count(const struct session_store *s)
{
    return atomic_load(&s->count);
}

uint64_t session_store_bytes(const struct session_store *s)
{
    return atomic_load(&s->snapshot_bytes) + atomic_load(&s->text_bytes);
}

const struct session_context *session_store_context(const struct session_store *s)
{
    return &s->context;
}

enum rwkv7_status session_store_open(const struct server_options *o, struct session_store **out,
                                     struct rwkv7_error *err)
{
    const uint64_t state = rwkv7_model_info(o->model)->session_bytes;
    const uint64_t megabytes = (2 * state >> 20) + 1;
    if (o->state_ram < 2 * state)
        return fail(err, RWKV7_ERR_USAGE, "--state-ram: expected at least %llu MB, for two states of this model",
                    (unsigned long long)megabytes);
    if (o->state_dir && strlen(o->state_dir) > PATH_ROOM - SESSION_ID - 16)
        return fail(err, RWKV7_ERR_USAGE, "--state-dir: the name is too long");
    const enum rwkv7_status status = o->state_dir ? session_folder_open(o->state_dir, err) : RWKV7_OK;
    if (status != RWKV7_OK)
        return status;
    struct session_store *const s = mem_alloc(1, sizeof *s);
    if (!s)
        return fail_memory(err, "the states");
    s->context = (struct session_context){.start = o->start,
                                          .start_is_plain = !o->start_is_tuned,
                                          .tokenizer = o->tokenizer,
                                          .bytes = &s->snapshot_bytes};
    s->limit = o->state_ram;
    s->state_bytes = state;
    s->folder = o->state_dir;
    s->warn = o->warn;
    s->arg = o->arg;
    pthread_mutex_init(&s->lock, NULL);
    *out = s;
    return RWKV7_OK;
}

void session_store_close(struct session_store *s)
{
    struct rwkv7_error err;
    if (!s)
        return;
    for (const struct entry *en = s->newest; s->folder && en; en = en->next)
        if (en->changed && !en->dropped && save(s, en, &err) != RWKV7_OK)
            warn(s, en->id, "cannot be saved", err.message);
    while (s->newest)
        remove_entry(s, s->newest);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}
