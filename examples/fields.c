/*
 * fields.c - writes JSON that obeys a JSON Schema, token by token, with the matcher and the sampler
 * themselves. A program that only wants the text sets rwkv7_generator_options.grammar instead.
 *
 *     cc -o fields fields.c $(pkg-config --cflags --libs rwkv7)
 *     ./fields MODEL VOCABULARY SCHEMA "Dora was in the cellar. JSON:"
 */
#include <rwkv7.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 400 }; /* tokens */

static struct rwkv7_error err;

static void need(enum rwkv7_status status)
{
    if (status == RWKV7_OK)
        return;
    fprintf(stderr, "fields: %s\n", err.message);
    exit(EXIT_FAILURE);
}

/* Reads a file of up to 1 MB as a text that the caller frees. */
static char *read_file(const char *path)
{
    enum { ROOM = 1 << 20 };
    FILE *const f = fopen(path, "rb");
    char *const text = malloc(ROOM + 1);
    if (!f || !text) {
        fprintf(stderr, "fields: cannot read %s\n", path);
        exit(EXIT_FAILURE);
    }
    text[fread(text, 1, ROOM, f)] = '\0';
    fclose(f);
    return text;
}

/* Evaluates the prompt; logits: of the token that follows. */
static void eval_text(struct rwkv7_session *session, const struct rwkv7_tokenizer *tokenizer, const char *text,
                      float *logits)
{
    const size_t size = strlen(text), room = 3 * size; /* enough for every tokenizer */
    uint32_t *const ids = malloc((room + 1) * sizeof *ids);
    const size_t first = rwkv7_tokenizer_has_end_of_text(tokenizer); /* begins a text, as in training */
    size_t count, covered;
    if (!ids)
        exit(EXIT_FAILURE);
    ids[0] = RWKV7_END_OF_TEXT;
    need(rwkv7_tokenizer_encode(tokenizer, text, size, true, ids + first, room, &count, &covered, &err));
    need(rwkv7_session_eval(session, ids, first + count, RWKV7_LOGITS_LAST, logits, &err));
    free(ids);
}

/* Draws tokens until the text is complete. Each is one that the schema allows. */
static void write_json(struct rwkv7_session *session, const struct rwkv7_tokenizer *tokenizer,
                       struct rwkv7_grammar *grammar, struct rwkv7_sampler *sampler, float *logits)
{
    struct rwkv7_matcher *matcher;
    need(rwkv7_matcher_create(grammar, &matcher, &err));
    for (int i = 0; i < MOST; i++) {
        const uint64_t *mask;
        size_t allowed, length;
        uint32_t id;
        need(rwkv7_matcher_mask(matcher, &mask, &allowed, &err));
        if (allowed == 0) /* nothing can follow */
            break;
        need(rwkv7_sampler_next_masked(sampler, logits, mask, rwkv7_tokenizer_size(tokenizer), &id, &err));
        if (id == RWKV7_END_OF_TEXT)
            break;
        need(rwkv7_matcher_advance(matcher, id, &err));
        const uint8_t *const bytes = rwkv7_tokenizer_bytes(tokenizer, id, &length);
        fwrite(bytes, 1, length, stdout);
        need(rwkv7_session_eval(session, &id, 1, RWKV7_LOGITS_LAST, logits, &err));
    }
    putchar('\n');
    if (!rwkv7_matcher_is_accepting(matcher)) {
        fprintf(stderr, "fields: the JSON is not complete after %d tokens\n", MOST);
        exit(EXIT_FAILURE);
    }
    rwkv7_matcher_close(matcher);
}

int main(int argc, char **argv)
{
    struct rwkv7_runtime *runtime;
    struct rwkv7_model *model;
    struct rwkv7_tokenizer *tokenizer;
    struct rwkv7_session *session;
    struct rwkv7_sampler *sampler;
    struct rwkv7_grammar *grammar;
    struct rwkv7_grammar_options form = RWKV7_OPTIONS(form);

    if (argc != 5)
        return fputs("usage: fields MODEL VOCABULARY SCHEMA PROMPT\n", stderr), EXIT_FAILURE;
    need(rwkv7_runtime_create(NULL, &runtime, &err));
    need(rwkv7_model_open(runtime, argv[1], NULL, &model, &err));
    need(rwkv7_tokenizer_open(argv[2], &tokenizer, &err));
    need(rwkv7_session_create(model, &session, &err));

    char *const schema = read_file(argv[3]);
    form.kind = RWKV7_GRAMMAR_SCHEMA;
    form.text = schema;
    form.in_order = true; /* the members in the order of the schema */
    need(rwkv7_grammar_create(&form, tokenizer, &grammar, &err));
    free(schema);

    const int vocab = rwkv7_model_info(model)->shape.vocab;
    float *const logits = malloc((size_t)vocab * sizeof *logits);
    if (!logits)
        return EXIT_FAILURE;
    need(rwkv7_sampler_create(NULL, vocab, tokenizer, &sampler, &err));
    eval_text(session, tokenizer, argv[4], logits);
    write_json(session, tokenizer, grammar, sampler, logits);

    free(logits);
    rwkv7_sampler_close(sampler);
    rwkv7_grammar_close(grammar);
    rwkv7_session_close(session);
    rwkv7_tokenizer_close(tokenizer);
    rwkv7_model_close(model);
    rwkv7_runtime_close(runtime);
    return EXIT_SUCCESS;
}
