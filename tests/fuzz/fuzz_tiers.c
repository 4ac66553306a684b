/*
 * fuzz_tiers.c - any bytes as a model file of any architecture, opened with the weights as stored
 * and as integers (--type), by rows and by columns: the kernels of all tiers of this CPU reject it
 * with the same message, or give the same logits, bit for bit, for a chunk and for a single token.
 * The type depends on the length and the bytes. Runs under libFuzzer and, over the corpus, under
 * replay.c.
 */
#include "fuzz.h"

enum { TIERS = 12, MOST_LOGITS = 4096 /* models with larger vocabularies are opened but not evaluated */, TOKENS = 7 };

struct result {
    enum rwkv7_status status[3]; /* of opening, of a chunk, of a token */
    char message[sizeof((struct rwkv7_error *)0)->message];
    float logits[2][MOST_LOGITS];
    size_t vocab;
};

static struct rwkv7_runtime *runtimes[TIERS];
static size_t tier_count;

static void open_tiers(void)
{
    char names[256];
    snprintf(names, sizeof names, "%s", rwkv7_runtime_cpus());
    for (char *name = strtok(names, " "); name; name = strtok(NULL, " ")) {
        const struct rwkv7_runtime_options options = {.threads = 1, .cpu = name};
        REQUIRE(tier_count < TIERS);
        REQUIRE(rwkv7_runtime_create(&options, &runtimes[tier_count++], NULL) == RWKV7_OK);
    }
    REQUIRE(tier_count > 0);
}

static void evaluate(struct rwkv7_model *model, struct result *r)
{
    struct rwkv7_session *session = NULL;
    struct rwkv7_error err = {.message = ""};
    uint32_t ids[TOKENS];
    r->vocab = (size_t)rwkv7_model_info(model)->shape.vocab;
    if (r->vocab > MOST_LOGITS)
        return;
    for (size_t i = 0; i < TOKENS; i++)
        ids[i] = (uint32_t)(i * 3 % r->vocab);
    REQUIRE(rwkv7_session_create(model, &session, NULL) == RWKV7_OK);
    r->status[1] = rwkv7_session_eval(session, ids, TOKENS, RWKV7_LOGITS_LAST, r->logits[0], &err);
    if (r->status[1] == RWKV7_OK)
        r->status[2] = rwkv7_session_eval(session, ids, 1, RWKV7_LOGITS_LAST, r->logits[1], &err);
    REQUIRE(r->status[1] == RWKV7_OK || r->status[1] == RWKV7_ERR_NUMERIC);
    REQUIRE(r->status[2] == RWKV7_OK || r->status[2] == RWKV7_ERR_NUMERIC);
    memcpy(r->message, err.message, sizeof r->message);
    rwkv7_session_close(session);
}

static void open_and_evaluate(struct rwkv7_runtime *rt, const uint8_t *data, size_t size,
                              const struct rwkv7_model_options *opt, struct result *r)
{
    struct rwkv7_model *model = NULL;
    struct rwkv7_error err = {.message = ""};
    memset(r, 0, sizeof *r);
    r->status[0] = rwkv7_model_open_memory(rt, data, size, "fuzz", opt, &model, &err);
    if (r->status[0] == RWKV7_OK) {
        evaluate(model, r);
    } else {
        /* Quantizing a quantized file is a usage error. */
        REQUIRE(!model && (r->status[0] == RWKV7_ERR_MODEL || r->status[0] == RWKV7_ERR_USAGE) && err.message[0]);
        memcpy(r->message, err.message, sizeof r->message);
    }
    rwkv7_model_close(model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct result want, got;
    unsigned choice = (unsigned)size;
    if (tier_count == 0)
        open_tiers();
    for (size_t i = 0; i < size; i++)
        choice += data[i];
    const struct rwkv7_model_options opt = {.weights = (enum rwkv7_weights)(choice / 2 % RWKV7_WEIGHTS_COUNT),
                                            .sparse = choice & 1 ? RWKV7_SPARSE_ON : RWKV7_SPARSE_OFF};
    open_and_evaluate(runtimes[0], data, size, &opt, &want);
    for (size_t tier = 1; tier < tier_count; tier++) {
        open_and_evaluate(runtimes[tier], data, size, &opt, &got);
        REQUIRE(memcmp(got.status, want.status, sizeof got.status) == 0 && strcmp(got.message, want.message) == 0);
        if (want.status[0] != RWKV7_OK || want.vocab > MOST_LOGITS)
            continue;
        for (int i = 0; i < 2; i++)
            REQUIRE(want.status[i + 1] != RWKV7_OK || (i == 1 && want.status[1] != RWKV7_OK) ||
                    memcmp(got.logits[i], want.logits[i], want.vocab * sizeof(float)) == 0);
    }
    return 0;
}
