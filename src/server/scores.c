/* scores.c - see scores.h. */
#include "server/scores.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <utf8proc.h>

#include "base/c_numbers.h"
#include "base/mem.h"

void scores_add(struct scores *s, struct score score, const struct rwkv7_logprob *top, size_t top_count)
{
    if (s->failed)
        return;
    if (s->count == s->room) {
        size_t room, tops, old_tops;
        struct score *at = NULL;
        struct rwkv7_logprob *grown = NULL;
        const bool fits = size_mul(s->room + 16, 2, &room) && size_mul(room, s->width, &tops) &&
                          size_mul(s->room, s->width, &old_tops);
        if (fits && (at = mem_grow(s->at, s->count, room, sizeof *at)))
            s->at = at;
        if (at && (grown = mem_grow(s->top, old_tops, tops, sizeof *grown)))
            s->top = grown;
        if (!grown) {
            s->failed = true;
            return;
        }
        s->room = room;
    }
    s->at[s->count] = score;
    for (size_t i = 0; i < s->width; i++) /* pad with NaN, which is not shown */
        s->top[s->count * s->width + i] = i < top_count ? top[i] : (struct rwkv7_logprob){0, (double)NAN};
    s->count++;
}

void scores_clear(struct scores *s)
{
    s->count = 0;
}

void scores_free(struct scores *s)
{
    mem_free(s->at);
    mem_free(s->top);
    *s = (struct scores){0};
}

/* ------------------------------------------------------------------------------------- printing */

static bool is_utf8(const char *text, size_t size)
{
    utf8proc_int32_t c;
    for (size_t at = 0; at < size;) {
        const utf8proc_ssize_t n =
            utf8proc_iterate((const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(size - at), &c);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

/*
 * Appends the text of a token as a JSON string. An incomplete character becomes "bytes:\xe4\xbd",
 * as in OpenAI's API. With U+FFFD instead, different tokens would have equal keys.
 */
static void add_token(struct text *out, const char *text, size_t size)
{
    struct text bytes = {0};
    if (is_utf8(text, size)) {
        text_add_json(out, text, size);
        return;
    }
    text_add_string(&bytes, "bytes:");
    for (size_t i = 0; i < size; i++) {
        char escape[8];
        snprintf(escape, sizeof escape, "\\x%02x", (unsigned char)text[i]);
        text_add_string(&bytes, escape);
    }
    text_add_json(out, bytes.bytes, bytes.size);
    out->failed = out->failed || bytes.failed;
    text_free(&bytes);
}

static void add_token_id(struct text *out, const struct server *server, uint32_t id)
{
    size_t size;
    const char *const text = server_token_text(server, id, &size);
    add_token(out, text, size);
}

static void add_number(struct text *out, double x)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%.9g", isfinite(x) ? x : -9999.0);
    text_add_string(out, digits);
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* The four arrays of "logprobs" in a completion. */
struct arrays {
    const struct server *server;
    struct text tokens, logprobs, top, offsets;
    size_t characters; /* number of characters before the next token */
    size_t count;
};

static void add_top(struct arrays *a, const struct score *score, const struct rwkv7_logprob *top, size_t width)
{
    bool listed = false;
    text_add_string(&a->top, "{");
    for (size_t i = 0; i <= width; i++) {
        const struct rwkv7_logprob own = {score->id, score->logprob};
        const struct rwkv7_logprob *const one = i < width ? &top[i] : &own;
        if (isnan(one->logprob) || (i == width && listed))
            continue;
        listed = listed || one->id == score->id;
        if (a->top.bytes[a->top.size - 1] != '{')
            text_add_string(&a->top, ",");
        add_token_id(&a->top, a->server, one->id);
        text_add_string(&a->top, ":");
        add_number(&a->top, one->logprob);
        if (a->top.failed)
            return;
    }
    text_add_string(&a->top, "}");
}

static void add_scores(struct arrays *a, const struct scores *s)
{
    for (size_t i = 0; s && i < s->count; i++) {
        const struct score *const score = &s->at[i];
        size_t size, back = 0;
        const char *const text = server_token_text(a->server, score->id, &size);
        const char *const comma = a->count++ ? "," : "";
        char digits[32];
        text_add_string(&a->tokens, comma);
        add_token(&a->tokens, text, size);
        text_add_string(&a->logprobs, comma);
        text_add_string(&a->top, comma);
        if (!score->known) {
            text_add_string(&a->logprobs, "null");
            text_add_string(&a->top, "null");
        } else {
            add_number(&a->logprobs, score->logprob);
            if (s->width > 0 && !a->top.failed)
                add_top(a, score, s->top + i * s->width, s->width);
            else
                text_add_string(&a->top, "null");
        }
        /* a token may start within a character */
        back = size > 0 && is_continuation(text[0]) && a->characters > 0;
        snprintf(digits, sizeof digits, "%s%zu", comma, a->characters - back);
        text_add_string(&a->offsets, digits);
        for (size_t j = 0; j < size; j++)
            a->characters += !is_continuation(text[j]);
    }
}

static void finish_array(struct json_tree *t, cJSON *to, const char *name, struct text *array)
{
    text_add(array, "]", 2); /* includes the NUL */
    json_add_item(t, to, name, array->failed ? NULL : cJSON_CreateRaw(array->bytes));
    text_free(array);
}

void scores_completion(const struct server *server, const struct scores *prompt, const struct scores *text,
                       size_t *offset, struct json_tree *t, cJSON *to)
{
    C_NUMBERS;
    struct arrays a = {.server = server, .characters = *offset};
    cJSON *const object = json_add_object(t, to, "logprobs");
    struct text *const all[] = {&a.tokens, &a.logprobs, &a.top, &a.offsets};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        text_add_string(all[i], "[");
    add_scores(&a, prompt);
    add_scores(&a, text);
    finish_array(t, object, "tokens", &a.tokens);
    finish_array(t, object, "token_logprobs", &a.logprobs);
    finish_array(t, object, "top_logprobs", &a.top);
    finish_array(t, object, "text_offset", &a.offsets);
    *offset = a.characters;
}

/* {"token":..,"logprob":..,"bytes":[..] without the closing brace. */
static void add_chat_token(struct text *out, const struct server *server, uint32_t id, double logprob)
{
    size_t size;
    const char *const text = server_token_text(server, id, &size);
    text_add_string(out, "{\"token\":");
    add_token(out, text, size);
    text_add_string(out, ",\"logprob\":");
    add_number(out, logprob);
    text_add_string(out, ",\"bytes\":[");
    for (size_t i = 0; i < size; i++) {
        char digits[8];
        snprintf(digits, sizeof digits, "%s%d", i ? "," : "", (unsigned char)text[i]);
        text_add_string(out, digits);
    }
    text_add_string(out, "]");
}

void scores_chat(const struct server *server, const struct scores *text, struct json_tree *t, cJSON *to)
{
    C_NUMBERS;
    struct text out = {0};
    cJSON *const object = json_add_object(t, to, "logprobs");
    text_add_string(&out, "[");
    for (size_t i = 0; i < text->count; i++) {
        const struct rwkv7_logprob *const top = text->top + i * text->width;
        text_add_string(&out, i ? "," : "");
        add_chat_token(&out, server, text->at[i].id, text->at[i].logprob);
        text_add_string(&out, ",\"top_logprobs\":[");
        for (size_t j = 0; j < text->width && !isnan(top[j].logprob); j++) {
            text_add_string(&out, j ? "," : "");
            add_chat_token(&out, server, top[j].id, top[j].logprob);
            text_add_string(&out, "}");
        }
        text_add_string(&out, "]}");
    }
    finish_array(t, object, "content", &out);
}

void scores_add_piece(struct json_tree *t, cJSON *to, const char *text, size_t size)
{
    if (is_utf8(text, size)) {
        json_add_text(t, to, "piece", text, size);
        return;
    }
    cJSON *const bytes = json_add_array(t, to, "piece");
    for (size_t i = 0; i < size; i++)
        json_add_number(t, bytes, NULL, (unsigned char)text[i]);
}
