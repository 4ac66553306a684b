/* run.c - `rwkv7 run`: reads a prompt and writes its continuation, token by token. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json_tree.h"
#include "cli/commands/commands.h"
#include "cli/commands/constraint.h"
#include "cli/commands/engine.h"
#include "cli/commands/logprobs.h"
#include "cli/commands/run.h"
#include "cli/commands/state_files.h"
#include "cli/commands/tuned.h"
#include "cli/io/inputs.h"
#include "cli/io/messages.h"
#include "cli/io/output.h"
#include "cli/io/signals.h"
#include "cli/io/target.h"
#include "cli/io/terminal.h"
#include "cli/options/args.h"
#include "generate/generator.h"

/* Writes text to standard output; with --json, collects it for the object written at the end. */
static int write_text(struct generation *g, const char *text, size_t length)
{
    if (length == 0)
        return DONE;
    if (!g->args->print.json) {
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

static int add_logprobs(struct generation *g, const struct rwkv7_step *step)
{
    if (g->args->request.logprobs == 0 || !step->drawn)
        return DONE;
    logprobs_add(&g->logprobs, g->engine->tokenizer, step);
    return g->logprobs.failed ? complain(FAILED, "out of memory for the log probabilities") : DONE;
}

/* Called after each step of the generator: adds the time of an evaluation to the distribution. */
static void update_stats(struct generation *g)
{
    const struct rwkv7_generator_stats before = g->stats;
    g->stats = *rwkv7_generator_stats(g->generator);
    if (g->stats.evaluated > before.evaluated)
        spread_add(&g->times, g->stats.seconds - before.seconds);
}

/*
 * Returns whether all output reached its reader. If not, marks the lost bytes as not shown, so that
 * a saved state ends with the text that was read.
 */
static bool all_was_written(struct generation *g)
{
    const size_t bytes = out_lost();
    if (bytes > 0)
        generator_unshow(g->generator, bytes);
    return bytes == 0;
}

/* Writes the text, token by token. `keep`: also evaluates the last token, for the state to save. */
static int generate(struct generation *g, bool keep)
{
    struct rwkv7_error err;
    const struct rwkv7_step *step;
    enum rwkv7_end end;
    int code;
    out_lost(); /* discards the count of lost prompt bytes (--echo) */
    do {
        if (rwkv7_generator_next(g->generator, &step, &err) != RWKV7_OK)
            return report(&err);
        if (step->drawn && g->first == 0)
            g->first = seconds();
        update_stats(g);
        code = add_logprobs(g, step);
        if (code == DONE)
            code = write_text(g, step->text, step->length);
        end = step->end;
        if (!all_was_written(g) && end == RWKV7_END_NONE)
            end = RWKV7_END_CANCELLED;
    } while (code == DONE && end == RWKV7_END_NONE);
    g->finish = end_name(end);
    if (keep && (code == DONE || code == CLOSED)) {
        if (rwkv7_generator_sync(g->generator, &err) != RWKV7_OK)
            return report(&err);
        update_stats(g);
    }
    return code;
}

static int prepare(struct generation *g)
{
    const struct run_args *const args = g->args;
    struct request_options options;
    struct rwkv7_error err;
    if (rwkv7_session_create(g->engine->model, &g->session, &err) != RWKV7_OK)
        return report(&err);
    const struct seed_option *const seed = &args->request.sampling.seed;
    const bool hint = !args->print.quiet && !args->saved.state_in;
    const int code = tuned_start(&args->tuned, hint, g->engine->model, g->session);
    if (code != DONE)
        return code;
    request_options_fill(&options, &args->request, seed->given ? seed->value : random_seed());
    engine_use_drafts(g->engine, &options.generate);
    options.generate.grammar = g->engine->grammar;
    options.generate.resumable = args->saved.state_out != NULL;
    options.generate.reseed = seed->given;
    options.generate.progress = prompt_show_progress;
    options.generate.progress_arg = &g->progress;
    if (rwkv7_generator_create(g->session, g->engine->tokenizer, &options.generate, &g->generator, &err) != RWKV7_OK)
        return report(&err);
    generator_set_limit(g->generator, limit_option(&args->request));
    if (prompt_cache_option(&g->cache, &args->saved, args->machine.math))
        generator_use_cache(g->generator, &g->cache);
    return DONE;
}

static int read_prompt(struct generation *g)
{
    const struct run_args *const args = g->args;
    struct rwkv7_error err;
    if (args->saved.state_in && rwkv7_generator_load(g->generator, args->saved.state_in, &err) != RWKV7_OK)
        return state_report(&err, args->saved.state_in, false);
    const int code = prompt_feed(&args->prompt, args->request.strip, g->generator, &g->progress,
                                 args->request.tokens != 0 || args->saved.state_out);
    g->stats = *rwkv7_generator_stats(g->generator);
    if (code == DONE && !interrupted && args->request.tokens != 0 && !generator_is_ready(g->generator))
        return complain_usage(args->common.command, "the prompt is empty: nothing to continue");
    return code;
}

/*
 * Called after the JSON is written. If the text was lost, the state is not saved: it would replace
 * the one from which the user can try again.
 */
static int save_state(struct generation *g, int code)
{
    struct rwkv7_error err;
    if (g->args->print.json && (out_lost() > 0 || code != DONE))
        return complain(code, "the JSON could not be written; state not saved");
    struct target target;
    code = target_open(&target, g->args->saved.state_out);
    if (code == DONE && rwkv7_generator_save(g->generator, target.path, &err) != RWKV7_OK)
        code = report(&err);
    target_close(&target);
    return code;
}

static int run_generation(struct generation *g)
{
    const struct run_args *const args = g->args;
    int code = prepare(g);
    if (code != DONE)
        return code;
    interrupt_catch();
    if (args->print.verbose)
        engine_report(g->engine);
    if (args->prompt.echo && isatty(STDOUT_FILENO))
        progress_disable(); /* the echoed prompt shows the progress */
    code = read_prompt(g);
    if (code != DONE)
        return code;
    const bool complete = !interrupted;
    const double begin = seconds();
    code = generate(g, args->saved.state_out && complete);
    g->seconds = seconds() - begin;
    g->density = rwkv7_session_density(g->session);
    if (code == DONE && args->print.json)
        code = report_json(g);
    if ((code == DONE || code == CLOSED) && args->saved.state_out && complete) {
        const int saved = save_state(g, code);
        code = saved == DONE ? code : saved;
    }
    out_end_line();
    if (code != DONE)
        return code;
    if (args->saved.state_out && !complete)
        complain(DONE, "interrupted while reading the prompt; state not saved");
    if (args->stats)
        report_stats(g);
    else if (!args->print.quiet && !args->print.json)
        report_summary(g);
    return interrupted ? INTERRUPTED : DONE;
}

int run_command(const void *command_args)
{
    struct run_args own = *(const struct run_args *)command_args;
    const struct run_args *const args = &own;
    struct engine engine = {0};
    struct generation g = {.args = args, .engine = &engine, .began = seconds()};
    if (args->print.verbose)
        args_report_config(&args->common);
    if (args->request.logprobs > 0 && !args->print.json)
        return complain_usage(args->common.command, "--logprobs needs --json");
    if (args->prompt.echo && args->print.json)
        return complain_usage(args->common.command, "--echo and --json exclude each other");
    if (args->prompt.no_stdin && prompt_names_stdin(&args->prompt))
        return complain_usage(args->common.command, "- means standard input, which --no-stdin excludes");
    if (args->saved.state_in && args->saved.prompt_cache)
        return complain_usage(args->common.command, "--state-in and --prompt-cache exclude each other");
    if (args->print.quiet)
        progress_disable();
    int code = tuned_check(&args->common, &args->tuned, &args->saved);
    if (code == DONE)
        code =
            constraint_check(&args->common, &args->constraint, prompt_names_stdin(&args->prompt) ? "the prompt" : NULL);
    own.prompt.no_stdin = own.prompt.no_stdin || constraint_reads_stdin(&args->constraint);
    if (code == DONE)
        code = engine_open_runtime(&engine, &args->machine);
    if (code == DONE)
        code = engine_open_model(&engine, &args->model);
    if (code == DONE)
        code = engine_open_vocab(&engine, &args->model);
    if (code == DONE)
        code = engine_open_drafts(&engine, &args->request.draft, &args->common, args->machine.math);
    if (code == DONE)
        code = constraint_open(&engine, &args->constraint);
    if (code == DONE && args->prompt.echo)
        code = inputs_refuse_stdout();
    if (code == DONE && args->saved.state_out)
        code = state_path_check(args->saved.state_out);
    g.loaded = seconds();
    if (code == DONE)
        code = run_generation(&g);
    free(g.text);
    json_tree_free(&g.logprobs);
    rwkv7_generator_close(g.generator);
    rwkv7_session_close(g.session);
    engine_close(&engine);
    return code;
}
