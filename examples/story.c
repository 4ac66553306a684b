/*
 * story.c - continues a text with librwkv7, and is all that it takes:
 *
 *     cc -o story story.c $(pkg-config --cflags --libs rwkv7)
 *     ./story MODEL VOCABULARY "Once upon a time"
 */
#include <rwkv7.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rwkv7_error err;

static void need(enum rwkv7_status status)
{
    if (status == RWKV7_OK)
        return;
    fprintf(stderr, "story: %s\n", err.message);
    exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
    struct rwkv7_runtime *runtime;
    struct rwkv7_model *model;
    struct rwkv7_tokenizer *tokenizer;
    struct rwkv7_session *session;
    struct rwkv7_sampler *sampler;
    struct rwkv7_sampler_options options;
    uint32_t ids[4096] = {RWKV7_END_OF_TEXT};
    size_t count, covered, length;

    if (argc != 4 || strlen(argv[3]) >= sizeof ids / sizeof *ids)
        return fputs("usage: story MODEL VOCABULARY PROMPT\n", stderr), EXIT_FAILURE;
    need(rwkv7_runtime_create(NULL, &runtime, &err));
    need(rwkv7_model_open(runtime, argv[1], NULL, &model, &err));
    need(rwkv7_tokenizer_open(argv[2], &tokenizer, &err));
    need(rwkv7_session_create(model, &session, &err));
    const int vocab = rwkv7_model_info(model)->shape.vocab;
    need(rwkv7_tokenizer_check(tokenizer, vocab, &err));
    rwkv7_sampler_defaults(&options);
    options.seed = 1;
    need(rwkv7_sampler_create(&options, vocab, tokenizer, &sampler, &err));
    float *const logits = malloc((size_t)vocab * sizeof *logits);
    if (!logits)
        return EXIT_FAILURE;

    /* A document begins with token 0; then the prompt. */
    need(rwkv7_tokenizer_encode(tokenizer, argv[3], strlen(argv[3]), true, ids + 1, 4095, &count, &covered, &err));
    need(rwkv7_session_eval(session, ids, count + 1, RWKV7_LOGITS_LAST, logits, &err));
    for (int i = 0; i < 100; i++) {
        need(rwkv7_sampler_next(sampler, logits, ids, &err));
        if (ids[0] == RWKV7_END_OF_TEXT)
            break;
        const uint8_t *const bytes = rwkv7_tokenizer_bytes(tokenizer, ids[0], &length);
        fwrite(bytes, 1, length, stdout);
        need(rwkv7_session_eval(session, ids, 1, RWKV7_LOGITS_LAST, logits, &err));
    }
    putchar('\n');
    free(logits);
    rwkv7_sampler_close(sampler);
    rwkv7_session_close(session);
    rwkv7_tokenizer_close(tokenizer);
    rwkv7_model_close(model);
    rwkv7_runtime_close(runtime);
    return EXIT_SUCCESS;
}
