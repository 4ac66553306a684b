/*
 * tokens.c - POST /tokenize, POST /detokenize, GET /tokenizer_info: the vocabulary, in vLLM's form
 * (prompt, tokens), which lm-evaluation-harness needs, and in llama.cpp's (content, tokens).
 */
#include <string.h>

#include "base/mem.h"
#include "server/handlers.h"
#include "server/json_body.h"

void tokenize_handler(const struct call *call, struct reply *reply)
{
    struct api_error *const e = &reply->error;
    cJSON *const json = json_body_parse(call->body, call->size, e);
    const struct fields f = {json, e};
    const char *text = NULL;
    bool special = false, pieces = false;
    uint32_t *ids = NULL;
    size_t count;
    struct rwkv7_error err;
    if (!json)
        return;
    field_string(&f, "content", &text);
    field_string(&f, "prompt", &text);
    field_bool(&f, "add_special_tokens", &special);
    field_bool(&f, "with_pieces", &pieces);
    if (!text)
        error_request(e, "prompt", "prompt: expected a string");
    if (!e->status && server_encode(call->server, text, strlen(text), ENCODE_NAMED, &ids, &count, &err) != RWKV7_OK)
        error_library(e, &err);
    if (!e->status && count > call->server->options->max_prompt)
        error_request(e, "prompt", "prompt: expected at most %llu tokens",
                      (unsigned long long)call->server->options->max_prompt);
    if (!e->status) {
        struct json_tree t;
        cJSON *const root = json_tree_object(&t);
        json_add_number(&t, root, "count", (double)count);
        json_add_number(&t, root, "max_model_len", HANDLERS_CONTEXT);
        cJSON *const tokens = json_add_array(&t, root, "tokens");
        for (size_t i = 0; i < count && !t.failed; i++) {
            cJSON *const one = pieces ? json_add_object(&t, tokens, NULL) : tokens;
            size_t size;
            json_add_number(&t, one, pieces ? "id" : NULL, ids[i]);
            if (pieces) {
                const char *const bytes = server_token_text(call->server, ids[i], &size);
                scores_add_piece(&t, one, bytes, size);
            }
        }
        reply->body = json_tree_text(&t, false);
    }
    mem_free(ids);
    cJSON_Delete(json);
}

/* Appends the text of the ids. Returns false after an error (*e). */
static bool decode(const struct call *call, const cJSON *list, struct text *out, struct api_error *e)
{
    const int64_t vocab = rwkv7_model_info(call->server->options->model)->shape.vocab;
    struct rwkv7_stream *stream;
    struct rwkv7_error err;
    const char *text;
    size_t size, length;
    int stop;
    int64_t id = 0;
    enum rwkv7_status status = rwkv7_stream_create(NULL, 0, &stream, &err);
    const cJSON *one = list->child;
    for (; one && status == RWKV7_OK && json_whole(one, 0, vocab - 1, &id); one = one->next) {
        const char *const bytes = server_token_text(call->server, (uint32_t)id, &size);
        status = rwkv7_stream_push(stream, (const uint8_t *)bytes, size, &text, &length, &stop, &err);
        if (status == RWKV7_OK)
            text_add(out, text, length);
    }
    if (status == RWKV7_OK)
        status = rwkv7_stream_finish(stream, &text, &length, &err);
    if (status == RWKV7_OK)
        text_add(out, text, length);
    rwkv7_stream_close(stream);
    if (status != RWKV7_OK)
        return error_library(e, &err);
    return !one || error_request(e, "tokens", "tokens: expected token ids from 0 to %lld", (long long)vocab - 1);
}

void detokenize_handler(const struct call *call, struct reply *reply)
{
    struct api_error *const e = &reply->error;
    cJSON *const json = json_body_parse(call->body, call->size, e);
    const struct fields f = {json, e};
    struct text text = {0};
    if (!json)
        return;
    const cJSON *const tokens = field_of(&f, "tokens");
    if (!cJSON_IsArray(tokens))
        error_request(e, "tokens", "tokens: expected a list of token ids");
    else if (decode(call, tokens, &text, e)) {
        struct json_tree t;
        cJSON *const root = json_tree_object(&t);
        json_add_text(&t, root, "prompt", text.bytes, text.size);
        json_add_text(&t, root, "content", text.bytes, text.size);
        t.failed = t.failed || text.failed;
        reply->body = json_tree_text(&t, false);
    }
    text_free(&text);
    cJSON_Delete(json);
}

void tokenizer_info_handler(const struct call *call, struct reply *reply)
{
    struct json_tree t;
    cJSON *const root = json_tree_object(&t);
    const char *const end = call->server->end_text;
    json_add_string(&t, root, "tokenizer_class", "rwkv7");
    json_add_item(&t, root, "eos_token", end ? cJSON_CreateString(end) : cJSON_CreateNull());
    json_add_item(&t, root, "bos_token", cJSON_CreateNull()); /* clients treat 0 as no id */
    json_add_item(&t, root, "pad_token", cJSON_CreateNull());
    json_add_item(&t, root, "chat_template", cJSON_CreateNull());
    reply->body = json_tree_text(&t, false);
}
