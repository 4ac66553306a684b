/*
 * tuned_state.c - loads a tuned state. State tuning trains the initial state and leaves the weights
 * unchanged.
 *
 * The file has one tensor per layer, `blocks.<i>.att.time_state` [H][N][N], with the WKV matrices;
 * the token-shift vectors stay 0. Two orders of the axes are in use: [value][key] by RWKV-PEFT,
 * which trains them, and [key][value] by converters. The matrices are square, so the order cannot
 * be detected: the caller or the file's metadata must give it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/float_env.h"
#include "base/mem.h"
#include "base/transpose.h"
#include "engine/engine.h"
#include "formats/snippet.h"

#define ORDER_KEY "time_state" /* metadata key; "value-key" or "key-value" */

static enum rwkv7_status find_order(const struct tensor_index *index, const char *path, enum rwkv7_state_order *order,
                                    struct rwkv7_error *err)
{
    if (*order != RWKV7_STATE_AS_STATED)
        return RWKV7_OK;
    const char *stated = tensors_metadata(index, ORDER_KEY);
    if (!stated)
        return fail(err, RWKV7_ERR_USAGE,
                    "%s: does not state the layout of its matrices: value-key, as trained, or key-value, as "
                    "converters write them; choose one",
                    snippet_path(path).text);
    if (strcmp(stated, "value-key") == 0)
        *order = RWKV7_STATE_VALUE_KEY;
    else if (strcmp(stated, "key-value") == 0)
        *order = RWKV7_STATE_KEY_VALUE;
    else
        return fail(err, RWKV7_ERR_STATE, "%s: metadata '%s': expected value-key or key-value, found '%s'",
                    snippet_path(path).text, ORDER_KEY, snippet_name(stated).text);
    return RWKV7_OK;
}

/*
 * Checks that each layer has one state of the right shape, and that every other tensor is one that
 * a checkpoint may have.
 */
static enum rwkv7_status check_tensors(const struct tensor_index *index, const struct rwkv7_model *model,
                                       const char *path, struct rwkv7_error *err)
{
    const struct rwkv7_shape *shape = &model->shape;
    const uint64_t n = (uint64_t)shape->head_size;
    const uint64_t expected[3] = {(uint64_t)shape->heads, n, n};
    int found = 0;
    for (size_t i = 0; i < index->count; i++) {
        const struct tensor *t = &index->tensors[i];
        const long layer = tuned_state_layer(t->name);
        const struct snippet file = snippet_path(path), name = snippet_name(t->name);
        if (layer < 0) {
            if (weight_table_names(model->weights, t->name) || tensor_is_incidental(t))
                continue;
            return fail(err, RWKV7_ERR_STATE, "%s: tensor '%s' does not belong to a tuned state", file.text, name.text);
        }
        if (layer >= shape->layers)
            return fail(err, RWKV7_ERR_STATE, "%s: tensor '%s', but this model has %d layers", file.text, name.text,
                        shape->layers);
        if (!dtype_has_rows(t->type))
            return fail(err, RWKV7_ERR_STATE, "%s: tensor '%s': expected type F32, F16 or BF16, found %s", file.text,
                        name.text, dtype_name(t->type));
        if (t->rank != 3 || memcmp(t->shape, expected, sizeof expected) != 0)
            return fail(err, RWKV7_ERR_STATE, "%s: tensor '%s': expected shape %s, found %s", file.text, name.text,
                        snippet_axes(expected, 3).text, snippet_axes(t->shape, t->rank).text);
        found++;
    }
    if (found == shape->layers)
        return RWKV7_OK;
    return fail(err, RWKV7_ERR_STATE,
                "%s: expected 'blocks.<i>.att.time_state' for each of %d layers, found %d of them",
                snippet_path(path).text, shape->layers, found);
}

/*
 * Converts a tensor to the layout of the state, [H][N key][N value]. matrix: scratch for one head.
 */
static void fill_layer(float *wkv, const struct tensor *t, const struct rwkv7_shape *shape,
                       enum rwkv7_state_order order, float *matrix)
{
    const size_t n = (size_t)shape->head_size;
    for (size_t h = 0; h < (size_t)shape->heads; h++, wkv += n * n) {
        for (size_t i = 0; i < n; i++)
            tensor_row(t, h * n + i, matrix + i * n);
        if (order == RWKV7_STATE_KEY_VALUE)
            memcpy(wkv, matrix, n * n * sizeof *wkv);
        else
            transpose(wkv, n, matrix, n, n, n, sizeof *wkv);
    }
}

enum rwkv7_status rwkv7_session_load_tuned(struct rwkv7_session *s, const char *path, enum rwkv7_state_order order,
                                           struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    const struct rwkv7_shape *shape = &s->model->shape;
    struct tensor_index *index = NULL;
    float *matrix = NULL;
    char name[NAME_ROOM];
    if ((unsigned)order > RWKV7_STATE_KEY_VALUE)
        return fail(err, RWKV7_ERR_USAGE, "%s: unknown order %d of a tuned state", snippet_path(path).text, (int)order);
    if (s->model->arch->state != matrix_state)
        return fail(err, RWKV7_ERR_STATE, "%s: %s has no matrices in its state that could be tuned",
                    snippet_path(path).text, s->model->weights->model);
    enum rwkv7_status status = check_no_try(s, "load a state into", err);
    if (status == RWKV7_OK)
        status = tensors_open(path, &index, err);
    if (status == RWKV7_OK)
        status = check_tensors(index, s->model, path, err);
    if (status == RWKV7_OK)
        status = find_order(index, path, &order, err);
    if (status != RWKV7_OK)
        goto done;
    matrix = mem_alloc((size_t)shape->head_size * (size_t)shape->head_size, sizeof *matrix);
    if (!matrix) {
        status = fail_memory(err, "a tuned state");
        goto done;
    }
    rwkv7_session_reset(s);
    for (int layer = 0; layer < shape->layers; layer++) {
        tuned_state_name(name, layer);
        fill_layer(layer_state(s->model, s->state, layer).wkv, tensors_find(index, name), shape, order, matrix);
    }
done:
    mem_free(matrix);
    tensors_close(index);
    return status;
}
