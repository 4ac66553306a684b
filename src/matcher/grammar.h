/*
 * grammar.h - a context-free grammar whose terminals are regular expressions over bytes. All front
 * ends (regular expressions, choices, GBNF, JSON Schema) build one; automaton.h runs it.
 *
 *     struct regex *r = grammar_regex(g);
 *     uint32_t list = grammar_rule(g, "list", 4);
 *     uint32_t item = grammar_terminal(g, regex_literal(r, "x", 1));
 *     grammar_add(g, list, (uint32_t[]){item, grammar_repeat(g, item, 0, 9)}, 2);
 *     grammar_start(g, list);
 *     return grammar_finish(g, err);
 *
 * The language is that of the grammar over bytes: there is no lexer, and no priority among
 * alternatives. All parses of an ambiguous text are followed, so ambiguity costs time but never
 * excludes a text. It costs least if the next byte tells the alternatives apart: a value does not
 * start with white space, and a number is followed by a byte that cannot continue it.
 *
 * As in regex.h, a failure is recorded and reported once, by grammar_finish. Symbols (rules and
 * terminals) are numbers. Rules may be used before they have alternatives. Few long terminals are
 * faster than many short ones, so write everything regular as one expression.
 */
#ifndef MATCHER_GRAMMAR_H
#define MATCHER_GRAMMAR_H

#include "matcher/regex.h"

#define GRAMMAR_MAX_RULES (1u << 17)   /* repetitions count as rules */
#define GRAMMAR_MAX_SYMBOLS (1u << 20) /* in all alternatives together */
#define GRAMMAR_MAX_TEXT (4u << 20)    /* bytes of a grammar, a schema or an expression */

struct grammar;

enum rwkv7_status grammar_create(struct grammar **out, struct rwkv7_error *err);
void grammar_free(struct grammar *g); /* NULL: does nothing */
/*
 * For messages: what the user gave ("the schema"; at first "the grammar"), and what is wrong if it
 * matches no text (NULL: names the start rule). Both texts must outlive the grammar.
 */
void grammar_describe(struct grammar *g, const char *given, const char *void_message);
struct regex *grammar_regex(struct grammar *g); /* the arena of its terminals' expressions */
/* Returns whether a call has failed; long loops of a front end should then stop. */
bool grammar_failed(const struct grammar *g);

/*
 * Adds a rule without alternatives and returns its symbol. The name [length] is used in messages;
 * it is copied and need not be unique. After a failure, these functions return an arbitrary symbol.
 */
uint32_t grammar_rule(struct grammar *g, const char *name, size_t length);
/* Returns the symbol of a terminal: a node of grammar_regex(g), which may match the empty text. */
uint32_t grammar_terminal(struct grammar *g, uint32_t node);
/* Adds an alternative to a rule: these symbols in sequence. count 0: the empty text. */
void grammar_add(struct grammar *g, uint32_t rule, const uint32_t *symbols, size_t count);
/*
 * Returns a symbol for min to max repetitions of a symbol. They are counted, not copied. max may be
 * REGEX_NO_LIMIT.
 */
uint32_t grammar_repeat(struct grammar *g, uint32_t symbol, uint32_t min, uint32_t max);

/* A member of an object. Its value may not be empty. */
struct grammar_member {
    const char *key; /* [size], as it is written between the quotes */
    size_t size;
    uint32_t value; /* symbol */
    bool required;
};

struct grammar_object {
    const struct grammar_member *members; /* [count] with different keys */
    uint32_t count;
    uint32_t min, max; /* of all members; members with other keys count as one for `min` */
    bool in_order;     /* these members in this order, then others; false: all in any order */
    bool has_others;
    uint32_t before_first, before_next; /* expressions: up to the key of the first and of a later member */
    uint32_t after_key;                 /* expression: what ends a key */
    uint32_t other_first, other;        /* symbols: a first and a later member with another key */
};
/* Returns a rule for the members of an object, at least one, each key of the list at most once. */
uint32_t grammar_object(struct grammar *g, const struct grammar_object *from);
void grammar_start(struct grammar *g, uint32_t rule); /* sets the start rule */

/*
 * Completes the grammar: removes direct left recursion and rules that are never used. Unlimited
 * repetitions of a symbol that may be empty are allowed. Alternatives that can never match a text
 * (they contain REGEX_NOTHING, or a rule that never ends) are dropped. Front ends call this last.
 * Fails with RWKV7_ERR_MEMORY, or with RWKV7_ERR_USAGE and the name of a rule if a rule that is
 * used has no alternatives, if a rule is left-recursive through other rules, or if the start rule
 * matches no text.
 */
enum rwkv7_status grammar_finish(struct grammar *g, struct rwkv7_error *err);

/* ----------------------------------------------------------------------------------- front ends */

/*
 * Each front end fills a new grammar and returns the result of grammar_finish. RWKV7_ERR_USAGE
 * comes with a position (GBNF: line and column; JSON Schema: JSON pointer).
 */
enum rwkv7_status regex_build(const char *text, size_t size, struct grammar *g, struct rwkv7_error *err);
enum rwkv7_status choices_build(const struct regex_text *choices, size_t count, struct grammar *g,
                                struct rwkv7_error *err);
enum rwkv7_status gbnf_build(const char *text, size_t size, struct grammar *g, struct rwkv7_error *err);

struct schema_options {
    bool strict;    /* additionalProperties defaults to false; `oneOf` must be provably disjoint */
    bool compact;   /* no white space between the tokens of JSON */
    bool one_line;  /* at most a space there */
    bool in_order;  /* members have the order of the schema; otherwise any order */
    uint32_t steps; /* limit of the work; 0: the default, about a second */
};
/*
 * Adds the values of a schema to a grammar and returns their symbol. They neither begin nor end
 * with white space. options may be NULL, here and below.
 */
enum rwkv7_status schema_add(const char *text, size_t size, const struct schema_options *options, struct grammar *g,
                             uint32_t *symbol, struct rwkv7_error *err);
enum rwkv7_status schema_build(const char *text, size_t size, const struct schema_options *options, struct grammar *g,
                               struct rwkv7_error *err);
/* Any JSON text whose outermost value is an object or an array. */
enum rwkv7_status json_build(const struct schema_options *options, struct grammar *g, struct rwkv7_error *err);

#endif
