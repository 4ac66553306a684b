/*
 * bpe_encode.c - encodes text with byte-level BPE: special tokens, NFC, runs of spaces, words,
 * merges (docs/FORMATS.md).
 *
 * A call processes the text in windows. A window is normalised into a buffer that records, for each
 * character, its offset in the original text. Words are found in the buffer.
 *
 * Ids are committed, that is, become part of the result, where encoding can resume without the
 * preceding text: after each word whose end is certain, and at some positions inside a word. The
 * next window begins after the last commit. So no state is kept between calls, and the ids do not
 * depend on how the text is divided into calls.
 *
 * Memory and time are bounded for hostile input. A word that fills a window of WINDOW bytes is
 * split at a token boundary at least MARGIN bytes before the end of the window. This can change the
 * ids only if the bytes after the window affect merges more than MARGIN bytes back, which needs a
 * vocabulary made for the purpose. A character with more than MAX_CLUSTER bytes of combining marks
 * is normalised in parts.
 */
#include <string.h>

#include <utf8proc.h>

#include "base/mem.h"
#include "text/bpe.h"

enum { WINDOW = 1 << 13, MARGIN = 1 << 12, MAX_CLUSTER = 1 << 10, FIRST_WINDOW = 1 << 8 };
enum { ROOM = WINDOW + 4 * MAX_CLUSTER }; /* bytes of a normalised window */

#define NO_ORIGIN UINT32_MAX

enum kind { LETTER, NUMBER, SPACE, OTHER };

struct window {
    uint8_t text[ROOM + 4]; /* normalised */
    /*
     * At the first byte of a character with its combining marks: the offset in the original text,
     * relative to the window. At the other bytes: NO_ORIGIN.
     */
    uint32_t origin[ROOM + 1];
    uint32_t size;
    bool complete; /* the window ends at the end of the text or before a special token, so its last word is complete */
    bool full;     /* the window has reached its size limit before the end of the text */
};

struct encoder {
    const struct bpe *bpe;
    const struct vocab *vocab;
    const uint8_t *text;
    size_t size;
    bool final;
    struct window *window;
    struct bpe_scratch scratch;
    uint32_t *ids;
    size_t room, count; /* count: ids written, committed or not */
    size_t committed;   /* number of committed ids */
    uint32_t reached;   /* bytes of the original window that the committed ids cover */
    bool no_room;
};

/* ----------------------------------------------------------------------------------- characters */

static enum kind kind_of(utf8proc_int32_t c)
{
    if (c < 0x80) {
        const int lower = c | 0x20;
        return lower >= 'a' && lower <= 'z'      ? LETTER
               : c >= '0' && c <= '9'            ? NUMBER
               : c == ' ' || (c >= 9 && c <= 13) ? SPACE
                                                 : OTHER;
    }
    if (c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
        c == 0x202f || c == 0x205f || c == 0x3000)
        return SPACE; /* Unicode White_Space */
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return NUMBER;
    default:
        return OTHER;
    }
}

/*
 * Whether normalisation may combine the character with the preceding one. May be true for a
 * character that does not combine, but is never false for one that does.
 */
static bool joins(utf8proc_int32_t c)
{
    if (c < 0x300)
        return false;
    if ((c >= 0x1160 && c <= 0x11ff) ||
        (c >= 0x16d63 && c <= 0x16d6a)) /* vowels and finals of Hangul, vowels of Kirat Rai */
        return true;
    const utf8proc_category_t category = utf8proc_category(c);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC || category == UTF8PROC_CATEGORY_ME;
}

/*
 * Decodes the character at p. Invalid UTF-8 gives U+FFFD, one for each maximal subpart, as in
 * stream.c. Returns the number of bytes, or 0 if the character is incomplete and more text may
 * follow.
 */
static size_t read_character(const uint8_t *p, size_t left, bool ended, utf8proc_int32_t *c)
{
    if (p[0] < 0x80) {
        *c = p[0];
        return 1;
    }
    const utf8proc_ssize_t n = utf8proc_iterate(p, (utf8proc_ssize_t)left, c);
    if (n > 0)
        return (size_t)n;
    *c = 0xfffd;
    const size_t wanted = p[0] >= 0xc2 && p[0] <= 0xdf   ? 2
                          : p[0] >= 0xe0 && p[0] <= 0xef ? 3
                          : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
                                                         : 1;
    const uint8_t low = p[0] == 0xe0   ? 0xa0
                        : p[0] == 0xf0 ? 0x90
                                       : 0x80,
                  high = p[0] == 0xed   ? 0x9f
                         : p[0] == 0xf4 ? 0x8f
                                        : 0xbf;
    size_t good = 1;
    if (wanted > 1 && left > 1 && p[1] >= low && p[1] <= high)
        for (good = 2; good < wanted && good < left && (p[good] & 0xc0) == 0x80;)
            good++;
    return good == left && good < wanted && !ended ? 0 : good;
}

/* --------------------------------------------------------------------------------------- window */

/*
 * Returns the index of the special token at p; -1 if there is none, -2 if more text could complete
 * one.
 */
static int special_at(const struct bpe_rules *r, const uint8_t *p, size_t left, bool ended)
{
    int answer = -1;
    for (uint32_t i = 0; i < r->special_count; i++) {
        const size_t n = r->special[i].length;
        if (left >= n && memcmp(p, r->special[i].text, n) == 0)
            return (int)i;
        if (left < n && !ended && memcmp(p, r->special[i].text, left) == 0)
            answer = -2;
    }
    return answer;
}

/*
 * Appends one character with its combining marks, `points`, to the window in NFC. `origin` is its
 * offset.
 */
static void add_cluster(struct window *w, const utf8proc_int32_t *points, size_t count, uint32_t origin)
{
    utf8proc_int32_t buffer[4 * MAX_CLUSTER];
    utf8proc_ssize_t n = 0;
    int bound = 0;
    const uint32_t first = w->size;

    for (size_t i = 0; i < count; i++) {
        const utf8proc_ssize_t room = (utf8proc_ssize_t)(sizeof buffer / sizeof buffer[0]) - n;
        const utf8proc_ssize_t more =
            utf8proc_decompose_char(points[i], buffer + n, room, UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &bound);
        if (more > 0 && more <= room)
            n += more;
    }
    /* Canonical ordering: utf8proc_decompose does it, utf8proc_decompose_char does not. */
    for (utf8proc_ssize_t i = 1; i < n; i++) {
        const utf8proc_int32_t c = buffer[i];
        const int class = utf8proc_get_property(c)->combining_class;
        utf8proc_ssize_t j = i;
        for (; class > 0 && j > 0 && utf8proc_get_property(buffer[j - 1])->combining_class > class; j--)
            buffer[j] = buffer[j - 1];
        buffer[j] = c;
    }
    n = utf8proc_normalize_utf32(buffer, n, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        const utf8proc_ssize_t bytes = utf8proc_encode_char(buffer[i], w->text + w->size);
        for (utf8proc_ssize_t k = 0; k < bytes; k++)
            w->origin[w->size++] = NO_ORIGIN;
    }
    w->origin[first] = origin;
}

/* Fills the window with about `limit` bytes of the normalised text at p. */
static void fill_window(struct encoder *e, const uint8_t *p, size_t left, size_t limit)
{
    const struct bpe_rules *const r = &e->bpe->rules;
    struct window *const w = e->window;
    utf8proc_int32_t points[MAX_CLUSTER + 1];
    size_t at = 0, end;

    w->size = 0;
    w->complete = w->full = false;
    for (;;) {
        if (at == left) {
            w->complete = e->final;
            break;
        }
        if (at >= limit || w->size >= limit) {
            w->full = true;
            break;
        }
        const uint8_t byte = p[at];
        if (byte == '<') {
            const int special = special_at(r, p + at, left - at, e->final);
            if (special != -1) {
                w->complete = special >= 0;
                break;
            }
        }
        if (byte < 0x80 &&
            (at + 1 < left ? p[at + 1] < 0xcc : e->final)) { /* the next character does not combine with it */
            w->origin[w->size] = (uint32_t)at++;
            w->text[w->size++] = byte;
            continue;
        }
        size_t count = 0;
        utf8proc_int32_t c = 0;
        for (end = at; end < left && end - at < MAX_CLUSTER;) {
            const size_t n = read_character(p + end, left - end, e->final, &c);
            if (n == 0)
                goto done; /* incomplete character, which might combine with the preceding ones */
            if (count > 0 && !joins(c))
                break;
            points[count++] = c;
            end += n;
        }
        if (end == left && !e->final && end - at < MAX_CLUSTER)
            break; /* a combining mark could follow */
        add_cluster(w, points, count, (uint32_t)at);
        at = end;
    }
done:
    w->origin[w->size] = (uint32_t)at;
}

/* ---------------------------------------------------------------------------------------- words */

static enum kind kind_at(const struct window *w, uint32_t at, uint32_t *next)
{
    if (w->text[at] < 0x80) {
        *next = at + 1;
        return kind_of(w->text[at]);
    }
    utf8proc_int32_t c;
    const utf8proc_ssize_t n = utf8proc_iterate(w->text + at, (utf8proc_ssize_t)(w->size - at), &c);
    *next = at + (n > 0 ? (uint32_t)n : 1);
    return n > 0 ? kind_of(c) : OTHER;
}

/* Returns the length of the contraction ('s 't 're 've 'm 'll 'd) at `at`; 0 if there is none. */
static uint32_t contraction_at(const struct window *w, uint32_t at)
{
    const uint8_t *const p = w->text + at;
    const uint32_t left = w->size - at;
    if (left < 2 || p[0] != '\'')
        return 0;
    if (p[1] == 's' || p[1] == 't' || p[1] == 'm' || p[1] == 'd')
        return 2;
    const bool two =
        left > 2 && ((p[1] == 'r' && p[2] == 'e') || (p[1] == 'v' && p[2] == 'e') || (p[1] == 'l' && p[2] == 'l'));
    return two ? 3 : 0;
}

static uint32_t spaces_at(const struct window *w, uint32_t at)
{
    uint32_t n = 0;
    while (at + n < w->size && w->text[at + n] == ' ')
        n++;
    return n;
}

/* Returns the end of the word that begins at `at`. *sure: more text cannot change it. */
static uint32_t word_end(const struct encoder *e, uint32_t at, bool *sure)
{
    const struct window *const w = e->window;
    const bool runs = e->bpe->rules.most_spaces > 0;
    uint32_t end, next, last;

    *sure = true;
    if (w->text[at] == '\'') {
        const uint32_t n = contraction_at(w, at);
        if (n > 0)
            return at + n;
        *sure = w->complete || w->size - at >= 3;
    }
    const uint32_t body = w->text[at] == ' ' ? at + 1 : at;
    const enum kind kind = body < w->size ? kind_at(w, body, &next) : SPACE;
    if (kind != SPACE) {
        for (end = next; end < w->size; end = next)
            if (kind_at(w, end, &next) != kind)
                return end;
        *sure = w->complete;
        return end;
    }
    /*
     * A run of white space. If it has several characters and a word follows, it ends before its
     * last character, with which the next word begins. It also ends before a run of spaces.
     */
    for (end = last = at; end < w->size && kind_at(w, end, &next) == SPACE; end = next) {
        if (runs && w->text[end] == ' ' && end + 1 < w->size && w->text[end + 1] == ' ')
            return end;
        last = end;
    }
    if (end == w->size) {
        *sure = w->complete;
        return end;
    }
    return last > at ? last : end;
}

/* ------------------------------------------------------------------------------------- encoding */

/*
 * Whether encoding can resume at a token boundary inside a word and give the same ids as without
 * interruption.
 */
static bool can_resume(const struct window *w, uint32_t at)
{
    if (w->text[at] == '\'' && (at + 1 >= w->size || kind_of(w->text[at + 1]) == LETTER))
        return false; /* the rest could begin with a contraction such as 's */
    return w->origin[at] != NO_ORIGIN;
}

static void commit(struct encoder *e, uint32_t at)
{
    if (e->window->origin[at] != NO_ORIGIN) {
        e->committed = e->count;
        e->reached = e->window->origin[at];
    }
}

/*
 * Writes the tokens of a word that end at or before `limit` (an offset in the window), as long as
 * there is room.
 */
static void write_word(struct encoder *e, uint32_t at, uint32_t end, uint32_t limit)
{
    const struct window *const w = e->window;
    const uint32_t n = bpe_word(e->bpe, e->vocab, w->text + at, end - at, &e->scratch);
    const struct bpe_token *const tokens = e->scratch.out;
    /*
     * Commits inside a word only if the word does not fit, and never inside a contraction, whose
     * rest could be parsed as another word.
     */
    const bool must_fit = (limit == end && n <= e->room - e->count) || contraction_at(w, at) > 0;
    for (uint32_t i = 0; i < n; i++) {
        if (e->count == e->room) {
            e->no_room = true;
            return;
        }
        if (at + tokens[i].end > limit)
            return;
        e->ids[e->count++] = tokens[i].id;
        if (!must_fit && at + tokens[i].end < end && can_resume(w, at + tokens[i].end))
            commit(e, at + tokens[i].end);
    }
    if (limit == end)
        commit(e, end);
}

/* Writes a run of at least two spaces. Returns false if the end of the run is not known yet. */
static bool write_spaces(struct encoder *e, uint32_t *at, uint32_t n)
{
    const struct bpe_rules *const r = &e->bpe->rules;
    const bool ends = *at + n < e->window->size || e->window->complete;
    while (n >= r->most_spaces || (ends && n >= 2)) {
        const uint32_t part = n < r->most_spaces ? n : r->most_spaces;
        if (e->count == e->room) {
            e->no_room = true;
            return false;
        }
        e->ids[e->count++] = r->space_id[part];
        n -= part;
        *at += part;
        commit(e, *at);
    }
    return n == 0 || ends;
}

/* Encodes the words of the window. `largest`: the window cannot grow any more. */
static void encode_window(struct encoder *e, bool largest)
{
    const struct window *const w = e->window;
    for (uint32_t at = 0; at < w->size && !e->no_room;) {
        const uint32_t spaces = e->bpe->rules.most_spaces > 0 ? spaces_at(w, at) : 0;
        bool sure;
        if (spaces >= 2) {
            if (!write_spaces(e, &at, spaces))
                return;
            continue;
        }
        const uint32_t end = word_end(e, at, &sure);
        if (!sure) {
            if (largest && w->full && e->reached == 0 &&
                w->size > MARGIN) /* so far before the end that more text hardly changes the ids */
                write_word(e, at, w->size, w->size - MARGIN);
            return;
        }
        write_word(e, at, end, end);
        at = end;
    }
}

enum rwkv7_status bpe_encode(const struct bpe *b, const struct vocab *v, const uint8_t *text, size_t size, bool final,
                             uint32_t *ids, size_t room, size_t *count, size_t *covered, struct rwkv7_error *err)
{
    enum rwkv7_status status = RWKV7_OK;
    struct encoder e = {.bpe = b, .vocab = v, .final = final, .ids = ids, .room = room};
    size_t at = 0;
    /* A small `room` needs little text, so the first window is small. */
    const size_t start = room < WINDOW / 8 ? FIRST_WINDOW + 8 * room : WINDOW;
    size_t limit = start < WINDOW ? start : WINDOW;

    *count = *covered = 0;
    if (size == 0 || room == 0)
        return RWKV7_OK;
    e.window = mem_alloc(1, sizeof *e.window);
    if (!e.window || !bpe_scratch_open(&e.scratch, ROOM)) {
        status = fail_memory(err, "the tokenizer");
        goto done;
    }
    while (at < size && e.committed < room) {
        const int special = text[at] == '<' ? special_at(&b->rules, text + at, size - at, final) : -1;
        if (special == -2)
            break;
        if (special >= 0) {
            ids[e.committed++] = b->rules.special[special].id;
            at += b->rules.special[special].length;
            continue;
        }
        e.count = e.committed;
        e.reached = 0;
        e.no_room = false;
        fill_window(&e, text + at, size - at, limit);
        encode_window(&e, limit == WINDOW);
        if (e.reached == 0 && !e.no_room && e.window->full && limit == WINDOW) {
            /*
             * The window is full, but nothing could be committed, because no token boundary is at a
             * character boundary. Encode the window as if the text ended here.
             */
            e.window->complete = true;
            e.count = e.committed;
            encode_window(&e, false);
        }
        at += e.reached;
        if (e.reached > 0)
            continue;
        if (e.no_room) {
            if (e.committed == 0)
                status = fail(err, RWKV7_ERR_VOCAB,
                              "one character of the text has more tokens than fit into the buffer (%zu)", room);
            break;
        }
        if (!e.window->full)
            break; /* the word may continue */
        limit = 2 * limit < WINDOW ? 2 * limit : WINDOW;
    }
    *count = e.committed;
    *covered = at;
done:
    mem_free(e.window);
    bpe_scratch_close(&e.scratch);
    return status;
}
