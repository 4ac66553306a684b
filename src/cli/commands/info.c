/* info.c - `rwkv7 info`: prints the format, shape, types and memory needs of a model. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json_tree.h"
#include "cli/commands/commands.h"
#include "cli/commands/engine.h"
#include "cli/commands/listing.h"
#include "cli/io/messages.h"
#include "cli/io/output.h"
#include "cli/options/args.h"

/* The result of the search for the vocabulary. */
struct finding {
    bool found, fits;
    const char *path;
    uint32_t ids;
    const char *why; /* the error if it was not found or does not fit */
};

static void print_text(const struct rwkv7_model *model, const struct finding *vocab, int threads)
{
    const struct rwkv7_model_info *const info = rwkv7_model_info(model);
    const struct rwkv7_shape *const s = &info->shape;
    char text[TYPES_ROOM], number[16], copied[16];

    printf("model       ");
    print_plain(stdout, info->path);
    printf("\nformat      %s, %s names%s", info->container, info->naming, *info->prefix ? " with prefix " : "");
    print_plain(stdout, info->prefix);
    printf(", %s\n", info->version);
    printf("version     %s\n", info->architecture);
    printf("parameters  %s (%s)\n", scaled_text((double)info->parameters, "", number), types_text(info, text));
    printf("layers      %d\n", s->layers);
    if (s->heads > 0)
        printf("channels    %d: %d head%s of %d\n", s->channels, s->heads, plural((uint64_t)s->heads), s->head_size);
    else
        printf("channels    %d\n", s->channels);
    printf("mixing      %d wide\n", s->ffn);
    if (s->rank_m > 0)
        printf("ranks       decay %d, token shift %d\n", s->rank_w, s->rank_m);
    else if (s->rank_w > 0)
        printf("ranks       decay %d, rate %d, value %d, gate %d\n", s->rank_w, s->rank_a, s->rank_v, s->rank_g);
    if (info->rate_scale != 1)
        printf("rate scale  %g\n", (double)info->rate_scale);
    if (s->deep)
        printf("matrices    %d x %d per token and layer\n", s->deep, s->deep);
    printf("tokens      %d\n", s->vocab);
    printf("vocabulary  ");
    print_plain(stdout, vocab->fits ? vocab->path : vocab->why);
    if (vocab->fits)
        printf(": %" PRIu32 " ids, fits", vocab->ids);
    putchar('\n');
    printf("memory      weights %s (%s copied)\n", scaled_text((double)info->weight_bytes, "B", number),
           scaled_text((double)info->copied_bytes, "B", copied));
    printf("session     state %s", scaled_text((double)info->session_bytes, "B", number));
    printf(", buffers of up to %s with %d threads\n", scaled_text((double)info->work_bytes, "B", number), threads);
    printf("per token   %s are read\n", scaled_text((double)info->step_bytes, "B", number));
    printf("tensors     %" PRIu64, info->tensors);
    if (info->ignored_tensors > 0)
        printf(", %" PRIu64 " of them not used", info->ignored_tensors);
    putchar('\n');
    if (info->tuned_state)
        printf("state       the file holds a tuned state; use --state to start from it\n");
    const char *key, *value, *note;
    for (size_t i = 0; (note = rwkv7_model_note(model, i)) != NULL; i++)
        printf("note        %s\n", note);
    const char *label = "metadata";
    for (size_t i = 0; rwkv7_model_metadata(model, i, &key, &value); i++) {
        if (strncmp(key, "packed.", 7) == 0) /* one per quantized matrix: only in --json */
            continue;
        printf("%-12s", label);
        label = "";
        print_plain(stdout, key);
        printf(": ");
        print_plain(stdout, value);
        putchar('\n');
    }
}

static void add_shape(struct json_tree *t, const struct rwkv7_shape *s)
{
    cJSON *const o = json_add_object(t, t->root, "shape");
    json_add_number(t, o, "vocab", s->vocab);
    json_add_number(t, o, "layers", s->layers);
    json_add_number(t, o, "channels", s->channels);
    json_add_number(t, o, "heads", s->heads);
    json_add_number(t, o, "head_size", s->head_size);
    json_add_number(t, o, "ffn", s->ffn);
    json_add_number(t, o, "rank_w", s->rank_w);
    json_add_number(t, o, "rank_a", s->rank_a);
    json_add_number(t, o, "rank_v", s->rank_v);
    json_add_number(t, o, "rank_g", s->rank_g);
    json_add_number(t, o, "deep", s->deep);
}

static void add_vocab(struct json_tree *t, const struct finding *vocab)
{
    cJSON *const o = json_add_object(t, t->root, "vocabulary");
    if (vocab->found) {
        json_add_string(t, o, "path", vocab->path);
        json_add_number(t, o, "ids", vocab->ids);
    }
    json_add_bool(t, o, "fits", vocab->fits);
    if (!vocab->fits)
        json_add_string(t, o, "problem", vocab->why);
}

static int print_info_json(const struct rwkv7_model *model, const struct finding *vocab)
{
    const struct rwkv7_model_info *const info = rwkv7_model_info(model);
    struct json_tree t;
    cJSON *const o = json_tree_object(&t);
    json_add_string(&t, o, "path", info->path);
    json_add_string(&t, o, "container", info->container);
    json_add_string(&t, o, "naming", info->naming);
    json_add_string(&t, o, "prefix", info->prefix);
    json_add_string(&t, o, "version", info->version);
    add_shape(&t, &info->shape);
    json_add_number(&t, o, "rate_scale", (double)info->rate_scale);
    json_add_number(&t, o, "parameters", (double)info->parameters);
    cJSON *const types = json_add_object(&t, o, "types");
    for (int type = 0; type < RWKV7_TYPES; type++)
        if (info->type_parameters[type] > 0)
            json_add_number(&t, types, rwkv7_type_name((enum rwkv7_type)type), (double)info->type_parameters[type]);
    json_add_number(&t, o, "tensors", (double)info->tensors);
    json_add_number(&t, o, "ignored_tensors", (double)info->ignored_tensors);
    json_add_number(&t, o, "weight_bytes", (double)info->weight_bytes);
    json_add_number(&t, o, "copied_bytes", (double)info->copied_bytes);
    json_add_number(&t, o, "session_bytes", (double)info->session_bytes);
    json_add_number(&t, o, "work_bytes", (double)info->work_bytes);
    json_add_number(&t, o, "step_bytes", (double)info->step_bytes);
    add_vocab(&t, vocab);
    cJSON *const notes = json_add_array(&t, o, "notes");
    const char *note;
    for (size_t i = 0; (note = rwkv7_model_note(model, i)) != NULL; i++)
        json_add_string(&t, notes, NULL, note);
    cJSON *const metadata = json_add_object(&t, o, "metadata");
    const char *key, *value;
    for (size_t i = 0; rwkv7_model_metadata(model, i, &key, &value); i++)
        json_add_string(&t, metadata, key, value);
    return out_json(&t, true);
}

int info_command(const void *command_args)
{
    const struct info_args *const args = command_args;
    struct engine engine = {0};
    struct rwkv7_error err;
    if (args->list)
        return list_tensors(args);
    int code = engine_open_runtime(&engine, &(struct machine_args){0});
    if (code == DONE)
        code = engine_open_model(&engine, &args->model);
    if (code == DONE) {
        struct finding vocab = {.path = engine.vocab_name, .why = err.message};
        const enum rwkv7_status status = engine_try_vocab(&engine, &args->model, &err);
        /* errors of the system, not of the files */
        if (status == RWKV7_ERR_MEMORY || status == RWKV7_ERR_IO || status == RWKV7_ERR_STOPPED)
            code = report(&err);
        vocab.fits = status == RWKV7_OK;
        vocab.found = engine.tokenizer != NULL;
        vocab.ids = vocab.found ? rwkv7_tokenizer_size(engine.tokenizer) : 0;
        if (code == DONE && args->print.json)
            code = print_info_json(engine.model, &vocab);
        else if (code == DONE)
            print_text(engine.model, &vocab, rwkv7_runtime_threads(engine.runtime));
    } else if (code == REJECTED && !args->print.json) {
        list_unknown(&args->model);
    }
    engine_close(&engine);
    return code;
}
