/* engine.c - see engine.h. */
#include "cli/commands/engine.h"

#include <stdio.h>
#include <string.h>

#include "cli/io/lookup.h"
#include "cli/io/messages.h"
#include "cli/io/signals.h"
#include "cli/io/terminal.h"
#include "cli/options/args.h"

int engine_open_runtime(struct engine *e, const struct machine_args *args)
{
    const struct rwkv7_runtime_options machine = {
        .threads = args->threads, .cpu = args->cpu, .math = (enum rwkv7_math)args->math};
    struct rwkv7_error err;
    return rwkv7_runtime_create(&machine, &e->runtime, &err) == RWKV7_OK ? DONE : report(&err);
}

static bool show_loading(void *arg, uint64_t done, uint64_t total)
{
    (void)arg;
    progress_show("loading", (double)done / (double)total, 1e-9 * (double)done, "GB");
    return !interrupted;
}

/* Opens the model of the arguments with the runtime of `e`. */
static int open_model(const struct engine *e, const struct model_args *args, struct rwkv7_model **out)
{
    struct rwkv7_model_options loading = {.weights = (enum rwkv7_weights)args->type,
                                          .sparse = (enum rwkv7_sparse)args->sparse,
                                          .lock = args->lock,
                                          .rate_scale = args->rate_scale,
                                          .progress = show_loading};
    struct rwkv7_error err;
    char path[PATH_ROOM];
    size_t size;

    enum rwkv7_status status = model_find(args, path, &err);
    if (status == RWKV7_OK && *path) {
        status = rwkv7_model_open(e->runtime, path, &loading, out, &err);
    } else if (status == RWKV7_OK) {
        const void *const image = rwkv7_builtin_model(&size);
        status = rwkv7_model_open_memory(e->runtime, image, size, "(built in)", &loading, out, &err);
    }
    progress_clear();
    if (status == RWKV7_ERR_STOPPED && interrupted)
        return INTERRUPTED;
    if (status != RWKV7_OK)
        return report(&err);
    const char *text;
    for (size_t i = 0; (text = rwkv7_model_note(*out, i)) != NULL; i++)
        complain(DONE, "%s", text);
    return DONE;
}

int engine_open_model(struct engine *e, const struct model_args *args)
{
    return open_model(e, args, &e->model);
}

enum rwkv7_status engine_try_vocab(struct engine *e, const struct model_args *args, struct rwkv7_error *err)
{
    char model[PATH_ROOM], path[PATH_ROOM];
    size_t size;

    bool foreign = false; /* the embedded vocabulary, because none was found for this model */
    enum rwkv7_status status = model_find(args, model, err);
    if (status != RWKV7_OK && status != RWKV7_ERR_MODEL && !args->vocab)
        return status;
    const bool found = status == RWKV7_OK;
    status = RWKV7_OK;
    if (found && *model && !args->vocab) {
        status = rwkv7_tokenizer_open_model(model, &e->tokenizer, err);
        if (status != RWKV7_OK)
            return status;
    }
    if (!e->tokenizer && (status = vocab_find(args, found ? model : NULL, path, err)) != RWKV7_OK)
        return status;
    if (e->tokenizer) {
        snprintf(e->vocab_name, sizeof e->vocab_name, "%s", model);
    } else if (*path) {
        snprintf(e->vocab_name, sizeof e->vocab_name, "%s", path);
        status = rwkv7_tokenizer_open(path, &e->tokenizer, err);
    } else {
        const char *const text = rwkv7_builtin_vocab(&size);
        foreign = found && *model;
        snprintf(e->vocab_name, sizeof e->vocab_name, "(built in)");
        status = rwkv7_tokenizer_open_memory(text, size, e->vocab_name, &e->tokenizer, err);
    }
    if (status == RWKV7_OK && e->model) {
        struct rwkv7_error why;
        status = rwkv7_tokenizer_check(e->tokenizer, rwkv7_model_info(e->model)->shape.vocab, &why);
        if (status != RWKV7_OK && foreign) {
            status = vocab_missing(model, err);
        } else if (status != RWKV7_OK) {
            err->status = status;
            snprintf(err->message, sizeof err->message, "%.120s: %.130s", e->vocab_name, why.message);
        }
    } else if (status == RWKV7_OK && foreign) { /* without a model, the fit cannot be checked */
        status = vocab_missing(model, err);
    }
    return status;
}

int engine_open_vocab(struct engine *e, const struct model_args *args)
{
    struct rwkv7_error err;
    const enum rwkv7_status status = engine_try_vocab(e, args, &err);
    return status == RWKV7_OK ? DONE : report(&err);
}

/* --------------------------------------------------------------------------------------- drafts */

static int read_speculate(struct engine *e, const struct draft_args *args, const struct common_args *common, int math)
{
    long long number;
    /* Only with exact arithmetic do one token and several at once give the same bits. */
    e->speculate = math == RWKV7_MATH_EXACT ? RWKV7_SPECULATE_AUTO : 0;
    if (strcmp(args->speculate, "auto") == 0)
        return DONE;
    if (strcmp(args->speculate, "off") == 0)
        number = 0;
    else if (!parse_whole(args->speculate, &number, NULL) || number < 0 || number >= RWKV7_TRY)
        return complain_usage(common->command, "--speculate: expected auto, off or a number from 0 to %d, found '%s'",
                              RWKV7_TRY - 1, args->speculate);
    if (number > 0 && math != RWKV7_MATH_EXACT)
        return complain_usage(common->command, "--speculate needs --math exact: other math would change the text");
    e->speculate = number;
    return DONE;
}

/*
 * Compares the vocabulary in the file of the draft model, if there is one, with that of the model.
 */
static int compare_vocabulary(const struct engine *e, const char *path)
{
    struct rwkv7_tokenizer *own = NULL;
    struct rwkv7_error err;
    if (rwkv7_tokenizer_open_model(path, &own, &err) != RWKV7_OK)
        return report(&err);
    bool is_same = true;
    for (uint32_t id = 0; own && is_same && id < rwkv7_tokenizer_size(own); id++) {
        size_t n, m;
        const uint8_t *const a = rwkv7_tokenizer_bytes(own, id, &n), *const b =
                                                                         rwkv7_tokenizer_bytes(e->tokenizer, id, &m);
        is_same = n == m && (n == 0 || memcmp(a, b, n) == 0);
    }
    rwkv7_tokenizer_close(own);
    return is_same ? DONE : complain(REJECTED, "%s: its vocabulary is not that of the model", path);
}

int engine_open_drafts(struct engine *e, const struct draft_args *args, const struct common_args *common, int math)
{
    const struct model_args named = {.model = args->draft_model};
    struct rwkv7_error err;
    int code = read_speculate(e, args, common, math);
    if (code != DONE || !args->draft_model || e->speculate == 0)
        return code;
    code = open_model(e, &named, &e->draft);
    if (code != DONE)
        return code;
    const char *const path = rwkv7_model_info(e->draft)->path;
    const int vocab = rwkv7_model_info(e->model)->shape.vocab, found = rwkv7_model_info(e->draft)->shape.vocab;
    if (vocab != found) {
        err = (struct rwkv7_error){.status = RWKV7_ERR_VOCAB};
        snprintf(err.message, sizeof err.message, "%.150s: expected a draft model with %d tokens, found %d", path,
                 vocab, found);
        return report(&err);
    }
    return compare_vocabulary(e, path);
}

void engine_use_drafts(const struct engine *e, struct rwkv7_generator_options *options)
{
    options->speculate = e->speculate;
    options->draft_model = e->draft;
}

void engine_report(const struct engine *e)
{
    const struct rwkv7_model_info *const info = rwkv7_model_info(e->model);
    fprintf(stderr, "model ");
    print_plain(stderr, info->path);
    fprintf(stderr, " (%s, %s); vocabulary ", info->container, info->naming);
    print_plain(stderr, e->vocab_name);
    fprintf(stderr, "; kernels %s, threads %d\n", rwkv7_runtime_cpu(e->runtime), rwkv7_runtime_threads(e->runtime));
}

void engine_close(struct engine *e)
{
    rwkv7_grammar_close(e->grammar);
    rwkv7_tokenizer_close(e->tokenizer);
    rwkv7_model_close(e->draft);
    rwkv7_model_close(e->model);
    rwkv7_runtime_close(e->runtime);
    *e = (struct engine){0};
}

enum rwkv7_type chosen_type(const struct model_args *args)
{
    if (args->type == RWKV7_WEIGHTS_STORED)
        return RWKV7_TYPES;
    if (args->type < RWKV7_WEIGHTS_COUNT)
        return (enum rwkv7_type)((int)RWKV7_Q8 + args->type - (int)RWKV7_WEIGHTS_Q8);
    return (enum rwkv7_type)((int)RWKV7_F32 + args->type - (int)RWKV7_WEIGHTS_COUNT);
}

const char *types_text(const struct rwkv7_model_info *info, char text[TYPES_ROOM])
{
    size_t used = 0;
    text[0] = '\0';
    for (int type = 0; type < RWKV7_TYPES; type++) {
        char number[16];
        if (info->type_parameters[type] > 0)
            used += (size_t)snprintf(text + used, TYPES_ROOM - used, "%s%s %s", used > 0 ? ", " : "",
                                     rwkv7_type_name((enum rwkv7_type)type),
                                     scaled_text((double)info->type_parameters[type], "", number));
    }
    return text;
}
