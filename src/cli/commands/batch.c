/*
 * batch.c - `rwkv7 batch`: reads prompts as JSON lines, writes results in the same order.
 *
 * The scheduler decodes several sequences together, so each weight is read once per step for all of
 * them; this file does its input and output. When a sequence finishes, the next line starts.
 * Finished results wait in a window until all earlier ones are written. Memory is bounded for an
 * input of any length: reading stops while the window is full or the output blocks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/commands/commands.h"
#include "cli/commands/constraint.h"
#include "cli/commands/engine.h"
#include "cli/commands/results.h"
#include "cli/commands/sequence.h"
#include "cli/commands/tuned.h"
#include "cli/io/inputs.h"
#include "cli/io/messages.h"
#include "cli/io/output.h"
#include "cli/io/signals.h"
#include "cli/io/terminal.h"
#include "cli/options/args.h"
#include "cli/options/request_options.h"

enum { LINES_PER_SEQUENCE = 4 };

struct batch {
    const struct batch_args *args;
    struct engine engine;
    struct line_input in;
    double in_size; /* bytes; negative when unknown */
    struct results results;
    uint64_t run;  /* fingerprint of the model, vocabulary, state and options (fingerprint.h) */
    uint64_t seed; /* of line 1; later lines count up from it */
    struct rwkv7_session *start;

    struct scheduler *scheduler;
    struct sequence **window; /* [window_size]: prompt n is at n % window_size, first <= n < last */
    size_t window_size;
    uint64_t first, last; /* prompts, counted from 0 */

    uint64_t prompts, failed;
    uint64_t spaced; /* prompts that end in white space */
    uint64_t prompt_tokens, tokens;
    uint64_t steps, drafted, accepted; /* see struct rwkv7_generator_stats */
    double began;
};

static struct sequence **place(const struct batch *b, uint64_t prompt)
{
    return &b->window[prompt % b->window_size];
}

/* Writes a result and its newline in one write, so that a reader rarely sees a partial line. */
static int write_line(const struct batch *b, char *text)
{
    const size_t length = strlen(text);
    text[length] = '\n';
    return results_write(&b->results, text, length + 1);
}

/* Writes the finished results at the start of the window, up to the first unfinished one. */
static int write_results(struct batch *b)
{
    int code = DONE;
    while (code == DONE && b->first < b->last && (*place(b, b->first))->finished) {
        struct sequence **const s = place(b, b->first);
        if ((*s)->no_memory) /* write no result, so that --resume repeats this line */
            return complain(FAILED, "line %llu: %s", (unsigned long long)(*s)->line, (*s)->error);
        char *const text = sequence_result(*s);
        code = text ? write_line(b, text) : complain(FAILED, "out of memory for a result");
        cJSON_free(text);
        b->prompts++;
        b->failed += (*s)->reason == NULL;
        b->spaced += (*s)->ends_in_space;
        b->prompt_tokens += sequence_prompt_tokens(*s);
        b->tokens += sequence_tokens(*s);
        b->steps += (*s)->job.request.speculation.total_steps;
        b->drafted += (*s)->job.request.speculation.total_drafted;
        b->accepted += (*s)->job.request.speculation.total_accepted;
        sequence_close(*s);
        *s = NULL;
        b->first++;
    }
    return code;
}

static int start_line(struct batch *b, enum line_kind kind, const char *line, size_t length)
{
    const uint64_t number = b->in.number;
    struct sequence *const s =
        sequence_start(&b->args->request, &b->engine, b->start, number, kind == LINE_TOO_LONG ? "" : line,
                       kind == LINE_TOO_LONG ? 0 : length, b->seed + number - 1);
    if (!s)
        return FAILED;
    if (kind == LINE_TOO_LONG)
        snprintf(s->error, sizeof s->error, "the line is longer than %zu bytes", b->in.most);
    fingerprint_text(b->run, line, kind == LINE_TOO_LONG ? 0 : length, s->fingerprint);
    *place(b, b->last++) = s;
    if (s->finished)
        return DONE;
    struct rwkv7_error err;
    return scheduler_add(b->scheduler, &s->job, &err) == RWKV7_OK ? DONE : report(&err);
}

/*
 * Starts lines while slots and window have room; blocks for input only if no sequence is running.
 */
static int admit(struct batch *b, bool *ended)
{
    *ended = false;
    while (scheduler_count(b->scheduler) < (size_t)b->args->parallel && b->last - b->first < b->window_size &&
           !interrupted) {
        enum line_kind kind;
        char *line;
        size_t length;
        int code = line_input_next_filled(&b->in, scheduler_count(b->scheduler) == 0, &kind, &line, &length);
        *ended = code == DONE && kind == LINE_END;
        if (code != DONE || kind == LINE_LATER || kind == LINE_END)
            return code;
        code = start_line(b, kind, line, length);
        if (code == DONE)
            code = write_results(b); /* invalid lines are finished at once */
        if (code != DONE)
            return code;
    }
    return DONE;
}

/* Runs one evaluation of the scheduler and passes its events to the sequences. */
static int step(struct batch *b)
{
    struct scheduled *job;
    struct rwkv7_error err;
    if (scheduler_step(b->scheduler, &err) != RWKV7_OK)
        return report(&err);
    while ((job = scheduler_event(b->scheduler))) {
        struct sequence *const s = job->owner;
        sequence_take(s, &b->engine);
        if (s->finished && !job->finished)
            scheduler_remove(b->scheduler, job);
    }
    if (b->in_size > 0)
        progress_show("batch", (double)b->in.bytes / b->in_size, (double)(b->tokens + b->prompt_tokens), "tokens");
    return DONE;
}

static int run_batch(struct batch *b)
{
    bool ended = false;
    int code = DONE;
    while (code == DONE && !interrupted && !(ended && b->first == b->last)) {
        code = admit(b, &ended);
        if (code == DONE && scheduler_count(b->scheduler) > 0)
            code = step(b);
        if (code == DONE)
            code = write_results(b);
    }
    progress_clear();
    return code;
}

/* -------------------------------------------------------------------------------------- opening */

static int open_output(struct batch *b, bool create)
{
    const struct batch_args *const args = b->args;
    const bool standard = !args->output || strcmp(args->output, "-") == 0;
    if (args->resume && standard)
        return complain_usage(args->common.command, "--resume needs --output FILE: the file to continue");
    return standard ? inputs_refuse_stdout() : results_open(&b->results, args->output, args->resume, create);
}

/* Reports invalid options, such as a ban of an unknown token, once instead of for each line. */
static int check_options(const struct batch *b)
{
    struct scheduled job;
    struct request_options options;
    struct rwkv7_error err;
    request_options_fill(&options, &b->args->request, 0);
    engine_use_drafts(&b->engine, &options.generate);
    if (scheduled_open(&job, b->start, b->engine.tokenizer, &options.generate, "", 0, &err) != RWKV7_OK)
        return report(&err);
    scheduled_close(&job);
    return DONE;
}

static int open_all(struct batch *b)
{
    const size_t parallel = (size_t)b->args->parallel;
    const struct seed_option *const seed = &b->args->request.sampling.seed;
    struct rwkv7_error err;
    struct stat st;
    const char *const requests = b->args->common.operand ? b->args->common.operand : "-";
    int code = tuned_check(&b->args->common, &b->args->tuned, NULL);
    if (code == DONE)
        code = constraint_check(&b->args->common, &b->args->constraint,
                                strcmp(requests, "-") == 0 ? "the requests" : NULL);
    if (code == DONE)
        code = line_input_open(&b->in, requests);
    if (code == DONE)
        code = open_output(b, false);
    if (code == DONE)
        code = engine_open_runtime(&b->engine, &b->args->machine);
    if (code == DONE)
        code = engine_open_model(&b->engine, &b->args->model);
    if (code == DONE)
        code = engine_open_vocab(&b->engine, &b->args->model);
    if (code == DONE)
        code = engine_open_drafts(&b->engine, &b->args->request.draft, &b->args->common, b->args->machine.math);
    if (code == DONE)
        code = constraint_open(&b->engine, &b->args->constraint);
    if (code != DONE)
        return code;
    if (scheduler_create(b->engine.model, &(struct scheduler_options){.slots = parallel}, &b->scheduler, &err) !=
            RWKV7_OK ||
        rwkv7_session_create(b->engine.model, &b->start, &err) != RWKV7_OK)
        return report(&err);
    code = tuned_start(&b->args->tuned, !b->args->print.quiet, b->engine.model, b->start);
    if (code == DONE)
        code = check_options(b);
    if (code == DONE)
        code = fingerprint_of_run(b->args, &b->engine, b->start, &b->run);
    interrupt_catch();
    if (code == DONE)
        code = open_output(b, true);
    if (code == DONE && b->args->resume)
        code = results_resume(&b->results, b->run, &b->in);
    if (code != DONE)
        return code;
    b->in_size = fstat(b->in.in.fd, &st) == 0 && S_ISREG(st.st_mode) ? (double)st.st_size : -1;
    b->seed = seed->given ? seed->value : random_seed();
    b->window_size = LINES_PER_SEQUENCE * parallel;
    b->window = calloc(b->window_size, sizeof(struct sequence *));
    if (!b->window)
        return complain(FAILED, "out of memory for %zu sequences", parallel);
    b->began = seconds();
    return DONE;
}

static int close_all(struct batch *b, int code)
{
    for (; b->first < b->last; b->first++)
        sequence_close(*place(b, b->first));
    free(b->window);
    rwkv7_session_close(b->start);
    scheduler_close(b->scheduler);
    engine_close(&b->engine);
    line_input_close(&b->in);
    return results_close(&b->results, code);
}

static void print_summary(const struct batch *b)
{
    const double time = seconds() - b->began;
    if (!err_begin_line())
        return;
    fprintf(stderr, "batch %llu prompt%s", (unsigned long long)b->prompts, plural(b->prompts));
    if (b->results.done > 0)
        fprintf(stderr, " (%llu already done)", (unsigned long long)b->results.done);
    fprintf(stderr, ", %llu token%s; generated %llu token%s, %.1f tok/s; %.1f s", (unsigned long long)b->prompt_tokens,
            plural(b->prompt_tokens), (unsigned long long)b->tokens, plural(b->tokens),
            time > 0 ? (double)b->tokens / time : 0, time);
    if (b->drafted > 0)
        fprintf(stderr, "; %.2f tokens per step of a text, drafted %llu, accepted %llu",
                (double)(b->steps + b->accepted) / (double)b->steps, (unsigned long long)b->drafted,
                (unsigned long long)b->accepted);
    fputc('\n', stderr);
}

int batch_command(const void *command_args)
{
    const struct batch_args *const args = command_args;
    struct batch b = {.args = args, .results = {.fd = -1}};
    if (args->print.quiet)
        progress_disable();
    int code = open_all(&b);
    if (code == DONE)
        code = run_batch(&b);
    if (code == DONE && interrupted)
        code = INTERRUPTED;
    if ((code == DONE || code == INTERRUPTED) && b.began > 0 && !args->print.quiet)
        print_summary(&b);
    if (code == DONE && b.spaced > 0)
        complain(DONE,
                 "%llu of %llu prompts end in white space, which changes the texts that follow; --strip removes it",
                 (unsigned long long)b.spaced, (unsigned long long)b.prompts);
    const uint64_t failed = b.failed + b.results.failed, lines = b.prompts + b.results.done;
    if (code == DONE && failed > 0)
        code = complain(FAILED, "%llu of %llu lines failed", (unsigned long long)failed, (unsigned long long)lines);
    return close_all(&b, code);
}
