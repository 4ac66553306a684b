/*
 * bench_speculation.c - simulates `--speculate auto` on given texts, as if a model wrote them. Not
 * a test.
 *
 *     build/tests/bench_speculation VOCABULARY TEXT...
 *
 * The guesses, their comparison with the text and the choice of their number are those of the
 * program. Only the time is simulated: evaluating n tokens takes the time of a table, measured on
 * real machines (docs/BENCHMARKS.md), and the policy sees it with noise. So the results do not
 * depend on the machine or its load, and can be repeated.
 *
 * For each text and table it prints the speed over that without guesses:
 *
 *     prose   the text itself, after its first 200 tokens
 *     begin   the first 128 tokens of that
 *     copy    the text is the prompt, and is repeated with every 40th token changed
 *
 * and for guesses that are right with a given probability the speed of 128 and of 2,000 tokens.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/splitmix.h"
#include "generate/speculation.h"

enum { VOCAB = 1 << 17, PROMPT = 200, START = 128, LONG = 2000, EDIT_EVERY = 40, SEEDS = 5, POINTS = 9 };

/* Time for n tokens over that for one; linear between these points. */
static const int points[POINTS] = {1, 2, 3, 4, 6, 8, 12, 16, 64};
struct machine {
    const char *name;
    double costs[POINTS];
};
static const struct machine machines[] = {
    {"q8, AVX-512 VNNI", {1, 1.11, 1.16, 1.20, 1.27, 1.33, 1.43, 1.66, 6}},
    {"q4, AVX-512 VNNI", {1, 1.21, 1.28, 1.34, 1.49, 1.67, 2.28, 2.71, 8}},
    {"q8, AVX2", {1, 1.23, 1.30, 1.41, 1.81, 2.30, 3.33, 4.48, 16}},
    {"q4, AVX2", {1, 1.26, 1.41, 1.72, 2.19, 2.98, 4.21, 5.57, 20}},
    {"bf16, AVX-512", {1, 1.43, 1.66, 1.95, 2.30, 2.79, 3.18, 3.72, 12}},
    {"in the cache", {1, 1.9, 2.7, 3.5, 5.1, 6.7, 10, 13, 52}},
};
enum { MACHINES = sizeof machines / sizeof *machines };

static float rows[RWKV7_TRY * VOCAB]; /* logits that nobody reads */

static double cost(const struct machine *m, size_t n)
{
    int i = 0;
    while (i < POINTS - 2 && (size_t)points[i + 1] < n)
        i++;
    const double share = ((double)n - points[i]) / (points[i + 1] - points[i]);
    return m->costs[i] + (m->costs[i + 1] - m->costs[i]) * share;
}

static double uniform(uint64_t *random)
{
    return (double)(splitmix_next(random) >> 11) * 0x1p-53;
}

/* How much longer an evaluation takes than it should, on a machine that other programs share. */
static double noise(uint64_t *random, uint64_t evaluation)
{
    const double drift = evaluation / 300 % 2 ? 1.5 : 1; /* the memory gets slower for a while */
    const double jitter = 1 + 0.1 * uniform(random) * uniform(random);
    return drift * jitter * (uniform(random) < 0.03 ? 3 : 1) * (evaluation < 2 ? 4 : 1);
}

struct wanted {
    const uint32_t *ids;
    size_t at, count;
    double acceptance; /* of guesses by `tell` */
    uint64_t random;
};

/* A source of guesses that are right with a given probability. */
static size_t tell(void *arg, uint32_t *ids, size_t room)
{
    struct wanted *const w = arg;
    for (size_t i = 0; i < room; i++) {
        const uint32_t right = w->at + i < w->count ? w->ids[w->at + i] : 0;
        ids[i] = uniform(&w->random) < w->acceptance ? right : right + 1;
    }
    return room;
}

/* Writes w->ids; returns the speed over that without guesses. *steps: evaluations. */
static double simulate(const struct machine *m, const uint32_t *prompt, size_t prompt_size, struct wanted *w,
                       uint64_t *steps)
{
    struct speculation s;
    double seconds = 0;
    if (speculation_open(&s, RWKV7_SPECULATE_AUTO, NULL, VOCAB, NULL) != RWKV7_OK)
        exit(1);
    if (w->acceptance >= 0)
        s.source = (struct draft_source){tell, w};
    speculation_read(&s, prompt, prompt_size);
    struct step_costs *const costs = &speculation_text(&s)->costs;
    for (w->at = 0; w->at < w->count;) {
        const uint32_t id = w->ids[w->at++];
        if (speculation_take(&s, id))
            continue;
        s.open = false;
        speculation_draft(&s, w->count - w->at + 1 < RWKV7_TRY ? w->count - w->at + 1 : RWKV7_TRY);
        struct speculation *const text = &s;
        speculation_plan(costs, &text, 1);
        const size_t n = speculation_fill(&s, NULL);
        if (n > 1) {
            s.open = true;
            s.tried = n;
            s.at = 1;
            s.rows = rows;
        }
        seconds += cost(m, n);
        step_costs_add(costs, n, n == 1, 0.01 * cost(m, n) * noise(&w->random, *steps));
        ++*steps;
    }
    speculation_close(&s);
    return (double)w->count / seconds;
}

/* Returns the mean speed over several seeds of the noise. */
static double speed(const struct machine *m, const uint32_t *prompt, size_t prompt_size, const uint32_t *ids,
                    size_t count, double acceptance, double *tokens_per_step)
{
    double sum = 0;
    uint64_t steps = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        uint64_t evaluations = 0;
        struct wanted w = {.ids = ids, .count = count, .acceptance = acceptance, .random = seed};
        sum += simulate(m, prompt, prompt_size, &w, &evaluations);
        steps += evaluations;
    }
    *tokens_per_step = (double)count * (int)SEEDS / (double)steps;
    return sum / (int)SEEDS;
}

static uint32_t *read_tokens(const struct rwkv7_tokenizer *tokenizer, const char *path, size_t *count)
{
    FILE *const file = fopen(path, "rb");
    char *const text = malloc(1 << 20);
    uint32_t *const ids = malloc((1 << 20) * sizeof *ids);
    if (!file || !text || !ids)
        exit(1);
    size_t covered;
    const size_t size = fread(text, 1, 1 << 20, file);
    fclose(file);
    if (rwkv7_tokenizer_encode(tokenizer, text, size, true, ids, 1 << 20, count, &covered, NULL) != RWKV7_OK)
        exit(1);
    free(text);
    return ids;
}

int main(int argc, char **argv)
{
    static const double rates[] = {0, 0.2, 0.5, 0.8, 1};
    struct rwkv7_tokenizer *tokenizer;
    struct rwkv7_error err;
    double per_step[3];
    if (argc < 2 || rwkv7_tokenizer_open(argv[1], &tokenizer, &err) != RWKV7_OK) {
        fprintf(stderr, "usage: bench_speculation VOCABULARY TEXT...\n");
        return 2;
    }
    for (int i = 2; i < argc; i++) {
        size_t count;
        uint32_t *const ids = read_tokens(tokenizer, argv[i], &count);
        if (count < PROMPT + START)
            return 1;
        uint32_t *const edited = malloc(count * sizeof *edited);
        if (!edited)
            return 1;
        for (size_t j = 0; j < count; j++)
            edited[j] = j % EDIT_EVERY == EDIT_EVERY - 1 ? 77 : ids[j];
        printf("%s, %zu tokens\n%-20s %16s %8s %16s\n", argv[i], count, "", "prose, per step", "begin",
               "copy, per step");
        for (int k = 0; k < (int)MACHINES; k++) {
            const struct machine *const m = &machines[k];
            const double prose = speed(m, ids, PROMPT, ids + PROMPT, count - PROMPT, -1, &per_step[0]),
                         begin = speed(m, ids, PROMPT, ids + PROMPT, START, -1, &per_step[1]),
                         copy = speed(m, ids, count, edited, count, -1, &per_step[2]);
            printf("%-20s %8.3f %7.2f %8.3f %8.2f %7.2f\n", m->name, prose, per_step[0], begin, copy, per_step[2]);
        }
        free(edited);
        free(ids);
    }
    uint32_t *const ids = calloc(LONG, sizeof *ids);
    if (!ids)
        return 1;
    printf("%-20s", "guesses right");
    for (size_t r = 0; r < sizeof rates / sizeof *rates; r++)
        printf("%12.0f%%  ", 100 * rates[r]);
    printf("\n");
    for (int k = 0; k < (int)MACHINES; k++) {
        printf("%-20s", machines[k].name);
        for (size_t r = 0; r < sizeof rates / sizeof *rates; r++)
            printf("%8.3f %6.2f", speed(&machines[k], ids, 0, ids, START, rates[r], &per_step[0]),
                   speed(&machines[k], ids, 0, ids, LONG, rates[r], &per_step[0]));
        printf("\n");
    }
    free(ids);
    rwkv7_tokenizer_close(tokenizer);
    return 0;
}
