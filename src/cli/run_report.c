/* run_report.c - what `rwkv7 run` says beside the text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/run.h"
#include "cli/terminal.h"

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

void report_summary(const struct generation *g)
{
    const bool dim = terminal_colours();
    char memory[16], *line = NULL;
    size_t size;
    FILE *const to = open_memstream(&line, &size); /* one piece, which no other output can tear */
    if (!to)
        return;
    fprintf(to, "%sprompt %llu token%s", dim ? "\033[2m" : "", (unsigned long long)g->stats.prompt_tokens,
            plural(g->stats.prompt_tokens));
    if (g->stats.cached_tokens > 0)
        fprintf(to, " (%llu known)", (unsigned long long)g->stats.cached_tokens);
    if (g->stats.prompt_tokens > g->stats.cached_tokens)
        fprintf(to, ", %.1f tok/s", prompt_rate(g));
    if (g->args->tokens != 0)
        fprintf(to, "; generated %llu token%s", (unsigned long long)g->stats.tokens, plural(g->stats.tokens));
    if (g->stats.tokens == 0 && strcmp(g->finish, "end") == 0)
        fprintf(to, ": the model ended the text at once");
    if (g->stats.evaluated > 0 && g->seconds > 0) {
        const double rate = (double)g->stats.evaluated / g->seconds;
        fprintf(to, ", %.1f tok/s, %.1f GB/s", rate, 1e-9 * bytes_per_token(g) * rate);
    }
    if (rwkv7_memory_peak() > 0)
        fprintf(to, "; memory %s", scaled_text((double)rwkv7_memory_peak(), "B", memory));
    if (g->args->temperature > 0 && g->args->tokens != 0)
        fprintf(to, "; seed %llu", (unsigned long long)g->stats.seed);
    fprintf(to, "%s\n", dim ? "\033[0m" : "");
    if (fclose(to) == 0 && err_begin_line())
        fputs(line, stderr);
    free(line);
}

void report_stats(const struct generation *g)
{
    const struct rwkv7_model_info *const info = rwkv7_model_info(g->engine->model);
    char a[16], b[16];
    if (!err_begin_line())
        return;
    fprintf(stderr, "loading     %.3f s, weights %s\n", g->loaded - g->began,
            scaled_text((double)info->weight_bytes, "B", a));
    fprintf(stderr, "prompt      %llu tokens, %llu of them known; %.3f s, %.1f tok/s\n",
            (unsigned long long)g->stats.prompt_tokens, (unsigned long long)g->stats.cached_tokens,
            g->stats.prompt_seconds, prompt_rate(g));
    if (g->first > 0)
        fprintf(stderr, "first token %.3f s after the start\n", g->first - g->began);
    if (g->stats.evaluated > 0)
        fprintf(stderr, "each token  median %.3f ms, 95%% below %.3f ms, longest %.3f ms; reads %s\n",
                1e3 * spread_quantile(&g->times, 0.5), 1e3 * spread_quantile(&g->times, 0.95), 1e3 * g->times.most,
                scaled_text(bytes_per_token(g), "B", a));
    if (info->skipped_bytes > 0)
        fprintf(stderr, "ffn.value   %.1f%% read: hidden units that are not zero\n", 100 * g->density);
    fprintf(stderr, "state       %s, after %llu tokens; memory %s\n", scaled_text((double)info->session_bytes, "B", a),
            (unsigned long long)rwkv7_session_tokens(g->session), scaled_text((double)rwkv7_memory_peak(), "B", b));
}

int report_json(struct generation *g)
{
    cJSON *const json = cJSON_CreateObject();
    bool ok = cJSON_AddStringToObject(json, "text", g->text ? g->text : "") &&
              cJSON_AddStringToObject(json, "finish", g->finish) &&
              json_add_whole(json, "prompt_tokens", g->stats.prompt_tokens) &&
              json_add_whole(json, "known_tokens", g->stats.cached_tokens) &&
              json_add_whole(json, "tokens", g->stats.tokens);
    if (g->args->temperature > 0)
        ok = ok && json_add_whole(json, "seed", g->stats.seed);
    ok = ok && json_add_seconds(json, "prompt_seconds", g->stats.prompt_seconds) &&
         json_add_seconds(json, "seconds", seconds() - g->loaded);
    if (ok && g->logprobs) {
        ok = cJSON_AddItemToObject(json, "logprobs", g->logprobs);
        g->logprobs = NULL;
    }
    char *const text = ok ? cJSON_PrintUnformatted(json) : NULL;
    cJSON_Delete(json);
    int code = text ? out_write(text, strlen(text)) : complain(FAILED, "out of memory for JSON");
    if (code == DONE)
        code = out_write("\n", 1);
    cJSON_free(text);
    return code == DONE ? out_flush() : code;
}
