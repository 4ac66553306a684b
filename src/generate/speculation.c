/* speculation.c - chooses the drafts and how many guesses to evaluate; see speculation.h. */
#include "generate/speculation.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"

/*
 * Maximum tokens of one text that `auto` evaluates at once. More rarely help: guesses far ahead are
 * rarely reached.
 */
#define AUTO_TOKENS 16
#define WORTH 1.05     /* minimum speedup for which a draft is used */
#define LEARNING 24    /* the acceptance rate of a kind averages about this many guesses */
#define FIRST_WEIGHT 4 /* the initial acceptance rate counts as this many guesses */
enum { MODEL_MISSES = 8, MODEL_PAUSE = 32, MODEL_PAUSE_MOST = 4096 }; /* tokens */

/*
 * Initial acceptance rates, in the order of enum draft_kind. Those by lookup are from English texts
 * and source code (tests/unit/bench_speculation.c). The rate of an unknown source is low: first
 * its guesses are only compared.
 */
static const double first_acceptance[DRAFT_KINDS] = {0.25, 0.4, 0.55, 0.7, 0.85, 0.95, 0.6, 0.3};

void draft_text_close(struct draft_text *t)
{
    lookup_clear(&t->lookup);
    draft_model_close(&t->model);
    *t = (struct draft_text){0};
}

enum rwkv7_status speculation_open(struct speculation *s, int64_t mode, const struct rwkv7_model *draft_model,
                                   int vocab, struct rwkv7_error *err)
{
    *s = (struct speculation){.mode = mode, .vocab = (size_t)vocab};
    for (int i = 0; i < DRAFT_KINDS; i++) {
        s->acceptance[i] = first_acceptance[i];
        s->weight[i] = FIRST_WEIGHT;
    }
    if (mode < RWKV7_SPECULATE_AUTO || mode >= RWKV7_TRY)
        return fail(err, RWKV7_ERR_USAGE, "speculate: expected auto, or 0 to %d tokens, found %lld", RWKV7_TRY - 1,
                    (long long)mode);
    return draft_model ? draft_model_open(&s->own.model, draft_model, vocab, err) : RWKV7_OK;
}

void speculation_close(struct speculation *s)
{
    struct step_costs *const costs = &speculation_text(s)->costs;
    speculation_account(s, costs);
    step_costs_settle(costs); /* the next text of a conversation uses them */
    draft_text_close(&s->own);
}

void speculation_lend(struct speculation *s, struct draft_text *text)
{
    s->lent = text;
}

struct draft_text *speculation_text(struct speculation *s)
{
    return s->lent ? s->lent : &s->own;
}

void speculation_read(struct speculation *s, const uint32_t *ids, size_t count)
{
    if (s->mode != 0)
        lookup_add(&speculation_text(s)->lookup, ids, count);
}

/* ----------------------------------------------------------------------------------- acceptance */

/* Returns the kind of the guess at this index of the draft. */
static enum draft_kind kind_at(const struct speculation *s, size_t index)
{
    static const size_t least[DRAFT_MATCHES] = {0, 3, 4, 6, 9, 16};
    int kind = DRAFT_MATCHES - 1;
    if (s->kind != DRAFT_MATCH)
        return s->kind;
    while (s->match + index < least[kind]) /* earlier guesses extend the match */
        kind--;
    return (enum draft_kind)kind;
}

/* Updates the acceptance rate: compares the draft with the drawn token. */
static void compare(struct speculation *s, uint32_t id)
{
    if (s->passed == 0 || s->passed > s->drafted)
        return;
    const bool is_right = s->ids[s->passed] == id;
    if (s->passed > s->certain) {
        const enum draft_kind kind = kind_at(s, s->passed - 1);
        s->weight[kind] += s->weight[kind] < LEARNING;
        s->acceptance[kind] += ((is_right ? 1.0 : 0.0) - s->acceptance[kind]) / s->weight[kind];
    }
    if (s->kind == DRAFT_MODEL && s->passed == 1)
        s->model_misses = is_right ? 0 : s->model_misses + 1;
    if (is_right && s->kind == DRAFT_MODEL)
        s->model_paused = 0;
    s->passed = is_right ? s->passed + 1 : 0;
}

const float *speculation_take(struct speculation *s, uint32_t id)
{
    speculation_read(s, &id, 1);
    compare(s, id);
    s->last = id;
    if (!s->open || s->at == s->tried || s->ids[s->at] != id)
        return NULL;
    s->total_accepted++;
    return s->rows + s->at++ * s->vocab;
}

/* Disables the draft model for a number of drafts, which doubles each time. */
static void pause_model(struct speculation *s)
{
    s->model_paused = s->model_paused == 0                 ? MODEL_PAUSE
                      : s->model_paused < MODEL_PAUSE_MOST ? 2 * s->model_paused
                                                           : MODEL_PAUSE_MOST;
    s->model_pause = s->model_paused;
    s->model_misses = 0;
    s->acceptance[DRAFT_MODEL] = first_acceptance[DRAFT_MODEL];
}

/* --------------------------------------------------------------------------------------- drafts */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Returns whether this draft may use the draft model. */
static bool model_is_ready(struct speculation *s)
{
    if (!speculation_text(s)->model.session)
        return false;
    if (s->mode < 0 && s->model_misses >= MODEL_MISSES)
        pause_model(s);
    return s->model_pause == 0 || --s->model_pause == 0;
}

static size_t from_source(const struct draft_source *source, uint32_t *ids, size_t room)
{
    return source->draft ? source->draft(source->arg, ids, room) : 0;
}

void speculation_draft(struct speculation *s, size_t room)
{
    uint32_t forced[RWKV7_TRY];
    s->drafted = s->chosen = s->passed = s->certain = 0;
    s->ids[0] = s->last;
    const size_t most = s->mode > 0 ? (size_t)s->mode : s->mode < 0 ? AUTO_TOKENS - 1 : 0;
    room = room > 0 ? smaller(room - 1, most) : 0;
    if (room == 0)
        return;
    s->certain = from_source(&s->forced, forced, room);
    if (s->source.draft) {
        s->kind = DRAFT_SOURCE;
        s->drafted = from_source(&s->source, s->ids + 1, room);
    } else {
        s->kind = DRAFT_MATCH;
        s->drafted = lookup_draft(&speculation_text(s)->lookup, s->ids + 1, room, &s->match);
    }
    if (s->certain > 0) { /* keep other guesses only if they begin with the forced ones */
        if (s->drafted <= s->certain || memcmp(s->ids + 1, forced, s->certain * sizeof *forced) != 0) {
            memcpy(s->ids + 1, forced, s->certain * sizeof *forced);
            s->drafted = s->certain;
        }
        return;
    }
    if (!s->source.draft && model_is_ready(s) &&
        (s->drafted == 0 || s->acceptance[kind_at(s, 0)] < s->acceptance[DRAFT_MODEL])) {
        s->kind = DRAFT_MODEL; /* it drafts in speculation_fill */
        s->drafted = room;
    }
}

size_t speculation_fill(struct speculation *s, struct rwkv7_sampler *sampler)
{
    struct draft_text *const text = speculation_text(s);
    if (s->kind == DRAFT_MODEL && s->drafted > 0) {
        if (s->chosen == 0 && s->mode < 0)
            pause_model(s);
        s->chosen =
            draft_model_draft(&text->model, text->lookup.tokens, text->lookup.count, sampler, s->ids + 1, s->chosen);
        s->drafted = s->chosen;
    }
    for (size_t i = 1; i <= s->chosen; i++) /* truncate at an invalid id */
        if (s->ids[i] >= s->vocab)
            s->chosen = i - 1;
    s->passed = s->drafted > 0;
    return 1 + s->chosen;
}

/* --------------------------------------------------------------------------------------- number */

/*
 * Returns the probability that the next guess is right, given that the chosen ones before it are.
 */
static double chance(const struct speculation *s)
{
    return s->chosen < s->certain ? 1 : s->acceptance[kind_at(s, s->chosen)];
}

/* The same, less the error of a rate that is the mean of few guesses. */
static double safe_chance(const struct speculation *s)
{
    const enum draft_kind kind = kind_at(s, s->chosen);
    const double safe = s->acceptance[kind] - 1 / sqrt(s->weight[kind]);
    return s->chosen < s->certain ? 1 : safe > 0 ? safe : 0;
}

/* Returns the text whose next guess is most likely to be accepted; NULL: no more guesses. */
static struct speculation *best_text(struct speculation *const *texts, size_t count)
{
    struct speculation *best = NULL;
    for (size_t i = 0; i < count; i++) {
        struct speculation *const s = texts[i];
        if (s->mode < 0 && s->chosen < s->drafted && (!best || s->reached * chance(s) > best->reached * chance(best)))
            best = s;
    }
    return best;
}

void speculation_account(struct speculation *s, struct step_costs *c)
{
    c->accepted += (size_t)(s->total_accepted - s->accounted);
    s->accounted = s->total_accepted;
}

void speculation_plan(struct step_costs *c, struct speculation *const *texts, size_t count)
{
    struct speculation *picks[COSTS_MOST]; /* the text of each added guess, in order */
    size_t picked = 0, kept = 0, total = 0;
    double expected = (double)count, safe = (double)count, drafting = 0, spent = 0; /* tokens; seconds */
    for (size_t i = 0; i < count; i++) {
        texts[i]->chosen = texts[i]->mode > 0 ? texts[i]->drafted : 0;
        texts[i]->reached = texts[i]->safe = 1;
        total += 1 + texts[i]->chosen;
        speculation_account(texts[i], c);
    }
    step_costs_settle(c);
    const double plain = step_costs_of(c, total), credit = step_costs_credit(c) * plain;
    const bool ready = !step_costs_need_plain(c, total);
    double best = ready ? WORTH * expected / plain : 0;
    for (struct speculation *s; ready && picked < COSTS_MOST && (s = best_text(texts, count));) {
        const double seconds = step_costs_hoped(c, total, total + picked + 1);
        if (seconds == 0)
            break;
        s->safe *= safe_chance(s);
        s->reached *= chance(s);
        s->chosen++;
        picks[picked++] = s;
        expected += s->reached;
        safe += s->safe;
        if (s->kind == DRAFT_MODEL)
            drafting += speculation_text(s)->model.seconds;
        const double all = seconds + drafting;
        if (expected / all > best && all - plain * safe / (double)count <= credit) {
            best = expected / all;
            kept = picked;
            spent = drafting;
        }
    }
    while (picked > kept)
        picks[--picked]->chosen--;
    step_costs_begin(c, total == count ? count : 0, total + kept, spent);
}

/* ---------------------------------------------------------------------------------------- tries */

void speculation_opened(struct speculation *s, const struct rwkv7_session *session, const float *rows)
{
    s->open = true;
    s->tried = rwkv7_session_tried(session);
    s->at = 1;
    s->rows = rows;
    s->total_drafted += s->chosen;
    s->total_steps++;
}

size_t speculation_passed(const struct speculation *s)
{
    return s->open ? s->at : 0;
}

enum rwkv7_status speculation_settle(struct speculation *s, struct rwkv7_session *session, struct rwkv7_error *err)
{
    if (!s->open)
        return RWKV7_OK;
    s->open = false;
    return rwkv7_session_tried(session) > 0 ? rwkv7_session_keep(session, s->at, err) : RWKV7_OK;
}
