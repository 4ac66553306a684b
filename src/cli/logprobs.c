/* logprobs.c - see logprobs.h. */
#include "cli/logprobs.h"

#include <math.h>
#include <string.h>

#include "cli/score.h"

static bool add_token(cJSON *to, const struct rwkv7_tokenizer *tokenizer, const struct distribution *d, uint32_t id)
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
    const double logprob = floor(log_probability(d, id) * 1e6 + 0.5) / 1e6;
    return ok && cJSON_AddNumberToObject(to, "id", id) && cJSON_AddStringToObject(to, "text", shown) &&
           cJSON_AddNumberToObject(to, "logprob", logprob);
}

/* The ids of the `top` greatest logits, the greatest first, of equals the lowest id first. */
static void find_top(const float *logits, int vocab, int top, uint32_t *ids)
{
    int n = 0;
    for (int id = 0; id < vocab; id++) {
        if (n == top && logits[id] <= logits[ids[n - 1]])
            continue;
        int at = n < top ? n++ : n - 1;
        for (; at > 0 && logits[ids[at - 1]] < logits[id]; at--)
            ids[at] = ids[at - 1];
        ids[at] = (uint32_t)id;
    }
}

cJSON *logprobs_json(const struct rwkv7_tokenizer *tokenizer, const float *logits, int vocab, uint32_t id, int top)
{
    const struct distribution d = distribution_of(logits, vocab);
    const int count = top < vocab ? top : vocab;
    uint32_t ids[LOGPROBS_MOST];
    cJSON *const json = cJSON_CreateObject();
    bool ok = json && add_token(json, tokenizer, &d, id);
    cJSON *const list = ok ? cJSON_AddArrayToObject(json, "top") : NULL;
    find_top(logits, vocab, count, ids);
    for (int i = 0; list && i < count && ok; i++) {
        cJSON *const token = cJSON_CreateObject();
        ok = token && cJSON_AddItemToArray(list, token) && add_token(token, tokenizer, &d, ids[i]);
    }
    if (ok && list)
        return json;
    cJSON_Delete(json);
    return NULL;
}
