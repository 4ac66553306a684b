/*
 * mark.h - the way back to the end of what was shown.
 *
 * A text is shown up to where a stop string, or half a character, may have begun. The session goes on reading all the same, so when the text
 * ends there it has read more than was shown. A mark is the state in front of the token in which the unshown part begins, and the
 * tokens since then:
 *
 *     tokens     ... | state `before` | tokens[0] | tokens[1] | ... | what was drawn last, and may not be read yet
 *     text                            |  shown   <--------- hidden ---------->
 *
 * A state is copied when something is held back, and not otherwise.
 */
#ifndef GENERATE_MARK_H
#define GENERATE_MARK_H

#include "rwkv7.h"

struct mark {
    struct rwkv7_session *before;
    bool borrowed;    /* it is somebody else's */
    bool trim;        /* newlines at the end are never shown */
    uint32_t *tokens; /* [count]; 0: all is shown, and `before` means nothing */
    size_t *ends;     /* [count]: where the text of each ends */
    size_t count, room;
    char *text; /* [size] of the tokens, byte by byte */
    size_t size, text_room;
    size_t hidden; /* bytes at its end that were not shown */
};

/* With a session of its own, of the same model as `like`, or with one that is lent for as long as the mark is used. */
enum rwkv7_status mark_open(struct mark *m, const struct rwkv7_session *like, struct rwkv7_error *err);
void mark_lend(struct mark *m, struct rwkv7_session *session, bool trim);
void mark_close(struct mark *m); /* one of zeroes holds nothing */
void mark_clear(struct mark *m); /* all is shown, or what follows is another text */

/*
 * A token was drawn, which the session has not read yet, with this text. `held`: so many bytes of all the text are not shown now. Does
 * nothing where no session was opened or lent. mark_show: the same without a token.
 */
enum rwkv7_status mark_token(struct mark *m, const struct rwkv7_session *session, uint32_t id, const uint8_t *text,
                             size_t size, size_t held, struct rwkv7_error *err);
void mark_show(struct mark *m, size_t held);
/* Reads the tokens that are shown as a whole: what was shown ends within tokens[0], or before it. */
enum rwkv7_status mark_settle(struct mark *m, struct rwkv7_error *err);

#endif
