/*
 * bench_drafts.c - `rwkv7 bench --draft-acceptance A`: measures decoding with guesses that are right
 * with probability A.
 *
 * Drafts are arbitrary tokens. The next token of the text is the guessed one with probability A,
 * else another one. So everything except choosing guesses is measured: evaluating several tokens,
 * keeping some of them, and the policy of --speculate auto. Each repetition measures every number
 * of guesses, so that a temporary slowdown affects all of them alike.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands/bench.h"
#include "cli/io/messages.h"
#include "cli/io/output.h"
#include "cli/io/terminal.h"
#include "generate/drawn.h"

/* Guesses per evaluation; 0: none. */
static const int64_t modes[] = {0, 1, 2, 3, 5, 7, 11, 15, RWKV7_SPECULATE_AUTO};
enum { MODES = sizeof modes / sizeof *modes };

static uint64_t random_number(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* The source of drafts: arbitrary tokens. arg: its state and the vocabulary size. */
struct guesses {
    uint64_t random;
    uint32_t vocab;
};

static size_t guess(void *arg, uint32_t *ids, size_t room)
{
    struct guesses *const g = arg;
    for (size_t i = 0; i < room; i++)
        ids[i] = (uint32_t)(random_number(&g->random) % g->vocab);
    return room;
}

struct mode {
    double *rates; /* [repetitions] tokens per second */
    double steps;  /* evaluations per token, of the last repetition */
    struct step_costs costs;
};

/* Decodes `tokens` tokens with `s` and stores the speed of the repetition. */
static int decode(struct speculation *s, struct rwkv7_session *session, struct mode *m, int repetition, int tokens,
                  double acceptance, float *logits)
{
    struct guesses g = {.random = (uint64_t)repetition + 1, .vocab = (uint32_t)s->vocab};
    struct drawn drawn = {0};
    struct rwkv7_error err;
    const float *row;
    enum rwkv7_status status = RWKV7_OK;
    uint32_t id = 0;
    rwkv7_session_reset(session);
    s->source = (struct draft_source){guess, &g};
    speculation_text(s)->costs = m->costs;
    const double begin = seconds();
    for (int i = 0; i < tokens && status == RWKV7_OK; i++) {
        status = drawn_eval(&drawn, s, NULL, session, id, (uint64_t)(tokens - i - 1), logits, &row, &err);
        const bool is_right = (double)random_number(&g.random) < acceptance * 0x1p31;
        if (s->passed > 0 && s->passed <= s->drafted)
            id = is_right ? s->ids[s->passed] : (s->ids[s->passed] + 1) % g.vocab;
        else
            id = (uint32_t)(random_number(&g.random) % g.vocab);
    }
    if (status == RWKV7_OK)
        status = speculation_settle(s, session, &err);
    m->rates[repetition] = tokens / (seconds() - begin);
    m->steps = (double)s->total_steps / tokens;
    m->costs = speculation_text(s)->costs;
    drawn_clear(&drawn);
    return status == RWKV7_OK ? DONE : report(&err);
}

static int measure(const struct bench_args *args, struct rwkv7_session *session, struct mode *measured, float *logits)
{
    const int vocab = rwkv7_model_info(rwkv7_session_model(session))->shape.vocab;
    struct rwkv7_error err;
    int code = DONE;
    for (int r = -1; r < args->repetitions && code == DONE; r++) /* -1: the warm-up */
        for (size_t i = 0; i < MODES && code == DONE; i++) {
            struct speculation s;
            if (speculation_open(&s, modes[i], NULL, vocab, &err) != RWKV7_OK)
                return report(&err);
            code = decode(&s, session, &measured[i], r < 0 ? 0 : r, args->tokens, args->draft_acceptance, logits);
            speculation_close(&s);
        }
    return code;
}

static void print(const struct bench_args *args, struct mode *measured)
{
    const double plain = bench_spread(measured[0].rates, args->repetitions).median;
    printf("guesses right %.0f%%  tok/s    least     most  tokens per step  times plain\n",
           100 * (double)args->draft_acceptance);
    for (size_t i = 0; i < MODES; i++) {
        const struct spread rate = bench_spread(measured[i].rates, args->repetitions);
        char name[32];
        snprintf(name, sizeof name, modes[i] < 0 ? "auto" : "%lld", (long long)modes[i]);
        printf("%17s %7.1f  %7.1f  %7.1f  %15.2f  %11.2f\n", name, rate.median, rate.least, rate.most,
               1 / measured[i].steps, rate.median / plain);
    }
}

int bench_drafts(const struct bench_args *args, const struct rwkv7_model *model)
{
    struct mode measured[MODES] = {{0}};
    struct rwkv7_session *session = NULL;
    struct rwkv7_error err;
    float *const logits = malloc((size_t)rwkv7_model_info(model)->shape.vocab * sizeof *logits);
    bool complete = logits;
    for (size_t i = 0; i < MODES; i++) {
        measured[i].rates = malloc((size_t)args->repetitions * sizeof *measured[i].rates);
        complete = complete && measured[i].rates;
    }
    int code = complete ? DONE : complain(FAILED, "out of memory for the measurement");
    if (code == DONE && rwkv7_session_create(model, &session, &err) != RWKV7_OK)
        code = report(&err);
    if (code == DONE)
        code = measure(args, session, measured, logits);
    if (code == DONE) {
        print(args, measured);
        code = out_flush();
    }
    rwkv7_session_close(session);
    for (size_t i = 0; i < MODES; i++)
        free(measured[i].rates);
    free(logits);
    return code;
}
