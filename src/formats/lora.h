/*
 * lora.h - reads a LoRA adapter and merges it into a checkpoint, one row at a time.
 *
 * Files of RWKV-PEFT (.pth, .safetensors) and of Hugging Face's PEFT are read. Their tensors are
 * named after those of the checkpoint:
 *
 *     X.lora_A [r][in], X.lora_B [out][r]   change the tensor X.weight (or X) to W + s B A; W is [out][in]
 *     X.lora_A.weight, X.lora_A.default.weight, X.lora_A.default   the same in PEFT's spellings
 *     X                                     replaces the tensor X
 *
 * s is alpha / r, or alpha / sqrt(r) if PEFT's configuration sets use_rslora. alpha is given by the
 * user, or read from the metadata of a .safetensors file ("lora_alpha") or from PEFT's
 * adapter_config.json; it is never guessed. A tensor without a counterpart in the checkpoint, or
 * with another shape, is an error. Only tensors that are empty or hold integers are skipped, with a
 * note.
 *
 * PiSSA initializes the factors, A0 and B0, from the largest singular vectors of W and trains from
 * W - s B0 A0. So A0 and B0 are needed as well: the result is W + s (B A - B0 A0). RWKV-PEFT stores
 * them as X.init_lora_A and X.init_lora_B in a separate file, with s = 1. PEFT stores them as a
 * second adapter.
 *
 * Rows are merged while a checkpoint is converted, so only one A and one B are in memory:
 *
 *     lora_open(path, init, alpha, &lora, err)
 *     lora_check(lora, base, err)                  every tensor of the file fits the checkpoint
 *     for each tensor t of base:
 *         lora_begin(lora, t, &merge, err)
 *         for each row: lora_row(&merge, row, out)     instead of tensor_row(t, row, out)
 *         lora_end(&merge)
 *     lora_close(lora)
 */
#ifndef FORMATS_LORA_H
#define FORMATS_LORA_H

#include "formats/tensors.h"

struct lora;

/*
 * path: a file or a PEFT folder. init: the file with the factors before training, or NULL. alpha: 0
 * takes the value in the files. Returns RWKV7_ERR_USAGE if alpha or `init` is needed but missing,
 * and RWKV7_ERR_MODEL if `path` is not a LoRA adapter.
 */
enum rwkv7_status lora_open(const char *path, const char *init, double alpha, struct lora **out,
                            struct rwkv7_error *err);
void lora_close(struct lora *lora); /* NULL is allowed */
const struct notes *lora_notes(const struct lora *lora);

/* RWKV7_ERR_MODEL names the first tensor of the file that does not fit `base`. */
enum rwkv7_status lora_check(const struct lora *lora, const struct tensor_index *base, struct rwkv7_error *err);

/* One tensor of the checkpoint and its change, between lora_begin and lora_end. */
struct lora_merge {
    const struct tensor *from; /* the tensor whose rows are changed: that of the checkpoint, or its replacement */
    float *a;                  /* [rank][in], multiplied by s; NULL: the rows of `from` are the result */
    float *b;                  /* [out][rank] */
    size_t rank, cols;         /* rank: r, plus the r of the factors before training */
};

/*
 * `lora` may be NULL: then nothing is merged. `base` must have passed lora_check. Both must stay
 * open until lora_end.
 */
enum rwkv7_status lora_begin(const struct lora *lora, const struct tensor *base, struct lora_merge *out,
                             struct rwkv7_error *err);
/* Computes row `row` of the merged tensor as float32; out [the last axis], as for tensor_row. */
void lora_row(const struct lora_merge *merge, uint64_t row, float *out);
void lora_end(struct lora_merge *merge); /* harmless on a zeroed struct */

#endif
