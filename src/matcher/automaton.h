/*
 * automaton.h - runs a grammar over bytes, as a nondeterministic pushdown automaton.
 *
 * A thread is one way to parse the text so far: the DFA state of the terminal that is being read,
 * and a stack of what follows the terminal. Threads with the same DFA state share one stack set, a
 * graph whose paths are their stacks. A configuration is the set of all threads after a text. DFA
 * states, stack sets and configurations are hash-consed, so equal ones have the same number, and
 * each step (configuration and byte) is computed once.
 *
 *     DFA state    a node of the regex arena; its row of derivatives is filled on demand
 *     stack set    entries (place in the grammar, stack set below), and whether the text may end
 *     frontier     the configuration after a stack set is popped: the terminals that may begin
 *
 * Everything is computed on demand. The tables are limited to about 30 MB. When an automaton is
 * full, the caller creates a new one and reads the text again (matcher.c). Not thread-safe.
 */
#ifndef MATCHER_AUTOMATON_H
#define MATCHER_AUTOMATON_H

#include "matcher/grammar_rules.h"

#define AUTOMATON_MAX_THREADS 1024u /* in one configuration; more is an error */
#define AUTOMATON_MAX_STATES 65536u /* of DFAs */
#define AUTOMATON_DEAD 0u           /* configuration and DFA state without a continuation */

struct dfa_state {
    uint32_t node;
    uint32_t alphabet; /* byte classes of the terminal where this state was first found */
    uint32_t row;      /* index in `rows` of its first class */
    bool nullable;
};

struct stack_entry {
    uint32_t place; /* index of the next symbol, or PLACE_REPEAT | rule */
    uint32_t done;  /* completed repetitions */
    uint32_t below; /* stack set */
};

struct stack_set {
    uint32_t first, count; /* in `entries`, sorted by place and done, without duplicates */
    uint32_t frontier;     /* configuration, or UINT32_MAX: not known yet */
    uint32_t seen;         /* number of the last frontier search that reached it */
    bool may_end;          /* contains the empty stack: the whole text may end here */
};

struct thread {
    uint32_t state, stack;
};

struct configuration {
    uint32_t first, count; /* in `threads`, sorted by state, one per state */
    bool accepts;
};

struct automaton;

enum rwkv7_status automaton_create(const struct grammar *g, struct automaton **out, struct rwkv7_error *err);
void automaton_free(struct automaton *a); /* NULL: does nothing */
uint32_t automaton_start(const struct automaton *a);
/*
 * Clears a failure. After a failure, every call fails until this one; results from before the
 * failure stay valid. Returns whether the automaton was full, so that a new one may succeed.
 */
bool automaton_recover(struct automaton *a);
/* *next: the configuration after the byte, AUTOMATON_DEAD if there is none. */
enum rwkv7_status automaton_step(struct automaton *a, uint32_t configuration, uint8_t byte, uint32_t *next,
                                 struct rwkv7_error *err);
struct configuration automaton_configuration(const struct automaton *a, uint32_t configuration);
struct thread automaton_thread(const struct automaton *a, uint32_t index);
/*
 * The DFA state after a byte; AUTOMATON_DEAD if there is none, or after a failure (see
 * automaton_status).
 */
uint32_t automaton_next_state(struct automaton *a, uint32_t state, uint8_t byte);
bool automaton_state_nullable(const struct automaton *a, uint32_t state);
uint32_t automaton_state_node(const struct automaton *a, uint32_t state);
/* *configuration: the frontier, the configuration after the stack set has been popped. */
enum rwkv7_status automaton_frontier(struct automaton *a, uint32_t stack, uint32_t *configuration,
                                     struct rwkv7_error *err);
/* Returns the first failure since automaton_recover, or RWKV7_OK. */
enum rwkv7_status automaton_status(const struct automaton *a, struct rwkv7_error *err);
size_t automaton_bytes(const struct automaton *a); /* allocated memory */

#endif
