/*
 * lora.h - a LoRA file: what a fine-tuning changed in a checkpoint, in a small part of its size.
 *
 * As RWKV-PEFT (.pth, .safetensors) and Hugging Face's PEFT write it, with the names of the checkpoint that it was trained on:
 *
 *     X.lora_A [r][in], X.lora_B [out][r]   the tensor X.weight (or X) becomes W + s B A, W being [out][in]
 *     X.lora_A.weight, X.lora_A.default.weight, X.lora_A.default   the same in PEFT's spellings
 *     X                                     replaces the tensor X
 *
 * s is alpha / r, or alpha / sqrt(r) where PEFT's configuration says so (use_rslora). alpha is given, or stated in the metadata of a
 * .safetensors ("lora_alpha") or in PEFT's adapter_config.json, which lies beside adapter_model.safetensors or adapter_model.bin; it is
 * never guessed. Anything that has no counterpart in the checkpoint, or another shape than it, is refused, but for integers and empty
 * tensors, which are skipped with a note: nothing is left out silently.
 *
 * PiSSA begins from the largest singular vectors of W and takes them off W, so that the factors before training, A0 and B0, are needed:
 * the result is W + s (B A - B0 A0). RWKV-PEFT calls them X.init_lora_A and X.init_lora_B, in a file of their own, and has s = 1; those of
 * PEFT are an adapter like the trained one.
 *
 * Merged is row by row while a checkpoint is converted, so that memory is needed for one A and one B alone:
 *
 *     lora_open(path, init, alpha, &lora, err)
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

/*
 * path: a file, or a folder of PEFT. init: the file with the factors before training; NULL: there is none. alpha 0: as the files say.
 * RWKV7_ERR_USAGE when they do not, or when `init` is needed; RWKV7_ERR_MODEL for what is no LoRA file.
 */
enum rwkv7_status lora_open(const char *path, const char *init, double alpha, struct lora **out,
                            struct rwkv7_error *err);
void lora_close(struct lora *lora); /* NULL is allowed */
const struct notes *lora_notes(const struct lora *lora);

/* RWKV7_ERR_MODEL names the first tensor of the file that does not fit `base`. */
enum rwkv7_status lora_check(const struct lora *lora, const struct tensor_index *base, struct rwkv7_error *err);

/* One tensor of the base with what the file says of it. */
struct lora_merge {
    const struct tensor *from; /* whose rows are the base: the tensor itself, or what replaces it */
    float *a;                  /* [rank][in] times s; NULL: the rows of `from` are the result */
    float *b;                  /* [out][rank] */
    size_t rank, cols;         /* rank: the r of the file, and that of the factors before training */
};

/* `lora` may be NULL: then nothing is merged. `base` must have been checked. While the merge lasts, both must stay open. */
enum rwkv7_status lora_begin(const struct lora *lora, const struct tensor *base, struct lora_merge *out,
                             struct rwkv7_error *err);
/* Row `row` of the result as float32, out [the last axis]; like tensor_row. */
void lora_row(const struct lora_merge *merge, uint64_t row, float *out);
void lora_end(struct lora_merge *merge); /* harmless on a zeroed struct */

#endif
