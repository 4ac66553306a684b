/* checkpoint.c - what lies in a checkpoint, be it a model that can be opened or not: for people who ask what they have there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "weights/model.h"

struct rwkv7_checkpoint {
    struct tensor_index *index;
};

enum rwkv7_status rwkv7_checkpoint_open(const char *path, struct rwkv7_checkpoint **out, struct rwkv7_error *err)
{
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

bool name_belongs(const char *name)
{
    char known[160];
    const char *digits = name + strcspn(name, "0123456789");
    const long layer = strtol(digits, NULL, 10);
    for (int naming = 0; naming < NAMINGS; naming++) {
        const struct spelling spelling = {.naming = (enum naming)naming};
        for (size_t i = 0; i < outer_weight_count; i++) {
            names_full(known, sizeof known, &spelling, &outer_weights[i], -1);
            if (strcmp(name, known) == 0)
                return true;
        }
        if (!*digits || layer > INT32_MAX)
            continue;
        for (size_t i = 0; i < layer_weight_count; i++) {
            names_full(known, sizeof known, &spelling, &layer_weights[i], (int)layer);
            if (strcmp(name, known) == 0)
                return true;
        }
    }
    snprintf(known, sizeof known, "model.layers.%ld.attn.x_x", layer); /* six shift weights of fla in one */
    return strcmp(name, known) == 0;
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
                                 .belongs = name_belongs(t->name) || name_is_state(t->name)};
    return true;
}
