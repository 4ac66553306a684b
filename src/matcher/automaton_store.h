/* automaton_store.h - the tables of an automaton as data, for src/matcher only. */
#ifndef MATCHER_AUTOMATON_STORE_H
#define MATCHER_AUTOMATON_STORE_H

#include "matcher/automaton.h"

/* The place of a stack entry: the index of a symbol, or a rule or a node of `keys` with its bit. */
#define PLACE_REPEAT 0x80000000u /* `done`: completed repetitions */
#define PLACE_KEY 0x40000000u    /* `done`: a member set */

/* The byte classes of a terminal: it treats all bytes of a class alike. */
struct alphabet {
    uint32_t count;
    uint8_t class_of[256], byte_of[256];
};

/* A hash table of indices. A slot holds an index + 1, or 0 if free. */
struct index_table {
    uint32_t *slots;
    uint32_t size;
};

/* The members of an object so far. */
struct member_set {
    uint32_t object;
    uint32_t words; /* in any order: their bits, in `member_words` */
    struct object_state state;
};

#define NO_SET UINT32_MAX
#define NO_MEMBER UINT32_MAX

/* A place from which a queued rule is called. */
struct caller {
    uint32_t stack; /* what follows the rule there */
    uint32_t next;  /* caller of the same rule, or UINT32_MAX */
};

struct step_memo {
    uint32_t configuration, byte, next;
};

struct union_memo {
    uint32_t a, b, result;
};

struct automaton {
    const struct grammar *grammar;
    struct regex *regex; /* a copy, to which derivatives are added */
    struct rwkv7_error error;
    bool full;

    struct dfa_state *states;
    uint32_t state_count, state_room;
    struct index_table state_table;
    uint32_t *rows; /* states; ROW_UNKNOWN */
    uint32_t row_count, row_room;
    struct alphabet *alphabets;
    uint32_t alphabet_count, alphabet_room;

    struct stack_set *stacks;
    uint32_t stack_count, stack_room;
    struct stack_entry *entries;
    uint32_t entry_count, entry_room;
    struct index_table stack_table;

    struct configuration *configurations;
    uint32_t configuration_count, configuration_room;
    struct thread *threads;
    uint32_t thread_count, thread_room;
    struct index_table configuration_table;

    struct member_set *member_sets;
    uint32_t member_set_count, member_set_room;
    uint64_t *member_words;
    uint32_t member_word_count, member_word_room;
    struct index_table member_table;

    struct step_memo *steps; /* an entry with configuration AUTOMATON_DEAD is free */
    uint32_t step_size, step_used;
    struct union_memo *unions; /* an entry with a and b 0 is free */
    uint32_t union_size, union_used;

    /* Scratch for the computation of one frontier. */
    uint32_t search;   /* its number */
    uint32_t *waiting; /* [rules]: first caller of a queued rule, or UINT32_MAX */
    struct caller *callers;
    uint32_t caller_count, caller_room;
    uint32_t *heap; /* [rules]: min-heap of the ranks of queued rules */
    uint32_t heap_count;
    uint32_t *rule_of_rank; /* [rules] */
    uint32_t *popped;       /* stack sets to pop */
    uint32_t popped_count, popped_room;
    struct thread *found; /* threads, in any order */
    uint32_t found_count, found_room;

    uint32_t start;
};

#define ROW_UNKNOWN UINT32_MAX

/*
 * Records a failure unless one is recorded already; returns the status of the recorded one. The
 * message continues what the user gave: "the schema ...".
 */
enum rwkv7_status automaton_fail(struct automaton *a, enum rwkv7_status status, const char *message);
/* Like regex_reserve; above the limit it fails, and the automaton counts as full. */
bool automaton_reserve(struct automaton *a, void **table, uint32_t *room, uint32_t wanted, uint32_t limit, size_t size);

/* Doubles a hash table of `count` numbers if it is half full. `hash` gives the hash of a number. */
bool index_grow(struct automaton *a, struct index_table *t, uint32_t count,
                uint32_t (*hash)(const struct automaton *a, uint32_t number));

/* automaton.c: begins a symbol, a terminal or a rule; `stack` follows it. */
void automaton_begin(struct automaton *a, uint32_t symbol, uint32_t stack);
/* automaton_object.c: begins an object. */
void object_begin(struct automaton *a, uint32_t rule, uint32_t below);
/* Goes on in an object at a node of its keys. Returns whether it may end there. */
bool object_resume(struct automaton *a, uint32_t node, uint32_t set, uint32_t below);

/*
 * Returns the stack set with one entry on top of `below`, or `below` itself if `place` is at its
 * end.
 */
uint32_t stack_push(struct automaton *a, uint32_t place, uint32_t done, uint32_t below);
/*
 * Returns the union of the stack sets of `count` threads, one at least; changes them. Merges pairs,
 * then pairs of pairs: one after the other, n of them would leave n * n / 2 entries behind.
 */
uint32_t stack_union_of(struct automaton *a, struct thread *threads, uint32_t count);
uint32_t stack_bottom(struct automaton *a); /* contains only the empty stack */
/* Returns the configuration of the threads found[base ..), and removes them from `found`. */
uint32_t configuration_of_found(struct automaton *a, uint32_t base, bool accepts);
bool push_found(struct automaton *a, uint32_t state, uint32_t stack);
/* Returns the DFA state of a node. A new state uses `alphabet`; UINT32_MAX: computes its own. */
uint32_t state_of_node(struct automaton *a, uint32_t node, uint32_t alphabet);

#endif
