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
    struct rwkv7_generator *generator;
    const struct rwkv7_generator_options options = {.max_tokens = 100};
    const struct rwkv7_step *step;

    if (argc != 4)
        return fputs("usage: story MODEL VOCABULARY PROMPT\n", stderr), EXIT_FAILURE;
    need(rwkv7_runtime_create(NULL, &runtime, &err));
    need(rwkv7_model_open(runtime, argv[1], NULL, &model, &err));
    need(rwkv7_tokenizer_open(argv[2], &tokenizer, &err));
    need(rwkv7_session_create(model, &session, &err));
    need(rwkv7_generator_create(session, tokenizer, &options, &generator, &err));

    need(rwkv7_generator_feed(generator, argv[3], strlen(argv[3]), &err));
    do {
        need(rwkv7_generator_next(generator, &step, &err));
        fwrite(step->text, 1, step->length, stdout);
        fflush(stdout);
    } while (step->end == RWKV7_END_NONE);
    putchar('\n');

    rwkv7_generator_close(generator);
    rwkv7_session_close(session);
    rwkv7_tokenizer_close(tokenizer);
    rwkv7_model_close(model);
    rwkv7_runtime_close(runtime);
    return EXIT_SUCCESS;
}
