/*
 * schema_refs.c - resolves $ref within one text: JSON pointers, $anchor, and the $id of subschemas.
 *
 * A $ref is relative to the nearest $id above it. The $ids and anchors of the whole text are
 * collected first. Nothing is fetched.
 */
#include "matcher/schema.h"

#include <stdlib.h>
#include <string.h>

#define MAX_URI 2000 /* bytes */
#define MAX_BASES 20000u

enum role {
    ROLE_SCHEMA,
    ROLE_MAP,    /* its members are schemas */
    ROLE_LIST,   /* its elements are schemas, or it is itself one */
    ROLE_UNKNOWN /* data, or the value of an unknown keyword: an $id in it has no meaning */
};

struct schema_base {
    const char *uri; /* [size], possibly relative */
    size_t size;
    const struct json_value *at;
};

struct schema_anchor {
    uint32_t base;
    const struct json_value *name, *at;
    size_t skip; /* characters before the name: the # of an old id */
};

static bool is_one_of(const char *key, size_t size, const char *const *names)
{
    for (; *names; names++)
        if (strlen(*names) == size && memcmp(*names, key, size) == 0)
            return true;
    return false;
}

static enum role role_of(const struct json_value *v)
{
    static const char *const maps[] = {"properties",       "patternProperties", "$defs", "definitions",
                                       "dependentSchemas", "dependencies",      NULL};
    static const char *const lists[] = {"items",
                                        "additionalItems",
                                        "prefixItems",
                                        "additionalProperties",
                                        "allOf",
                                        "anyOf",
                                        "oneOf",
                                        "not",
                                        "if",
                                        "then",
                                        "else",
                                        "contains",
                                        "propertyNames",
                                        "unevaluatedItems",
                                        "unevaluatedProperties",
                                        NULL};
    if (!v->parent)
        return ROLE_SCHEMA;
    switch (v->parent->role) {
    case ROLE_SCHEMA:
        if (v->parent->type != JSON_OBJECT)
            return ROLE_UNKNOWN;
        if (is_one_of(v->key, v->key_size, maps))
            return ROLE_MAP;
        if (is_one_of(v->key, v->key_size, lists))
            return v->type == JSON_ARRAY ? ROLE_LIST : ROLE_SCHEMA;
        return ROLE_UNKNOWN;
    case ROLE_MAP:
    case ROLE_LIST:
        return ROLE_SCHEMA;
    default:
        return ROLE_UNKNOWN;
    }
}

/* The length of "scheme:", or 0. */
static size_t scheme_length(const char *uri, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const char c = uri[i];
        if (c == ':')
            return i ? i + 1 : 0;
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (i && (c == '+' || c == '-' || c == '.' || (c >= '0' && c <= '9')))))
            return 0;
    }
    return 0;
}

/* Resolves a reference without fragment against a base URI (RFC 3986, section 5.2, without "..") */
static size_t join(const char *base, size_t base_size, const char *uri, size_t size, char out[MAX_URI])
{
    size_t keep = 0;
    if (scheme_length(uri, size) == 0) {
        const size_t scheme = scheme_length(base, base_size);
        const bool has_host = base_size >= scheme + 2 && base[scheme] == '/' && base[scheme + 1] == '/';
        size_t path = scheme;
        if (has_host)
            for (path = scheme + 2; path < base_size && base[path] != '/';)
                path++;
        if (size >= 2 && uri[0] == '/' && uri[1] == '/') {
            keep = scheme;
        } else if (size > 0 && uri[0] == '/') {
            keep = path;
        } else {
            for (keep = base_size; keep > path && base[keep - 1] != '/';)
                keep--;
            while (size >= 2 && uri[0] == '.' && uri[1] == '/') {
                uri += 2;
                size -= 2;
            }
        }
    }
    if (keep + size > MAX_URI)
        return 0;
    memcpy(out, base, keep);
    memcpy(out + keep, uri, size);
    return keep + size;
}

static size_t fragment_at(const char *uri, size_t size)
{
    const char *mark = memchr(uri, '#', size);
    return mark ? (size_t)(mark - uri) : size;
}

/* Adds the base URI of a schema with an $id. */
static bool add_base(struct schema *s, struct json_value *schema, const struct json_value *id)
{
    char uri[MAX_URI];
    const struct schema_base *outer = &s->bases[schema->base];
    const size_t before = fragment_at(id->text, id->size);
    size_t size = join(outer->uri, outer->size, id->text, before, uri);
    if (size == 0 || s->base_count == MAX_BASES)
        return schema_refuse(s, id, "this $id is too long, or there are too many");
    char *copy = schema_memory(s, size, 1);
    if (!copy)
        return false;
    memcpy(copy, uri, size);
    if (schema == s->root) {
        s->bases[0].uri = copy;
        s->bases[0].size = size;
        return true;
    }
    schema->base = s->base_count;
    s->bases[s->base_count++] = (struct schema_base){copy, size, schema};
    return true;
}

static bool collect(struct schema *s, struct json_value *v)
{
    const struct json_value *id = json_member(v, "$id");
    if (!id)
        id = json_member(v, "id");
    const bool alone = s->ref_alone && json_member(v, "$ref");
    if (id && id->type == JSON_STRING && !alone) {
        const size_t before = fragment_at(id->text, id->size);
        if (before > 0 && !add_base(s, v, id))
            return false;
        if (id->size > before + 1)
            s->anchors[s->anchor_count++] = (struct schema_anchor){v->base, id, v, before + 1};
    }
    const struct json_value *anchor = json_member(v, "$anchor");
    if (anchor && anchor->type == JSON_STRING)
        s->anchors[s->anchor_count++] = (struct schema_anchor){v->base, anchor, v, 0};
    return true;
}

static int compare_texts(const char *a, size_t a_size, const char *b, size_t b_size)
{
    const int c = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return c ? c : (a_size > b_size) - (a_size < b_size);
}

static int compare_anchors(const void *a, const void *b)
{
    const struct schema_anchor *x = a, *y = b;
    if (x->base != y->base)
        return x->base < y->base ? -1 : 1;
    return compare_texts(x->name->text + x->skip, x->name->size - x->skip, y->name->text + y->skip,
                         y->name->size - y->skip);
}

bool schema_refs_collect(struct schema *s)
{
    const size_t count = json_values_count(s->text);
    size_t named = 1;
    for (size_t i = 0; i < count; i++) {
        struct json_value *v = json_values_at(s->text, i);
        v->role = (uint8_t)role_of(v);
        if (v->role == ROLE_SCHEMA && v->type == JSON_OBJECT)
            named += 2u * (json_member(v, "$id") || json_member(v, "id") || json_member(v, "$anchor"));
    }
    s->bases = schema_memory(s, named < MAX_BASES ? named : MAX_BASES, sizeof *s->bases);
    s->anchors = schema_memory(s, named, sizeof *s->anchors);
    if (!s->bases || !s->anchors)
        return false;
    s->bases[s->base_count++] = (struct schema_base){"", 0, s->root};
    for (size_t i = 0; i < count; i++) { /* parents come before their members */
        struct json_value *v = json_values_at(s->text, i);
        v->base = v->parent ? v->parent->base : 0;
        if (v->role == ROLE_SCHEMA && v->type == JSON_OBJECT && !collect(s, v))
            return false;
    }
    qsort(s->anchors, s->anchor_count, sizeof *s->anchors, compare_anchors);
    return true;
}

/* -------------------------------------------------------------------------------------- finding */

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Undoes the percent encoding of a fragment. */
static size_t decode(const char *from, size_t size, char out[MAX_URI])
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        if (from[i] == '%' && i + 2 < size && hex(from[i + 1]) >= 0 && hex(from[i + 2]) >= 0) {
            out[n++] = (char)(hex(from[i + 1]) << 4 | hex(from[i + 2]));
            i += 2;
        } else {
            out[n++] = from[i];
        }
    }
    return n;
}

static const struct json_value *step(const struct json_value *v, const char *key, size_t size)
{
    if (v->type == JSON_OBJECT)
        return json_member_sized(v, key, size);
    size_t index = 0;
    if (v->type != JSON_ARRAY || size == 0 || size > 9 || (size > 1 && key[0] == '0'))
        return NULL;
    for (size_t i = 0; i < size; i++) {
        if (key[i] < '0' || key[i] > '9')
            return NULL;
        index = index * 10 + (size_t)(key[i] - '0');
    }
    return json_element(v, index);
}

static const struct json_value *follow(const struct json_value *v, const char *pointer, size_t size)
{
    char key[MAX_URI];
    size_t i = 0;
    while (v && i < size) { /* at a '/' */
        size_t n = 0;
        for (i++; i < size && pointer[i] != '/'; i++) {
            if (pointer[i] == '~' && i + 1 < size && (pointer[i + 1] == '0' || pointer[i + 1] == '1'))
                key[n++] = pointer[++i] == '0' ? '~' : '/';
            else
                key[n++] = pointer[i];
        }
        v = step(v, key, n);
    }
    return v;
}

static const struct json_value *find_anchor(const struct schema *s, uint32_t base, const char *name, size_t size)
{
    uint32_t low = 0, high = s->anchor_count;
    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        const struct schema_anchor *a = &s->anchors[mid];
        int c = a->base == base  ? compare_texts(a->name->text + a->skip, a->name->size - a->skip, name, size)
                : a->base < base ? -1
                                 : 1;
        if (c == 0)
            return a->at;
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static bool find_base(struct schema *s, uint32_t from, const char *uri, size_t size, uint32_t *out)
{
    char full[MAX_URI];
    const size_t n = join(s->bases[from].uri, s->bases[from].size, uri, size, full);
    for (uint32_t i = 0; i < s->base_count; i++) {
        if (s->bases[i].size == n && n > 0 && memcmp(s->bases[i].uri, full, n) == 0) {
            *out = i;
            return schema_spend(s, i / 8 + 1);
        }
    }
    return false;
}

const struct json_value *schema_refs_find(struct schema *s, const struct json_value *ref)
{
    char fragment[MAX_URI];
    const struct json_value *found = NULL;
    uint32_t base = ref->base;

    if (ref->type != JSON_STRING || ref->size > MAX_URI) {
        schema_refuse(s, ref, "$ref must be a string of at most %d bytes", MAX_URI);
        return NULL;
    }
    const size_t before = fragment_at(ref->text, ref->size);
    if (before == 0 || find_base(s, ref->base, ref->text, before, &base)) {
        const char *rest = ref->text + before + 1;
        const size_t size = before < ref->size ? decode(rest, ref->size - before - 1, fragment) : 0;
        found = s->bases[base].at;
        if (size > 0)
            found = fragment[0] == '/' ? follow(found, fragment, size) : find_anchor(s, base, fragment, size);
    }
    if (!found) {
        schema_refuse(s, ref, "nothing in this schema has this address; schemas elsewhere are not fetched");
        return NULL;
    }
    if (found->type != JSON_OBJECT && found->type != JSON_TRUE && found->type != JSON_FALSE) {
        schema_refuse(s, ref, "this $ref does not lead to a schema");
        return NULL;
    }
    return found;
}
