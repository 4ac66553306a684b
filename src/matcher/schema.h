/*
 * schema.h - JSON Schema to grammar: what the files schema_*.c share.
 *
 * How it works. A value must often satisfy several schemas at once: those of $ref, of allOf, of a
 * branch of anyOf, and those for one key in the `properties` and `patternProperties` of several
 * schemas. So schemas are handled in sets; all schemas of a set apply to the same value:
 *
 *     struct value     a set of schemas whose references and choices are not resolved yet
 *     struct shape     one way to satisfy a value: a set of schemas with references and choices
 *                      resolved. A value is the union of its shapes (schema_value.c)
 *
 * Equal sets share one struct, so the conversion of a recursive schema ends. A shape has a regular
 * expression for its scalars (schema_scalar.c), a rule for arrays and a rule for objects. The rules
 * are written only if used (schema_array.c, schema_object.c), from a queue instead of by recursion.
 *
 * Keywords that cannot be guaranteed are refused, with their JSON pointer.
 */
#ifndef MATCHER_SCHEMA_H
#define MATCHER_SCHEMA_H

#include "matcher/grammar.h"
#include "matcher/json_value.h"
#include "matcher/schema_numbers.h"

/* Keywords that affect the result, in the order of keyword_table. */
enum keyword {
    KW_REF,
    KW_ALL_OF,
    KW_ANY_OF,
    KW_ONE_OF,
    KW_TYPE,
    KW_ENUM,
    KW_CONST,
    KW_MINIMUM,
    KW_MAXIMUM,
    KW_EXCLUSIVE_MINIMUM,
    KW_EXCLUSIVE_MAXIMUM,
    KW_MULTIPLE_OF,
    KW_MIN_LENGTH,
    KW_MAX_LENGTH,
    KW_PATTERN,
    KW_FORMAT,
    KW_ITEMS,
    KW_ADDITIONAL_ITEMS,
    KW_PREFIX_ITEMS,
    KW_MIN_ITEMS,
    KW_MAX_ITEMS,
    KW_CONTAINS,
    KW_PROPERTIES,
    KW_PATTERN_PROPERTIES,
    KW_ADDITIONAL_PROPERTIES,
    KW_REQUIRED,
    KW_MIN_PROPERTIES,
    KW_MAX_PROPERTIES,
    /* rewritten with other keywords (schema_negate.c) */
    KW_NOT,
    KW_IF,
    KW_THEN,
    KW_ELSE,
    KW_DEPENDENCIES,
    KW_DEPENDENT_REQUIRED,
    KW_DEPENDENT_SCHEMAS,
    /* refused if the types they apply to are allowed */
    KW_DYNAMIC_REF,
    KW_RECURSIVE_REF,
    KW_UNIQUE_ITEMS,
    KW_UNEVALUATED_ITEMS,
    KW_UNEVALUATED_PROPERTIES,
    KW_PROPERTY_NAMES,
    KW_COUNT
};

/* Types, as bits. TYPE_FRACTION: numbers that are no integers. */
enum {
    TYPE_NULL = 1,
    TYPE_BOOLEAN = 2,
    TYPE_INTEGER = 4,
    TYPE_FRACTION = 8,
    TYPE_NUMBER = 12,
    TYPE_STRING = 16,
    TYPE_ARRAY = 32,
    TYPE_OBJECT = 64,
    TYPE_ALL = 127
};

/* The keywords of one schema, with values of valid form; created once per schema. */
struct keywords {
    const struct json_value *schema;
    const struct json_value *at[KW_COUNT];
    unsigned types;
    bool plain;                        /* has keywords other than references and choices */
    bool reading;                      /* still being read */
    int8_t negatable;                  /* 1, -1; 0: not tested */
    bool compared;                     /* the branches of `oneOf` have been compared */
    uint64_t *overlaps;                /* `oneOf`: bit j of [i]: i and j may overlap; or NULL */
    const struct json_value **implied; /* [implied_count] rewritten `if`, `not`, ... */
    uint32_t implied_count;
    struct json_value *made, *required;   /* of a made-up schema: itself, and its `required` */
    const struct json_value *negation_of; /* stands for the negation of that schema */
    uint32_t pattern;                     /* expression of `pattern` and `format`; 0: unset */
    uint32_t *patterns;                   /* [members of patternProperties] */
};

struct schema_list {
    uint32_t count;
    const struct json_value **at;
};

struct shape;

struct value {
    struct schema_list schemas; /* sorted by id, without duplicates */
    uint32_t count;
    struct shape **shapes;
    uint32_t scalar; /* union of the scalars of the shapes */
    uint32_t symbol;
    bool has_symbol;
    struct value *next;
};

struct shape {
    struct schema_list schemas;
    uint32_t *anchors; /* [schemas.count] $ref that sets the place of its keys; 0: none */
    unsigned types;
    uint32_t scalar;  /* expression of its scalars, or of all values if they are listed */
    bool listed;      /* an enum or const lists all values */
    bool has_rule[2]; /* [array, object] */
    uint32_t rule[2];
    struct shape *next;
};

struct schema_base;
struct schema_anchor;
struct memory_block;

/* A rule that must still be written: the arrays or the objects of a shape. */
struct task {
    struct shape *shape;
    bool object;
    struct task *next;
};

struct schema {
    struct grammar *grammar;
    struct regex *regex;
    struct schema_options options;
    struct json_values *text;
    struct json_value *root;
    bool ref_alone; /* drafts up to 7: the neighbours of $ref are ignored */
    enum rwkv7_status status;
    struct rwkv7_error *err;
    struct memory_block *memory;
    size_t memory_used; /* bytes, all blocks */
    int reading;        /* nested calls of schema_keywords */
    int expanding;      /* nested calls in schema_value.c */
    uint32_t budget;    /* steps left; bounds the time for hostile schemas */

    struct keywords **keywords;          /* [values of the text, then SCHEMA_MAX_MADE], by id */
    const struct json_value **negations; /* by id: the schema that is the negation */
    uint32_t made;                       /* number of made-up schemas */
    struct schema_base *bases;
    uint32_t base_count;
    struct schema_anchor *anchors;
    uint32_t anchor_count;

    struct value **values; /* hash tables [SCHEMA_TABLE] */
    struct shape **shapes;
    struct task *first_task, *last_task;

    /* terminals */
    uint32_t space;                                       /* expression */
    uint32_t free_character;                              /* expression: see free_character() */
    uint32_t remainders[MULTIPLE_MAX_REMAINDERS];         /* expressions: of multiple_regex */
    uint32_t comma, open_array, close_array, empty_array; /* symbols */
    uint32_t open_object, close_object, empty_object;
};

#define SCHEMA_TABLE 4096u
#define SCHEMA_MAX_MADE 8192u
#define SCHEMA_INDENT 32 /* maximum number of spaces after a line feed */

/* Records an error at a value of the schema unless one is recorded already. Returns false. */
bool schema_refuse(struct schema *s, const struct json_value *at, const char *fmt, ...) RWKV7_PRINTF(3, 4);
bool schema_no_memory(struct schema *s); /* likewise */
bool schema_failed(const struct schema *s);
/* Subtracts steps from the budget; false, after recording an error, if it is exhausted. */
bool schema_spend(struct schema *s, uint32_t steps);
/*
 * Allocates zeroed memory that is freed with `s`. NULL, after recording an error, if out of memory.
 */
void *schema_memory(struct schema *s, size_t count, size_t size);
void schema_queue(struct schema *s, struct shape *shape, bool object);

/* schema_keywords.c: NULL after a refusal. `schema` is an object. */
struct keywords *schema_keywords(struct schema *s, const struct json_value *schema);
bool schema_pattern(struct schema *s, struct keywords *k, uint32_t *out); /* pattern and format */
bool schema_key_pattern(struct schema *s, struct keywords *k, uint32_t index, uint32_t *out);
bool schema_is_count(const struct json_value *v, uint32_t *out); /* parses a nonnegative integer */

/*
 * schema_negate.c: rewrites `not`, `if` and the dependent.. keywords with other keywords
 * (k->implied). A schema is negatable if its negation can be written with the supported keywords.
 */
bool schema_imply(struct schema *s, struct keywords *k);
bool schema_negatable(struct schema *s, const struct json_value *schema, unsigned depth);
const struct json_value *schema_negation(struct schema *s, const struct json_value *schema);
bool schema_expand_negation(struct schema *s, struct keywords *k);

/* schema_refs.c */
bool schema_refs_collect(struct schema *s);
const struct json_value *schema_refs_find(struct schema *s, const struct json_value *ref);

/* schema_value.c */
struct value *schema_value(struct schema *s, const struct json_value **schemas, uint32_t count);
uint32_t schema_symbol(struct schema *s, struct value *v);
bool schema_compare_branches(struct schema *s, struct keywords *k);      /* of its oneOf */
bool schema_possible(struct schema *s, struct value *v, unsigned depth); /* false: surely not */

/* schema_scalar.c */
bool schema_scalars(struct schema *s, struct shape *shape);
uint32_t schema_string(struct schema *s, uint32_t texts); /* with quotes */

/*
 * schema_array.c, schema_object.c: write a queued rule; the *_possible functions tell whether any
 * value is possible.
 */
bool schema_write_array(struct schema *s, struct shape *shape);
bool schema_write_object(struct schema *s, struct shape *shape);
bool schema_array_possible(struct schema *s, struct shape *shape, unsigned depth);
bool schema_object_possible(struct schema *s, struct shape *shape, unsigned depth);

/*
 * Array elements: the schemas of the first ones (an array, or NULL), and that of the rest (NULL:
 * any).
 */
const struct json_value *schema_prefix(const struct keywords *k);
const struct json_value *schema_rest(const struct keywords *k);
/*
 * Appends the schemas that `k` applies to the value of a key to found[*count], at most
 * SCHEMA_MAX_PATTERNS + 1. False after an error.
 */
#define SCHEMA_MAX_PATTERNS 32 /* patternProperties of one schema */
bool schema_key_schemas(struct schema *s, struct keywords *k, const char *key, size_t size,
                        const struct json_value **found, uint32_t *count);

/* schema_check.c: whether a value of an enum satisfies a schema. */
enum check { CHECK_NO, CHECK_YES, CHECK_REFUSED };
enum check schema_check(struct schema *s, const struct json_value *v, const struct json_value *schema, bool plain_only);
bool json_equal(const struct json_value *a, const struct json_value *b);

#endif
