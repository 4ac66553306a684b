/* grammar_rules.h - a grammar as data, for grammar*.c and automaton*.c only. */
#ifndef MATCHER_GRAMMAR_RULES_H
#define MATCHER_GRAMMAR_RULES_H

#include "matcher/grammar.h"

/* A symbol is the index of a rule, a terminal's node with this bit set, or SYMBOL_END. */
#define SYMBOL_TERMINAL 0x80000000u
#define SYMBOL_END UINT32_MAX

static inline bool is_terminal(uint32_t symbol)
{
    return (symbol & SYMBOL_TERMINAL) != 0;
}
static inline uint32_t terminal_node(uint32_t symbol)
{
    return symbol & ~SYMBOL_TERMINAL;
}

struct grammar_alternative {
    uint32_t first; /* index in `symbols`; SYMBOL_END follows the last symbol */
    uint32_t count;
    uint32_t next; /* the rule's next alternative, or UINT32_MAX */
    bool dropped;  /* can never match */
};

struct grammar_rule {
    uint32_t name, name_length; /* in `names` */
    uint32_t first, last;       /* first and last alternative; UINT32_MAX: none */
    bool is_repeat;             /* `min` to `max` times `symbol`, instead of alternatives */
    bool is_object;             /* the members of objects[symbol]; alternatives: see grammar_object.c */
    bool reachable, productive, nullable;
    uint32_t symbol, min, max;
    uint32_t rank; /* lower than the ranks of all rules that it may begin with */
};

/* A member of an object. Those of one object are sorted by key. */
struct object_member {
    uint32_t value; /* symbol */
    uint32_t order; /* its place among the members, in the order of the caller */
    bool required, possible;
};

/*
 * The keys of an object as a tree by their bytes, in `keys`. A node stands for the members from
 * `low` up to `high`, whose keys share the bytes on the way to it; a leaf, for one.
 */
struct object_key {
    uint32_t rule;
    uint32_t edge;         /* terminal: the bytes from the node above; to a leaf, also what ends the key */
    uint32_t low, high;    /* members of the object */
    uint32_t first, count; /* its children, in `keys` */
};

/* What can still follow in the order of the members, from a place on. */
struct object_rest {
    uint32_t possible, required; /* members */
};

struct object_rule {
    uint32_t members, count;              /* in `members` */
    uint32_t first_key, next_key;         /* in `keys`: before the first and before a later member */
    uint32_t rest;                        /* in `rests`: [count + 1], by place */
    uint32_t other_first, other;          /* symbols of a member with another key */
    bool has_others;                      /* such a member can match a text */
    bool in_order;                        /* in the order of the list, then the others */
    uint32_t min, max;                    /* members; the others count as one for `min` */
    uint32_t required;                    /* of the list */
    uint32_t possible, possible_required; /* members of the list that can match a text */
};

struct grammar {
    struct rwkv7_error error; /* the first failure */
    const char *given;        /* what the user gave, for messages */
    const char *void_message; /* for a grammar that matches no text; NULL: names the start rule */
    struct regex *regex;
    struct grammar_rule *rules;
    uint32_t rule_count, rule_room;
    struct grammar_alternative *alternatives;
    uint32_t alternative_count, alternative_room;
    uint32_t *symbols;
    uint32_t symbol_count, symbol_room;
    char *names;
    uint32_t name_size, name_room;
    struct object_rule *objects;
    uint32_t object_count, object_room;
    struct object_member *members;
    uint32_t member_count, member_room;
    struct object_key *keys;
    uint32_t key_count, key_room;
    struct object_rest *rests;
    uint32_t rest_count, rest_room;
    uint32_t start; /* a rule; UINT32_MAX: not set */
};

/* Returns whether a symbol may match the empty text. */
static inline bool symbol_nullable(const struct grammar *g, uint32_t symbol)
{
    return is_terminal(symbol) ? regex_nullable(g->regex, terminal_node(symbol)) : g->rules[symbol].nullable;
}

/* The members of an object so far. */
struct object_state {
    uint32_t place;    /* in order: the number of members that were written or left out; else 0 */
    uint32_t named;    /* members with a key of the list; in order, only counted if that matters */
    uint32_t required; /* of these, in any order */
    uint32_t others;   /* members with other keys, counted up to where that matters */
};

/* Returns whether an object with these members can be completed. */
bool object_can_go_on(const struct grammar *g, const struct object_rule *o, const struct object_state *state);
/* Returns whether the object may end after these members. */
bool object_may_end(const struct grammar *g, const struct object_rule *o, const struct object_state *state);
/*
 * Add a member of the list, which *state has not yet, or another one. False if that is not allowed;
 * *state is then undefined.
 */
bool object_add_member(const struct grammar *g, const struct object_rule *o, uint32_t member,
                       struct object_state *state);
bool object_add_other(const struct grammar *g, const struct object_rule *o, struct object_state *state);
/*
 * Notes that a part of an object, an alternative of its rule, can match a text. Returns whether the
 * object can.
 */
bool object_note_possible(struct grammar *g, uint32_t rule, uint32_t alternative);
/* Completes the tables when all parts that can match a text are known. */
void object_finish(struct grammar *g);

/* Makes room in a table of the grammar; records a failure. */
bool grammar_reserve(struct grammar *g, void **table, uint32_t *room, uint32_t wanted, uint32_t limit, size_t size);
void grammar_fail_memory(struct grammar *g);
uint32_t grammar_new_rule(struct grammar *g, const struct grammar_rule *rule);
/* Fails with `text`, where "%s" stands for the rule's name. */
enum rwkv7_status grammar_rule_error(const struct grammar *g, uint32_t rule, const char *text, struct rwkv7_error *err);
/* The analyses of grammar_finish. Call them in this order. */
enum rwkv7_status grammar_check_rules(struct grammar *g, struct rwkv7_error *err);
enum rwkv7_status grammar_rank_rules(struct grammar *g, struct rwkv7_error *err);

#endif
