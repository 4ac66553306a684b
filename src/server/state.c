/* state.c - see state.h. */
#include "server/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/splitmix.h"
#include "generate/prompt.h"

void server_new_id(struct server *s, char digits[ID_DIGITS + 1])
{
    uint64_t state = atomic_fetch_add(&s->ids, SPLITMIX_STEP);
    snprintf(digits, ID_DIGITS + 1, "%016" PRIx64, splitmix_next(&state));
}

const char *server_token_text(const struct server *s, uint32_t id, size_t *size)
{
    const uint8_t *const bytes = rwkv7_tokenizer_bytes(s->options->tokenizer, id, size);
    if (*size == 0 && id == RWKV7_END_OF_TEXT && s->end_text) {
        *size = strlen(s->end_text);
        return s->end_text;
    }
    return (const char *)bytes;
}

enum rwkv7_status server_encode(const struct server *s, const char *text, size_t size, enum encode_start start,
                                uint32_t **ids, size_t *count, struct rwkv7_error *err)
{
    const size_t end_size = s->end_text ? strlen(s->end_text) : 0;
    const bool named =
        start == ENCODE_NAMED && end_size > 0 && size >= end_size && memcmp(text, s->end_text, end_size) == 0;
    const size_t skipped = named ? end_size : 0;
    static const uint32_t token = RWKV7_END_OF_TEXT;
    struct prompt prompt = {.tokenizer = s->options->tokenizer};
    enum rwkv7_status status = prompt_reserve(&prompt, 1, err); /* *ids must not be NULL */
    if (status == RWKV7_OK)
        status = prompt_add_tokens(&prompt, &token, named || start == ENCODE_AFTER_END, err);
    if (status == RWKV7_OK)
        status = prompt_add_text(&prompt, text + skipped, size - skipped, err);
    if (status == RWKV7_OK)
        status = prompt_end_text(&prompt, err);
    if (status == RWKV7_OK) {
        *ids = prompt.ids; /* no tokens were dropped, so begin is 0 */
        *count = prompt.end;
        prompt.ids = NULL;
    }
    prompt_free(&prompt);
    return status;
}

bool server_read_ids(const struct server *s, const cJSON *list, const char *param, uint32_t **ids, size_t *count,
                     struct api_error *e)
{
    const int64_t vocab = rwkv7_model_info(s->options->model)->shape.vocab;
    const cJSON *one;
    *count = 0;
    *ids = mem_alloc((size_t)cJSON_GetArraySize(list), sizeof **ids);
    if (!*ids)
        return error_other(e, 500, NULL, "out of memory for the prompt");
    cJSON_ArrayForEach(one, list)
    {
        int64_t id;
        if (!json_whole(one, 0, vocab - 1, &id)) {
            mem_free(*ids);
            *ids = NULL;
            return error_request(e, param, "%s: expected token ids from 0 to %lld", param, (long long)vocab - 1);
        }
        (*ids)[(*count)++] = (uint32_t)id;
    }
    return true;
}
