/*
 * mark.h - the state at the end of the shown text.
 *
 * Text is held back from the point where a stop string or an incomplete character may begin, while
 * the session goes on evaluating. If the text ends there, the session has evaluated more than was
 * shown. A mark is the state before the token in which the hidden part begins, and the tokens since
 * then:
 *
 *     tokens     ... | state `before` | tokens[0] | tokens[1] | ... | last drawn
 *     text                            |  shown   <--------- hidden ---------->
 *
 * The state is copied only when text is held back.
 */
#ifndef GENERATE_MARK_H
#define GENERATE_MARK_H

#include "rwkv7.h"

struct mark {
    struct rwkv7_session *before;
    bool borrowed;    /* the session is not owned */
    bool trim;        /* trailing newlines are never shown */
    uint32_t *tokens; /* [count]; 0: everything is shown, `before` is not valid */
    size_t *ends;     /* [count] where the text of each token ends */
    size_t count, room;
    char *text; /* [size] the bytes of the tokens */
    size_t size, text_room;
    size_t hidden; /* bytes at its end that are not shown */
};

/*
 * Opens a mark with its own session of the same model as `like`, or with a lent session that must
 * outlive it.
 */
enum rwkv7_status mark_open(struct mark *m, const struct rwkv7_session *like, struct rwkv7_error *err);
void mark_lend(struct mark *m, struct rwkv7_session *session, bool trim);
void mark_close(struct mark *m); /* accepts a zeroed struct */
void mark_clear(struct mark *m); /* clears it: everything is shown, or a new text starts */

/*
 * mark_token records a drawn token, not yet evaluated, and its text. held: number of bytes at the
 * end of the text that are hidden now. tried: number of tokens of the session's open try before
 * this one; 0: no open try. Does nothing without a session. mark_show: the same without a new
 * token.
 */
enum rwkv7_status mark_token(struct mark *m, const struct rwkv7_session *session, size_t tried, uint32_t id,
                             const uint8_t *text, size_t size, size_t held, struct rwkv7_error *err);
void mark_show(struct mark *m, size_t held);
/*
 * Evaluates the tokens that are shown completely. Afterwards, the shown text ends within tokens[0]
 * or before it.
 */
enum rwkv7_status mark_settle(struct mark *m, struct rwkv7_error *err);

#endif
