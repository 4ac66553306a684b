/*
 * bench_sizes.h - the table of `rwkv7 bench` without a model: every published size in every weight type on this machine.
 *
 * bench_sizes.c measures, bench_sizes_report.c prints, bench_advice.c says what would be faster, bench_plot.c draws, bench_machine.c
 * describes the machine.
 */
#ifndef CLI_BENCH_SIZES_H
#define CLI_BENCH_SIZES_H

#include "cli/common.h"

/* ---------------------------------------------------------------------------------------------------------- machine */

/* Time that all CPUs of the machine have worked since it started, in seconds of one CPU. */
struct cpu_time {
    double at;    /* seconds() */
    double total; /* by all programs; negative: unknown */
    double taken; /* by other guests of the same host ("steal") */
    double own;   /* by this process */
};

struct machine {
    char cpu[80];  /* "Intel(R) Xeon(R) Processor" */
    char date[16]; /* "2026-11-27" */
    int cores;     /* physical cores that this process may use */
    double limit;  /* CPUs that a control group grants; 0: no limit */
    double memory; /* bytes, or the limit of a control group; 0: unknown */
    double available;
    double cache; /* bytes of all caches that hold weights: second and third level, of all cores */
};

void machine_read(struct machine *m);
struct cpu_time cpu_time_now(void);
/* How many CPUs were busy with something else between two moments; negative: unknown. */
double cpu_time_others(const struct cpu_time *begin, const struct cpu_time *end);

/* ------------------------------------------------------------------------------------------------------------ table */

/* One size in one type. */
struct cell {
    const char *name; /* "1.5b" */
    enum rwkv7_arch arch;
    const char *architecture, *version; /* "RWKV-7 (x070)", "x070" */
    enum rwkv7_type type;
    struct rwkv7_shape shape;
    double parameters;
    double bytes;  /* read per token, at the density of the table */
    double memory; /* bytes that a program needs to run it */
    double making; /* bytes needed to make random weights: they are bf16 before they are quantized */
    bool fits;     /* in the memory of this machine */

    bool measured;
    double decode, prefill;  /* tokens per second; 0: unknown */
    double share;            /* of the bandwidth: decode * bytes / the rate at which memory is read; 0: unknown */
    const struct cell *from; /* computed from this one; NULL: measured, or computed from the bandwidth alone */
};

enum { BENCH_TYPES = 4 };

struct sizes {
    const struct args *args;
    struct machine machine;
    const char *kernels; /* "avx512" */
    int threads;
    int prefill; /* tokens; 0: not measured */
    enum rwkv7_type types[BENCH_TYPES];
    size_t type_count, row_count;
    struct cell *cells;    /* [row_count][type_count] */
    double read;           /* bytes per second that memory can be read with: the median of many probes */
    double others;         /* CPUs that other programs used meanwhile; negative: unknown */
    size_t measured_count; /* cells */
};

static inline const struct cell *sizes_cell(const struct sizes *s, size_t row, size_t type)
{
    return &s->cells[row * s->type_count + type];
}

/* The whole command. */
int bench_sizes(const struct args *args);

/* Facts that would change the figures, one line each. */
enum { ADVICE_MOST = 10, ADVICE_ROOM = 200 };
struct advice {
    char lines[ADVICE_MOST][ADVICE_ROOM];
    size_t count;
};
void bench_advice(const struct sizes *s, struct advice *out);

/* Prints the table as text, JSON or CSV. */
int bench_sizes_report(const struct sizes *s);

/* "124", "39.5", "5.12": three digits. */
const char *rate_text(double rate, char text[16]);

/* Draws the decode speeds as SVG. */
int bench_plot(const struct sizes *s, struct rwkv7_output *to);

#endif
