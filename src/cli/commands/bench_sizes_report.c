/* bench_sizes_report.c - the table of all sizes as text, JSON or CSV. See bench_sizes.h. */
#include <stdio.h>
#include <string.h>

#include "base/json_tree.h"
#include "cli/commands/bench_sizes.h"
#include "cli/io/messages.h"
#include "cli/io/output.h"
#include "cli/io/signals.h"

enum { NAME_WIDTH = 11, CELL_WIDTH = 16, LINE_WIDTH = 78 };

const char *rate_text(double rate, char text[16])
{
    const int decimals = rate >= 99.95 ? 0 : rate >= 9.995 ? 1 : 2;
    snprintf(text, 16, "%.*f", decimals, rate);
    return text;
}

static const char *math_name(const struct sizes *s)
{
    static const char *const names[] = {
        [RWKV7_MATH_EXACT] = "exact", [RWKV7_MATH_FAST] = "fast", [RWKV7_MATH_BLAS] = "blas"};
    return names[s->args->machine.math];
}

/* "RWKV-7" of "RWKV-7 (x070)". */
static int family_length(const struct cell *c)
{
    return (int)strcspn(c->architecture, " ");
}

/* Returns whether a new RWKV version starts at this row; the text table puts a heading there. */
static bool is_first_of_version(const struct sizes *s, size_t row)
{
    if (row == 0)
        return true;
    const struct cell *const before = sizes_cell(s, row - 1, 0), *const now = sizes_cell(s, row, 0);
    return family_length(before) != family_length(now) ||
           strncmp(before->architecture, now->architecture, (size_t)family_length(now)) != 0;
}

/* ----------------------------------------------------------------------------------------- text */

static void text_decode(const struct cell *c, char *to, size_t room)
{
    char rate[16];
    if (!c->fits)
        snprintf(to, room, "needs %.1f GB", 1e-9 * c->memory);
    else if (c->decode > 0)
        snprintf(to, room, "%s%s %4.0f%%", c->measured ? "" : "~", rate_text(c->decode, rate), 100 * c->share);
    else
        snprintf(to, room, "-");
}

static void text_prefill(const struct cell *c, char *to, size_t room)
{
    char rate[16];
    if (!c->fits || c->prefill <= 0)
        snprintf(to, room, "-");
    else
        snprintf(to, room, "%s%s", c->measured ? "" : "~", rate_text(c->prefill, rate));
}

/* Prints a grid: one row per size, one column per type. */
static void text_grid(const struct sizes *s, void (*cell)(const struct cell *c, char *to, size_t room))
{
    char text[64];
    for (size_t row = 0; row < s->row_count; row++) {
        const struct cell *const first = sizes_cell(s, row, 0);
        if (is_first_of_version(s, row)) {
            printf("%s%-*.*s", row > 0 ? "\n" : "", (int)NAME_WIDTH, family_length(first), first->architecture);
            for (size_t t = 0; t < s->type_count; t++)
                printf("%*s", (int)CELL_WIDTH, rwkv7_type_name(s->types[t]));
            putchar('\n');
        }
        printf("%-*s", (int)NAME_WIDTH, first->name);
        for (size_t t = 0; t < s->type_count; t++) {
            cell(sizes_cell(s, row, t), text, sizeof text);
            printf("%*s", (int)CELL_WIDTH, text);
        }
        putchar('\n');
    }
}

/* Prints text wrapped at LINE_WIDTH; continuation lines are indented by two spaces. */
static void text_wrapped(const char *begin, const char *text)
{
    size_t column = (size_t)printf("%s", begin);
    for (bool first = true; *text; first = false) {
        const size_t n = strcspn(text, " ");
        if (!first && column + 1 + n > LINE_WIDTH)
            column = (size_t)printf("\n ") - 1; /* the word prints the second space */
        column += (size_t)printf("%s%.*s", first ? "" : " ", (int)n, text);
        text += n + (text[n] == ' ');
    }
    putchar('\n');
}

static void text_notes(const struct sizes *s)
{
    bool computed = false, limit = false, cached = false;
    for (size_t i = 0; i < s->row_count * s->type_count; i++) {
        const struct cell *const c = &s->cells[i];
        computed |= c->from != NULL;
        limit |= !c->measured && !c->from && c->decode > 0;
        cached |= c->share > 1;
    }
    putchar('\n');
    if (computed)
        text_wrapped("", "~ computed from the largest size that was measured in this type");
    if (limit)
        text_wrapped("", computed ? "  or, where none was, the limit: the bandwidth divided by the bytes per token"
                                  : "~ the limit: the memory bandwidth divided by the bytes that a token reads");
    if (cached)
        text_wrapped("", "above 100%: part of the weights stays in the caches");
}

static int text_report(const struct sizes *s)
{
    const struct machine *const m = &s->machine;
    struct advice advice;
    printf("rwkv7 %s, %s\n", rwkv7_version(), m->date);
    printf("CPU      %.70s\n", m->cpu);
    printf("threads  %d on %d core%s; %s kernels, %s math\n", s->threads, m->cores, plural((uint64_t)m->cores),
           s->kernels, math_name(s));
    printf("memory   %.1f GB (%.1f GB free); read bandwidth %.1f GB/s\n", 1e-9 * m->memory, 1e-9 * m->available,
           1e-9 * s->read);
    printf("\nDecode: tokens per second, and the share of the memory bandwidth\n\n");
    text_grid(s, text_decode);
    if (s->prefill > 0 && s->measured_count > 0) {
        printf("\nPrefill: tokens per second, prompts of %d tokens\n\n", s->prefill);
        text_grid(s, text_prefill);
    }
    text_notes(s);
    bench_advice(s, &advice);
    if (advice.count > 0)
        printf("\nWhat would make it faster\n\n");
    for (size_t i = 0; i < advice.count; i++)
        text_wrapped("* ", advice.lines[i]);
    return out_flush();
}

/* ----------------------------------------------------------------------------------------- JSON */

static void json_cell(struct json_tree *t, cJSON *to, const struct sizes *s, const struct cell *c)
{
    cJSON *const o = json_add_object(t, to, NULL);
    json_add_string(t, o, "shape", c->name);
    json_add_string(t, o, "version", c->version);
    json_add_string(t, o, "type", rwkv7_type_name(c->type));
    json_add_number(t, o, "parameters", c->parameters);
    json_add_number(t, o, "memory_bytes", c->memory);
    json_add_bool(t, o, "fits", c->fits);
    json_add_bool(t, o, "measured", c->measured);
    if (c->from)
        json_add_string(t, o, "computed_from", c->from->name);
    json_add_number(t, o, "bytes_per_token", c->bytes);
    if (c->decode > 0) {
        json_add_number(t, o, "decode_tokens_per_second", c->decode);
        json_add_number(t, o, "read_share", c->share);
    }
    if (s->read > 0)
        json_add_number(t, o, "decode_limit_tokens_per_second", s->read / c->bytes);
    if (c->prefill > 0)
        json_add_number(t, o, "prefill_tokens_per_second", c->prefill);
}

static int json_report(const struct sizes *s)
{
    struct json_tree tree = {0}, *const t = &tree;
    struct advice advice;
    cJSON *const o = json_tree_object(t);
    json_add_string(t, o, "version", rwkv7_version());
    json_add_string(t, o, "date", s->machine.date);
    json_add_string(t, o, "cpu", s->machine.cpu);
    json_add_number(t, o, "cores", s->machine.cores);
    json_add_number(t, o, "threads", s->threads);
    json_add_string(t, o, "kernels", s->kernels);
    json_add_string(t, o, "math", math_name(s));
    json_add_number(t, o, "memory_bytes", s->machine.memory);
    json_add_number(t, o, "available_bytes", s->machine.available);
    json_add_number(t, o, "machine_bytes_per_second", s->read);
    json_add_number(t, o, "prefill_tokens", s->prefill);
    json_add_number(t, o, "density", (double)s->args->ffn_density);
    json_add_bool(t, o, "interrupted", interrupted != 0);
    cJSON *const cells = json_add_array(t, o, "sizes");
    for (size_t i = 0; i < s->row_count * s->type_count; i++)
        json_cell(t, cells, s, &s->cells[i]);
    cJSON *const lines = json_add_array(t, o, "advice");
    bench_advice(s, &advice);
    for (size_t i = 0; i < advice.count; i++)
        json_add_string(t, lines, NULL, advice.lines[i]);
    return out_json(t, true);
}

/* ------------------------------------------------------------------------------------------ CSV */

static int csv_report(const struct sizes *s)
{
    printf("shape,version,type,parameters,memory_bytes,fits,measured,computed_from,bytes_per_token,decode_tok_s,"
           "read_share,read_bytes_s,prefill_tokens,prefill_tok_s,kernels,math,threads,date,cpu\n");
    for (size_t i = 0; i < s->row_count * s->type_count; i++) {
        const struct cell *const c = &s->cells[i];
        printf("%s,%s,%s,%.0f,%.0f,%d,%d,%s,%.0f,", c->name, c->version, rwkv7_type_name(c->type), c->parameters,
               c->memory, c->fits, c->measured, c->from ? c->from->name : "", c->bytes);
        if (c->decode > 0)
            printf("%.4f,%.4f", c->decode, c->share);
        else
            printf(",");
        printf(",%.0f,%d,", s->read, s->prefill);
        if (c->prefill > 0)
            printf("%.4f", c->prefill);
        printf(",%s,%s,%d,%s,", s->kernels, math_name(s), s->threads, s->machine.date);
        putchar('"'); /* RFC 4180 */
        for (const char *at = s->machine.cpu; *at; at++)
            printf(*at == '"' ? "\"%c" : "%c", *at);
        printf("\"\n");
    }
    return out_flush();
}

int bench_sizes_report(const struct sizes *s)
{
    return s->args->print.json ? json_report(s) : s->args->csv ? csv_report(s) : text_report(s);
}
