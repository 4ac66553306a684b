/* golden.h - a model file with what the float64 oracle expects of it. */
#ifndef GOLDEN_H
#define GOLDEN_H

#include "formats/tensors.h"
#include "rwkv7.h"

struct golden {
    const char *model; /* path of the weights */
    struct tensor_index *index;
    int count;                              /* T */
    const uint32_t *tokens;                 /* [T] */
    const float *logits;                    /* [T][V] */
    const float *att_prev, *wkv, *ffn_prev; /* wkv of RWKV-4: [L][3][C] */
    float *joined;                          /* memory of that, or NULL */
    int greedy_count;
    const uint32_t *greedy;
};

/* The i-th golden model; false past the end. Those of the shared folder come last and only where it exists. */
bool golden_open(int i, struct golden *g);
void golden_close(struct golden *g);
/* A tensor of the expectations as aligned data; NULL when absent. */
const void *golden_tensor(const struct golden *g, const char *name, uint64_t *elements);

#endif
