/*
 * fuzz_model.c - any bytes as a model file: either a complete message, or a model that can be
 * evaluated, whatever its weights are. The corpus has files of `rwkv7 convert`, whose integers are
 * used in place: no bit pattern may cause an access outside the file. Runs under libFuzzer and,
 * over the corpus, under replay.c.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rwkv7.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition) ((condition) ? (void)0 : broken(#condition, __LINE__))
#define MOST_LOGITS 4096 /* models with larger vocabularies are opened but not evaluated */

static void broken(const char *condition, int line)
{
    fprintf(stderr, "fuzz_model.c:%d: does not hold: %s\n", line, condition);
    abort();
}

/*
 * Evaluates a chunk of tokens, then one more, so that weights are read both by rows and by columns.
 */
static void evaluate(struct rwkv7_model *model)
{
    static float logits[MOST_LOGITS];
    static const uint32_t tokens[] = {0, 0, 0};
    const int vocab = rwkv7_model_info(model)->shape.vocab;
    struct rwkv7_session *session = NULL;
    struct rwkv7_error err = {0};
    if (vocab > MOST_LOGITS)
        return;
    REQUIRE(rwkv7_session_create(model, &session, &err) == RWKV7_OK);
    enum rwkv7_status status = rwkv7_session_eval(session, tokens, 3, RWKV7_LOGITS_LAST, logits, &err);
    if (status == RWKV7_OK)
        status = rwkv7_session_eval(session, tokens, 1, RWKV7_LOGITS_LAST, logits, &err);
    REQUIRE(status == RWKV7_OK || (status == RWKV7_ERR_NUMERIC && err.message[0]));
    rwkv7_session_close(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rwkv7_runtime *rt;
    const struct rwkv7_runtime_options options = {.threads = 1};
    struct rwkv7_model *model = NULL;
    struct rwkv7_error err = {0};
    if (!rt)
        REQUIRE(rwkv7_runtime_create(&options, &rt, &err) == RWKV7_OK);
    const enum rwkv7_status status = rwkv7_model_open_memory(rt, data, size, "fuzz", NULL, &model, &err);
    if (status == RWKV7_OK)
        evaluate(model);
    else
        REQUIRE(!model && status == RWKV7_ERR_MODEL && strncmp(err.message, "fuzz", 4) == 0);
    rwkv7_model_close(model);
    return 0;
}
