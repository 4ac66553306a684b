/*
 * lora.h - a LoRA file: what a fine-tuning changed in a checkpoint, in a small part of its size.
 *
 * As RWKV-PEFT writes it (.pth, .safetensors), with the names of the checkpoint that it was trained on:
 *
 *     X.lora_A [r][in], X.lora_B [out][r]   the tensor X.weight (or X) becomes W + alpha / r * B A, W being [out][in]
 *     X                                     replaces the tensor X
 *
 * Anything that has no counterpart in the checkpoint, or another shape than it, is refused: nothing is left out silently.
 * alpha is not in these files and is never guessed; only where the metadata of a .safetensors state it ("lora_alpha") it need
 * not be given.
 *
 * Merged is row by row while a checkpoint is converted, so that memory is needed for one A and one B alone:
 *
 *     lora_open(path, alpha, &lora, err)
 *     lora_check(lora, base, err)                  every tensor of the file fits the checkpoint
 *     for each tensor t of base:
 *         lora_begin(lora, t, &merge, err)
 *         for each row: lora_row(&merge, row, out)     in place of tensor_row(t, row, out)
 *         lora_end(&merge)
 *     lora_close(lora)
 */
#ifndef FORMATS_LORA_H
#define FORMATS_LORA_H

#include "formats/tensors.h"

struct lora;

/* alpha 0: as the metadata of the file say. RWKV7_ERR_USAGE when they do not; RWKV7_ERR_MODEL for what is no LoRA file. */
enum rwkv7_status lora_open(const char *path, double alpha, struct lora **out, struct rwkv7_error *err);
void lora_close(struct lora *lora);                               /* NULL is allowed */
const char *lora_file(const struct lora *lora, const char *path); /* like tensors_file */

/* RWKV7_ERR_MODEL names the first tensor of the file that does not fit `base`. */
enum rwkv7_status lora_check(const struct lora *lora, const struct tensor_index *base, struct rwkv7_error *err);

/* One tensor of the base with what the file says of it. */
struct lora_merge {
    const struct tensor *from; /* whose rows are the base: the tensor itself, or what replaces it */
    float *a;                  /* [r][in] times alpha / r; NULL: the rows of `from` are the result */
    float *b;                  /* [out][r] */
    size_t rank, cols;
};

/* `lora` may be NULL: then nothing is merged. `base` must have been checked. While the merge lasts, both must stay open. */
enum rwkv7_status lora_begin(const struct lora *lora, const struct tensor *base, struct lora_merge *out,
                             struct rwkv7_error *err);
/* Row `row` of the result as float32, out [the last axis]; like tensor_row. */
void lora_row(const struct lora_merge *merge, uint64_t row, float *out);
void lora_end(struct lora_merge *merge); /* harmless on a zeroed struct */

#endif
