/* grammar_rules.h - a grammar as data, for grammar*.c and automaton*.c. */
#ifndef MATCHER_GRAMMAR_RULES_H
#define MATCHER_GRAMMAR_RULES_H

#include "matcher/grammar.h"

/* A symbol is a rule's index, a terminal's node with this bit, or the end of an alternative. */
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
    uint32_t first, last;       /* alternatives; UINT32_MAX: none */
    bool is_repeat;             /* no alternatives, but `min` to `max` times `symbol` */
    bool reachable, productive, nullable;
    uint32_t symbol, min, max;
    uint32_t rank; /* callers of a rule that it may begin have a lower rank */
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

/* Whether a symbol may be the empty text. */
static inline bool symbol_nullable(const struct grammar *g, uint32_t symbol)
{
    return is_terminal(symbol) ? regex_nullable(g->regex, terminal_node(symbol)) : g->rules[symbol].nullable;
}

/* Fails with `text`, where "%s" stands for the rule's name. */
enum rwkv7_status grammar_rule_error(const struct grammar *g, uint32_t rule, const char *text, struct rwkv7_error *err);
/* The analyses of grammar_finish, in this order. */
enum rwkv7_status grammar_check_rules(struct grammar *g, struct rwkv7_error *err);
enum rwkv7_status grammar_rank_rules(struct grammar *g, struct rwkv7_error *err);

#endif
