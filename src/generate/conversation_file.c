/*
 * conversation_file.c - saves and loads conversations: a state file with a note that contains the
 * tokens and the start of each turn. The states before turns are not saved; they are computed again
 * from the tokens when needed.
 */
#include <string.h>

#include "base/json_tree.h"
#include "base/mem.h"
#include "base/status.h"
#include "generate/conversation.h"
#include "generate/saved_state.h"

/* {"tokens": [...], "unread": "...", "turns": [{"user": "...", "begin": n, "unread": "..."}]} */
static char *to_json(const struct conversation_log *log)
{
    struct json_tree t;
    cJSON *const json = json_tree_object(&t);
    cJSON *const tokens = json_add_array(&t, json, "tokens");
    for (size_t i = 0; i < log->count; i++)
        json_add_number(&t, tokens, NULL, (double)log->tokens[i]);
    json_add_string(&t, json, "unread", log->unread ? log->unread : "");
    cJSON *const turns = json_add_array(&t, json, "turns");
    for (size_t i = 0; i < log->turn_count; i++) {
        cJSON *const turn = json_add_object(&t, turns, NULL);
        json_add_string(&t, turn, "user", log->turns[i].user);
        json_add_number(&t, turn, "begin", (double)log->turns[i].begin);
        json_add_string(&t, turn, "unread", log->turns[i].unread);
    }
    return json_tree_text(&t, false);
}

enum rwkv7_status conversation_save(const struct conversation *c, const char *path, struct rwkv7_error *err)
{
    struct saved_state saved = {0};
    /* Only from the start of a document do the tokens determine the state. */
    const bool has_tokens = conversation_is_from_start(c);
    char *const text = has_tokens ? to_json(&c->log) : NULL;
    if (has_tokens && !text)
        return fail(err, RWKV7_ERR_MEMORY, "%s: out of memory for the conversation", path);
    if (c->log.unread)
        saved.piece[SAVED_SHOWN] = (struct rwkv7_bytes){c->log.unread, strlen(c->log.unread)};
    if (text)
        saved.piece[SAVED_CONVERSATION] = (struct rwkv7_bytes){text, strlen(text) + 1};
    const enum rwkv7_status status = saved_state_store(&saved, c->session, c->tokenizer, path, NULL, err);
    cJSON_free(text);
    return status;
}

/*
 * Copies a string member. Returns false if it is missing, or, with *no_memory, if memory is short.
 */
static bool copy_string(const cJSON *object, const char *name, char **out, bool *no_memory)
{
    const char *const text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    *out = text ? mem_string(text, strlen(text)) : NULL;
    *no_memory = text && !*out;
    return *out != NULL;
}

/*
 * Fills an empty log with `expected` tokens below `vocab`. Returns false if the JSON is not a
 * conversation, or, with *no_memory, if memory is short.
 */
static bool from_json(struct conversation_log *log, const cJSON *json, uint64_t expected, int vocab, bool *no_memory)
{
    const cJSON *const tokens = cJSON_GetObjectItemCaseSensitive(json, "tokens"),
                       *const turns = cJSON_GetObjectItemCaseSensitive(json, "turns"), *item;
    log->room = (size_t)cJSON_GetArraySize(tokens);
    log->turn_room = (size_t)cJSON_GetArraySize(turns);
    log->tokens = mem_alloc(log->room + 1, sizeof *log->tokens);
    log->turns = mem_alloc(log->turn_room + 1, sizeof *log->turns);
    *no_memory = !log->tokens || !log->turns;
    if (*no_memory || log->room != expected || !copy_string(json, "unread", &log->unread, no_memory))
        return false;
    cJSON_ArrayForEach(item, tokens)
    {
        const double id = cJSON_GetNumberValue(item);
        if (!(id >= 0 && id < vocab))
            return false;
        log->tokens[log->count++] = (uint32_t)id;
    }
    cJSON_ArrayForEach(item, turns)
    {
        const double begin = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(item, "begin"));
        struct turn *const turn = &log->turns[log->turn_count++];
        *turn = (struct turn){0};
        if (!copy_string(item, "user", &turn->user, no_memory) ||
            !copy_string(item, "unread", &turn->unread, no_memory) || !(begin >= 0 && begin <= (double)log->count))
            return false;
        turn->begin = (size_t)begin;
    }
    return true;
}

/*
 * Replaces the conversation with `log`; its state is in c->mark. turns: the file contained turns.
 * base_unread: the text after a state without turns; takes ownership.
 */
static void replace(struct conversation *c, const struct conversation_log *log, bool turns, char *base_unread)
{
    conversation_log_clear(&c->log);
    c->log = *log;
    mem_free(c->base_unread);
    c->base_unread = base_unread;
    c->base_is_loaded = !turns;
    c->asked_count = 0;
    c->follows_text = !turns;
    rwkv7_session_copy(c->session, c->mark);
    if (turns)
        rwkv7_session_reset(c->base);
    else
        rwkv7_session_copy(c->base, c->mark);
}

enum rwkv7_status conversation_load(struct conversation *c, const char *path, struct rwkv7_error *err)
{
    struct saved_state saved;
    struct conversation_log log = {0};
    enum rwkv7_status status = saved_state_load(&saved, c->mark, c->tokenizer, path, NULL, err);
    if (status != RWKV7_OK)
        return status;
    const struct rwkv7_bytes *const text = &saved.piece[SAVED_CONVERSATION];
    const char *end;
    bool no_memory = false;
    cJSON *const json = text->size > 0 ? json_tree_parse(text->data, text->size, &end, &no_memory) : NULL;
    const int vocab = rwkv7_model_info(c->model)->shape.vocab;
    const struct rwkv7_bytes *const shown = &saved.piece[SAVED_SHOWN];
    char *base_unread = NULL;
    if (text->size == 0 && shown->size > 0) {
        base_unread = mem_string(shown->data, shown->size);
        log.unread = mem_string(shown->data, shown->size);
        if (!base_unread || !log.unread)
            status = fail_memory(err, "the conversation");
    }
    if (status == RWKV7_OK && text->size > 0 &&
        !(json && from_json(&log, json, rwkv7_session_tokens(c->mark), vocab, &no_memory)))
        status = no_memory ? fail_memory(err, "the conversation")
                           : fail(err, RWKV7_ERR_STATE, "%s: the saved conversation is damaged", path);
    if (status == RWKV7_OK) {
        replace(c, &log, text->size > 0, base_unread);
    } else {
        conversation_log_clear(&log);
        mem_free(base_unread);
    }
    cJSON_Delete(json);
    saved_state_free(&saved);
    return status;
}
