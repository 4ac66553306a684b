/*
 * eval.c - `rwkv7 eval`: perplexity of a model on texts, its KL divergence from a reference model,
 * and its accuracy on tasks. The man page has the formulas.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_tree.h"
#include "cli/commands/commands.h"
#include "cli/commands/engine.h"
#include "cli/commands/eval.h"
#include "cli/io/messages.h"
#include "cli/io/output.h"
#include "cli/io/signals.h"
#include "cli/io/terminal.h"
#include "cli/options/args.h"
#include "cli/options/request_options.h"
#include "generate/prompt.h"

enum task { TASK_TEXT, TASK_LAMBADA, TASK_CHOICES }; /* in the order of the option */
static const char *const task_names[] = {"text", "lambada", "choices"};

enum { MAX_FLOATS = 1 << 23 }; /* logits of each model in memory at once: 32 MB, or one row */

int reader_feed(struct reader *r, const uint32_t *ids, size_t count, enum rwkv7_logits which)
{
    struct rwkv7_error err;
    return rwkv7_session_eval(r->session, ids, count, which, r->logits, &err) == RWKV7_OK ? DONE : report(&err);
}

static int reader_open(struct reader *r, struct rwkv7_model *model, size_t rows)
{
    struct rwkv7_error err;
    if (rwkv7_session_create(model, &r->session, &err) != RWKV7_OK)
        return report(&err);
    r->logits = malloc(rows * (size_t)rwkv7_model_info(model)->shape.vocab * sizeof *r->logits);
    return r->logits ? DONE : complain(FAILED, "out of memory for the logits");
}

static void reader_close(struct reader *r)
{
    rwkv7_session_close(r->session);
    free(r->logits);
}

/* -------------------------------------------------------------------------------------- results */

/* Adds one value of the result to the JSON object, or prints it as a line of text. */
static void put(struct json_tree *json, const char *key, const char *label, double value, const char *format,
                const char *unit)
{
    if (json) {
        json_add_number(json, json->root, key, value);
        return;
    }
    char number[32];
    snprintf(number, sizeof number, format, value);
    printf("%-22s%s%s\n", label, number, unit);
}

static void put_bits(const struct evaluation *e, struct json_tree *json)
{
    put(json, "bits_per_byte", "bits per byte", e->loss / log(2) / (double)e->bytes, "%.5f", "");
}

static void put_text(const struct evaluation *e, struct json_tree *json)
{
    const double tokens = (double)e->tokens;
    put(json, "tokens", "tokens", tokens, "%.0f", "");
    put(json, "bytes", "bytes", (double)e->bytes, "%.0f", "");
    put(json, "loss", "loss", e->loss / tokens, "%.5f", " per token");
    put_bits(e, json);
    put(json, "perplexity", "perplexity", exp(e->loss / tokens), "%.5f", "");
    if (!e->reference.session)
        return;
    put(json, "reference_perplexity", "reference perplexity", exp(e->reference_loss / tokens), "%.5f", "");
    put(json, "kl_divergence_mean", "KL divergence, mean", e->divergence / tokens, "%.3e", "");
    put(json, "kl_divergence_p99", "KL divergence, p99", spread_quantile(&e->spread, 0.99), "%.3e", "");
    put(json, "kl_divergence_max", "KL divergence, max", e->spread.max, "%.3e", "");
    put(json, "top_1_agreement", "top-1 agreement", (double)e->agreed / tokens * (json ? 1 : 100), "%.3f", "%");
}

static void put_task(const struct evaluation *e, enum task task, struct json_tree *json)
{
    const double examples = (double)e->examples, unit = json ? 1 : 100;
    put(json, "examples", "examples", examples, "%.0f", "");
    if (task == TASK_LAMBADA)
        put(json, "perplexity", "perplexity", exp(e->loss / examples), "%.4f", "");
    put(json, "acc", "acc", (double)e->right / examples * unit, "%.2f", "%");
    if (task == TASK_CHOICES)
        put(json, "acc_norm", "acc_norm", (double)e->right_normalized / examples * unit, "%.2f", "%");
    put_bits(e, json);
}

static int print_result(const struct evaluation *e, enum task task)
{
    struct json_tree tree, *const json = e->args->print.json ? &tree : NULL;
    if (json)
        json_add_string(json, json_tree_object(json), "task", task_names[task]);
    if (task == TASK_TEXT)
        put_text(e, json);
    else
        put_task(e, task, json);
    return json ? out_json(json, true) : DONE;
}

/* ---------------------------------------------------------------------------------- the command */

static int evaluate(struct evaluation *e, enum task task)
{
    static int (*const evals[])(struct evaluation *, const char *) = {eval_text, eval_lambada, eval_choices};
    int code = DONE;
    interrupt_catch();
    for (size_t i = 0; i < e->args->common.operands.count && code == DONE; i++)
        code = evals[task](e, e->args->common.operands.at[i]);
    progress_clear();
    if (code != DONE)
        return code;
    if (task == TASK_TEXT ? e->tokens == 0 : e->examples == 0)
        return complain(FAILED, "nothing to predict in the input");
    return print_result(e, task);
}

/* Opens the reference model in its stored type, with the runtime of the other model. */
static int open_reference(struct engine *reference, const struct engine *engine, const struct eval_args *args)
{
    struct model_args other = args->model;
    other.model = args->against;
    other.type = 0;
    reference->runtime = engine->runtime;
    const int code = engine_open_model(reference, &other);
    if (code != DONE)
        return code;
    const int found = rwkv7_model_info(reference->model)->shape.vocab,
              expected = rwkv7_model_info(engine->model)->shape.vocab;
    return found == expected
               ? DONE
               : complain(REJECTED, "%s: expected a vocabulary of %d tokens, as in the other model, found %d",
                          args->against, expected, found);
}

static int check_usage(const struct eval_args *args)
{
    if (args->common.operands.count == 0)
        return complain_usage(args->common.command, "expected a FILE to evaluate; - is standard input");
    if (args->against && args->task != TASK_TEXT)
        return complain_usage(args->common.command, "--against compares predictions of texts: leave out --task");
    return DONE;
}

int eval_command(const void *command_args)
{
    const struct eval_args *const args = command_args;
    struct engine engine = {0}, reference = {0};
    struct evaluation *const e = calloc(1, sizeof *e); /* 30 KB */
    int code = e ? check_usage(args) : complain(FAILED, "out of memory");
    if (args->print.quiet)
        progress_disable();
    if (code == DONE)
        code = engine_open_runtime(&engine, &args->machine);
    if (code == DONE)
        code = engine_open_model(&engine, &args->model);
    if (code == DONE)
        code = engine_open_vocab(&engine, &args->model);
    if (code == DONE && args->against)
        code = open_reference(&reference, &engine, args);
    if (code == DONE) {
        e->args = args;
        e->tokenizer = engine.tokenizer;
        e->vocab = rwkv7_model_info(engine.model)->shape.vocab;
        const size_t fitting = MAX_FLOATS / (size_t)e->vocab;
        e->rows = fitting == 0 ? 1 : fitting < RWKV7_CHUNK ? fitting : RWKV7_CHUNK;
        e->bos = prompt_begins_with_bos(e->tokenizer, bos_option(&args->bos), true);
        code = reader_open(&e->model, engine.model, e->rows);
    }
    if (code == DONE && args->against)
        code = reader_open(&e->reference, reference.model, e->rows);
    if (code == DONE)
        code = evaluate(e, (enum task)args->task);
    if (e) {
        reader_close(&e->model);
        reader_close(&e->reference);
    }
    rwkv7_model_close(reference.model);
    engine_close(&engine);
    free(e);
    return code;
}
