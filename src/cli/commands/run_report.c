/* run_report.c - the summary line, the timings and the JSON of `rwkv7 run`. See run.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json_tree.h"
#include "cli/commands/run.h"
#include "cli/io/messages.h"
#include "cli/io/output.h"
#include "cli/io/terminal.h"

static double prompt_rate(const struct generation *g)
{
    const double read = (double)(g->stats.prompt_tokens - g->stats.cached_tokens);
    return g->stats.prompt_seconds > 0 ? read / g->stats.prompt_seconds : 0;
}

static double bytes_per_token(const struct generation *g)
{
    const struct rwkv7_model_info *const info = rwkv7_model_info(g->engine->model);
    return (double)info->step_bytes - (1 - g->density) * (double)info->skipped_bytes;
}

/* A line built in a buffer. It truncates longer text; realistic numbers fit. */
struct summary {
    char text[512];
    size_t used;
};

static void append(struct summary *s, const char *fmt, ...) RWKV7_PRINTF(2, 3);
static void append(struct summary *s, const char *fmt, ...)
{
    va_list list;
    va_start(list, fmt);
    const int n = vsnprintf(s->text + s->used, sizeof s->text - s->used, fmt, list);
    va_end(list);
    const size_t room = sizeof s->text - s->used - 1;
    s->used += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room;
}

/* Fewer guesses hardly change the speed; only --stats reports them. */
enum { WORTH_SAYING = 16 };

void report_summary(const struct generation *g)
{
    const bool dim = terminal_colours();
    struct summary s = {.used = 0};
    char memory[16];
    append(&s, "%sprompt %llu token%s", dim ? "\033[2m" : "", (unsigned long long)g->stats.prompt_tokens,
           plural(g->stats.prompt_tokens));
    if (g->stats.cached_tokens > 0)
        append(&s, " (%llu cached)", (unsigned long long)g->stats.cached_tokens);
    if (g->stats.prompt_tokens > g->stats.cached_tokens)
        append(&s, ", %.1f tok/s", prompt_rate(g));
    if (g->args->request.tokens != 0)
        append(&s, "; generated %llu token%s", (unsigned long long)g->stats.tokens, plural(g->stats.tokens));
    if (g->stats.tokens == 0 && strcmp(g->finish, "end") == 0)
        append(&s, ": the model ended the text at once");
    if (g->stats.evaluated > 0 && g->seconds > 0) {
        const double rate = (double)g->stats.evaluated / g->seconds;
        const double steps = (double)g->stats.steps / (double)g->stats.evaluated;
        append(&s, ", %.1f tok/s, %.1f GB/s", rate, 1e-9 * bytes_per_token(g) * rate * steps);
        if (g->stats.drafted >= WORTH_SAYING)
            append(&s, "; %.2f tokens per step, drafted %llu, accepted %llu", 1 / steps,
                   (unsigned long long)g->stats.drafted, (unsigned long long)g->stats.accepted);
    }
    if (rwkv7_memory_peak() > 0)
        append(&s, "; memory %s", scaled_text((double)rwkv7_memory_peak(), "B", memory));
    if (g->args->request.sampling.temperature > 0 && g->args->request.tokens != 0)
        append(&s, "; seed %llu", (unsigned long long)g->stats.seed);
    if (err_begin_line()) /* one write: other output cannot split the line */
        fprintf(stderr, "%s%s\n", s.text, dim ? "\033[0m" : "");
}

void report_stats(const struct generation *g)
{
    const struct rwkv7_model_info *const info = rwkv7_model_info(g->engine->model);
    char a[16], b[16];
    if (!err_begin_line())
        return;
    fprintf(stderr, "loading     %.3f s, weights %s\n", g->loaded - g->began,
            scaled_text((double)info->weight_bytes, "B", a));
    fprintf(stderr, "prompt      %llu tokens, %llu of them cached; %.3f s, %.1f tok/s\n",
            (unsigned long long)g->stats.prompt_tokens, (unsigned long long)g->stats.cached_tokens,
            g->stats.prompt_seconds, prompt_rate(g));
    if (g->first > 0)
        fprintf(stderr, "first token %.3f s after the start\n", g->first - g->began);
    if (g->stats.evaluated > 0)
        fprintf(stderr, "each token  median %.3f ms, p95 %.3f ms, max %.3f ms; reads %s\n",
                1e3 * spread_quantile(&g->times, 0.5), 1e3 * spread_quantile(&g->times, 0.95), 1e3 * g->times.max,
                scaled_text(bytes_per_token(g), "B", a));
    if (g->stats.drafted > 0)
        fprintf(stderr, "speculation %llu tokens in %llu evaluations; drafted %llu, accepted %llu\n",
                (unsigned long long)g->stats.evaluated, (unsigned long long)g->stats.steps,
                (unsigned long long)g->stats.drafted, (unsigned long long)g->stats.accepted);
    if (info->skipped_bytes > 0)
        fprintf(stderr, "ffn.value   %.1f%% read: the nonzero hidden units\n", 100 * g->density);
    fprintf(stderr, "state       %s, after %llu tokens; memory %s\n", scaled_text((double)info->session_bytes, "B", a),
            (unsigned long long)rwkv7_session_tokens(g->session), scaled_text((double)rwkv7_memory_peak(), "B", b));
}

int report_json(struct generation *g)
{
    struct json_tree t;
    cJSON *const json = json_tree_object(&t);
    json_add_string(&t, json, "text", g->text ? g->text : "");
    json_add_string(&t, json, "finish", g->finish);
    json_add_whole(&t, json, "prompt_tokens", g->stats.prompt_tokens);
    json_add_whole(&t, json, "known_tokens", g->stats.cached_tokens);
    json_add_whole(&t, json, "tokens", g->stats.tokens);
    json_add_whole(&t, json, "steps", g->stats.steps);
    json_add_whole(&t, json, "drafted", g->stats.drafted);
    json_add_whole(&t, json, "accepted", g->stats.accepted);
    if (g->args->request.sampling.temperature > 0)
        json_add_whole(&t, json, "seed", g->stats.seed);
    json_add_micros(&t, json, "prompt_seconds", g->stats.prompt_seconds);
    json_add_micros(&t, json, "seconds", seconds() - g->loaded);
    if (g->logprobs.root)
        json_add_tree(&t, json, "logprobs", &g->logprobs);
    const int code = out_json(&t, false);
    return code == DONE ? out_flush() : code;
}
