/*
 * bench_advice.c - advice of `rwkv7 bench`: what would be faster on this machine. See
 * bench_sizes.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands/bench_sizes.h"

RWKV7_PRINTF(2, 3) static void add(struct advice *to, const char *fmt, ...)
{
    va_list list;
    if (to->count == ADVICE_MOST)
        return;
    va_start(list, fmt);
    vsnprintf(to->lines[to->count++], ADVICE_ROOM, fmt, list);
    va_end(list);
}

/*
 * Advises the narrowest type. The figures are those of the largest size that was measured in both
 * types, else of the largest size that fits.
 */
static void advise_type(const struct sizes *s, struct advice *to)
{
    const size_t last = s->type_count - 1;
    const struct cell *wide = NULL, *narrow = NULL;
    for (size_t row = 0; row < s->row_count; row++) {
        const struct cell *const a = sizes_cell(s, row, 0), *const b = sizes_cell(s, row, last);
        if (a->decode <= 0 || b->decode <= 0)
            continue;
        const bool both = a->measured && b->measured, best = wide && wide->measured && narrow->measured;
        if (wide && (both < best || (both == best && a->bytes < wide->bytes)))
            continue;
        wide = a;
        narrow = b;
    }
    if (wide && last > 0 && narrow->decode > wide->decode)
        add(to, "--type %s decodes %s %.1f times as fast as %s: it reads %.1f times fewer bytes",
            rwkv7_type_name(narrow->type), wide->name, narrow->decode / wide->decode, rwkv7_type_name(wide->type),
            wide->bytes / narrow->bytes);
}

static void advise_threads(const struct sizes *s, struct advice *to)
{
    const struct machine *const m = &s->machine;
    if (m->limit > 0 && m->limit < m->cores)
        add(to, "a control group limits this process to %.2g of %d cores", m->limit, m->cores);
    else if (s->threads < m->cores)
        add(to, "%d of %d physical cores are used: leave out --threads to use all", s->threads, m->cores);
    if (s->threads > m->cores)
        add(to, "there are more threads than physical cores (%d), so threads wait for each other", m->cores);
}

static void advise_kernels(const struct sizes *s, struct advice *to)
{
    const char *const tiers = rwkv7_runtime_cpus(), *const space = strrchr(tiers, ' ');
    const char *const widest = space ? space + 1 : tiers;
    const bool has_amx = strstr(tiers, "amx") != NULL;
    if (strcmp(s->kernels, widest) != 0)
        add(to, "--cpu or RWKV7_CPU limits the kernels to %s; this CPU can run %s", s->kernels, widest);
    else if (strcmp(widest, "ref") == 0)
        add(to, "this CPU has no optimized kernels; the portable ones are slow");
    else if (strncmp(widest, "avx2", 4) == 0)
        add(to, "the widest kernels for this CPU are AVX2; AVX-512 and AMX read prompts faster");
    if (has_amx && s->args->machine.math == RWKV7_MATH_EXACT && s->types[0] == RWKV7_BF16 && s->prefill > 0)
        add(to, "--math fast reads prompts faster with bf16 (AMX); the logits agree to 0.001");
}

static void advise_memory(const struct sizes *s, struct advice *to)
{
    const struct machine *const m = &s->machine;
    const struct cell *first = NULL;
    for (size_t i = 0; i < s->row_count * s->type_count; i++) {
        const struct cell *const c = &s->cells[i];
        if (c->fits && c->memory > m->available && (!first || c->memory < first->memory))
            first = c;
    }
    if (first)
        add(to, "%.1f of %.1f GB of memory are free; %s %s needs %.1f GB", 1e-9 * m->available, 1e-9 * m->memory,
            first->name, rwkv7_type_name(first->type), 1e-9 * first->memory);
}

/* Names what limits decoding, from the share of the bandwidth that the largest cell reached. */
static void advise_limit(const struct sizes *s, struct advice *to)
{
    const struct cell *largest = NULL;
    for (size_t i = 0; i < s->row_count * s->type_count; i++)
        if (s->cells[i].measured && (!largest || s->cells[i].bytes > largest->bytes))
            largest = &s->cells[i];
    if (largest && largest->share >= 0.8)
        add(to, "decoding is bound by memory: faster memory or more channels help, a faster CPU does not");
    else if (largest)
        add(to, "%s %s reaches %.0f%% of the memory bandwidth: the CPU limits decoding, or other programs use it",
            largest->name, rwkv7_type_name(largest->type), 100 * largest->share);
}

void bench_advice(const struct sizes *s, struct advice *out)
{
    out->count = 0;
    advise_type(s, out);
    advise_threads(s, out);
    advise_kernels(s, out);
    advise_memory(s, out);
    advise_limit(s, out);
    if (s->args->ffn_density >= 1 && s->measured_count > 0)
        add(out, "trained models need about 0.15 of the hidden units of the channel mix: --ffn-density 0.15");
    if (s->others >= 0.2)
        add(out, "other programs used %.1f CPUs during the measurement: repeat it on an idle machine", s->others);
}
