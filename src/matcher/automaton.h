/*
 * automaton.h - runs a grammar over bytes, as a nondeterministic pushdown automaton.
 *
 * A thread is a terminal that is being read (a DFA state) and a stack of what follows it. The threads with the
 * same DFA state share one stack set: a graph whose paths are their stacks. A configuration is the set of all
 * threads after a text. DFA states, stack sets and configurations are hash-consed, so equal configurations
 * are one number and a step (configuration and byte) is computed once.
 *
 *     DFA state    a node of the expressions; its row of derivatives is filled on demand
 *     stack set    entries (place in the grammar, stack set below it), and whether the text may end
 *     frontier     the configuration after a stack set has been popped: the terminals that may begin now
 *
 * All of this is made on demand and limited: about 30 MB. When an automaton is full, the
 * caller makes a new one and reads the text again (matcher.c). Not safe for several threads.
 */
#ifndef MATCHER_AUTOMATON_H
#define MATCHER_AUTOMATON_H

#include "matcher/grammar_rules.h"

#define AUTOMATON_MAX_THREADS 1024u /* in one configuration; more is refused */
#define AUTOMATON_MAX_STATES 65536u /* of DFAs */
#define AUTOMATON_DEAD 0u           /* the configuration and the DFA state without a continuation */

struct dfa_state {
    uint32_t node;
    uint32_t alphabet; /* of the terminal where it was first found: its bytes in classes */
    uint32_t row;      /* first of its classes in `rows` */
    bool nullable;
};

struct stack_entry {
    uint32_t place; /* of a symbol, or PLACE_REPEAT | rule */
    uint32_t done;  /* repetitions that are complete */
    uint32_t below; /* stack set */
};

struct stack_set {
    uint32_t first, count; /* in `entries`, sorted by place and done, each once */
    uint32_t frontier;     /* configuration, or UINT32_MAX: not known yet */
    uint32_t seen;         /* number of the last search that met it */
    bool may_end;          /* contains the empty stack: the whole text may end here */
};

struct thread {
    uint32_t state, stack;
};

struct configuration {
    uint32_t first, count; /* in `threads`, sorted by state, each state once */
    bool accepts;
};

struct automaton;

enum rwkv7_status automaton_create(const struct grammar *g, struct automaton **out, struct rwkv7_error *err);
void automaton_free(struct automaton *a); /* NULL: does nothing */
uint32_t automaton_start(const struct automaton *a);
/*
 * After a failure, every call fails until this one; then all that was known before is valid. Returns whether
 * the automaton was full, so that a new one may succeed.
 */
bool automaton_recover(struct automaton *a);
/* *next: the configuration after the byte, AUTOMATON_DEAD if there is none. */
enum rwkv7_status automaton_step(struct automaton *a, uint32_t configuration, uint8_t byte, uint32_t *next,
                                 struct rwkv7_error *err);
struct configuration automaton_configuration(const struct automaton *a, uint32_t configuration);
struct thread automaton_thread(const struct automaton *a, uint32_t index);
/* The DFA state after a byte; AUTOMATON_DEAD if there is none, or after a failure, which is kept. */
uint32_t automaton_next_state(struct automaton *a, uint32_t state, uint8_t byte);
bool automaton_state_nullable(const struct automaton *a, uint32_t state);
uint32_t automaton_state_node(const struct automaton *a, uint32_t state);
/* The configuration after the stack set has been popped. */
enum rwkv7_status automaton_frontier(struct automaton *a, uint32_t stack, uint32_t *configuration,
                                     struct rwkv7_error *err);
/* The first failure, if there was one. */
enum rwkv7_status automaton_status(const struct automaton *a, struct rwkv7_error *err);
size_t automaton_bytes(const struct automaton *a); /* of memory */

#endif
