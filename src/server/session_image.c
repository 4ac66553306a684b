/* session_image.c - see session_image.h. */
#include "server/session_image.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/status.h"
#include "generate/saved_state.h"
#include "server/text.h"

enum { SAVED_VALUES = 4 << 20 }; /* maximum number of JSON values; each takes about 80 bytes */

/* --------------------------------------------------------------------------------------- saving */

/* Returns the session of the state, or of the position before the log. */
static const struct rwkv7_session *first_session(const struct session_text *t, const struct session_context *c)
{
    return t->state ? t->state->session : t->base ? t->base->session : c->start;
}

/* Appends the bytes of the log from `begin` on, then `unread`. */
static void add_rest(const struct session_text *t, const struct session_context *c, size_t begin, struct text *out)
{
    size_t size;
    for (size_t i = begin; i < t->count; i++) {
        const uint8_t *const bytes = rwkv7_tokenizer_bytes(c->tokenizer, t->log[i], &size);
        text_add(out, bytes, size);
    }
    if (t->unread)
        text_add_string(out, t->unread);
}

static void add_tokens(struct json_tree *t, cJSON *to, const char *name, const uint32_t *ids, size_t count)
{
    cJSON *const array = json_add_array(t, to, name);
    for (size_t i = 0; i < count && !t->failed; i++)
        json_add_number(t, array, NULL, ids[i]);
}

static void add_position(struct json_tree *t, cJSON *to, const char *unread, uint64_t history, bool gap)
{
    char digits[17];
    snprintf(digits, sizeof digits, "%016" PRIx64, history);
    json_add_string(t, to, "unread", unread ? unread : "");
    json_add_string(t, to, "history", digits);
    json_add_bool(t, to, "gap", gap);
}

/* Adds a turn as `rwkv7 chat` knows it, which must not begin after the evaluated tokens. */
static void add_turn(struct json_tree *t, cJSON *to, const struct session_turn *turn, size_t evaluated)
{
    cJSON *const one = json_add_object(t, to, NULL);
    const bool known = turn->tokens <= evaluated;
    json_add_string(t, one, "user", turn->user ? turn->user : "");
    json_add_number(t, one, "begin", (double)(known ? turn->tokens : evaluated));
    json_add_string(t, one, "unread", known && turn->unread ? turn->unread : "");
}

static char *to_json(const struct session_text *s, size_t evaluated, const struct text *rest)
{
    struct json_tree t;
    cJSON *const root = json_tree_object(&t);
    add_tokens(&t, root, "tokens", s->log, evaluated);
    json_add_text(&t, root, "unread", rest->bytes, rest->size);
    cJSON *const turns = json_add_array(&t, root, "turns"), *const own = json_add_object(&t, root, "server");
    add_tokens(&t, own, "log", s->log, s->count);
    add_position(&t, own, s->unread, s->history, s->gap);
    cJSON *const own_turns = json_add_array(&t, own, "turns");
    for (size_t i = 0; i < s->turn_count && !t.failed; i++) {
        const struct session_turn *const from = &s->turns[i];
        cJSON *const own_turn = json_add_object(&t, own_turns, NULL);
        json_add_number(&t, own_turn, "tokens", (double)from->tokens);
        add_position(&t, own_turn, from->unread, from->history, from->gap);
        json_add_string(&t, own_turn, "user", from->user ? from->user : "");
        if (s->gap) /* without a turn, the program begins the next one without a gap, too */
            add_turn(&t, turns, from, evaluated);
    }
    return json_tree_text(&t, false);
}

enum rwkv7_status session_image_save(const struct session_text *t, const struct session_context *c,
                                     struct rwkv7_bytes *image, struct rwkv7_error *err)
{
    const size_t evaluated = session_text_evaluated(t);
    struct saved_state saved = {0};
    struct text rest = {0};
    char *json = NULL;
    enum rwkv7_status status = RWKV7_OK;
    add_rest(t, c, evaluated, &rest);
    if (rest.failed)
        status = fail_memory(err, "the state");
    if (status == RWKV7_OK && !t->base && c->start_is_plain && !memchr(rest.size ? rest.bytes : "a", 0, rest.size)) {
        json = to_json(t, evaluated, &rest);
        if (!json)
            status = fail_memory(err, "the state");
    }
    if (status == RWKV7_OK) {
        saved.piece[SAVED_SHOWN] = (struct rwkv7_bytes){rest.bytes, rest.size};
        if (t->count > evaluated && !t->unread)
            saved.piece[SAVED_PENDING] =
                (struct rwkv7_bytes){t->log + evaluated, (t->count - evaluated) * sizeof *t->log};
        if (json)
            saved.piece[SAVED_CONVERSATION] = (struct rwkv7_bytes){json, strlen(json) + 1};
        status = saved_state_store(&saved, first_session(t, c), c->tokenizer, NULL, image, err);
    }
    text_free(&rest);
    cJSON_free(json);
    return status;
}

/* -------------------------------------------------------------------------------------- loading */

/* Reads from the JSON of a conversation; the first invalid member sets `bad` or `no_memory`. */
struct reader {
    int vocab;
    bool bad, no_memory;
};

static uint32_t *read_tokens(struct reader *r, const cJSON *list, size_t *count)
{
    const cJSON *item;
    *count = 0;
    r->bad = r->bad || !cJSON_IsArray(list);
    uint32_t *const ids = mem_alloc((size_t)cJSON_GetArraySize(list), sizeof *ids);
    r->no_memory = r->no_memory || !ids;
    if (r->bad || !ids) {
        mem_free(ids);
        return NULL;
    }
    cJSON_ArrayForEach(item, list)
    {
        const double id = cJSON_GetNumberValue(item);
        if (!(id >= 0 && id < r->vocab))
            r->bad = true;
        else
            ids[(*count)++] = (uint32_t)id;
    }
    return ids;
}

static char *read_string(struct reader *r, const cJSON *object, const char *name)
{
    const char *const text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    char *const copy = text && *text ? mem_string(text, strlen(text)) : NULL;
    r->bad = r->bad || !text;
    r->no_memory = r->no_memory || (text && *text && !copy);
    return copy;
}

static uint64_t read_history(const cJSON *object)
{
    const char *const digits = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "history"));
    return digits ? strtoull(digits, NULL, 16) : 0;
}

static bool read_gap(const cJSON *object, bool otherwise)
{
    const cJSON *const gap = cJSON_GetObjectItemCaseSensitive(object, "gap");
    return gap ? cJSON_IsTrue(gap) : otherwise;
}

/* Reads the turns. begin: the name of the member with the number of tokens before a turn. */
static void read_turns(struct reader *r, struct session_text *t, const cJSON *turns, const char *begin)
{
    const cJSON *turn;
    t->turns = mem_alloc((size_t)cJSON_GetArraySize(turns), sizeof *t->turns);
    r->no_memory = r->no_memory || !t->turns;
    r->bad = r->bad || !cJSON_IsArray(turns);
    cJSON_ArrayForEach(turn, turns)
    {
        if (r->bad || r->no_memory)
            break;
        const double tokens = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(turn, begin));
        struct session_turn *const to = &t->turns[t->turn_count++];
        const bool ordered = t->turn_count < 2 || tokens >= (double)to[-1].tokens;
        r->bad = r->bad || !(tokens >= 0 && tokens <= (double)t->count && ordered);
        *to = (struct session_turn){.tokens = r->bad ? 0 : (size_t)tokens, .history = read_history(turn)};
        to->unread = read_string(r, turn, "unread");
        to->user = read_string(r, turn, "user");
        to->gap = read_gap(turn, t->turn_count > 1);
    }
    t->turn_room = t->turn_count;
}

/*
 * Returns whether the conversation has no more values than the server reads. Commas and colons in
 * strings count, too.
 */
static bool is_short(const char *text, size_t size)
{
    size_t values = 0;
    for (size_t i = 0; i < size; i++)
        values += text[i] == ',' || text[i] == ':' || text[i] == '[' || text[i] == '{';
    return values <= SAVED_VALUES;
}

/* Fills *t, except for its state, from the JSON; `evaluated`: tokens of the state. */
static enum rwkv7_status read_conversation(struct session_text *t, const struct rwkv7_bytes *text, uint64_t evaluated,
                                           int vocab, struct rwkv7_error *err)
{
    struct reader r = {.vocab = vocab};
    const char *end;
    size_t count = 0;
    if (!is_short(text->data, text->size))
        return fail(err, RWKV7_ERR_STATE, "the saved conversation has more than %d values", SAVED_VALUES);
    cJSON *const json = json_tree_parse(text->data, text->size, &end, &r.no_memory);
    const cJSON *const own = cJSON_GetObjectItemCaseSensitive(json, "server");
    if (json) {
        uint32_t *const tokens = read_tokens(&r, cJSON_GetObjectItemCaseSensitive(json, "tokens"), &count);
        r.bad = r.bad || count != evaluated;
        t->log = own ? read_tokens(&r, cJSON_GetObjectItemCaseSensitive(own, "log"), &t->count) : tokens;
        if (!own)
            t->count = count;
        else if (tokens && t->log)
            r.bad = r.bad || t->count < count || memcmp(tokens, t->log, count * sizeof *tokens) != 0;
        if (t->log != tokens)
            mem_free(tokens);
        t->room = t->count;
        t->unread = read_string(&r, own ? own : json, "unread");
        t->history = read_history(own);
        if (!r.bad && !r.no_memory)
            read_turns(&r, t, cJSON_GetObjectItemCaseSensitive(own ? own : json, "turns"), own ? "tokens" : "begin");
        if (own) /* the log begins at the start of a document, before the oldest turn that was not forgotten */
            t->rootless = (t->turn_count > 0 ? t->turns[0].tokens : t->count) > 0;
        t->gap = read_gap(own, t->turn_count > 0);
        session_text_forget(t, SESSION_TURNS);
    }
    cJSON_Delete(json);
    if (r.no_memory)
        return fail_memory(err, "the state");
    return json && !r.bad ? RWKV7_OK : fail(err, RWKV7_ERR_STATE, "the saved conversation is damaged");
}

/* Fills *t, except for its state, from a state without the tokens before it. */
static enum rwkv7_status read_rest(struct session_text *t, const struct saved_state *saved,
                                   const struct session_context *c, int vocab, struct rwkv7_error *err)
{
    const struct rwkv7_bytes *const shown = &saved->piece[SAVED_SHOWN], *const pending = &saved->piece[SAVED_PENDING];
    if (!saved_state_is_consistent(saved, c->tokenizer))
        return fail(err, RWKV7_ERR_STATE, "the tokens after the state do not match its text");
    if (pending->size > 0 && saved->piece[SAVED_HELD].size == 0) {
        t->room = t->count = pending->size / sizeof *t->log;
        t->log = mem_alloc(t->count, sizeof *t->log);
        for (size_t i = 0; t->log && i < t->count; i++) {
            t->log[i] = saved_state_token(saved, i);
            if (t->log[i] >= (uint32_t)vocab)
                return fail(err, RWKV7_ERR_STATE, "a token after the state is not in the vocabulary");
        }
        return t->log ? RWKV7_OK : fail_memory(err, "the state");
    }
    if (shown->size > 0 && memchr(shown->data, 0, shown->size))
        return fail(err, RWKV7_ERR_STATE, "the text after the state contains a NUL");
    t->unread = shown->size > 0 ? mem_string(shown->data, shown->size) : NULL;
    return shown->size > 0 && !t->unread ? fail_memory(err, "the state") : RWKV7_OK;
}

/* Makes the session the state of *t. Takes ownership of it. */
static enum rwkv7_status set_state(struct session_text *t, bool is_base, struct rwkv7_session *session,
                                   const struct session_context *c, struct rwkv7_error *err)
{
    struct snapshot *const s = snapshot_create(session, c->bytes);
    if (!s) {
        rwkv7_session_close(session);
        return fail_memory(err, "the state");
    }
    *(is_base ? &t->base : &t->state) = s;
    return RWKV7_OK;
}

/* Removes what stands for the path of a file from the beginning of a message. */
static void drop_name(struct rwkv7_error *err)
{
    static const char name[] = IN_MEMORY ": ";
    const size_t size = sizeof name - 1;
    if (err && strncmp(err->message, name, size) == 0)
        memmove(err->message, err->message + size, strlen(err->message + size) + 1);
}

enum rwkv7_status session_image_load(struct session_text *t, const struct session_context *c, const void *image,
                                     size_t size, struct rwkv7_error *err)
{
    const struct rwkv7_bytes bytes = {(void *)(uintptr_t)image, size}; /* only read */
    const int vocab = rwkv7_model_info(rwkv7_session_model(c->start))->shape.vocab;
    struct rwkv7_session *session = NULL;
    struct saved_state saved = {0};
    *t = (struct session_text){0};
    enum rwkv7_status status = rwkv7_session_create(rwkv7_session_model(c->start), &session, err);
    if (status == RWKV7_OK)
        status = saved_state_load(&saved, session, c->tokenizer, NULL, &bytes, err);
    if (status == RWKV7_OK) {
        const struct rwkv7_bytes *const text = &saved.piece[SAVED_CONVERSATION];
        const bool known = text->size > 0 && c->start_is_plain;
        status = known ? read_conversation(t, text, rwkv7_session_tokens(session), vocab, err)
                       : read_rest(t, &saved, c, vocab, err);
        if (status == RWKV7_OK) {
            t->gap = t->gap || (!known && rwkv7_session_tokens(session) > 0);
            status = set_state(t, !known, session, c, err);
            session = NULL;
        }
    }
    saved_state_free(&saved);
    rwkv7_session_close(session);
    if (status != RWKV7_OK) {
        session_text_clear(t);
        drop_name(err);
    }
    return status;
}

/* Writes an upload to a temporary file that only this user can open. path: a template of mkstemp, then the name. */
static enum rwkv7_status write_temporary(const void *file, size_t size, char path[], struct rwkv7_error *err)
{
    const int fd = mkstemp(path);
    size_t done = 0;
    if (fd < 0)
        return fail_errno(err, "cannot create a temporary file");
    while (done < size) {
        const ssize_t n = write(fd, (const char *)file + done, size - done);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    const bool failed = done < size;
    if (failed) {
        fail_errno(err, "cannot write a temporary file");
        unlink(path);
    }
    close(fd);
    return failed ? RWKV7_ERR_IO : RWKV7_OK;
}

enum rwkv7_status session_image_load_tuned(struct session_text *t, const struct session_context *c, const void *file,
                                           size_t size, enum rwkv7_state_order order, struct rwkv7_error *err)
{
    const char *const folder = getenv("TMPDIR");
    char path[1024];
    struct rwkv7_session *session = NULL;
    *t = (struct session_text){0};
    snprintf(path, sizeof path, "%.900s/rwkv7-XXXXXX", folder && *folder ? folder : "/tmp");
    enum rwkv7_status status = write_temporary(file, size, path, err);
    if (status != RWKV7_OK)
        return status;
    status = rwkv7_session_create(rwkv7_session_model(c->start), &session, err);
    if (status == RWKV7_OK)
        status = rwkv7_session_load_tuned(session, path, order, err);
    unlink(path);
    if (status == RWKV7_OK)
        return set_state(t, true, session, c, err);
    rwkv7_session_close(session);
    const size_t length = strlen(path);
    if (err && strncmp(err->message, path, length) == 0 && err->message[length] == ':')
        memmove(err->message, err->message + length + 2,
                strlen(err->message + length + 1)); /* the client has no use for it */
    return status;
}

bool session_image_is_state(const void *image, size_t size)
{
    static const char magic[] = "RWKV7ST";
    return size >= sizeof magic && memcmp(image, magic, sizeof magic) == 0;
}
