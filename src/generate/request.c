/* request.c - the state machine of one text; see request.h. */
#include "generate/request.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/options.h"
#include "base/status.h"
#include "generate/logprobs.h"
#include "generate/tools.h"
#include "text/sampler.h"
#include "text/stream.h"

/* Opens the sampler. Bans the end of text if the options ignore it. */
static enum rwkv7_status open_sampler(struct request *r, const struct rwkv7_generator_options *opt,
                                      struct rwkv7_error *err)
{
    const struct rwkv7_tokenizer *const tokenizer = r->prompt.tokenizer;
    struct rwkv7_sampler_options options;
    size_t room;
    enum rwkv7_status status = OPTIONS_READ(rwkv7_sampler_options, &options, opt->sampling, bias_count, err);
    if (status != RWKV7_OK)
        return status;
    struct rwkv7_token_bias *const biases =
        size_add(options.bias_count, 1, &room) ? mem_alloc(room, sizeof *biases) : NULL;
    if (!biases)
        return fail_memory(err, "the sampler");
    if (options.bias_count > 0)
        memcpy(biases, options.biases, options.bias_count * sizeof *biases);
    if (opt->ignore_end && rwkv7_tokenizer_has_end_of_text(tokenizer))
        biases[options.bias_count++] = (struct rwkv7_token_bias){RWKV7_END_OF_TEXT, -INFINITY};
    options.biases = biases;
    status = rwkv7_sampler_create(&options, r->vocab, tokenizer, &r->sampler, err);
    mem_free(biases);
    return status;
}

/*
 * Allocates the buffers of all steps in advance: the text of the longest token and the top log
 * probabilities.
 */
static enum rwkv7_status open_buffers(struct request *r, const struct rwkv7_generator_options *opt,
                                      struct rwkv7_error *err)
{
    enum rwkv7_status status =
        stream_reserve(r->stream, rwkv7_tokenizer_max_length(r->prompt.tokenizer), &r->text_room, err);
    if (status == RWKV7_OK)
        status = prompt_reserve(&r->prompt, 1, err);
    if (status != RWKV7_OK)
        return status;
    r->top_room = (size_t)opt->logprobs;
    r->top = mem_alloc(r->top_room, sizeof *r->top);
    r->text = mem_alloc(r->text_room, 1);
    return r->top && r->text ? RWKV7_OK : fail_memory(err, "the text");
}

/*
 * A draft_fn. If the matcher fails, it returns no guess; the error then shows when a token is
 * drawn.
 */
static size_t forced_tokens(void *arg, uint32_t *ids, size_t room)
{
    size_t count;
    (void)rwkv7_matcher_forced(arg, ids, room, &count, NULL);
    return count;
}

enum rwkv7_status request_open(struct request *r, const struct rwkv7_tokenizer *tokenizer, int vocab,
                               const struct rwkv7_generator_options *opt, struct rwkv7_error *err)
{
    *r = (struct request){.prompt = {.tokenizer = tokenizer},
                          .vocab = vocab,
                          .limit = opt->max_tokens ? opt->max_tokens : UINT64_MAX,
                          .stop = -1,
                          .resumable = opt->resumable};
    if ((unsigned)opt->bos > RWKV7_BOS_NEVER)
        return fail(err, RWKV7_ERR_USAGE, "generator: unknown value %d of bos", (int)opt->bos);
    if (opt->logprobs < 0 || opt->logprobs > RWKV7_LOGPROBS_MAX)
        return fail(err, RWKV7_ERR_USAGE, "log probabilities: expected at least 0 and at most %d tokens, found %d",
                    RWKV7_LOGPROBS_MAX, opt->logprobs);
    enum rwkv7_status status = speculation_open(&r->speculation, opt->speculate, opt->draft_model, vocab, err);
    if (status == RWKV7_OK)
        status = rwkv7_stream_create(opt->stops, opt->stop_count, &r->stream, err);
    if (status == RWKV7_OK)
        status = open_sampler(r, opt, err);
    if (status == RWKV7_OK && opt->grammar)
        status = rwkv7_matcher_create(opt->grammar, &r->matcher, err);
    if (r->matcher)
        r->speculation.forced = (struct draft_source){forced_tokens, r->matcher};
    if (status == RWKV7_OK)
        status = open_buffers(r, opt, err);
    if (status != RWKV7_OK)
        request_clear(r);
    return status;
}

enum rwkv7_status request_follow(struct request *r, const char *text, size_t size, struct rwkv7_error *err)
{
    return r->matcher ? tools_follow(r->matcher, r->prompt.tokenizer, text, size, err) : RWKV7_OK;
}

void request_clear(struct request *r)
{
    prompt_free(&r->prompt);
    speculation_close(&r->speculation);
    rwkv7_sampler_close(r->sampler);
    rwkv7_stream_close(r->stream);
    rwkv7_matcher_close(r->matcher);
    mem_free(r->top);
    mem_free(r->text);
    r->sampler = NULL;
    r->stream = NULL;
    r->matcher = NULL;
    r->top = NULL;
    r->text = NULL;
}

/* --------------------------------------------------------------------------------------- prompt */

/* Updates `fed` after tokens were added to a prompt that had `before` tokens. */
static void count_fed(struct request *r, size_t before)
{
    const size_t count = r->prompt.end - r->prompt.begin;
    if (count > before)
        r->drawn_pending = false;
    r->fed += count - before;
}

enum rwkv7_status request_begin(struct request *r, enum rwkv7_bos bos, bool at_start, struct rwkv7_error *err)
{
    static const uint32_t token = RWKV7_END_OF_TEXT;
    const bool begins = prompt_begins_with_bos(r->prompt.tokenizer, bos, at_start);
    return request_feed_tokens(r, &token, begins, err);
}

enum rwkv7_status request_feed(struct request *r, const void *text, size_t size, struct rwkv7_error *err)
{
    const size_t before = r->prompt.end - r->prompt.begin;
    const enum rwkv7_status status = prompt_add_text(&r->prompt, text, size, err);
    count_fed(r, before);
    return status;
}

enum rwkv7_status request_feed_tokens(struct request *r, const uint32_t *ids, size_t count, struct rwkv7_error *err)
{
    const size_t before = r->prompt.end - r->prompt.begin;
    const enum rwkv7_status status = prompt_add_tokens(&r->prompt, ids, count, err);
    count_fed(r, before);
    return status;
}

enum rwkv7_status request_end_prompt(struct request *r, struct rwkv7_error *err)
{
    const size_t before = r->prompt.end - r->prompt.begin;
    const enum rwkv7_status status = prompt_end_text(&r->prompt, err);
    count_fed(r, before);
    return status;
}

size_t request_pending(const struct request *r, size_t limit, const uint32_t **tokens, bool *logits)
{
    const size_t count = r->prompt.end - r->prompt.begin;
    *tokens = r->prompt.ids + r->prompt.begin;
    *logits = count <= limit;
    return count < limit ? count : limit;
}

void request_evaluated(struct request *r, size_t count)
{
    if (!r->drawn_pending)
        speculation_read(&r->speculation, r->prompt.ids + r->prompt.begin, count);
    prompt_drop(&r->prompt, count);
    r->evaluated += count;
}

/* ----------------------------------------------------------------------------------------- text */

/*
 * Adds text to the step. Stores a pointer into the stream; copies the text only if the step has
 * other text or may get more.
 */
static enum rwkv7_status add_text(struct request *r, const char *text, size_t length, bool more,
                                  struct rwkv7_error *err)
{
    struct rwkv7_step *const step = &r->step;
    if (r->text_size == 0 && !more) {
        step->text = text;
        step->length = length;
        return RWKV7_OK;
    }
    size_t size;
    if (!size_add(r->text_size, length, &size))
        return fail_memory(err, "the text");
    if (size > r->text_room) {
        char *const grown = mem_grow(r->text, r->text_size, size, 1);
        if (!grown)
            return fail_memory(err, "the text");
        r->text = grown;
        r->text_room = size;
    }
    memcpy(r->text + r->text_size, text, length);
    r->text_size = size;
    step->text = r->text;
    step->length = size;
    return RWKV7_OK;
}

/* Begins the next step with the text left over from the last one. */
static void begin_step(struct request *r)
{
    r->step =
        (struct rwkv7_step){.struct_size = sizeof r->step, .text = r->text, .length = r->text_size, .stop = r->stop};
}

/* Ends the text and adds what the stream held back. After a failure, the text has not ended. */
static enum rwkv7_status finish(struct request *r, enum rwkv7_end why, struct rwkv7_error *err)
{
    if (!r->resumable) {
        const char *text;
        size_t length;
        enum rwkv7_status status = rwkv7_stream_finish(r->stream, &text, &length, err);
        if (status == RWKV7_OK)
            status = add_text(r, text, length, false, err);
        if (status != RWKV7_OK)
            return status;
    }
    r->step.end = r->end = why;
    return RWKV7_OK;
}

enum rwkv7_status request_continue_text(struct request *r, const struct rwkv7_bytes *held, struct rwkv7_error *err)
{
    const char *text;
    size_t length;
    const enum rwkv7_status status =
        rwkv7_stream_push(r->stream, held->data, held->size, &text, &length, &r->stop, err);
    /* Is empty unless the stop strings have changed. */
    return status == RWKV7_OK ? add_text(r, text, length, true, err) : status;
}

/* Passes the token to the stream. Ends the text at a stop string or at the limit of tokens. */
static enum rwkv7_status take_token(struct request *r, uint32_t id, struct rwkv7_error *err)
{
    const char *text;
    size_t length;
    enum rwkv7_end end = RWKV7_END_NONE;

    enum rwkv7_status status = prompt_add_tokens(&r->prompt, &id, 1, err);
    if (status != RWKV7_OK)
        return status;
    r->drawn_pending = r->prompt.end - r->prompt.begin == 1;
    r->tokens++;
    const uint8_t *const bytes = rwkv7_tokenizer_bytes(r->prompt.tokenizer, id, &length);
    status = rwkv7_stream_push(r->stream, bytes, length, &text, &length, &r->step.stop, err);
    if (status != RWKV7_OK)
        return status;
    if (r->step.stop >= 0)
        end = RWKV7_END_STOP;
    else if (r->tokens == r->limit)
        end = RWKV7_END_LENGTH;
    status = add_text(r, text, length, end != RWKV7_END_NONE, err);
    return status == RWKV7_OK && end != RWKV7_END_NONE ? finish(r, end, err) : status;
}

/*
 * Draws a token that the grammar allows. If it allows only the end of the text, the text ends, even
 * if the end-of-text token is banned or missing in the vocabulary.
 */
static enum rwkv7_status draw_token(const struct request *r, const float *logits, uint32_t *id, bool *end,
                                    struct rwkv7_error *err)
{
    const uint64_t *mask;
    size_t allowed;
    enum rwkv7_status status;
    *end = false;
    if (r->matcher) {
        status = rwkv7_matcher_mask(r->matcher, &mask, &allowed, err);
        if (status != RWKV7_OK)
            return status;
        *end = allowed == 0;
        *id = RWKV7_END_OF_TEXT;
        if (*end)
            return RWKV7_OK;
        status = sampler_draw_masked(r->sampler, logits, mask, rwkv7_tokenizer_size(r->prompt.tokenizer), id, err);
    } else {
        status = sampler_draw(r->sampler, logits, id, err);
    }
    *end = *id == RWKV7_END_OF_TEXT && rwkv7_tokenizer_has_end_of_text(r->prompt.tokenizer);
    return status;
}

enum rwkv7_status request_draw(struct request *r, const float *logits, struct rwkv7_error *err)
{
    const uint64_t random = sampler_random(r->sampler);
    uint32_t id;
    bool end;
    begin_step(r);
    enum rwkv7_status status = draw_token(r, logits, &id, &end, err);
    if (status != RWKV7_OK)
        return status;
    r->step.drawn = true;
    r->step.id = id;
    if (r->top_room > 0) {
        const struct distribution d = distribution_of(logits, r->vocab);
        r->step.logprob = log_probability(&d, id);
        r->step.top = r->top;
        r->step.top_count = distribution_top(&d, r->top_room, r->top);
    }
    if (end) {
        sampler_set_random(r->sampler, random);
        status = finish(r, RWKV7_END_TOKEN, err);
    } else {
        if (r->matcher)
            status = rwkv7_matcher_advance(r->matcher, id, err);
        sampler_count(r->sampler, id);
        if (status == RWKV7_OK)
            status = take_token(r, id, err);
    }
    r->text_size = 0;
    return status;
}

enum rwkv7_status request_end(struct request *r, enum rwkv7_end why, struct rwkv7_error *err)
{
    begin_step(r);
    const enum rwkv7_status status = finish(r, why, err);
    r->text_size = 0;
    return status;
}

enum rwkv7_status request_mark(const struct request *r, size_t lost, const struct rwkv7_session *session,
                               struct mark *m, struct rwkv7_error *err)
{
    const struct rwkv7_step *const step = &r->step;
    const size_t held = stream_unshown(r->stream) + lost;
    size_t length;
    if (!step->drawn || step->end == RWKV7_END_TOKEN) {
        mark_show(m, held);
        return RWKV7_OK;
    }
    const uint8_t *const text = rwkv7_tokenizer_bytes(r->prompt.tokenizer, step->id, &length);
    return mark_token(m, session, speculation_passed(&r->speculation), step->id, text, length, held, err);
}

void request_cancel(struct request *r)
{
    atomic_store_explicit(&r->cancelled, true, memory_order_relaxed);
}
