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
    bool reachable, productive, nullable;
    uint32_t symbol, min, max;
    uint32_t rank; /* lower than the ranks of all rules that it may begin with */
};

struct grammar {
    struct rwkv7_error error; /* the first failure */
    struct regex *regex;
    struct grammar_rule *rules;
    uint32_t rule_count, rule_room;
    struct grammar_alternative *alternatives;
    uint32_t alternative_count, alternative_room;
    uint32_t *symbols;
    uint32_t symbol_count, symbol_room;
    char *names;
    uint32_t name_size, name_room;
    uint32_t start; /* a rule; UINT32_MAX: not set */
};

/* Returns whether a symbol may match the empty text. */
static inline bool symbol_nullable(const struct grammar *g, uint32_t symbol)
{
    return is_terminal(symbol) ? regex_nullable(g->regex, terminal_node(symbol)) : g->rules[symbol].nullable;
}

/* Fails with `text`, where "%s" stands for the rule's name. */
enum rwkv7_status grammar_rule_error(const struct grammar *g, uint32_t rule, const char *text, struct rwkv7_error *err);
/* The analyses of grammar_finish. Call them in this order. */
enum rwkv7_status grammar_check_rules(struct grammar *g, struct rwkv7_error *err);
enum rwkv7_status grammar_rank_rules(struct grammar *g, struct rwkv7_error *err);

#endif
