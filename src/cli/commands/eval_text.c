/*
 * eval_text.c - perplexity of texts, and the KL divergence from a reference model.
 *
 * Each file is one document. The state starts at zero and is carried to the end, so every token is
 * predicted from all tokens before it. The text is read, encoded and evaluated in pieces, in
 * constant memory.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/commands/eval.h"
#include "cli/io/messages.h"
#include "cli/io/signals.h"
#include "cli/io/terminal.h"
#include "cli/io/token_source.h"

static void score(struct evaluation *e, size_t row, uint32_t id)
{
    const size_t offset = row * (size_t)e->vocab;
    const struct distribution q = distribution_of(e->model.logits + offset, e->vocab);
    e->tokens++;
    e->loss -= log_probability(&q, id);
    if (!e->reference.session)
        return;
    const struct distribution p = distribution_of(e->reference.logits + offset, e->vocab);
    const double kl = divergence(&p, &q);
    e->reference_loss -= log_probability(&p, id);
    e->divergence += kl;
    spread_add(&e->spread, kl);
    e->agreed += p.best == q.best;
}

/* ids [count + 1]: evaluates all but the last and scores all but the first. */
static int score_piece(struct evaluation *e, const uint32_t *ids, size_t count)
{
    int code = reader_feed(&e->model, ids, count, RWKV7_LOGITS_ALL);
    if (code == DONE && e->reference.session)
        code = reader_feed(&e->reference, ids, count, RWKV7_LOGITS_ALL);
    for (size_t i = 0; i < count && code == DONE; i++)
        score(e, i, ids[i + 1]);
    return code;
}

static size_t token_bytes(const struct evaluation *e, uint32_t id)
{
    size_t length;
    rwkv7_tokenizer_bytes(e->tokenizer, id, &length);
    return length;
}

static int read_text(struct evaluation *e, struct token_source *source)
{
    uint32_t ids[RWKV7_CHUNK + 1];
    size_t count = 0, got;
    if (e->bos)
        ids[count++] = RWKV7_END_OF_TEXT;
    do {
        int code = token_source_next(source, ids + count, e->rows + 1 - count, &got);
        if (count == 0 && got > 0) /* nothing precedes this token, so it is not predicted */
            e->bytes -= token_bytes(e, ids[0]);
        count += got;
        if (code == DONE && count > 1 && (got == 0 || count == e->rows + 1)) {
            code = score_piece(e, ids, count - 1);
            ids[0] = ids[count - 1];
            count = 1;
        }
        if (code != DONE)
            return code;
        progress_show("eval", source->bytes_in_file < 0 ? -1 : (double)source->bytes / (source->bytes_in_file + 1),
                      (double)e->tokens, "tokens");
    } while (got > 0 && !interrupted);
    e->bytes += source->bytes;
    return interrupted ? INTERRUPTED : DONE;
}

int eval_text(struct evaluation *e, const char *path)
{
    struct token_source source = {0};
    rwkv7_session_reset(e->model.session);
    if (e->reference.session)
        rwkv7_session_reset(e->reference.session);
    int code = token_source_open(&source, e->tokenizer, path);
    if (code == DONE)
        code = read_text(e, &source);
    token_source_close(&source);
    return code;
}
