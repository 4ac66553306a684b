/* logprobs.c - see logprobs.h. */
#include "cli/logprobs.h"

#include <math.h>
#include <string.h>

static bool add_token(cJSON *to, const struct rwkv7_tokenizer *tokenizer, uint32_t id, double logprob)
{
    struct rwkv7_stream *stream;
    size_t length, more;
    const char *text;
    char shown[4096] = "";
    int stop;
    const uint8_t *const bytes = rwkv7_tokenizer_bytes(tokenizer, id, &length);
    if (rwkv7_stream_create(NULL, 0, &stream, NULL) != RWKV7_OK)
        return false;
    bool ok = rwkv7_stream_push(stream, bytes, length, &text, &length, &stop, NULL) == RWKV7_OK;
    if (ok)
        memcpy(shown, text, length); /* at most three times the bytes of a token, which are 1024 */
    ok = ok && rwkv7_stream_finish(stream, &text, &more, NULL) == RWKV7_OK;
    if (ok)
        memcpy(shown + length, text, more);
    rwkv7_stream_close(stream);
    return ok && cJSON_AddNumberToObject(to, "id", id) && cJSON_AddStringToObject(to, "text", shown) &&
           cJSON_AddNumberToObject(to, "logprob", floor(logprob * 1e6 + 0.5) / 1e6);
}

cJSON *logprobs_json(const struct rwkv7_tokenizer *tokenizer, const struct rwkv7_step *step)
{
    cJSON *const json = cJSON_CreateObject();
    bool ok = json && add_token(json, tokenizer, step->id, step->logprob);
    cJSON *const list = ok ? cJSON_AddArrayToObject(json, "top") : NULL;
    for (size_t i = 0; list && i < step->top_count && ok; i++) {
        cJSON *const token = cJSON_CreateObject();
        ok = token && cJSON_AddItemToArray(list, token) &&
             add_token(token, tokenizer, step->top[i].id, step->top[i].logprob);
    }
    if (ok && list)
        return json;
    cJSON_Delete(json);
    return NULL;
}
