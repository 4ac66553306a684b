/* run.c - `rwkv7 run`: a prompt goes in, its continuation comes out, token by token. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/logprobs.h"
#include "cli/run.h"
#include "cli/sampling.h"
#include "cli/saved.h"
#include "cli/terminal.h"
#include "cli/tuned.h"

/* Text to standard output, or, with --json, to what will be written there at the end. */
static int write_text(struct generation *g, const char *text, size_t length)
{
    if (length == 0)
        return DONE;
    if (!g->args->json) {
        const int code = out_write(text, length);
        return code == DONE ? out_flush() : code;
    }
    if (g->room - g->length <= length) {
        const size_t room = 2 * (g->length + length) + 1;
        char *const grown = realloc(g->text, room);
        if (!grown)
            return complain(FAILED, "out of memory for the text");
        g->text = grown;
        g->room = room;
    }
    memcpy(g->text + g->length, text, length);
    g->length += length;
    g->text[g->length] = '\0';
    return DONE;
}

static int add_logprobs(struct generation *g, uint32_t id)
{
    if (g->args->logprobs == 0)
        return DONE;
    if (!g->logprobs)
        g->logprobs = cJSON_CreateArray();
    const int vocab = rwkv7_model_info(g->engine->model)->shape.vocab;
    cJSON *const json = logprobs_json(g->engine->tokenizer, g->logits, vocab, id, g->args->logprobs);
    if (cJSON_AddItemToArray(g->logprobs, json))
        return DONE;
    cJSON_Delete(json);
    return complain(FAILED, "out of memory for JSON");
}

static int remember(struct generation *g)
{
    struct rwkv7_error err;
    rwkv7_note_clear(&g->memory);
    return rwkv7_sampler_remember(g->sampler, &g->memory, &err) == RWKV7_OK ? DONE : report(&err);
}

/*
 * Draws, shows and evaluates tokens until there are enough of them, the text ends, or ^C. The draw that ends the text is not
 * remembered: who goes on from there draws it again.
 */
static int generate(struct generation *g)
{
    const struct rwkv7_tokenizer *const tokenizer = g->engine->tokenizer;
    const bool has_end = rwkv7_tokenizer_has_end_of_text(tokenizer), keeps = g->args->state_out != NULL;
    struct rwkv7_error err;
    int code = keeps ? remember(g) : DONE;

    g->finish = "length";
    while (code == DONE && g->tokens != g->args->tokens) {
        uint32_t id;
        const char *text;
        size_t length;
        int stop;
        if (interrupted) {
            g->finish = "interrupted";
            break;
        }
        if (rwkv7_sampler_next(g->sampler, g->logits, &id, &err) != RWKV7_OK)
            return report(&err);
        if (g->tokens == 0)
            g->first = seconds();
        code = add_logprobs(g, id);
        if (has_end && id == RWKV7_END_OF_TEXT) {
            g->finish = "end";
            break;
        }
        g->tokens++;
        if (code == DONE && keeps)
            code = remember(g);
        if (code != DONE)
            break;
        const uint8_t *const bytes = rwkv7_tokenizer_bytes(tokenizer, id, &length);
        if (rwkv7_stream_push(g->stream, bytes, length, &text, &length, &stop, &err) != RWKV7_OK)
            return report(&err);
        if (stop >= 0)
            g->finish = "stop";
        code = write_text(g, text, length);
        if ((code != DONE || stop >= 0 || g->tokens == g->args->tokens) && !keeps)
            break; /* what follows from the last token is of no interest */
        const double begin = seconds();
        if (rwkv7_session_eval(g->session, &id, 1, RWKV7_LOGITS_LAST, g->logits, &err) != RWKV7_OK)
            return report(&err);
        spread_add(&g->times, seconds() - begin);
        g->evaluated++;
        if (stop >= 0)
            break;
    }
    return code;
}

/* What the stream still holds: the text has ended, so it cannot become a stop string or a character any more. */
static int write_rest(struct generation *g)
{
    struct rwkv7_error err;
    const char *text;
    size_t length;
    if (rwkv7_stream_finish(g->stream, &text, &length, &err) != RWKV7_OK)
        return report(&err);
    return write_text(g, text, length);
}

static size_t logits_bytes(const struct generation *g)
{
    return (size_t)rwkv7_model_info(g->engine->model)->shape.vocab * sizeof *g->logits;
}

static int prepare(struct generation *g)
{
    const struct args *const args = g->args;
    struct rwkv7_error err;
    g->seed = args->seed_given ? args->seed : random_seed();
    int code = sampling_create(args, g->engine, g->seed, &g->sampler);
    if (code != DONE)
        return code;
    if (rwkv7_stream_create(args->stops.at, args->stops.count, &g->stream, &err) != RWKV7_OK)
        return report(&err);
    if (rwkv7_session_create(g->engine->model, &g->session, &err) != RWKV7_OK)
        return report(&err);
    code = tuned_start(args, g->engine->model, g->session);
    if (code != DONE)
        return code;
    g->logits = malloc(logits_bytes(g));
    return g->logits ? DONE : complain(FAILED, "out of memory for the logits");
}

/* The text that was left goes on where it stood: `kept` comes from the state file. */
static int go_on(struct generation *g, const struct saved *kept)
{
    const struct rwkv7_note *const logits = &kept->piece[SAVED_LOGITS], *const held = &kept->piece[SAVED_HELD],
                                   *const memory = &kept->piece[SAVED_SAMPLER];
    struct rwkv7_error err;
    const char *text;
    size_t length;
    int stop;

    if (logits->size != logits_bytes(g))
        return DONE;
    memcpy(g->logits, logits->data, logits->size);
    g->has_logits = true;
    if (memory->size >= sizeof g->seed) { /* it begins with the generator, whose state is a seed */
        if (g->args->seed_given)
            memcpy(memory->data, &g->seed, sizeof g->seed);
        else
            memcpy(&g->seed, memory->data, sizeof g->seed);
        if (rwkv7_sampler_recall(g->sampler, memory, &err) != RWKV7_OK)
            return report(&err);
    }
    if (rwkv7_stream_push(g->stream, held->data, held->size, &text, &length, &stop, &err) != RWKV7_OK)
        return report(&err);
    return write_text(g, text, length); /* nothing, unless the stop strings are others now */
}

static int read_prompt(struct generation *g)
{
    const struct args *const args = g->args;
    struct saved kept = {0};
    const bool wanted = args->tokens != 0 || args->state_out;
    int code = args->state_in ? saved_load(&kept, g->session, args->state_in) : DONE;
    if (code == DONE)
        code = prompt_feed(args, g->engine, g->session, wanted ? g->logits : NULL, &g->prompt);
    if (code == DONE && g->prompt.tokens > 0)
        g->has_logits = wanted;
    else if (code == DONE && !interrupted)
        code = go_on(g, &kept);
    saved_free(&kept);
    if (code == DONE && !interrupted && args->tokens != 0 && !g->has_logits)
        code = complain_usage(args->command, "the prompt is empty: nothing to continue");
    return code;
}

/* Keeps what it takes to go on, instead of the last bytes being shown. */
static int keep_state(struct generation *g)
{
    struct saved kept = {.piece = {[SAVED_SAMPLER] = g->memory}};
    size_t held;
    if (g->has_logits)
        kept.piece[SAVED_LOGITS] = (struct rwkv7_note){g->logits, logits_bytes(g)};
    const uint8_t *const bytes = rwkv7_stream_held(g->stream, &held);
    kept.piece[SAVED_HELD] = (struct rwkv7_note){(void *)(uintptr_t)bytes, held};
    return saved_store(&kept, g->session, g->args->state_out);
}

static int run_generation(struct generation *g)
{
    const struct args *const args = g->args;
    int code = prepare(g);
    if (code != DONE)
        return code;
    interrupt_catch();
    if (args->verbose)
        report_start(g);
    if (args->echo && isatty(STDOUT_FILENO))
        progress_disable(); /* the prompt is shown while it is read */
    code = read_prompt(g);
    if (code != DONE)
        return code;
    const bool complete = !interrupted;
    const double begin = seconds();
    code = generate(g);
    g->seconds = seconds() - begin;
    g->density = rwkv7_session_density(g->session);
    if ((code == DONE || code == CLOSED) && args->state_out && complete) {
        const int kept = keep_state(g);
        code = kept == DONE ? code : kept;
    } else if (code == DONE) {
        code = write_rest(g);
    }
    if (code == DONE && args->json)
        code = report_json(g);
    out_end_line();
    if (code != DONE)
        return code;
    if (args->state_out && !complete)
        complain(DONE, "interrupted in the prompt: no state is kept");
    if (args->stats)
        report_stats(g);
    else if (!args->quiet && !args->json)
        report_summary(g);
    return interrupted ? INTERRUPTED : DONE;
}

int run_command(const struct args *args)
{
    struct engine engine = {0};
    struct generation g = {.args = args, .engine = &engine, .began = seconds()};
    if (args->logprobs > 0 && !args->json)
        return complain_usage(args->command, "--logprobs needs --json");
    if (args->echo && args->json)
        return complain_usage(args->command, "--echo and --json exclude each other");
    if (args->state_in && args->prompt_cache)
        return complain_usage(args->command, "--state-in and --prompt-cache exclude each other");
    if (args->quiet)
        progress_disable();
    int code = engine_open_runtime(&engine, args, args->threads);
    if (code == DONE)
        code = engine_open_model(&engine, args);
    if (code == DONE)
        code = engine_open_vocab(&engine, args);
    if (code == DONE && args->state_out)
        code = saved_possible(args->state_out, args, &engine);
    g.loaded = seconds();
    if (code == DONE)
        code = run_generation(&g);
    free(g.text);
    cJSON_Delete(g.logprobs);
    free(g.logits);
    rwkv7_note_clear(&g.memory);
    rwkv7_session_close(g.session);
    rwkv7_stream_close(g.stream);
    rwkv7_sampler_close(g.sampler);
    engine_close(&engine);
    return code;
}
