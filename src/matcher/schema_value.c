/*
 * schema_value.c - resolves references and choices: from the schemas of a value to its shapes.
 *
 * A walk collects the schemas that apply. It follows $ref and allOf immediately and defers anyOf
 * and oneOf. Then it tries every combination of their branches. `path.seen` lists the schemas of
 * the current combination, each with the schema that led to it.
 *
 * A schema may refer to itself for the same value (a: {$ref: a}). This adds no way to satisfy it,
 * so that combination is dropped.
 */
#include "matcher/schema.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
    MAX_EXPANDING = 40, /* nested expansions of values, to compare branches of oneOf */
    MAX_SEEN = 600,     /* schemas for one value */
    MAX_CHOICES = 100,  /* anyOf and oneOf for one value */
    MAX_SHAPES = 2000,  /* combinations for one value */
    MAX_NESTING = 200,  /* references that lead to references */
    POSSIBLE_DEPTH = 3, /* levels at which branches of oneOf are compared */
    MAX_COMPARED = 60,  /* branches of oneOf */
};

struct seen {
    const struct json_value *schema;
    int cause;       /* index in `seen`, -1 for the schemas of the value itself */
    uint32_t anchor; /* id of the first $ref on the way to it; 0: none */
};

struct choice {
    const struct json_value *branches;
    int cause;
};

struct path {
    struct schema *s;
    struct value *value;
    struct seen seen[MAX_SEEN];
    struct choice choices[MAX_CHOICES];
    const struct json_value *plain[MAX_SEEN]; /* schemas with keywords of their own */
    uint32_t anchors[MAX_SEEN];               /* of these */
    uint32_t ref;                             /* id of the $ref that is being followed, or 0 */
    int seen_count, choice_count, plain_count;
    unsigned types; /* types that all of them allow */
    bool loose;     /* the branches of oneOf do not exclude each other */
    bool overflow;  /* there were more than MAX_SHAPES shapes */
    uint32_t room;  /* of value->shapes */
};

/* ------------------------------------------------------------------------------ sets of schemas */

static int compare_ids(const void *a, const void *b)
{
    const struct json_value *x = *(const struct json_value *const *)a, *y = *(const struct json_value *const *)b;
    return (x->id > y->id) - (x->id < y->id);
}

static bool make_list(struct schema *s, const struct json_value *const *schemas, uint32_t count,
                      struct schema_list *out)
{
    out->at = schema_memory(s, count + 1u, sizeof *out->at);
    out->count = 0;
    if (!out->at)
        return false;
    if (count)
        memcpy(out->at, schemas, count * sizeof *out->at);
    qsort(out->at, count, sizeof *out->at, compare_ids);
    for (uint32_t i = 0; i < count; i++)
        if (i == 0 || out->at[i] != out->at[out->count - 1])
            out->at[out->count++] = out->at[i];
    return true;
}

static uint32_t hash_list(const struct schema_list *l)
{
    uint64_t h = 0x9e3779b97f4a7c15u;
    for (uint32_t i = 0; i < l->count; i++)
        h = (h ^ l->at[i]->id) * 0xff51afd7ed558ccdu, h ^= h >> 32;
    return (uint32_t)(h >> 20) % SCHEMA_TABLE;
}

static bool same_list(const struct schema_list *a, const struct schema_list *b)
{
    return a->count == b->count && memcmp(a->at, b->at, a->count * sizeof *a->at) == 0;
}

/* Copies the anchors of a shape's schemas from the path that found the shape first. */
static bool copy_anchors(const struct path *p, struct shape *h)
{
    h->anchors = schema_memory(p->s, h->schemas.count + 1u, sizeof *h->anchors);
    if (!h->anchors || !schema_spend(p->s, h->schemas.count / 8 * h->schemas.count))
        return false;
    for (uint32_t i = 0; i < h->schemas.count; i++)
        for (int j = p->plain_count - 1; j >= 0; j--)
            if (p->plain[j] == h->schemas.at[i])
                h->anchors[i] = p->anchors[j];
    return true;
}

static struct shape *find_shape(const struct path *p)
{
    struct schema *s = p->s;
    struct schema_list list;
    if (!make_list(s, p->plain, (uint32_t)p->plain_count, &list))
        return NULL;
    struct shape **bucket = &s->shapes[hash_list(&list)];
    for (struct shape *h = *bucket; h; h = h->next)
        if (same_list(&h->schemas, &list))
            return h;
    struct shape *h = schema_memory(s, 1, sizeof *h);
    if (!h)
        return NULL;
    h->schemas = list;
    if (!copy_anchors(p, h) || !schema_scalars(s, h))
        return NULL;
    h->next = *bucket;
    *bucket = h;
    return h;
}

/* ------------------------------------------------------------------------------------- the walk */

static bool absorb(struct path *p, const struct json_value *schema, int cause, bool *dead, unsigned depth);

static bool put_choice(struct path *p, const struct json_value *branches, int cause)
{
    if (p->choice_count == MAX_CHOICES)
        return schema_refuse(p->s, branches, "more than %d anyOf and oneOf for one value", MAX_CHOICES);
    p->choices[p->choice_count++] = (struct choice){branches, cause};
    return true;
}

/* Adds a schema object that is not on the path yet. */
static bool absorb_keywords(struct path *p, const struct keywords *k, int cause, bool *dead, unsigned depth)
{
    const struct json_value *const *at = k->at;
    if (k->plain) {
        p->anchors[p->plain_count] = p->seen[cause].anchor;
        p->plain[p->plain_count++] = k->schema;
    }
    p->types &= k->types;
    if (p->types == 0)
        *dead = true;
    if (at[KW_REF] && !*dead) {
        const struct json_value *target = schema_refs_find(p->s, at[KW_REF]);
        if (!target)
            return false;
        p->ref = at[KW_REF]->id;
        if (!absorb(p, target, cause, dead, depth + 1))
            return false;
    }
    if (at[KW_ALL_OF])
        for (const struct json_value *e = at[KW_ALL_OF]->first; e && !*dead; e = e->next)
            if (!absorb(p, e, cause, dead, depth + 1))
                return false;
    for (uint32_t i = 0; i < k->implied_count && !*dead; i++)
        if (!absorb(p, k->implied[i], cause, dead, depth + 1))
            return false;
    if (at[KW_ANY_OF] && !*dead && !put_choice(p, at[KW_ANY_OF], cause))
        return false;
    return !at[KW_ONE_OF] || *dead || put_choice(p, at[KW_ONE_OF], cause);
}

/* Adds a schema to the path. *dead: no value satisfies all of them. False after a refusal. */
static bool absorb(struct path *p, const struct json_value *schema, int cause, bool *dead, unsigned depth)
{
    const uint32_t outer = cause >= 0 ? p->seen[cause].anchor : 0, anchor = outer ? outer : p->ref;
    p->ref = 0;
    if (schema->type == JSON_TRUE)
        return true;
    if (schema->type == JSON_FALSE) {
        *dead = true;
        return true;
    }
    for (int i = cause; i >= 0; i = p->seen[i].cause) {
        if (p->seen[i].schema == schema) {
            *dead = true;
            return true;
        }
    }
    for (int i = 0; i < p->seen_count; i++)
        if (p->seen[i].schema == schema)
            return true;
    if (p->seen_count == MAX_SEEN || depth > MAX_NESTING)
        return schema_refuse(p->s, schema, "more than %d schemas for one value", MAX_SEEN);
    if (!schema_spend(p->s, 4 + (uint32_t)p->seen_count / 4))
        return false;
    const struct keywords *k = schema_keywords(p->s, schema);
    if (!k)
        return false;
    p->seen[p->seen_count++] = (struct seen){schema, cause, anchor};
    return absorb_keywords(p, k, p->seen_count - 1, dead, depth);
}

static bool add_shape(struct path *p)
{
    struct value *v = p->value;
    struct shape *h = find_shape(p);
    if (!h)
        return false;
    for (uint32_t i = 0; i < v->count; i++)
        if (v->shapes[i] == h)
            return true;
    p->overflow = v->count == MAX_SHAPES;
    if (p->overflow && !p->loose && !p->s->options.strict) /* expand() tries again */
        return false;
    if (p->overflow)
        return schema_refuse(p->s, v->schemas.at[0], "more than %d combinations of anyOf and oneOf", MAX_SHAPES);
    if (v->count == p->room) {
        struct shape **more = schema_memory(p->s, p->room * 2u + 4, sizeof(struct shape *));
        if (!more)
            return false;
        if (v->count)
            memcpy(more, v->shapes, v->count * sizeof(struct shape *));
        v->shapes = more;
        p->room = p->room * 2 + 4;
    }
    v->shapes[v->count++] = h;
    return schema_spend(p->s, 1 + v->count / 8);
}

/*
 * For branch `index` of `oneOf`: adds the negation of each branch that may be satisfied together
 * with it.
 */
static bool exclude_others(struct path *p, const struct keywords *one_of, uint32_t index, int cause, bool *dead)
{
    uint32_t i = 0;
    for (const struct json_value *b = one_of->at[KW_ONE_OF]->first; b && one_of->overlaps; b = b->next, i++) {
        if (!(one_of->overlaps[index] >> i & 1) || !schema_negatable(p->s, b, 0))
            continue;
        const struct json_value *negation = schema_negation(p->s, b);
        if (!negation || !absorb(p, negation, cause, dead, 0))
            return false;
        if (*dead)
            break;
    }
    return !schema_failed(p->s);
}

/*
 * Tries all combinations of branches of the choices from `next` on. Recursion is bounded by
 * MAX_CHOICES.
 */
static bool choose(struct path *p, int next)
{
    if (next == p->choice_count)
        return add_shape(p);
    const struct choice c = p->choices[next];
    struct keywords *one_of = NULL;
    if (c.branches->key_size == 5 && memcmp(c.branches->key, "oneOf", 5) == 0) {
        one_of = schema_keywords(p->s, c.branches->parent);
        if (!one_of || !schema_compare_branches(p->s, one_of))
            return false;
    }
    const int seen = p->seen_count, choices = p->choice_count, plain = p->plain_count;
    const unsigned types = p->types;
    uint32_t index = 0;
    for (const struct json_value *branch = c.branches->first; branch; branch = branch->next, index++) {
        bool dead = false;
        if (!absorb(p, branch, c.cause, &dead, 0) ||
            (one_of && !dead && !p->loose && !exclude_others(p, one_of, index, c.cause, &dead)) ||
            (!dead && !choose(p, next + 1)))
            return false;
        p->seen_count = seen;
        p->choice_count = choices;
        p->plain_count = plain;
        p->types = types;
    }
    return true;
}

/* Finds the shapes of a value: *p is scratch memory. */
static bool find_shapes(struct schema *s, struct value *v, struct path *p, bool loose)
{
    bool dead = false, good = true;
    memset(p, 0, sizeof *p);
    p->s = s;
    p->value = v;
    p->types = TYPE_ALL;
    p->loose = loose;
    v->count = 0;
    for (uint32_t i = 0; i < v->schemas.count && good && !dead; i++)
        good = absorb(p, v->schemas.at[i], -1, &dead, 0);
    return good && (dead || choose(p, 0));
}

/* If the branches of oneOf exclude each other in too many ways, oneOf is treated as anyOf. */
static bool expand(struct schema *s, struct value *v)
{
    struct path *p = mem_alloc(1, sizeof *p);
    if (!p)
        return schema_no_memory(s);
    s->expanding++;
    bool good = find_shapes(s, v, p, false);
    if (!good && p->overflow && !schema_failed(s))
        good = find_shapes(s, v, p, true);
    s->expanding--;
    mem_free(p);
    uint32_t *scalars = good ? schema_memory(s, v->count + 1u, sizeof *scalars) : NULL;
    if (!scalars)
        return false;
    for (uint32_t i = 0; i < v->count; i++)
        scalars[i] = v->shapes[i]->scalar;
    v->scalar = regex_union_of(s->regex, scalars, v->count);
    return !schema_failed(s);
}

struct value *schema_value(struct schema *s, const struct json_value **schemas, uint32_t count)
{
    struct schema_list list;
    if (schema_failed(s) || !make_list(s, schemas, count, &list))
        return NULL;
    struct value **bucket = &s->values[hash_list(&list)];
    for (struct value *v = *bucket; v; v = v->next)
        if (same_list(&v->schemas, &list))
            return v;
    struct value *v = schema_memory(s, 1, sizeof *v);
    if (!v)
        return NULL;
    v->schemas = list;
    if (!expand(s, v))
        return NULL;
    v->next = s->values[hash_list(&list)];
    s->values[hash_list(&list)] = v;
    return v;
}

/* -------------------------------------------------------------------------------------- queries */

bool schema_possible(struct schema *s, struct value *v, unsigned depth)
{
    bool is_void = true;
    if (v->scalar != REGEX_NOTHING && (regex_is_void(s->regex, v->scalar, &is_void, NULL) != RWKV7_OK || !is_void))
        return true;
    for (uint32_t i = 0; i < v->count; i++) {
        struct shape *h = v->shapes[i];
        if (h->listed)
            continue;
        if ((h->types & (TYPE_ARRAY | TYPE_OBJECT)) && depth == 0)
            return true;
        if ((h->types & TYPE_ARRAY) && schema_array_possible(s, h, depth - 1))
            return true;
        if ((h->types & TYPE_OBJECT) && schema_object_possible(s, h, depth - 1))
            return true;
    }
    return false;
}

/* Returns whether a shallow check proves that no value satisfies both schemas. */
static bool are_disjoint(struct schema *s, const struct json_value *a, const struct json_value *b)
{
    const struct json_value *both[] = {a, b};
    struct value *v = schema_value(s, both, 2);
    return v && !schema_possible(s, v, POSSIBLE_DEPTH);
}

/*
 * `oneOf` equals anyOf if no value satisfies two branches. If two branches overlap, each must
 * exclude the other (exclude_others), which needs their negations. If one is not negatable, strict
 * mode refuses the schema; otherwise this overlap is ignored.
 */
bool schema_compare_branches(struct schema *s, struct keywords *k)
{
    const struct json_value *one_of = k->at[KW_ONE_OF];
    uint32_t i = 0, j;
    if (k->compared || s->expanding >= MAX_EXPANDING)
        return true;
    k->compared = true;
    if (one_of->count > MAX_COMPARED)
        return !s->options.strict ||
               schema_refuse(s, one_of, "more than %d branches to tell apart; use anyOf", MAX_COMPARED);
    uint64_t *overlaps = schema_memory(s, one_of->count, sizeof *overlaps);
    if (!overlaps)
        return false;
    for (const struct json_value *a = one_of->first; a; a = a->next, i++) {
        j = i + 1;
        for (const struct json_value *b = a->next; b; b = b->next, j++) {
            if (!schema_spend(s, 8))
                return false;
            if (are_disjoint(s, a, b))
                continue;
            overlaps[i] |= (uint64_t)1 << j;
            overlaps[j] |= (uint64_t)1 << i;
            if (s->options.strict && !(schema_negatable(s, a, 0) && schema_negatable(s, b, 0)))
                return schema_refuse(s, one_of, "branches %u and %u may both be satisfied; use anyOf", i, j);
        }
    }
    k->overlaps = overlaps;
    return !schema_failed(s);
}

/* -------------------------------------------------------------------------------------- symbols */

uint32_t schema_symbol(struct schema *s, struct value *v)
{
    struct grammar *g = s->grammar;
    bool alone = true;
    if (v->has_symbol)
        return v->symbol;
    v->has_symbol = true;
    for (uint32_t i = 0; i < v->count; i++) {
        const struct shape *h = v->shapes[i];
        alone = alone && (h->listed || !(h->types & (TYPE_ARRAY | TYPE_OBJECT)));
    }
    if (alone)
        return v->symbol = grammar_terminal(g, v->scalar);
    v->symbol = grammar_rule(g, "value", 5);
    if (v->scalar != REGEX_NOTHING)
        grammar_add(g, v->symbol, (uint32_t[]){grammar_terminal(g, v->scalar)}, 1);
    for (uint32_t i = 0; i < v->count && !schema_failed(s); i++) {
        struct shape *h = v->shapes[i];
        if (h->listed)
            continue;
        for (int object = 0; object < 2; object++) {
            if (!(h->types & (object ? TYPE_OBJECT : TYPE_ARRAY)))
                continue;
            if (!h->has_rule[object]) {
                h->has_rule[object] = true;
                h->rule[object] = grammar_rule(g, object ? "object" : "array", object ? 6 : 5);
                schema_queue(s, h, object);
            }
            grammar_add(g, v->symbol, &h->rule[object], 1);
        }
    }
    return v->symbol;
}
