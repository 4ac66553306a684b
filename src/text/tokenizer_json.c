/*
 * tokenizer_json.c - see tokenizer_json.h. A tokenizer.json can describe many tokenizers, which
 * differ in a few fields. A tokenizer that differs slightly gives slightly wrong ids, and the model
 * then produces nonsense without an error. So each relevant field must have the value of GPT-NeoX.
 *
 * Tokens are written in byte letters: 256 characters that GPT-2 defined to stand for the bytes.
 *
 * cJSON accepts some texts that are not JSON and truncates strings at \u0000. Here this is
 * harmless: a string is used only if it consists of byte letters, is a merge that gives a token of
 * the vocabulary, or equals an expected text.
 */
#include "text/tokenizer_json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <utf8proc.h>

#include "base/c_numbers.h"
#include "base/mem.h"

#define MAX_VALUES (2u << 20) /* in the JSON text; each takes about 64 bytes of memory */
#define NONE UINT32_MAX

struct reader {
    const char *name;
    struct vocab *v;
    struct bpe_rules *rules;
    uint32_t *table; /* [mask + 1]: hash table from the bytes of a token to id + 1 */
    uint32_t mask;
    uint32_t room; /* size of v->bytes */
    struct rwkv7_error *err;
};

static enum rwkv7_status reject(const struct reader *r, const char *fmt, ...) RWKV7_PRINTF(2, 3);

static enum rwkv7_status reject(const struct reader *r, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vfail(r->err, RWKV7_ERR_VOCAB, fmt, args);
    va_end(args);
    fail_where(r->err, "%s: ", r->name);
    return RWKV7_ERR_VOCAB;
}

static const cJSON *field(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

/* Returns the string in a field; "" if there is none. */
static const char *string_in(const cJSON *object, const char *name)
{
    const cJSON *const value = field(object, name);
    return cJSON_IsString(value) ? value->valuestring : "";
}

static bool is_absent(const cJSON *value)
{
    return !value || cJSON_IsNull(value);
}

/* Returns an integer from 0 to limit - 1; NONE for anything else. */
static uint32_t id_of(const cJSON *value)
{
    const double d = cJSON_IsNumber(value) ? value->valuedouble : -1;
    return d >= 0 && d < VOCAB_MAX_IDS && d == (double)(uint32_t)d ? (uint32_t)d : NONE;
}

/* ---------------------------------------------------------------------------------- recognition */

static bool sequence_has(const cJSON *value, const char *list, const char *type)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, field(value, list)) if (strcmp(string_in(item, "type"), type) == 0) return true;
    return strcmp(string_in(value, "type"), type) == 0;
}

/*
 * Describes the tokenizer if it evidently belongs to another kind of model; NULL if it looks like
 * GPT-NeoX.
 */
static const char *other_kind(const cJSON *root)
{
    const cJSON *const model = field(root, "model"), *const before = field(root, "pre_tokenizer");
    const char *const type = string_in(model, "type");
    if (!cJSON_IsObject(model))
        return "JSON without the field \"model\"";
    if (strcmp(type, "WordPiece") == 0)
        return "a WordPiece tokenizer (as for BERT)";
    if (strcmp(type, "Unigram") == 0)
        return "a Unigram tokenizer (SentencePiece, as for T5 and XLM-R)";
    if (strcmp(type, "WordLevel") == 0)
        return "a WordLevel tokenizer";
    if (*type && strcmp(type, "BPE") != 0)
        return "a tokenizer of another type than BPE";
    if (cJSON_IsTrue(field(model, "byte_fallback")) || sequence_has(before, "pretokenizers", "Metaspace") ||
        sequence_has(field(root, "normalizer"), "normalizers", "Prepend"))
        return "BPE of characters with byte fallback (SentencePiece, as for Llama 2, Mistral and Gemma)";
    if (sequence_has(before, "pretokenizers", "Split"))
        return "byte-level BPE with its own pattern (as for Llama 3, Qwen and DeepSeek)";
    if (sequence_has(before, "pretokenizers", "ByteLevel") && is_absent(field(root, "normalizer")))
        return "byte-level BPE without NFC (as for GPT-2 and RoBERTa)";
    return NULL;
}

static enum rwkv7_status check_fields(const struct reader *r, const cJSON *root)
{
    static const char *const unset[] = {"dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"};
    static const char *const byte_level[] = {"pre_tokenizer", "decoder"};
    const cJSON *const model = field(root, "model");
    const char *const other = other_kind(root);
    if (other)
        return reject(r, "expected a World or GPT-NeoX vocabulary, found %s", other);
    for (size_t i = 0; i < sizeof unset / sizeof unset[0]; i++) {
        const cJSON *const value = field(model, unset[i]);
        if (!is_absent(value) && !(cJSON_IsString(value) && !*value->valuestring))
            return reject(r, "model.%s: expected null, as for GPT-NeoX, found a value", unset[i]);
    }
    if (cJSON_IsTrue(field(model, "ignore_merges")))
        return reject(r, "model.ignore_merges: expected false, as for GPT-NeoX, found true");
    if (strcmp(string_in(field(root, "normalizer"), "type"), "NFC") != 0)
        return reject(r, "normalizer.type: expected \"NFC\", as for GPT-NeoX, found another");
    for (size_t i = 0; i < sizeof byte_level / sizeof byte_level[0]; i++) {
        const cJSON *const value = field(root, byte_level[i]);
        if (strcmp(string_in(value, "type"), "ByteLevel") != 0)
            return reject(r, "%s.type: expected \"ByteLevel\", as for GPT-NeoX, found another", byte_level[i]);
    }
    const cJSON *const before = field(root, "pre_tokenizer");
    if (cJSON_IsTrue(field(before, "add_prefix_space")))
        return reject(r, "pre_tokenizer.add_prefix_space: expected false, as for GPT-NeoX, found true");
    if (cJSON_IsFalse(field(before, "use_regex")))
        return reject(r, "pre_tokenizer.use_regex: expected true, as for GPT-NeoX, found false");
    const cJSON *const after = field(root, "post_processor");
    if (!is_absent(after) && strcmp(string_in(after, "type"), "ByteLevel") != 0)
        return reject(r, "post_processor.type: expected \"ByteLevel\", as for GPT-NeoX, found another");
    if (!cJSON_IsObject(field(model, "vocab")))
        return reject(r, "model.vocab: expected an object, found none");
    if (!cJSON_IsArray(field(model, "merges")))
        return reject(r, "model.merges: expected an array, found none");
    if (!cJSON_IsArray(field(root, "added_tokens")))
        return reject(r, "added_tokens: expected an array, found none");
    return RWKV7_OK;
}

/* --------------------------------------------------------------------------------------- tokens */

/* Returns the byte that a code point stands for; -1 if it is not one of the 256 byte letters. */
static int byte_of_letter(utf8proc_int32_t c)
{
    if ((c >= 0x21 && c <= 0x7e) || (c >= 0xa1 && c <= 0xac) || (c >= 0xae && c <= 0xff))
        return (int)c;
    if (c < 0x100 || c >= 0x144)
        return -1;
    c -= 0x100; /* the other bytes in increasing order: 00..20, 7f..a0, ad */
    return c <= 0x20 ? (int)c : c <= 0x42 ? (int)c - 0x21 + 0x7f : 0xad;
}

/*
 * Appends the bytes that the letters in [s, end) stand for. Returns false for other letters, and if
 * there are too many.
 */
static bool append_letters(const char *s, const char *end, uint8_t out[VOCAB_MAX_TOKEN], uint32_t *size)
{
    while (s < end) {
        utf8proc_int32_t c;
        const utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s, end - s, &c);
        const int byte = n > 0 ? byte_of_letter(c) : -1;
        if (byte < 0 || *size == VOCAB_MAX_TOKEN)
            return false;
        out[(*size)++] = (uint8_t)byte;
        s += n;
    }
    return true;
}

/* Returns the hash slot of a token: its entry, or the empty slot where it belongs. */
static uint32_t *place_of(const struct reader *r, const uint8_t *bytes, uint32_t size)
{
    uint32_t hash = 2166136261u;
    for (uint32_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    for (uint32_t i = hash ^ hash >> 15;; i++) {
        uint32_t *const entry = &r->table[i & r->mask];
        if (*entry == 0)
            return entry;
        const uint32_t start = r->v->start[*entry - 1], length = r->v->start[*entry] - start;
        if (length == size && memcmp(r->v->bytes + start, bytes, size) == 0)
            return entry;
    }
}

/*
 * Sorts the entries of model.vocab and added_tokens by id: by_id[id] is the entry, or NULL if there
 * is none.
 */
static enum rwkv7_status sort_by_id(const struct reader *r, const cJSON *vocab, const cJSON *added, const cJSON **by_id,
                                    uint32_t room)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, vocab)
    {
        const uint32_t id = id_of(item);
        if (id >= room || by_id[id])
            return reject(r, "model.vocab: expected unique ids below %u, found a token with another id", room);
        by_id[id] = item;
    }
    cJSON_ArrayForEach(item, added)
    {
        const uint32_t id = id_of(field(item, "id"));
        if (id >= room || !cJSON_IsString(field(item, "content")))
            return reject(r, "added_tokens: expected an id below %u and a string, found something else", room);
        if (by_id[id] && (!by_id[id]->string || strcmp(by_id[id]->string, string_in(item, "content")) != 0))
            return reject(r, "added_tokens: duplicate id %u", id);
        by_id[id] = item;
    }
    return RWKV7_OK;
}

static enum rwkv7_status add_special(const struct reader *r, const cJSON *item, uint32_t id)
{
    struct bpe_rules *const rules = r->rules;
    const char *const text = string_in(item, "content");
    const size_t n = strlen(text);
    if (text[0] != '<' || n >= sizeof rules->special[0].text ||
        rules->special_count == sizeof rules->special / sizeof rules->special[0])
        return reject(r,
                      "added_tokens: expected only <|endoftext|> and <|padding|> to be special, found %.40s with id %u",
                      text, id);
    struct bpe_special *const s = &rules->special[rules->special_count++];
    memcpy(s->text, text, n);
    s->length = (uint32_t)n;
    s->id = id;
    return RWKV7_OK;
}

/*
 * Reads an entry of added_tokens and writes its bytes to `out`. Special tokens have none, because
 * they are never printed.
 */
static enum rwkv7_status read_added(const struct reader *r, const cJSON *item, uint32_t id, uint8_t *out,
                                    uint32_t *size)
{
    const char *const text = string_in(item, "content");
    const size_t n = strlen(text);
    if (cJSON_IsTrue(field(item, "single_word")) || cJSON_IsTrue(field(item, "lstrip")) ||
        cJSON_IsTrue(field(item, "rstrip")))
        return reject(r, "added_tokens: expected single_word, lstrip and rstrip to be false for id %u, found true", id);
    if (cJSON_IsTrue(field(item, "special")) && !cJSON_IsTrue(field(item, "normalized")))
        return add_special(r, item, id);
    if (cJSON_IsTrue(field(item, "special")) || !cJSON_IsTrue(field(item, "normalized")) || n < 2 ||
        n > BPE_MAX_SPACES || strspn(text, " ") != n || r->rules->space_id[n] != 0)
        return reject(r,
                      "added_tokens: expected special tokens and runs of 2 to %u spaces, found another text with id %u",
                      BPE_MAX_SPACES, id);
    r->rules->space_id[n] = id;
    r->rules->most_spaces = n > r->rules->most_spaces ? (uint32_t)n : r->rules->most_spaces;
    memset(out, ' ', n);
    *size = (uint32_t)n;
    return RWKV7_OK;
}

static enum rwkv7_status read_tokens(struct reader *r, const cJSON **by_id, uint32_t room)
{
    struct vocab *const v = r->v;
    uint32_t used = 0;
    for (uint32_t id = 0; id < room; id++) {
        const cJSON *const item = by_id[id];
        uint8_t bytes[VOCAB_MAX_TOKEN];
        uint32_t size = 0;
        v->start[id] = v->start[id + 1] = used;
        if (!item)
            continue;
        v->size = id + 1;
        v->tokens++;
        if (cJSON_IsObject(item)) {
            const enum rwkv7_status status = read_added(r, item, id, bytes, &size);
            if (status != RWKV7_OK)
                return status;
        } else if (!append_letters(item->string, item->string + strlen(item->string), bytes, &size) || size == 0) {
            return reject(r, "model.vocab: expected 1 to %u byte letters for id %u, found another text",
                          VOCAB_MAX_TOKEN, id);
        }
        if (size > r->room - used) /* cannot happen: a byte letter takes at least one byte of the file */
            return reject(r, "model.vocab: the text of the tokens is too long at id %u", id);
        memcpy(v->bytes + used, bytes, size);
        used += size;
        v->start[id + 1] = used;
        v->longest = size > v->longest ? size : v->longest;
        if (cJSON_IsObject(item))
            continue;
        uint32_t *const place = place_of(r, bytes, size);
        if (*place)
            return reject(r, "model.vocab: the ids %u and %u have the same text", *place - 1, id);
        *place = id + 1;
    }
    for (uint32_t i = 2; i <= r->rules->most_spaces; i++)
        if (r->rules->space_id[i] == 0)
            return reject(r, "added_tokens: expected runs of 2 to %u spaces, found none of %u", r->rules->most_spaces,
                          i);
    for (unsigned c = 0; c < 256; c++) {
        const uint8_t byte = (uint8_t)c;
        const uint32_t entry = *place_of(r, &byte, 1);
        r->rules->byte_id[c] = entry ? entry - 1 : VOCAB_MAX_IDS;
        if (!entry && c != 0xc0 && c != 0xc1 && c < 0xf5)
            return reject(r, "model.vocab: expected a token for every byte that occurs in UTF-8, found none for 0x%02x",
                          c);
    }
    return RWKV7_OK;
}

/* --------------------------------------------------------------------------------------- merges */

/*
 * Appends the bytes of one half of a merge, [s, end), to `all`. Returns its id; NONE if it is not a
 * token.
 */
static uint32_t read_half(const struct reader *r, const char *s, const char *end, uint8_t all[VOCAB_MAX_TOKEN],
                          uint32_t *size)
{
    const uint32_t start = *size;
    if (!append_letters(s, end, all, size) || *size == start)
        return NONE;
    return *place_of(r, all + start, *size - start) - 1; /* an empty slot is 0 and gives NONE */
}

static enum rwkv7_status read_merges(const struct reader *r, const cJSON *merges)
{
    const cJSON *item;
    struct bpe_rules *const rules = r->rules;
    rules->merges = mem_alloc((size_t)cJSON_GetArraySize(merges), sizeof *rules->merges);
    if (!rules->merges)
        return fail_memory(r->err, "the tokenizer");
    cJSON_ArrayForEach(item, merges)
    {
        uint8_t all[VOCAB_MAX_TOKEN];
        uint32_t size = 0;
        struct bpe_merge m = {NONE, NONE, NONE};
        if (cJSON_IsString(item)) { /* "LEFT RIGHT" */
            const char *const s = item->valuestring, *const space = strchr(s, ' ');
            if (space) {
                m.left = read_half(r, s, space, all, &size);
                m.right = m.left == NONE ? NONE : read_half(r, space + 1, s + strlen(s), all, &size);
            }
        } else if (cJSON_IsArray(item) && cJSON_GetArraySize(item) == 2 && cJSON_IsString(item->child) &&
                   cJSON_IsString(item->child->next)) { /* ["LEFT", "RIGHT"] */
            const char *const left = item->child->valuestring, *const right = item->child->next->valuestring;
            m.left = read_half(r, left, left + strlen(left), all, &size);
            m.right = m.left == NONE ? NONE : read_half(r, right, right + strlen(right), all, &size);
        }
        if (m.right != NONE)
            m.merged = *place_of(r, all, size) - 1;
        if (m.merged == NONE)
            return reject(
                r, "model.merges: expected two tokens whose concatenation is a token at rank %u, found something else",
                rules->merge_count);
        rules->merges[rules->merge_count++] = m;
    }
    return RWKV7_OK;
}

/* ---------------------------------------------------------------------------------- entry point */

bool tokenizer_json_is(const char *text, size_t size)
{
    size_t at = size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; /* skips a byte order mark, as cJSON does */
    while (at < size && (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t'))
        at++;
    return at < size && text[at] == '{';
}

/* Returns an upper bound for the number of values in the text, not much above it. */
static size_t count_values(const char *text, size_t size)
{
    size_t n = 1;
    for (size_t i = 0; i < size; i++)
        n += text[i] == ',' || text[i] == '[' || text[i] == '{';
    return n;
}

static enum rwkv7_status read_root(struct reader *r, const cJSON *root)
{
    const cJSON *const vocab = field(field(root, "model"), "vocab"), *const added = field(root, "added_tokens");
    struct vocab *const v = r->v;
    size_t bytes = 0;
    const cJSON *item;

    const int entries = cJSON_GetArraySize(vocab) + cJSON_GetArraySize(added);
    const uint32_t room = (uint32_t)entries + 1024; /* ids may have some gaps */
    cJSON_ArrayForEach(item, vocab) bytes += strlen(item->string);
    cJSON_ArrayForEach(item, added) bytes += strlen(string_in(item, "content"));
    r->room = (uint32_t)bytes;
    for (r->mask = 1023; r->mask < 2 * room;)
        r->mask = 2 * r->mask + 1;
    const cJSON **const by_id = mem_alloc(room, sizeof(void *));
    r->table = mem_alloc((size_t)r->mask + 1, sizeof *r->table);
    v->start = mem_alloc((size_t)room + 1, sizeof *v->start);
    v->bytes = mem_alloc(bytes + 1, 1);
    enum rwkv7_status status = RWKV7_OK;
    if (!by_id || !r->table || !v->start || !v->bytes)
        status = fail_memory(r->err, "the tokenizer");
    if (status == RWKV7_OK)
        status = sort_by_id(r, vocab, added, by_id, room < VOCAB_MAX_IDS ? room : VOCAB_MAX_IDS);
    if (status == RWKV7_OK)
        status = read_tokens(r, by_id, room < VOCAB_MAX_IDS ? room : VOCAB_MAX_IDS);
    if (status == RWKV7_OK)
        status = read_merges(r, field(field(root, "model"), "merges"));
    mem_free(by_id);
    mem_free(r->table);
    return status;
}

enum rwkv7_status tokenizer_json_read(const char *text, size_t size, const char *name, struct vocab *v,
                                      struct bpe_rules *rules, struct rwkv7_error *err)
{
    struct reader r = {.name = name, .v = v, .rules = rules, .err = err};
    const char *end = NULL;
    memset(v, 0, sizeof *v);
    memset(rules, 0, sizeof *rules);
    if (size > TOKENIZER_JSON_MAX_FILE || count_values(text, size) > MAX_VALUES)
        return reject(&r, "expected the tokenizer.json of GPT-NeoX, found a file of %zu bytes, which is much larger",
                      size);
    if (!c_numbers_work())
        return fail_memory(err, "the locale in which numbers are read");
    char *const copy = mem_string(text, size); /* cJSON needs a NUL-terminated text */
    if (!copy)
        return fail_memory(err, "the tokenizer");
    C_NUMBERS;
    cJSON *const root = cJSON_ParseWithOpts(copy, &end, 0);
    const size_t at = end ? (size_t)(end - copy) : 0, rest = at + strspn(copy + at, " \t\r\n");
    enum rwkv7_status status;
    if (!root || rest != size)
        status = reject(&r, "invalid JSON at byte %zu", root ? rest : at);
    else
        status = check_fields(&r, root);
    if (status == RWKV7_OK)
        status = read_root(&r, root);
    cJSON_Delete(root);
    mem_free(copy);
    if (status != RWKV7_OK) {
        vocab_free(v);
        bpe_rules_free(rules);
    }
    return status;
}
