/*
 * draft_model.h - drafts by a smaller model with the same vocabulary.
 *
 * It draws with the random numbers that the sampler will use for the same positions. Where both
 * models have the same distribution, they draw the same token, at any temperature.
 */
#ifndef GENERATE_DRAFT_MODEL_H
#define GENERATE_DRAFT_MODEL_H

#include "rwkv7.h"

struct draft_model {
    struct rwkv7_session *session; /* has evaluated the first `read` tokens of the text */
    struct rwkv7_session *ahead;   /* has also evaluated the draft */
    float *logits;                 /* [V] */
    size_t read;
    double seconds; /* to draft one token; 0: not measured */
};

/*
 * Opens it for texts of a model with vocabulary size `vocab`. RWKV7_ERR_VOCAB: its own size
 * differs. On failure there is nothing to free.
 */
enum rwkv7_status draft_model_open(struct draft_model *d, const struct rwkv7_model *model, int vocab,
                                   struct rwkv7_error *err);
void draft_model_close(struct draft_model *d); /* accepts a zeroed struct */
/*
 * Drafts the next `room` tokens of the text [size]: writes their ids and returns their number,
 * which is less if the model fails. text: that of the last call with tokens appended; a text that
 * is not longer counts as a new one.
 */
size_t draft_model_draft(struct draft_model *d, const uint32_t *text, size_t size, struct rwkv7_sampler *sampler,
                         uint32_t *ids, size_t room);

#endif
