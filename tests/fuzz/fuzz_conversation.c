/*
 * fuzz_conversation.c - any bytes as the conversation in a saved state. Either the load fails with
 * a complete message and the conversation is unchanged, or the loaded conversation can be saved,
 * loaded again as the same, and undone turn by turn. The state in the file is valid, and has read
 * as many tokens as the JSON seems to contain; otherwise nearly every input would be rejected for
 * that. Runs under libFuzzer and, over the corpus, under replay.c.
 */
#include "fuzz.h"

#include "generate/conversation.h"
#include "generate/saved_state.h"

enum { MOST_TOKENS = 64, MOST_UNDONE = 4 };

static struct rwkv7_session *sessions[MOST_TOKENS + 1]; /* session n has read n tokens */
static struct rwkv7_tokenizer *tokenizer;
static struct conversation first, second;

static void open_all(void)
{
    static const char letters[] = "1 'a' 1\n2 'b' 1\n3 ' ' 1\n4 '\\n' 1\n5 ':' 1\n6 'U' 1\n7 'S' 1\n";
    static const uint32_t id;
    const struct conversation_options opt = {.sampling = {.temperature = 1, .top_p = 1}, .max_tokens = 4};
    sessions[0] = fuzz_session(1, 4, 2);
    for (size_t i = 1; i <= MOST_TOKENS; i++) {
        REQUIRE(rwkv7_session_clone(sessions[i - 1], &sessions[i], NULL) == RWKV7_OK);
        REQUIRE(rwkv7_session_eval(sessions[i], &id, 1, RWKV7_LOGITS_NONE, NULL, NULL) == RWKV7_OK);
    }
    REQUIRE(rwkv7_tokenizer_open_memory(letters, sizeof letters - 1, "fuzz", &tokenizer, NULL) == RWKV7_OK);
    struct rwkv7_model *const model = (struct rwkv7_model *)rwkv7_session_model(sessions[0]);
    REQUIRE(conversation_create(&first, model, tokenizer, &opt, NULL) == RWKV7_OK);
    REQUIRE(conversation_create(&second, model, tokenizer, &opt, NULL) == RWKV7_OK);
}

/* Counts the comma-separated numbers of the first array. */
static size_t count_tokens(const uint8_t *data, size_t size)
{
    const uint8_t *const open = size > 0 ? memchr(data, '[', size) : NULL;
    const uint8_t *const end = open ? memchr(open, ']', size - (size_t)(open - data)) : NULL;
    size_t count = end && end > open + 1;
    for (const uint8_t *at = open; end && at < end; at++)
        count += *at == ',';
    return count < MOST_TOKENS ? count : MOST_TOKENS;
}

static void same_log(const struct conversation_log *a, const struct conversation_log *b)
{
    REQUIRE(a->count == b->count && a->turn_count == b->turn_count && strcmp(a->unread, b->unread) == 0);
    REQUIRE(a->count == 0 || memcmp(a->tokens, b->tokens, a->count * sizeof *a->tokens) == 0);
    for (size_t i = 0; i < a->turn_count; i++)
        REQUIRE(a->turns[i].begin == b->turns[i].begin && strcmp(a->turns[i].user, b->turns[i].user) == 0 &&
                strcmp(a->turns[i].unread, b->turns[i].unread) == 0);
}

static void check_loaded(struct conversation *c)
{
    const char *const path = fuzz_path("again");
    struct rwkv7_error err;
    REQUIRE(c->log.count == rwkv7_session_tokens(c->session));
    REQUIRE(conversation_save(c, path, NULL) == RWKV7_OK && conversation_load(&second, path, NULL) == RWKV7_OK);
    same_log(&c->log, &second.log);
    for (int i = 0; i < MOST_UNDONE && c->log.turn_count > 0; i++) {
        const size_t turns = c->log.turn_count;
        if (conversation_undo(c, &err) != RWKV7_OK) {
            REQUIRE(err.message[0] && c->log.turn_count == turns);
            break;
        }
        REQUIRE(c->log.turn_count == turns - 1 && c->log.count == rwkv7_session_tokens(c->session));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct saved_state saved = {0};
    struct rwkv7_bytes image;
    struct rwkv7_error err = {.message = ""};
    if (size == 0)
        return 0; /* a state without a conversation */
    if (!tokenizer)
        open_all();
    saved.piece[SAVED_CONVERSATION] = (struct rwkv7_bytes){(void *)(uintptr_t)data, size};
    REQUIRE(saved_state_store(&saved, sessions[count_tokens(data, size)], tokenizer, NULL, &image, NULL) == RWKV7_OK);
    const char *const path = fuzz_file("conversation", image.data, image.size);
    rwkv7_bytes_clear(&image);
    conversation_log_clear(&first.log);
    if (conversation_load(&first, path, &err) == RWKV7_OK)
        check_loaded(&first);
    else
        REQUIRE(err.status == RWKV7_ERR_STATE && err.message[0] && first.log.count == 0 && first.log.turn_count == 0);
    return 0;
}
