/* bench_subject.c - models of random weights, and how fast they are. See bench_measure.h. */
#include <stdlib.h>

#include "cli/commands/bench.h"
#include "cli/commands/bench_measure.h"
#include "cli/io/messages.h"
#include "cli/io/signals.h"
#include "cli/io/terminal.h"

struct rwkv7_random_options measure_options(const struct bench_args *args, enum rwkv7_type type)
{
    return (struct rwkv7_random_options){
        .type = type, .sparse = (enum rwkv7_sparse)args->model.sparse, .ffn_density = args->ffn_density, .seed = 1};
}

int measure_outcome(enum rwkv7_status status, const struct rwkv7_error *err)
{
    return status == RWKV7_OK || status == RWKV7_ERR_MEMORY ? DONE : report(err);
}

void subject_close(struct subject *u)
{
    free(u->tokens);
    free(u->logits);
    rwkv7_session_close(u->session);
    rwkv7_model_close(u->model);
}

enum rwkv7_status subject_open(struct subject *u, const struct measuring *m, const struct rwkv7_shape *shape,
                               enum rwkv7_type type, struct rwkv7_error *err)
{
    const struct rwkv7_random_options options = measure_options(m->sizes->args, type);
    const size_t count = (size_t)m->sizes->prefill + 1;
    enum rwkv7_status status = rwkv7_model_random(m->runtime, shape, &options, &u->model, err);
    if (status == RWKV7_OK)
        status = rwkv7_session_create(u->model, &u->session, err);
    if (status != RWKV7_OK)
        return status;
    u->tokens = malloc(count * sizeof *u->tokens);
    u->logits = malloc((size_t)shape->vocab * sizeof *u->logits);
    if (!u->tokens || !u->logits) {
        snprintf(err->message, sizeof err->message, "out of memory for the measurement");
        return err->status = RWKV7_ERR_MEMORY;
    }
    bench_tokens(u->tokens, count, shape->vocab);
    return RWKV7_OK;
}

int subject_prefill(struct subject *u, size_t tokens, double *rate)
{
    struct rwkv7_error err;
    double rates[PREFILL_RUNS], total = 0;
    int runs = 0;
    const size_t warm_up = tokens < WARM_UP ? tokens : WARM_UP;
    if (rwkv7_session_eval(u->session, u->tokens, warm_up, RWKV7_LOGITS_LAST, u->logits, &err) != RWKV7_OK)
        return report(&err);
    while (runs < PREFILL_RUNS && total < PREFILL_SECONDS && !interrupted) {
        rwkv7_session_reset(u->session);
        const double begin = seconds();
        if (rwkv7_session_eval(u->session, u->tokens, tokens, RWKV7_LOGITS_LAST, u->logits, &err) != RWKV7_OK)
            return report(&err);
        const double took = seconds() - begin;
        total += took;
        rates[runs++] = (double)tokens / took;
    }
    if (runs > 0)
        *rate = bench_spread(rates, runs).median;
    return DONE;
}

int subject_decode(struct subject *u, const struct bench_args *args, double *rate)
{
    struct rwkv7_error err;
    double *const rates = malloc((size_t)args->repetitions * sizeof *rates), total = 0;
    int pieces = 0, code = DONE;
    if (!rates)
        return complain(FAILED, "out of memory for the measurement");
    rwkv7_session_reset(u->session);
    for (int piece = -1; piece < args->repetitions && total < DECODE_SECONDS && !interrupted; piece++) {
        const int limit = piece < 0 ? WARM_UP : args->tokens;
        const double begin = seconds();
        double took = 0;
        int n = 0;
        while (n < limit && took < PIECE_SECONDS && code == DONE) {
            if (rwkv7_session_eval(u->session, u->tokens, 1, RWKV7_LOGITS_LAST, u->logits, &err) != RWKV7_OK)
                code = report(&err);
            took = seconds() - begin;
            n++;
        }
        if (code != DONE)
            break;
        if (piece < 0)
            continue;
        total += took;
        rates[pieces++] = n / took;
    }
    if (pieces > 0)
        *rate = bench_spread(rates, pieces).median;
    free(rates);
    return code;
}
