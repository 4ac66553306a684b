/* golden.h - a model file with the results of the float64 oracle for it. */
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
    const float *att_prev, *wkv, *ffn_prev; /* RWKV-4: wkv is [L][3][C] */
    float *joined;                          /* owns the memory of wkv for RWKV-4, else NULL */
    int greedy_count;
    const uint32_t *greedy;
};

/* Opens golden model i; false past the end. Models of the shared folder come last, if it exists. */
bool golden_open(int i, struct golden *g);
void golden_close(struct golden *g);
/* Returns a tensor of the oracle's results as aligned data, or NULL if there is none. */
const void *golden_tensor(const struct golden *g, const char *name, uint64_t *elements);

#endif
