/* checkpoint.c - what lies in a checkpoint, be it a model that can be opened or not: for people who ask what they have there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/float_env.h"
#include "base/mem.h"
#include "engine/engine.h"

struct rwkv7_checkpoint {
    struct tensor_index *index;
};

enum rwkv7_status rwkv7_checkpoint_open(const char *path, struct rwkv7_checkpoint **out, struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    *out = NULL;
    struct rwkv7_checkpoint *c = mem_alloc(1, sizeof *c);
    if (!c)
        return fail_memory(err, "a checkpoint");
    const enum rwkv7_status status = tensors_open(path, &c->index, err);
    if (status != RWKV7_OK) {
        mem_free(c);
        return status;
    }
    *out = c;
    return RWKV7_OK;
}

void rwkv7_checkpoint_close(struct rwkv7_checkpoint *c)
{
    if (!c)
        return;
    tensors_close(c->index);
    mem_free(c);
}

const char *rwkv7_checkpoint_container(const struct rwkv7_checkpoint *c)
{
    return c->index->container;
}

/* Whether any model that can be opened, or a tuned state, has a tensor of that name. */
static bool belongs(const char *name)
{
    bool known = tuned_state_layer(name) >= 0;
    for (int i = 0; !known && arch_at(i); i++)
        known = weight_table_names(arch_at(i)->weights, name);
    return known;
}

bool rwkv7_checkpoint_tensor(const struct rwkv7_checkpoint *c, size_t i, struct rwkv7_tensor *out)
{
    if (i >= c->index->count)
        return false;
    const struct tensor *t = &c->index->tensors[i];
    *out = (struct rwkv7_tensor){.name = t->name,
                                 .type = dtype_name(t->type),
                                 .rank = t->rank,
                                 .shape = t->shape,
                                 .bytes = t->bytes,
                                 .belongs = belongs(t->name)};
    return true;
}
