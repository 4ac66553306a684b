/* listing.c - see listing.h. */
#include "cli/commands/listing.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json_tree.h"
#include "cli/io/lookup.h"
#include "cli/io/messages.h"
#include "cli/io/output.h"

static void print_shape(const struct rwkv7_tensor *t)
{
    putchar('[');
    for (int i = 0; i < t->rank; i++)
        printf("%s%" PRIu64, i ? "," : "", t->shape[i]);
    putchar(']');
}

/*
 * Prints one line per tensor, aligned. Tensors that no RWKV model has are marked with "?";
 * `only_unknown`: prints only these, without the mark.
 */
static void print_tensors(const struct rwkv7_checkpoint *c, bool only_unknown)
{
    const struct rwkv7_tensor *t;
    size_t width = 0;
    for (size_t i = 0; (t = rwkv7_checkpoint_tensor(c, i)) != NULL; i++)
        width = strlen(t->name) > width ? strlen(t->name) : width;
    for (size_t i = 0; (t = rwkv7_checkpoint_tensor(c, i)) != NULL; i++) {
        if (only_unknown && t->belongs)
            continue;
        printf("%s", only_unknown || t->belongs ? "  " : "? ");
        print_plain(stdout, t->name);
        printf("%*s  %-4s ", (int)(width - strlen(t->name)), "", t->type);
        print_shape(t);
        putchar('\n');
    }
}

static void count_tensors(const struct rwkv7_checkpoint *c, uint64_t *all, uint64_t *unknown)
{
    const struct rwkv7_tensor *t;
    *unknown = 0;
    for (*all = 0; (t = rwkv7_checkpoint_tensor(c, (size_t)*all)) != NULL; ++*all)
        *unknown += !t->belongs;
}

static int print_tensors_json(const struct rwkv7_checkpoint *c, const char *path)
{
    struct json_tree tree;
    cJSON *const o = json_tree_object(&tree);
    json_add_string(&tree, o, "path", path);
    json_add_string(&tree, o, "container", rwkv7_checkpoint_container(c));
    cJSON *const list = json_add_array(&tree, o, "tensors");
    const struct rwkv7_tensor *t;
    for (size_t i = 0; (t = rwkv7_checkpoint_tensor(c, i)) != NULL; i++) {
        cJSON *const tensor = json_add_object(&tree, list, NULL);
        json_add_string(&tree, tensor, "name", t->name);
        json_add_string(&tree, tensor, "type", t->type);
        cJSON *const shape = json_add_array(&tree, tensor, "shape");
        for (int axis = 0; axis < t->rank; axis++)
            json_add_number(&tree, shape, NULL, (double)t->shape[axis]);
        json_add_number(&tree, tensor, "bytes", (double)t->bytes);
        json_add_bool(&tree, tensor, "belongs", t->belongs);
    }
    return out_json(&tree, true);
}

/* Opens the checkpoint and sets its path; *out is NULL for the built-in model. */
static enum rwkv7_status open_checkpoint(const struct model_args *model, char path[PATH_ROOM],
                                         struct rwkv7_checkpoint **out, struct rwkv7_error *err)
{
    const enum rwkv7_status status = model_find(model, path, err);
    *out = NULL;
    return status == RWKV7_OK && *path ? rwkv7_checkpoint_open(path, out, err) : status;
}

int list_tensors(const struct info_args *args)
{
    struct rwkv7_checkpoint *c;
    struct rwkv7_error err;
    char path[PATH_ROOM];
    uint64_t all, unknown;
    int code = DONE;

    if (open_checkpoint(&args->model, path, &c, &err) != RWKV7_OK)
        return report(&err);
    if (!c)
        return complain_usage(args->common.command, "--tensors needs a model file; the built-in model is not one");
    if (args->print.json) {
        code = print_tensors_json(c, path);
    } else {
        count_tensors(c, &all, &unknown);
        print_tensors(c, false);
        printf("%" PRIu64 " tensors, %s", all, rwkv7_checkpoint_container(c));
        if (unknown > 0)
            printf("; ? marks %" PRIu64 " that no RWKV model has", unknown);
        putchar('\n');
    }
    rwkv7_checkpoint_close(c);
    return code;
}

void list_unknown(const struct model_args *model)
{
    struct rwkv7_checkpoint *c;
    char path[PATH_ROOM];
    uint64_t all, unknown;

    if (open_checkpoint(model, path, &c, NULL) != RWKV7_OK || !c)
        return;
    count_tensors(c, &all, &unknown);
    printf("format      %s\n", rwkv7_checkpoint_container(c));
    printf("tensors     %" PRIu64, all);
    if (unknown > 0)
        printf(", %" PRIu64 " of them unknown:", unknown);
    putchar('\n');
    print_tensors(c, true);
    rwkv7_checkpoint_close(c);
}
