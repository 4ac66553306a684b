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
 * The language is that of the grammar over bytes: there is no lexer and no preference. Wherever two
 * readings of a text are possible, both are followed. So ambiguity costs time but is never wrong;
 * readings that share no beginning are the cheapest (a value starts with another byte than white
 * space, a number is followed by a byte that cannot continue it).
 *
 * As in regex.h, a failure is recorded and reported once, by grammar_finish. Symbols (rules and
 * terminals) are numbers. Rules may be used before they have alternatives. Fewer and longer terminals
 * are faster: what is regular belongs in one expression.
 */
#ifndef MATCHER_GRAMMAR_H
#define MATCHER_GRAMMAR_H

#include "matcher/regex.h"

#define GRAMMAR_MAX_RULES (1u << 17)   /* repetitions count as rules */
#define GRAMMAR_MAX_SYMBOLS (1u << 20) /* in all alternatives together */
#define GRAMMAR_MAX_TEXT (4u << 20)    /* bytes of a grammar, a schema or an expression */

struct grammar;

enum rwkv7_status grammar_create(struct grammar **out, struct rwkv7_error *err);
void grammar_free(struct grammar *g);           /* NULL: does nothing */
struct regex *grammar_regex(struct grammar *g); /* the arena of its terminals */
/* Whether a call has failed: long loops of a front end should stop then. */
bool grammar_failed(const struct grammar *g);

/*
 * A new rule without alternatives, as a symbol. The name [length] is for messages and is copied; names
 * need not differ. After a failure, these functions return some symbol.
 */
uint32_t grammar_rule(struct grammar *g, const char *name, size_t length);
/* The symbol of a terminal: a node of grammar_regex(g). It may match the empty text. */
uint32_t grammar_terminal(struct grammar *g, uint32_t node);
/* Adds an alternative to a rule: these symbols in sequence. count 0: the empty text. */
void grammar_add(struct grammar *g, uint32_t rule, const uint32_t *symbols, size_t count);
/* min to max times a symbol, as a symbol. Counted, not copied. max may be REGEX_NO_LIMIT. */
uint32_t grammar_repeat(struct grammar *g, uint32_t symbol, uint32_t min, uint32_t max);
void grammar_start(struct grammar *g, uint32_t rule); /* every text is one of this rule */

/*
 * Completes the grammar: removes direct left recursion and rules that are never used. A repetition
 * without limit of something that may be empty is allowed. An alternative that can never match a text (it
 * needs REGEX_NOTHING, or a rule without end) is dropped. Front ends call this last. RWKV7_ERR_MEMORY, or
 * RWKV7_ERR_USAGE with the name of a rule: a rule that is used has no alternatives; a rule is
 * left-recursive through other rules; the start rule matches no text.
 */
enum rwkv7_status grammar_finish(struct grammar *g, struct rwkv7_error *err);

/* --------------------------------------------------------------------------------------- front ends */

/*
 * Each fills a new grammar, ends with grammar_finish and returns its result. RWKV7_ERR_USAGE with a
 * position (GBNF: line and column; JSON Schema: JSON pointer).
 */
enum rwkv7_status regex_build(const char *text, size_t size, struct grammar *g, struct rwkv7_error *err);
enum rwkv7_status choices_build(const struct regex_text *choices, size_t count, struct grammar *g,
                                struct rwkv7_error *err);
enum rwkv7_status gbnf_build(const char *text, size_t size, struct grammar *g, struct rwkv7_error *err);

struct schema_options {
    bool strict;  /* additionalProperties is false if not given; `oneOf` must be provably disjoint */
    bool compact; /* no white space between the tokens of JSON */
};
/* options may be NULL. */
enum rwkv7_status schema_build(const char *text, size_t size, const struct schema_options *options, struct grammar *g,
                               struct rwkv7_error *err);
/* Any JSON text whose outermost value is an object or an array. */
enum rwkv7_status json_build(const struct schema_options *options, struct grammar *g, struct rwkv7_error *err);

#endif
