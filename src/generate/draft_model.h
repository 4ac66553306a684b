/*
 * draft_model.h - drafts by a smaller model with the same vocabulary.
 *
 * It draws with the random numbers that the sampler will use for these tokens: where both models
 * agree on the distribution, they draw the same token, at any temperature.
 */
#ifndef GENERATE_DRAFT_MODEL_H
#define GENERATE_DRAFT_MODEL_H

#include "rwkv7.h"

struct draft_model {
    struct rwkv7_session *session; /* has evaluated the first `read` tokens of the text */
    struct rwkv7_session *ahead;   /* and the draft */
    float *logits;                 /* [V] */
    size_t read;
    double seconds; /* for one token of a draft; 0: not measured */
};

/*
 * Opens it for texts of a model with `vocab` rows. RWKV7_ERR_VOCAB: it has another number. On
 * failure there is nothing to free.
 */
enum rwkv7_status draft_model_open(struct draft_model *d, const struct rwkv7_model *model, int vocab,
                                   struct rwkv7_error *err);
void draft_model_close(struct draft_model *d); /* accepts a zeroed struct */
/*
 * Continues the text [size] by `room` tokens: writes their ids and returns their number, less if
 * the model fails. The text is that of the last call with tokens appended, or another one.
 */
size_t draft_model_draft(struct draft_model *d, const uint32_t *text, size_t size, struct rwkv7_sampler *sampler,
                         uint32_t *ids, size_t room);

#endif
