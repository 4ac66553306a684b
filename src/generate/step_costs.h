/*
 * step_costs.h - what evaluating n tokens at once costs on this machine, learned while generating,
 * and how much of that speculation may lose.
 *
 * Memory bandwidth and clock of a shared machine change by half within a minute. So the times of
 * n are kept relative to each other, without the common factor by which evaluations are slower now.
 * Both are taken from the last few measurements, since single ones are often far too long.
 *
 * The account bounds the loss. It is in units of evaluations without guesses: a try that took r of
 * them and gave m tokens adds m - r. It begins with a small credit and gets a small allowance for
 * each token; a try must not be expected to lose more than the account holds. So if every guess is
 * wrong, generating takes about 1% longer than without guesses, and up to 3% with a model in the
 * cache (measured).
 */
#ifndef GENERATE_STEP_COSTS_H
#define GENERATE_STEP_COSTS_H

#include <stdbool.h>
#include <stddef.h>

#include "rwkv7.h"

enum { COSTS_MOST = RWKV7_TRY };

/* The last measurements of one quantity. */
enum { COSTS_RECENT = 5 };
struct recent {
    double last[COSTS_RECENT], typical; /* see recent_add */
    int count;                          /* of all measurements, at most COSTS_RECENT */
    int next;                           /* index in last */
};

/* A zeroed struct knows nothing. */
struct step_costs {
    struct recent seconds[COSTS_MOST + 1]; /* for evaluating n tokens, over the slowness then */
    double trust[COSTS_MOST + 1];          /* 0 to 1; fades, so that a number that was slow is tried again */
    struct recent slowness;                /* times over those in `seconds` */
    int since_plain;                       /* evaluations since the last one without a draft */

    double balance;       /* of the account, without the initial credit */
    size_t texts, tokens; /* of the current step: without guesses and with them; 0: none */
    size_t accepted;      /* its guesses that were right */
    double drafting;      /* seconds for making its guesses */
};

/* Adds the time for evaluating `tokens` tokens. plain: without guesses. */
void step_costs_add(struct step_costs *c, size_t tokens, bool plain, double seconds);
/*
 * Returns the seconds for evaluating n tokens: measured, interpolated or extrapolated. Returns 0 if
 * unknown: n is larger than all measured numbers, and not at most twice one that was measured often
 * enough. The unit is arbitrary, but the same for all n.
 */
double step_costs_of(const struct step_costs *c, size_t n);
/* The same for choosing n: a time that was not measured often and lately may be shorter. */
double step_costs_hoped(const struct step_costs *c, size_t plain, size_t n);
/* Returns whether the time of a plain evaluation, of `tokens` tokens, must be measured now. */
bool step_costs_need_plain(const struct step_costs *c, size_t tokens);

/* Ends a step: adds its gain or loss to the account. */
void step_costs_settle(struct step_costs *c);
/* Begins a step of `texts` texts with `tokens` tokens in all. drafting: seconds for guesses. */
void step_costs_begin(struct step_costs *c, size_t texts, size_t tokens, double drafting);
/* Returns how many plain evaluations the next try may lose. */
double step_costs_credit(const struct step_costs *c);

#endif
