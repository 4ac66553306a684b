/* run.c - `rwkv7 run`: a prompt goes in, its continuation comes out, token by token. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/common.h"
#include "cli/prompt.h"
#include "cli/terminal.h"

struct generation {
    const struct args *args;
    const struct engine *engine;
    struct rwkv7_session *session;
    struct rwkv7_sampler *sampler;
    struct rwkv7_stream *stream;
    float *logits; /* [V] */
    uint64_t seed;

    struct prompt_result prompt;
    long long tokens;   /* generated, and shown or part of a stop string */
    uint64_t evaluated; /* of those; the last one needs no evaluation */
    double seconds;     /* from the first draw to the last */
};

/* Short enough to be typed again. */
static uint64_t random_seed(void)
{
    uint32_t seed;
    FILE *const f = fopen("/dev/urandom", "rb");
    if (!f || fread(&seed, sizeof seed, 1, f) != 1) {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        seed = (uint32_t)t.tv_nsec ^ (uint32_t)t.tv_sec;
    }
    if (f)
        fclose(f);
    return seed;
}

/*
 * The biases of the command line, and a ban on every id that would print nothing: unused rows, end of text if unwanted.
 */
static int create_sampler(struct generation *g)
{
    const struct args *const args = g->args;
    const struct rwkv7_tokenizer *const tokenizer = g->engine->tokenizer;
    const int vocab = rwkv7_model_info(g->engine->model)->shape.vocab;
    const size_t given = args->biases.count;
    struct rwkv7_token_bias *const biases = malloc((given + (size_t)vocab) * sizeof *biases);
    if (!biases)
        return complain(FAILED, "out of memory for the sampler");
    if (given > 0)
        memcpy(biases, args->biases.at, given * sizeof *biases);

    struct rwkv7_sampler_options options;
    rwkv7_sampler_defaults(&options);
    options.temperature = args->temperature;
    options.top_p = args->top_p;
    options.top_k = args->top_k;
    options.min_p = args->min_p;
    options.presence_penalty = args->presence;
    options.frequency_penalty = args->frequency;
    options.penalty_decay = args->penalty_decay;
    options.seed = g->seed;
    options.biases = biases;
    options.bias_count = given;
    for (uint32_t id = 0; id < (uint32_t)vocab; id++) {
        size_t length;
        rwkv7_tokenizer_bytes(tokenizer, id, &length);
        if (length == 0 && (id != RWKV7_END_OF_TEXT || args->ignore_eos))
            biases[options.bias_count++] = (struct rwkv7_token_bias){id, -INFINITY};
    }
    struct rwkv7_error err;
    const enum rwkv7_status status = rwkv7_sampler_create(&options, vocab, tokenizer, &g->sampler, &err);
    free(biases);
    return status == RWKV7_OK ? DONE : report(&err);
}

static int write_text(const char *text, size_t length)
{
    if (length == 0)
        return DONE;
    const int code = out_write(text, length);
    return code == DONE ? out_flush() : code;
}

/* Draws, shows and evaluates tokens until there are enough of them, the text ends, or ^C. */
static int generate(struct generation *g)
{
    const struct rwkv7_tokenizer *const tokenizer = g->engine->tokenizer;
    const bool has_end = rwkv7_tokenizer_has_end_of_text(tokenizer);
    struct rwkv7_error err;

    while (g->tokens != g->args->tokens && !interrupted) {
        uint32_t id;
        const char *text;
        size_t length;
        int stop;
        if (rwkv7_sampler_next(g->sampler, g->logits, &id, &err) != RWKV7_OK)
            return report(&err);
        if (has_end && id == RWKV7_END_OF_TEXT)
            break;
        g->tokens++;
        const uint8_t *const bytes = rwkv7_tokenizer_bytes(tokenizer, id, &length);
        if (rwkv7_stream_push(g->stream, bytes, length, &text, &length, &stop, &err) != RWKV7_OK)
            return report(&err);
        const int code = write_text(text, length);
        if (code != DONE)
            return code;
        if (stop >= 0 || g->tokens == g->args->tokens)
            break;
        if (rwkv7_session_eval(g->session, &id, 1, RWKV7_LOGITS_LAST, g->logits, &err) != RWKV7_OK)
            return report(&err);
        g->evaluated++;
    }
    return DONE;
}

/* What the stream still holds: the text has ended, so it cannot become a stop string or a character any more. */
static int write_rest(struct generation *g)
{
    struct rwkv7_error err;
    const char *text;
    size_t length;
    if (rwkv7_stream_finish(g->stream, &text, &length, &err) != RWKV7_OK)
        return report(&err);
    const int code = write_text(text, length);
    out_end_line();
    return code;
}

static void print_start(const struct generation *g)
{
    const struct rwkv7_model_info *const info = rwkv7_model_info(g->engine->model);
    fprintf(stderr, "model %s (%s, %s); vocabulary %s; kernels %s, threads %d\n", info->path, info->container,
            info->naming, g->engine->vocab_name, rwkv7_runtime_cpu(g->engine->runtime),
            rwkv7_runtime_threads(g->engine->runtime));
}

static void print_summary(const struct generation *g)
{
    const bool dim = terminal_colours();
    const struct rwkv7_model_info *const info = rwkv7_model_info(g->engine->model);
    const double skipped = (1 - rwkv7_session_density(g->session)) * (double)info->skipped_bytes;
    const double bytes = ((double)info->step_bytes - skipped) * (double)g->evaluated;
    char memory[16];

    fprintf(stderr, "%sprompt %llu tokens", dim ? "\033[2m" : "", (unsigned long long)g->prompt.tokens);
    if (g->prompt.tokens > 0)
        fprintf(stderr, ", %.1f tok/s", (double)g->prompt.tokens / g->prompt.seconds);
    if (g->args->tokens != 0)
        fprintf(stderr, "; generated %lld tokens", g->tokens);
    if (g->evaluated > 0 && g->seconds > 0)
        fprintf(stderr, ", %.1f tok/s, %.1f GB/s", (double)g->evaluated / g->seconds, 1e-9 * bytes / g->seconds);
    if (rwkv7_memory_peak() > 0)
        fprintf(stderr, "; memory %s", scaled_text((double)rwkv7_memory_peak(), "B", memory));
    if (g->args->temperature > 0 && g->args->tokens != 0)
        fprintf(stderr, "; seed %llu", (unsigned long long)g->seed);
    fprintf(stderr, "%s\n", dim ? "\033[0m" : "");
}

static int prepare(struct generation *g)
{
    const struct args *const args = g->args;
    struct rwkv7_error err;
    g->seed = args->seed_given ? args->seed : random_seed();
    const int code = create_sampler(g);
    if (code != DONE)
        return code;
    if (rwkv7_stream_create(args->stops.at, args->stops.count, &g->stream, &err) != RWKV7_OK)
        return report(&err);
    if (rwkv7_session_create(g->engine->model, &g->session, &err) != RWKV7_OK)
        return report(&err);
    g->logits = malloc((size_t)rwkv7_model_info(g->engine->model)->shape.vocab * sizeof *g->logits);
    return g->logits ? DONE : complain(FAILED, "out of memory for the logits");
}

static int run_generation(struct generation *g)
{
    const struct args *const args = g->args;
    int code = prepare(g);
    if (code != DONE)
        return code;
    interrupt_catch();
    if (args->verbose)
        print_start(g);
    if (args->echo && isatty(STDOUT_FILENO))
        progress_disable(); /* the prompt is shown while it is read */
    code = prompt_feed(args, g->engine->tokenizer, g->session, args->tokens != 0 ? g->logits : NULL, &g->prompt);
    if (code != DONE)
        return code;
    const double begin = seconds();
    code = generate(g);
    g->seconds = seconds() - begin;
    if (code == DONE)
        code = write_rest(g);
    if (code != DONE)
        return code;
    if (!args->quiet)
        print_summary(g);
    return interrupted ? INTERRUPTED : DONE;
}

int run_command(const struct args *args)
{
    struct engine engine = {0};
    struct generation g = {.args = args, .engine = &engine};
    if (args->quiet)
        progress_disable();
    int code = engine_open_runtime(&engine, args, args->threads);
    if (code == DONE)
        code = engine_open_model(&engine, args);
    if (code == DONE)
        code = engine_open_vocab(&engine, args);
    if (code == DONE)
        code = run_generation(&g);
    free(g.logits);
    rwkv7_session_close(g.session);
    rwkv7_stream_close(g.stream);
    rwkv7_sampler_close(g.sampler);
    engine_close(&engine);
    return code;
}
