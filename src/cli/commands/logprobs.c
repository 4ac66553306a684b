/* logprobs.c - see logprobs.h. */
#include "cli/commands/logprobs.h"

#include <string.h>

#include "base/json_tree.h"

static void add_token(struct json_tree *t, cJSON *to, const struct rwkv7_tokenizer *tokenizer, uint32_t id,
                      double logprob)
{
    struct rwkv7_stream *stream;
    size_t length, more;
    const char *text;
    char shown[4096] = "";
    int stop;
    const uint8_t *const bytes = rwkv7_tokenizer_bytes(tokenizer, id, &length);
    bool ok = rwkv7_stream_create(NULL, 0, &stream, NULL) == RWKV7_OK;
    ok = ok && rwkv7_stream_push(stream, bytes, length, &text, &length, &stop, NULL) == RWKV7_OK;
    if (ok)
        memcpy(shown, text, length); /* at most three times the bytes of a token, which are 1024 */
    ok = ok && rwkv7_stream_finish(stream, &text, &more, NULL) == RWKV7_OK;
    if (ok)
        memcpy(shown + length, text, more);
    rwkv7_stream_close(stream);
    t->failed = t->failed || !ok;
    json_add_number(t, to, "id", id);
    json_add_string(t, to, "text", shown);
    json_add_micros(t, to, "logprob", logprob);
}

void logprobs_add(struct json_tree *t, const struct rwkv7_tokenizer *tokenizer, const struct rwkv7_step *step)
{
    cJSON *const json = json_add_object(t, t->root ? t->root : json_tree_array(t), NULL);
    add_token(t, json, tokenizer, step->id, step->logprob);
    cJSON *const list = json_add_array(t, json, "top");
    for (size_t i = 0; i < step->top_count; i++)
        add_token(t, json_add_object(t, list, NULL), tokenizer, step->top[i].id, step->top[i].logprob);
}
