/*
 * bench_batch.c - prints how many tokens per second several sequences write together, with random
 * weights: the evaluation alone, and with sampling. Not a test.
 *
 *     build/tests/bench_batch SHAPE TYPE THREADS DENSITY
 *     build/tests/bench_batch 0.4b q8 2 0.15
 *
 * Every round measures all numbers of sequences, so that a slow moment affects all of them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/sys.h"
#include "rwkv7.h"

enum { MOST = 32, ROUNDS = 5, STEPS = 4 };
static const size_t counts[] = {1, 2, 4, 8, 16, 32};
enum { COUNTS = sizeof counts / sizeof *counts };

static struct rwkv7_error err;

static void check(enum rwkv7_status status)
{
    if (status == RWKV7_OK)
        return;
    fprintf(stderr, "bench_batch: %s\n", err.message);
    exit(1);
}

/* Evaluates STEPS tokens for each session. sampler: draws them, if it is not NULL. */
static double run(struct rwkv7_batch *batch, struct rwkv7_session **sessions, size_t count, uint32_t *ids,
                  float *logits, size_t vocab, struct rwkv7_sampler **samplers)
{
    struct rwkv7_feed feeds[MOST];
    const double begin = sys_seconds();
    for (int step = 0; step < STEPS; step++) {
        for (size_t i = 0; i < count; i++)
            feeds[i] = (struct rwkv7_feed){.session = sessions[i], .tokens = &ids[i], .count = 1, .logits = true};
        check(rwkv7_batch_eval(batch, feeds, count, logits, &err));
        for (size_t i = 0; i < count && samplers; i++)
            check(rwkv7_sampler_next(samplers[i], logits + i * vocab, &ids[i], &err));
    }
    return sys_seconds() - begin;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    struct rwkv7_shape shape;
    struct rwkv7_runtime *rt;
    struct rwkv7_model *model;
    struct rwkv7_batch *batch;
    struct rwkv7_session *sessions[MOST];
    struct rwkv7_sampler *samplers[MOST];
    uint32_t ids[MOST];
    static double rates[COUNTS][2][ROUNDS]; /* evaluation alone; with sampling */
    if (argc != 5 || !rwkv7_shape_named(argv[1], &shape)) {
        fprintf(stderr, "usage: bench_batch SHAPE q8|q6|q4|bf16 THREADS DENSITY\n");
        return 2;
    }
    const struct rwkv7_runtime_options options = {.threads = atoi(argv[3])};
    const struct rwkv7_random_options random = {.type = argv[2][0] == 'b'   ? RWKV7_BF16
                                                        : argv[2][1] == '8' ? RWKV7_Q8
                                                        : argv[2][1] == '6' ? RWKV7_Q6
                                                                            : RWKV7_Q4,
                                                .ffn_density = strtof(argv[4], NULL)};
    const struct rwkv7_sampler_options sampling = {.seed = 1};
    const size_t vocab = (size_t)shape.vocab;
    float *const logits = malloc(MOST * vocab * sizeof *logits);
    check(rwkv7_runtime_create(&options, &rt, &err));
    check(rwkv7_model_random(rt, &shape, &random, &model, &err));
    check(rwkv7_batch_create(model, &batch, &err));
    for (size_t i = 0; i < MOST; i++) {
        check(rwkv7_session_create(model, &sessions[i], &err));
        check(rwkv7_sampler_create(&sampling, shape.vocab, NULL, &samplers[i], &err));
        ids[i] = (uint32_t)(i * 997) % (uint32_t)vocab;
    }
    for (int round = -1; round < ROUNDS && logits; round++) /* -1: the warm-up */
        for (size_t k = 0; k < COUNTS; k++)
            for (int drawn = 0; drawn < 2; drawn++) {
                const double seconds = run(batch, sessions, counts[k], ids, logits, vocab, drawn ? samplers : NULL);
                rates[k][drawn][round < 0 ? 0 : round] = (double)(counts[k] * STEPS) / seconds;
            }
    for (size_t k = 0; k < COUNTS; k++)
        for (int drawn = 0; drawn < 2; drawn++)
            qsort(rates[k][drawn], ROUNDS, sizeof(double), by_value);
    printf("sequences  tok/s  times one  with sampling\n");
    for (size_t k = 0; k < COUNTS; k++)
        printf("%9zu %6.1f %10.2f %14.1f\n", counts[k], rates[k][0][ROUNDS / 2],
               rates[k][0][ROUNDS / 2] / rates[0][0][ROUNDS / 2], rates[k][1][ROUNDS / 2]);
    for (size_t i = 0; i < MOST; i++) {
        rwkv7_session_close(sessions[i]);
        rwkv7_sampler_close(samplers[i]);
    }
    rwkv7_batch_close(batch);
    rwkv7_model_close(model);
    rwkv7_runtime_close(rt);
    free(logits);
    return 0;
}
