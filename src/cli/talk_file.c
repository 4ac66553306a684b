/*
 * talk_file.c - conversations in files: a state file whose note holds the tokens and where each turn begins. The states before the
 * turns are not in it; they are found again from the tokens when they are wanted.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/saved.h"
#include "cli/talk.h"

/* {"tokens": [...], "unread": "...", "turns": [{"user": "...", "begin": n, "unread": "..."}]} */
static char *to_json(const struct log *log)
{
    cJSON *const json = cJSON_CreateObject();
    cJSON *const tokens = cJSON_AddArrayToObject(json, "tokens");
    for (size_t i = 0; i < log->count; i++)
        cJSON_AddItemToArray(tokens, cJSON_CreateNumber((double)log->tokens[i]));
    cJSON_AddStringToObject(json, "unread", log->unread ? log->unread : "");
    cJSON *const turns = cJSON_AddArrayToObject(json, "turns");
    for (size_t i = 0; i < log->turn_count; i++) {
        cJSON *const turn = cJSON_CreateObject();
        cJSON_AddStringToObject(turn, "user", log->turns[i].user);
        cJSON_AddNumberToObject(turn, "begin", (double)log->turns[i].begin);
        cJSON_AddStringToObject(turn, "unread", log->turns[i].unread);
        cJSON_AddItemToArray(turns, turn);
    }
    char *const text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    return text;
}

int talk_save(const struct talk *t, const char *path)
{
    struct saved saved = {0};
    /* Tokens that do not begin at the beginning of a document would not lead to this state again. */
    const bool whole = rwkv7_session_tokens(t->base) == 0 && !t->args->state;
    char *const text = whole ? to_json(&t->log) : NULL;
    if (whole && !text)
        return complain(FAILED, "%s: out of memory for the conversation", path);
    if (text)
        saved.piece[SAVED_TALK] = (struct rwkv7_note){text, strlen(text) + 1};
    const int code = saved_store(&saved, t->session, path);
    cJSON_free(text);
    return code;
}

/* A string member as a copy; NULL when there is none. */
static char *copy_string(const cJSON *object, const char *name)
{
    const char *const text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text ? strdup(text) : NULL;
}

/* Fills an empty log of `expected` tokens below `vocab`; false when the JSON is not one. */
static bool from_json(struct log *log, const cJSON *json, uint64_t expected, int vocab)
{
    const cJSON *const tokens = cJSON_GetObjectItemCaseSensitive(json, "tokens"),
                       *const turns = cJSON_GetObjectItemCaseSensitive(json, "turns"), *item;
    log->room = (size_t)cJSON_GetArraySize(tokens);
    log->turn_room = (size_t)cJSON_GetArraySize(turns);
    log->tokens = calloc(log->room + 1, sizeof *log->tokens);
    log->turns = calloc(log->turn_room + 1, sizeof *log->turns);
    log->unread = copy_string(json, "unread");
    if (!log->tokens || !log->turns || !log->unread || log->room != expected)
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
        *turn = (struct turn){.user = copy_string(item, "user"), .unread = copy_string(item, "unread")};
        if (!turn->user || !turn->unread || !(begin >= 0 && begin <= (double)log->count))
            return false;
        turn->begin = (size_t)begin;
    }
    return true;
}

int talk_load(struct talk *t, const char *path)
{
    struct saved saved;
    struct log log = {0};
    int code = saved_load(&saved, t->mark, path);
    if (code != DONE)
        return code;
    const struct rwkv7_note *const text = &saved.piece[SAVED_TALK];
    cJSON *const json = text->size > 0 ? cJSON_ParseWithLength(text->data, text->size) : NULL;
    const int vocab = rwkv7_model_info(t->engine->model)->shape.vocab;
    if (text->size > 0 && !from_json(&log, json, rwkv7_session_tokens(t->mark), vocab)) {
        code = complain(REJECTED, "%s: the conversation in it is not whole", path);
        log_clear(&log);
    } else {
        log_clear(&t->log);
        t->log = log;
        t->asked_count = 0;
        t->behind_text = text->size == 0;
        rwkv7_session_copy(t->session, t->mark);
        if (text->size > 0)
            rwkv7_session_reset(t->base);
        else
            rwkv7_session_copy(t->base, t->mark);
    }
    cJSON_Delete(json);
    saved_free(&saved);
    return code;
}
