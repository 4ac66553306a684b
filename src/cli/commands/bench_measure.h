/*
 * bench_measure.h - the tools of bench_sizes.c: models of random weights (bench_subject.c), and the
 * pace of the machine (bench_pace.c), which predicts how long a measurement takes and gives the
 * speeds that are not measured.
 */
#ifndef CLI_BENCH_MEASURE_H
#define CLI_BENCH_MEASURE_H

#include "cli/commands/bench_sizes.h"

enum {
    READS_MOST = 1024, /* probes kept for the median */
    WARM_UP = 4,       /* tokens decoded before the measurement */
    PREFILL_RUNS = 9,
};

/* Per cell. */
#define DECODE_SECONDS 1.0
#define PIECE_SECONDS 0.2
#define PREFILL_SECONDS 0.5

/*
 * How fast this machine is with one weight type; updated with each measurement. Estimates how long
 * the next measurement will take.
 *
 * A prefill multiplies by every weight of the layers, and does other work for every channel of
 * every layer (normalization, WKV, activations). A wide layer has fewer channels per weight, so
 * both times are needed.
 */
struct pace {
    double making;  /* seconds per parameter to create the weights */
    double weight;  /* seconds of prefill per token and weight that is multiplied */
    double channel; /* seconds of prefill per token, layer and channel */
};

struct measuring {
    struct sizes *sizes;
    struct rwkv7_runtime *runtime;
    double begin;      /* seconds() */
    size_t probe;      /* bytes */
    double probe_cost; /* seconds, including the time to fill the memory */
    double reads[READS_MOST];
    int read_count;
    struct pace pace[BENCH_TYPES];
};

/* ---------------------------------------------------------------------- models, bench_subject.c */

/* A model with the session and buffers to evaluate it. */
struct subject {
    struct rwkv7_model *model;
    struct rwkv7_session *session;
    uint32_t *tokens; /* [prefill + 1] */
    float *logits;    /* [V] */
};

struct rwkv7_random_options measure_options(const struct bench_args *args, enum rwkv7_type type);

/* Creates a model of random weights. Close it in any case. */
enum rwkv7_status subject_open(struct subject *u, const struct measuring *m, const struct rwkv7_shape *shape,
                               enum rwkv7_type type, struct rwkv7_error *err);
void subject_close(struct subject *u);
/*
 * Measures *rate, tokens per second of a prefill: the median of PREFILL_RUNS, or
 * of as many as PREFILL_SECONDS allows.
 */
int subject_prefill(struct subject *u, size_t tokens, double *rate);
/*
 * Measures *rate, tokens per second of decoding: the median of --repetitions pieces, or of as many
 * as DECODE_SECONDS allows.
 */
int subject_decode(struct subject *u, const struct bench_args *args, double *rate);
/* Returns the exit code. RWKV7_ERR_MEMORY only skips this size, not the command. */
int measure_outcome(enum rwkv7_status status, const struct rwkv7_error *err);

/* --------------------------------------------------------------------------- pace, bench_pace.c */

/* Measures the pace of each type with a few layers; returns an exit code. */
int pace_learn_all(struct measuring *m);
/* Corrects the pace by a measurement of a cell. prefill: tokens per second; 0: not measured. */
void pace_correct(struct pace *pace, const struct cell *c, double making, double prefill);
/* Returns the expected seconds of prefill per token. */
double pace_prefill(const struct pace *pace, const struct cell *c);
/* Returns the expected seconds of subject_prefill(). */
double pace_measuring(const struct pace *pace, const struct cell *c, int tokens);

#endif
