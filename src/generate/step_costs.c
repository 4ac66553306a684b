/* step_costs.c - measured costs of evaluations, and the account of speculation; see step_costs.h. */
#include "generate/step_costs.h"

#include <math.h>

/*
 * Until measured, each further token is assumed to cost this fraction of the first. The value is
 * low, so that drafts are tried.
 */
#define OPTIMISM 0.06
#define FORGETTING 0.005 /* decay of trust per plain evaluation */
enum {
    PLAIN_EVERY = 64, /* evaluations between plain ones, which measure the cost */
    RELIABLE = 3      /* measurements */
};

#define CREDIT 0.5      /* initial balance; one wrong try of a few tokens */
#define ALLOWANCE 0.003 /* per token: together less than 1% of 128 tokens, and of every longer text */
#define BALANCE_MOST 6.0
#define BALANCE_LEAST (-2.0) /* so that the first tries, in cold caches, do not end speculation */

/*
 * Adds a measurement. The typical one is the second least of five, the least of fewer: other
 * programs and cold caches make evaluations longer, never shorter.
 */
static void recent_add(struct recent *r, double x)
{
    double least = INFINITY, second = INFINITY;
    r->last[r->next] = x;
    r->next = (r->next + 1) % COSTS_RECENT;
    r->count += r->count < COSTS_RECENT;
    for (int i = 0; i < r->count; i++)
        if (r->last[i] < least) {
            second = least;
            least = r->last[i];
        } else if (r->last[i] < second) {
            second = r->last[i];
        }
    r->typical = r->count < COSTS_RECENT ? least : second;
}

/* Returns by which factor evaluations are slower now than those in `seconds`. */
static double slowness(const struct step_costs *c)
{
    return c->slowness.count > 0 ? c->slowness.typical : 1;
}

void step_costs_add(struct step_costs *c, size_t tokens, bool plain, double seconds)
{
    c->since_plain = plain ? 0 : c->since_plain + 1;
    if (tokens < 1 || tokens > COSTS_MOST || seconds <= 0)
        return;
    struct recent *const known = &c->seconds[tokens];
    if (known->count >= RELIABLE)
        recent_add(&c->slowness, seconds / known->typical);
    recent_add(known, seconds / slowness(c));
    if (tokens > c->texts && known->typical < c->seconds[c->texts].typical)
        c->since_plain = PLAIN_EVERY; /* more tokens in less time: the plain time is wrong */
    c->trust[tokens] = known->count < RELIABLE ? (double)known->count / (int)RELIABLE : 1;
    for (size_t n = tokens + 1; plain && n <= COSTS_MOST; n++)
        c->trust[n] -= c->trust[n] * FORGETTING;
}

double step_costs_of(const struct step_costs *c, size_t n)
{
    size_t below = n, above = n;
    if (n > COSTS_MOST)
        return 0;
    while (below > 0 && c->seconds[below].count == 0)
        below--;
    while (above <= COSTS_MOST && c->seconds[above].count == 0)
        above++;
    if (below == 0)
        return 0;
    const double least = c->seconds[below].typical;
    if (above == below)
        return least;
    if (above <= COSTS_MOST)
        return least + (c->seconds[above].typical - least) * (double)(n - below) / (double)(above - below);
    const size_t most = c->seconds[below].count < RELIABLE ? below : 2 * below;
    return n > most ? 0 : least * (1 + OPTIMISM * (double)(n - below));
}

double step_costs_hoped(const struct step_costs *c, size_t plain, size_t n)
{
    const double known = step_costs_of(c, n);
    if (n > COSTS_MOST || known == 0 || c->seconds[n].count == 0)
        return known;
    const double least = step_costs_of(c, plain), hoped = least * (1 + OPTIMISM * (double)(n - plain));
    return known > hoped ? hoped + (known - hoped) * c->trust[n] : known > least ? known : least;
}

bool step_costs_need_plain(const struct step_costs *c, size_t tokens)
{
    return c->since_plain >= PLAIN_EVERY || step_costs_of(c, tokens) == 0 ||
           (tokens <= COSTS_MOST && c->seconds[tokens].count > 0 && c->seconds[tokens].count < RELIABLE);
}

/* -------------------------------------------------------------------------------------- account */

void step_costs_settle(struct step_costs *c)
{
    const double plain = step_costs_of(c, c->texts), seconds = step_costs_of(c, c->tokens);
    const size_t accepted = c->accepted;
    c->accepted = 0;
    if (c->texts == 0 || plain == 0)
        return;
    const double each = 1 + (double)accepted / (double)c->texts; /* tokens for each text */
    c->balance += ALLOWANCE * each;
    if (c->tokens > c->texts)
        c->balance += each - (seconds > plain ? seconds : plain) / plain - c->drafting / (plain * slowness(c));
    if (c->balance > BALANCE_MOST)
        c->balance = BALANCE_MOST;
    if (c->balance < BALANCE_LEAST)
        c->balance = BALANCE_LEAST;
    c->texts = c->tokens = 0;
}

void step_costs_begin(struct step_costs *c, size_t texts, size_t tokens, double drafting)
{
    c->texts = texts;
    c->tokens = tokens;
    c->drafting = drafting;
}

double step_costs_credit(const struct step_costs *c)
{
    return c->balance + CREDIT;
}
