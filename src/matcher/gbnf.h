/*
 * gbnf.h - the trees of a grammar in the notation of llama.cpp: gbnf_parse.c makes them, gbnf.c
 * converts them to a grammar.
 */
#ifndef MATCHER_GBNF_H
#define MATCHER_GBNF_H

#include "matcher/grammar.h"

enum kind { KIND_REGEX, KIND_NAME, KIND_SEQUENCE, KIND_CHOICE, KIND_REPEAT };

#define NO_NODE UINT32_MAX

struct node {
    uint8_t kind;
    uint32_t first, next; /* children, siblings: NO_NODE at the end */
    uint32_t value;       /* expression, rule (if resolved) or minimum, by kind */
    uint32_t max;
    uint32_t at; /* position in the text, for messages */
};

enum state { STATE_NEW, STATE_ENTERED, STATE_REGULAR, STATE_RULE };

struct rule {
    const char *name; /* [size] */
    size_t size;
    uint32_t tree;
    uint8_t state;
    bool has_symbol;
    uint32_t regex, symbol;
};

struct gbnf {
    const char *text, *at, *end;
    struct grammar *grammar;
    struct regex *regex;
    struct node *nodes;
    struct rule *rules;
    uint32_t node_count, node_room, rule_count, rule_room;
    struct regex_range *ranges; /* of the class that is being parsed */
    uint32_t range_count;
    unsigned groups;
    enum rwkv7_status status;
    struct rwkv7_error *err;
};

/* Records a failure with the line and column of a position. Returns NO_NODE. */
uint32_t gbnf_refuse(struct gbnf *p, const char *at, const char *reason);
uint32_t gbnf_refuse_name(struct gbnf *p, const char *at, const char *reason, const char *name, size_t size);
/* Parses a name at p->at and moves p->at past it. Returns its length, 0 if there is none. */
size_t gbnf_read_name(struct gbnf *p, const char **name);
/* Reads all rules into p->rules. False after a failure. */
bool gbnf_parse(struct gbnf *p);

#endif
