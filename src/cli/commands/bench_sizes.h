/*
 * bench_sizes.h - the table of `rwkv7 bench` without a model: every published size in every weight
 * type on this machine.
 *
 * bench_sizes.c measures (with bench_measure.h), bench_sizes_report.c prints, bench_plot.c draws,
 * bench_advice.c gives advice, bench_machine.c describes the machine.
 */
#ifndef CLI_BENCH_SIZES_H
#define CLI_BENCH_SIZES_H

#include "cli/options/command_args.h"

/* -------------------------------------------------------------------------------------- machine */

/* CPU time since the system started, summed over all CPUs, in seconds. */
struct cpu_time {
    double at;    /* seconds() */
    double total; /* of all programs; negative: unknown */
    double taken; /* of other guests of the same host ("steal") */
    double own;   /* of this process */
};

struct machine {
    char cpu[80];  /* "Intel(R) Xeon(R) Processor" */
    char date[16]; /* "2026-11-27" */
    int cores;     /* physical cores that this process may use */
    double limit;  /* CPUs allowed by a control group; 0: no limit */
    double memory; /* bytes, limited by a control group; 0: unknown */
    double available;
    double cache; /* bytes of the L2 and L3 caches of all cores */
};

void machine_read(struct machine *m);
struct cpu_time cpu_time_now(void);
/*
 * Returns the average number of CPUs used by other programs between two times; negative: unknown.
 */
double cpu_time_others(const struct cpu_time *begin, const struct cpu_time *end);

/* ---------------------------------------------------------------------------------------- table */

/* One size in one weight type. */
struct cell {
    const char *name; /* "1.5b" */
    enum rwkv7_arch arch;
    const char *architecture, *version; /* "RWKV-7 (x070)", "x070" */
    enum rwkv7_type type;
    struct rwkv7_shape shape;
    double parameters;
    double bytes;  /* read per token, at --ffn-density */
    double memory; /* bytes needed to run the model */
    double making; /* bytes needed to create the random weights: bf16 first, then quantized */
    bool fits;     /* into the memory of this machine */

    bool measured;
    double decode, prefill;  /* tokens per second; 0: unknown */
    double share;            /* of the memory bandwidth: decode * bytes / bandwidth; 0: unknown */
    const struct cell *from; /* computed from this cell; NULL: measured, or the bandwidth limit */
};

enum { BENCH_TYPES = 4 };

struct sizes {
    const struct bench_args *args;
    struct machine machine;
    const char *kernels; /* "avx512" */
    int threads;
    int prefill; /* tokens; 0: not measured */
    enum rwkv7_type types[BENCH_TYPES];
    size_t type_count, row_count;
    struct cell *cells;    /* [row_count][type_count] */
    double read;           /* memory bandwidth, bytes per second: the median of many probes */
    double others;         /* CPUs used by other programs during the run; negative: unknown */
    size_t measured_count; /* measured cells */
};

static inline const struct cell *sizes_cell(const struct sizes *s, size_t row, size_t type)
{
    return &s->cells[row * s->type_count + type];
}

/* Runs the command; returns an exit code. */
int bench_sizes(const struct bench_args *args);

/* Advice on what would be faster, one line each. */
enum { ADVICE_MOST = 10, ADVICE_ROOM = 200 };
struct advice {
    char lines[ADVICE_MOST][ADVICE_ROOM];
    size_t count;
};
void bench_advice(const struct sizes *s, struct advice *out);

/* Prints the table as text, JSON or CSV. */
int bench_sizes_report(const struct sizes *s);

/* Formats a rate with three digits: "124", "39.5", "5.12". Returns `text`. */
const char *rate_text(double rate, char text[16]);

/* Writes the decode speeds as SVG; returns an exit code. */
int bench_plot(const struct sizes *s, struct rwkv7_output *to);

#endif
