/* names.c - iterates over a weight table and builds the tensor names of each naming scheme. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/weights.h"

int shape_axis(const struct rwkv7_shape *s, char letter)
{
    switch (letter) {
    case 'V':
        return s->vocab;
    case 'h':
        return s->heads;
    case 'C':
    case 'H': /* one number per channel, stored as [H][N] */
        return s->channels;
    case 'N':
        return s->head_size;
    case 'F':
        return s->ffn;
    case 'w':
        return s->rank_w;
    case 'a':
        return s->rank_a;
    case 'v':
        return s->rank_v;
    case 'g':
        return s->rank_g;
    case 'm':
        return s->rank_m;
    case 'e':
        return s->deep;
    case 'E':
        return s->deep * s->deep;
    default:
        return 1;
    }
}

bool weight_next(const struct weight_table *table, const struct rwkv7_shape *shape, struct weight *w)
{
    do {
        w->number = w->spec ? w->number + 1 : 0;
        if (w->number == (w->layer < 0 ? table->outer_count : table->layer_count)) {
            w->layer++;
            w->number = 0;
        }
        if (w->layer >= shape->layers)
            return false;
        w->spec = (w->layer < 0 ? table->outer : table->layers) + w->number;
    } while (w->layer == 0 && w->spec->place == NOT_FIRST);
    return true;
}

const char *names_describe(const struct recognized *as)
{
    bool has_factors = false;
    for (size_t i = 0; i < as->weights->layer_count; i++)
        has_factors |= as->weights->layers[i].kind == WEIGHT_FACTOR;
    switch (as->spelling.naming) {
    case NAMING_BLINKDL:
        if (!has_factors)
            return "BlinkDL";
        return as->spelling.factors_transposed ? "BlinkDL (.pth orientation)" : "BlinkDL (.st orientation)";
    case NAMING_FLA:
        return "fla / Hugging Face";
    case NAMING_GGUF:
        return "llama.cpp";
    default:
        return "Hugging Face, older spelling";
    }
}

/*
 * Writes alternative `number` of the name of a weight; returns false after the last one. part may
 * be NULL.
 */
static bool name_alternative(char out[NAME_ROOM], const struct weight_table *table, enum naming naming,
                             const struct weight_spec *spec, int layer, int number, struct weight_part *part)
{
    const char *const names[NAMINGS] = {spec->blinkdl, spec->fla, spec->hf, spec->gguf};
    const char *name = names[naming];
    if (!name || (layer >= 0 && !table->layer_prefix[naming]))
        return false;
    for (; number > 0; number--) {
        name = strchr(name, '|');
        if (!name)
            return false;
        name++;
    }
    const int length = (int)strcspn(name, "|#");
    if (part) /* "#2/5": both are single digits */
        *part = name[length] == '#' ? (struct weight_part){name[length + 1] - '0', name[length + 3] - '0'}
                                    : (struct weight_part){0, 1};
    if (layer < 0)
        snprintf(out, NAME_ROOM, "%.*s", length, name);
    else
        snprintf(out, NAME_ROOM, "%s%d.%.*s", table->layer_prefix[naming], layer, length, name);
    return true;
}

bool weight_name(char out[NAME_ROOM], const struct weight_table *table, enum naming naming,
                 const struct weight_spec *spec, int layer)
{
    struct weight_part part;
    for (int i = 0; name_alternative(out, table, naming, spec, layer, i, &part); i++)
        if (part.count == 1)
            return true;
    return name_alternative(out, table, naming, spec, layer, 0, NULL);
}

const struct tensor *weight_tensor(const struct tensor_index *index, const struct weight_table *table,
                                   enum naming naming, const struct weight_spec *spec, int layer,
                                   struct weight_part *part)
{
    char name[NAME_ROOM];
    const struct tensor *t = NULL;
    for (int i = 0; !t && name_alternative(name, table, naming, spec, layer, i, part); i++)
        t = tensors_find(index, name);
    return t;
}

/* Whether one of `count` rows of a table has this name. */
static bool rows_name(const struct weight_table *table, const struct weight_spec *rows, size_t count, int layer,
                      const char *name)
{
    char known[NAME_ROOM];
    for (int naming = 0; naming < NAMINGS; naming++)
        for (size_t row = 0; row < count; row++)
            for (int i = 0; name_alternative(known, table, (enum naming)naming, &rows[row], layer, i, NULL); i++)
                if (strcmp(name, known) == 0)
                    return true;
    return false;
}

bool weight_table_names(const struct weight_table *table, const char *name)
{
    const long layer = strtol(name + strcspn(name, "0123456789"), NULL, 10);
    return rows_name(table, table->outer, table->outer_count, -1, name) ||
           (layer <= INT32_MAX && rows_name(table, table->layers, table->layer_count, (int)layer, name));
}

void tuned_state_name(char out[NAME_ROOM], long layer)
{
    snprintf(out, NAME_ROOM, "blocks.%ld.att.time_state", layer);
}

long tuned_state_layer(const char *name)
{
    char known[NAME_ROOM];
    if (strncmp(name, "blocks.", 7) != 0)
        return -1;
    const long layer = strtol(name + 7, NULL, 10);
    tuned_state_name(known, layer);
    return strcmp(name, known) == 0 ? layer : -1;
}
