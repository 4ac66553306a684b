/*
 * checkpoint.c - rwkv7_checkpoint: lists the tensors of a file, whether or not it can be opened as
 * a model.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/float_env.h"
#include "base/mem.h"
#include "engine/engine.h"

struct rwkv7_checkpoint {
    struct tensor_index *index;
    struct rwkv7_tensor *tensors; /* [index->count] */
};

/* Returns whether any supported model, or a tuned state, has a tensor of this name. */
static bool belongs(const char *name)
{
    bool known = tuned_state_layer(name) >= 0;
    for (int i = 0; !known && arch_at(i); i++)
        known = weight_table_names(arch_at(i)->weights, name);
    return known;
}

static void describe(struct rwkv7_checkpoint *c)
{
    for (size_t i = 0; i < c->index->count; i++) {
        const struct tensor *t = &c->index->tensors[i];
        c->tensors[i] = (struct rwkv7_tensor){.struct_size = sizeof c->tensors[i],
                                              .name = t->name,
                                              .type = dtype_name(t->type),
                                              .shape = t->shape,
                                              .rank = t->rank,
                                              .belongs = belongs(t->name),
                                              .bytes = t->bytes};
    }
}

enum rwkv7_status rwkv7_checkpoint_open(const char *path, struct rwkv7_checkpoint **out, struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    *out = NULL;
    struct rwkv7_checkpoint *c = mem_alloc(1, sizeof *c);
    if (!c)
        return fail_memory(err, "a checkpoint");
    enum rwkv7_status status = tensors_open(path, &c->index, err);
    if (status == RWKV7_OK && !(c->tensors = mem_alloc(c->index->count, sizeof *c->tensors)))
        status = fail_memory(err, "a checkpoint");
    if (status != RWKV7_OK) {
        rwkv7_checkpoint_close(c);
        return status;
    }
    describe(c);
    *out = c;
    return RWKV7_OK;
}

void rwkv7_checkpoint_close(struct rwkv7_checkpoint *c)
{
    if (!c)
        return;
    tensors_close(c->index);
    mem_free(c->tensors);
    mem_free(c);
}

const char *rwkv7_checkpoint_container(const struct rwkv7_checkpoint *c)
{
    return c->index->container;
}

const struct rwkv7_tensor *rwkv7_checkpoint_tensor(const struct rwkv7_checkpoint *c, size_t i)
{
    return i < c->index->count ? &c->tensors[i] : NULL;
}
