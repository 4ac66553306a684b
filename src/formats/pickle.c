/* pickle.c - see pickle.h. */
#include "formats/pickle.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "formats/little.h"
#include "formats/snippet.h"

/* -------------------------------------------------------------------------------------- opcodes */

enum operand {
    REFUSED, /* the opcode is not allowed, whatever its operand */
    NOTHING,
    BYTES_1,
    BYTES_2,
    BYTES_4,
    BYTES_8,
    SIZE_1, /* a length of one byte, then so many bytes */
    SIZE_4,
    LINES_2, /* two lines */
};

enum {
    MARK = '(',
    STOP = '.',
    NONE = 'N',
    NEWTRUE = 0x88,
    NEWFALSE = 0x89,
    BININT = 'J',
    BININT1 = 'K',
    BININT2 = 'M',
    LONG1 = 0x8a,
    LONG4 = 0x8b,
    BINFLOAT = 'G',
    BINUNICODE = 'X',
    EMPTY_LIST = ']',
    APPEND = 'a',
    APPENDS = 'e',
    EMPTY_DICT = '}',
    EMPTY_TUPLE = ')',
    TUPLE = 't',
    TUPLE1 = 0x85,
    TUPLE2 = 0x86,
    TUPLE3 = 0x87,
    GLOBAL = 'c',
    REDUCE = 'R',
    NEWOBJ = 0x81,
    BUILD = 'b',
    SETITEM = 's',
    SETITEMS = 'u',
    BINPERSID = 'Q',
    BINPUT = 'q',
    LONG_BINPUT = 'r',
    BINGET = 'h',
    LONG_BINGET = 'j',
    PROTO = 0x80,
};

/* All opcodes that exist, so that messages can name those that are not allowed. */
static const struct opcode {
    const char *name;
    enum operand operand;
} opcodes[256] = {
    [MARK] = {"MARK", NOTHING},
    [STOP] = {"STOP", NOTHING},
    [NONE] = {"NONE", NOTHING},
    [NEWTRUE] = {"NEWTRUE", NOTHING},
    [NEWFALSE] = {"NEWFALSE", NOTHING},
    [BININT] = {"BININT", BYTES_4},
    [BININT1] = {"BININT1", BYTES_1},
    [BININT2] = {"BININT2", BYTES_2},
    [LONG1] = {"LONG1", SIZE_1},
    [LONG4] = {"LONG4", SIZE_4},
    [BINFLOAT] = {"BINFLOAT", BYTES_8},
    [BINUNICODE] = {"BINUNICODE", SIZE_4},
    [EMPTY_LIST] = {"EMPTY_LIST", NOTHING},
    [APPEND] = {"APPEND", NOTHING},
    [APPENDS] = {"APPENDS", NOTHING},
    [EMPTY_DICT] = {"EMPTY_DICT", NOTHING},
    [EMPTY_TUPLE] = {"EMPTY_TUPLE", NOTHING},
    [TUPLE] = {"TUPLE", NOTHING},
    [TUPLE1] = {"TUPLE1", NOTHING},
    [TUPLE2] = {"TUPLE2", NOTHING},
    [TUPLE3] = {"TUPLE3", NOTHING},
    [GLOBAL] = {"GLOBAL", LINES_2},
    [REDUCE] = {"REDUCE", NOTHING},
    [NEWOBJ] = {"NEWOBJ", NOTHING},
    [BUILD] = {"BUILD", NOTHING},
    [SETITEM] = {"SETITEM", NOTHING},
    [SETITEMS] = {"SETITEMS", NOTHING},
    [BINPERSID] = {"BINPERSID", NOTHING},
    [BINPUT] = {"BINPUT", BYTES_1},
    [LONG_BINPUT] = {"LONG_BINPUT", BYTES_4},
    [BINGET] = {"BINGET", BYTES_1},
    [LONG_BINGET] = {"LONG_BINGET", BYTES_4},
    [PROTO] = {"PROTO", BYTES_1},
    ['I'] = {"INT", REFUSED},
    ['L'] = {"LONG", REFUSED},
    ['S'] = {"STRING", REFUSED},
    ['T'] = {"BINSTRING", REFUSED},
    ['U'] = {"SHORT_BINSTRING", REFUSED},
    ['B'] = {"BINBYTES", REFUSED},
    ['C'] = {"SHORT_BINBYTES", REFUSED},
    [0x8e] = {"BINBYTES8", REFUSED},
    [0x96] = {"BYTEARRAY8", REFUSED},
    [0x97] = {"NEXT_BUFFER", REFUSED},
    [0x98] = {"READONLY_BUFFER", REFUSED},
    ['V'] = {"UNICODE", REFUSED},
    [0x8c] = {"SHORT_BINUNICODE", REFUSED},
    [0x8d] = {"BINUNICODE8", REFUSED},
    ['F'] = {"FLOAT", REFUSED},
    ['l'] = {"LIST", REFUSED},
    ['d'] = {"DICT", REFUSED},
    [0x8f] = {"EMPTY_SET", REFUSED},
    [0x90] = {"ADDITEMS", REFUSED},
    [0x91] = {"FROZENSET", REFUSED},
    ['0'] = {"POP", REFUSED},
    ['1'] = {"POP_MARK", REFUSED},
    ['2'] = {"DUP", REFUSED},
    ['g'] = {"GET", REFUSED},
    ['p'] = {"PUT", REFUSED},
    [0x94] = {"MEMOIZE", REFUSED},
    [0x82] = {"EXT1", REFUSED},
    [0x83] = {"EXT2", REFUSED},
    [0x84] = {"EXT4", REFUSED},
    [0x93] = {"STACK_GLOBAL", REFUSED},
    ['i'] = {"INST", REFUSED},
    ['o'] = {"OBJ", REFUSED},
    [0x92] = {"NEWOBJ_EX", REFUSED},
    [0x95] = {"FRAME", REFUSED},
    ['P'] = {"PERSID", REFUSED},
};

/* -------------------------------------------------------------------------------- stack machine */

struct machine {
    const struct file_image *in;
    const char *const *globals;
    struct pickle *out;
    uint32_t values, items, pairs; /* number used so far */
    pickle_ref *stack, *memo;
    size_t depth, memos;
    size_t marks[PICKLE_MAX_MARKS]; /* stack depths */
    size_t mark_count;
    size_t at; /* offset of the current opcode, for messages */
};

struct step {
    uint8_t code;
    const uint8_t *operand; /* [size] */
    size_t size;
};

static enum rwkv7_status reject(const struct machine *m, const char *fmt, ...) RWKV7_PRINTF(2, 3);

static enum rwkv7_status reject(const struct machine *m, const char *fmt, ...)
{
    char where[48];
    va_list args;
    snprintf(where, sizeof where, "pickle, byte %zu: ", m->at);
    va_start(args, fmt);
    vrefuse(m->in, where, fmt, args);
    va_end(args);
    return RWKV7_ERR_MODEL;
}

/* Decodes the opcode at m->at. The operand excludes its length prefix and includes line ends. */
static enum rwkv7_status fetch(const struct machine *m, struct step *out)
{
    const uint8_t *at = m->in->bytes + m->at, *const end = m->in->bytes + m->in->size;
    if (at == end)
        return reject(m, "truncated pickle: expected an opcode");
    const struct opcode *const opcode = &opcodes[*at];
    *out = (struct step){.code = *at++};
    if (!opcode->name)
        return reject(m, "0x%02x is not an opcode", out->code);

    const size_t left = (size_t)(end - at);
    size_t skip = 0, size = 0;
    bool is_complete = true;
    switch (opcode->operand) {
    case REFUSED:
        return reject(m, "opcode %s is not allowed in a checkpoint", opcode->name);
    case NOTHING:
        break;
    case BYTES_1:
        size = 1;
        break;
    case BYTES_2:
        size = 2;
        break;
    case BYTES_4:
        size = 4;
        break;
    case BYTES_8:
        size = 8;
        break;
    case SIZE_1:
        skip = 1;
        is_complete = left >= skip;
        size = is_complete ? *at : 0;
        break;
    case SIZE_4:
        skip = 4;
        is_complete = left >= skip;
        size = is_complete ? little32(at) : 0;
        break;
    case LINES_2:
        for (int lines = 0; lines < 2 && is_complete; lines++) {
            const uint8_t *const newline = memchr(at + size, '\n', left - size);
            is_complete = newline != NULL;
            size = is_complete ? (size_t)(newline + 1 - at) : 0;
        }
        break;
    }
    if (!is_complete || size > left - skip)
        return reject(m, "truncated pickle: the operand of %s is missing", opcode->name);
    out->operand = at + skip;
    out->size = size;
    return RWKV7_OK;
}

static void advance(struct machine *m, const struct step *s)
{
    m->at = (size_t)(s->operand + s->size - m->in->bytes);
}

static pickle_ref make(struct machine *m, enum pickle_kind kind)
{
    m->out->values[m->values].kind = kind;
    return m->values++;
}

static void push(struct machine *m, pickle_ref value)
{
    m->stack[m->depth++] = value;
}

static void push_number(struct machine *m, enum pickle_kind kind, int64_t number)
{
    const pickle_ref value = make(m, kind);
    m->out->values[value].number = number;
    push(m, value);
}

/* Pops n values pushed after the last mark; NULL if there are fewer. */
static const pickle_ref *pop(struct machine *m, size_t n)
{
    const size_t floor = m->mark_count ? m->marks[m->mark_count - 1] : 0;
    if (m->depth - floor < n)
        return NULL;
    m->depth -= n;
    return m->stack + m->depth;
}

/* Pops the last mark and the *n values above it; NULL if there is no mark. */
static const pickle_ref *pop_mark(struct machine *m, size_t *n)
{
    if (m->mark_count == 0)
        return NULL;
    *n = m->depth - m->marks[--m->mark_count];
    m->depth -= *n;
    return m->stack + m->depth;
}

static enum rwkv7_status too_few(const struct machine *m, const struct step *s)
{
    return reject(m, "%s: too few values on the stack", opcodes[s->code].name);
}

/* -------------------------------------------------------------------------------------- opcodes */

static enum rwkv7_status do_long(struct machine *m, const struct step *s)
{
    uint64_t number = s->size > 0 && s->operand[s->size - 1] & 0x80 ? UINT64_MAX : 0; /* sign extension */
    if (s->size > 8) {
        push(m, make(m, PICKLE_NUMBER));
        return RWKV7_OK;
    }
    for (size_t i = s->size; i-- > 0;)
        number = number << 8 | s->operand[i];
    push_number(m, PICKLE_INT, (int64_t)number);
    return RWKV7_OK;
}

static enum rwkv7_status do_string(struct machine *m, const struct step *s)
{
    const pickle_ref value = make(m, PICKLE_STRING);
    m->out->values[value].string = (const char *)s->operand;
    m->out->values[value].count = (uint32_t)s->size;
    push(m, value);
    return RWKV7_OK;
}

static enum rwkv7_status do_global(struct machine *m, const struct step *s)
{
    for (size_t i = 0; m->globals[i]; i++) {
        if (strlen(m->globals[i]) != s->size || memcmp(m->globals[i], s->operand, s->size) != 0)
            continue;
        const pickle_ref value = make(m, PICKLE_GLOBAL);
        m->out->values[value].global = i;
        push(m, value);
        return RWKV7_OK;
    }
    const size_t module = (size_t)((const uint8_t *)memchr(s->operand, '\n', s->size) - s->operand);
    if (pickle_is_data(s->operand, s->size)) {
        const pickle_ref value = make(m, PICKLE_FOREIGN);
        m->out->values[value].string = (const char *)s->operand;
        m->out->values[value].count = (uint32_t)s->size;
        push(m, value);
        return RWKV7_OK;
    }
    return reject(m, "global '%s.%s' is not allowed in a checkpoint", snippet_text(s->operand, module, 40).text,
                  snippet_text(s->operand + module + 1, s->size - module - 2, 40).text);
}

static enum rwkv7_status do_tuple(struct machine *m, const struct step *s, const pickle_ref *items, size_t n)
{
    if (!items)
        return too_few(m, s);
    const pickle_ref value = make(m, PICKLE_TUPLE);
    m->out->values[value].count = (uint32_t)n;
    m->out->values[value].items = m->items;
    memcpy(m->out->items + m->items, items, n * sizeof *items);
    m->items += (uint32_t)n;
    push(m, value);
    return RWKV7_OK;
}

static enum rwkv7_status do_reduce(struct machine *m, const struct step *s)
{
    const pickle_ref *const call = pop(m, 2);
    if (!call)
        return too_few(m, s);
    const pickle_ref function = call[0], arguments = call[1];
    const enum pickle_kind kind = m->out->values[function].kind;
    if ((kind != PICKLE_GLOBAL && kind != PICKLE_FOREIGN) || m->out->values[arguments].kind != PICKLE_TUPLE)
        return reject(m, "expected a function and its arguments, found %s and %s", pickle_kind_name(kind),
                      pickle_kind_name(m->out->values[arguments].kind));
    const pickle_ref value = make(m, PICKLE_CALL);
    m->out->values[value].call.function = function;
    m->out->values[value].call.arguments = arguments;
    push(m, value);
    return RWKV7_OK;
}

/*
 * Appends n values to the list below them on the stack: only its count grows, the values are not
 * kept. Values that are appended to the result of a call are dropped.
 */
static enum rwkv7_status do_append(struct machine *m, const struct step *s, const pickle_ref *items, size_t n)
{
    if (!items || !pop(m, 1))
        return too_few(m, s);
    struct pickle_value *const target = &m->out->values[m->stack[m->depth++]];
    if (target->kind != PICKLE_LIST && target->kind != PICKLE_CALL)
        return reject(m, "cannot append items to %s", pickle_kind_name(target->kind));
    if (target->kind == PICKLE_LIST)
        target->count += (uint32_t)n;
    return RWKV7_OK;
}

static enum rwkv7_status do_build(struct machine *m, const struct step *s)
{
    const pickle_ref *const both = pop(m, 2);
    if (!both)
        return too_few(m, s);
    const enum pickle_kind kind = m->out->values[both[0]].kind;
    if (kind != PICKLE_CALL)
        return reject(m, "cannot set attributes of %s", pickle_kind_name(kind));
    m->depth++; /* keeps the object, drops its attributes */
    return RWKV7_OK;
}

/* Adds n / 2 pairs of key and value to the dictionary or call below them on the stack. */
static enum rwkv7_status do_set_items(struct machine *m, const struct step *s, const pickle_ref *items, size_t n)
{
    if (!items || !pop(m, 1))
        return too_few(m, s);
    struct pickle_value *const target = &m->out->values[m->stack[m->depth++]];
    if (target->kind != PICKLE_DICT && target->kind != PICKLE_CALL)
        return reject(m, "cannot set items of %s", pickle_kind_name(target->kind));
    if (n % 2 != 0)
        return reject(m, "a key without a value");
    for (size_t i = 0; i < n; i += 2) {
        const uint32_t pair = m->pairs++;
        m->out->pairs[pair] = (struct pickle_pair){.key = items[i], .value = items[i + 1]};
        if (target->count++ == 0)
            target->call.first = pair;
        else
            m->out->pairs[target->call.last].next = pair;
        target->call.last = pair;
    }
    return RWKV7_OK;
}

static enum rwkv7_status do_reference(struct machine *m, const struct step *s)
{
    const pickle_ref *const id = pop(m, 1);
    if (!id)
        return too_few(m, s);
    const pickle_ref named = *id, value = make(m, PICKLE_REFERENCE);
    m->out->values[value].id = named;
    push(m, value);
    return RWKV7_OK;
}

/* Memo entries must be numbered 0, 1, 2, ... as Python numbers them. */
static enum rwkv7_status do_put(struct machine *m, const struct step *s, uint32_t index)
{
    if (!pop(m, 1))
        return too_few(m, s);
    const pickle_ref value = m->stack[m->depth++];
    if (index > m->memos)
        return reject(m, "expected memo entry %zu or lower, found %u", m->memos, index);
    m->memo[index] = value;
    m->memos += index == m->memos;
    return RWKV7_OK;
}

static enum rwkv7_status do_get(struct machine *m, uint32_t index)
{
    if (index >= m->memos)
        return reject(m, "memo entry %u does not exist; there are %zu", index, m->memos);
    push(m, m->memo[index]);
    return RWKV7_OK;
}

static enum rwkv7_status do_mark(struct machine *m)
{
    if (m->mark_count == PICKLE_MAX_MARKS)
        return reject(m, "expected at most %d levels of nesting, found more", PICKLE_MAX_MARKS);
    m->marks[m->mark_count++] = m->depth;
    return RWKV7_OK;
}

static enum rwkv7_status do_stop(struct machine *m)
{
    if (m->depth != 1 || m->mark_count != 0)
        return reject(m, "expected one value at the end of the pickle, found %zu", m->depth);
    m->out->root = m->stack[0];
    return RWKV7_OK;
}

static enum rwkv7_status execute(struct machine *m, const struct step *s)
{
    const pickle_ref *values;
    size_t n = 0;
    switch (s->code) {
    case PROTO:
        return *s->operand == 2 ? RWKV7_OK
                                : reject(m, "expected pickle protocol 2, as torch.save writes, found %d", *s->operand);
    case NONE:
        push(m, 0);
        return RWKV7_OK;
    case NEWTRUE:
    case NEWFALSE:
        push_number(m, PICKLE_BOOL, s->code == NEWTRUE);
        return RWKV7_OK;
    case BININT1:
        push_number(m, PICKLE_INT, *s->operand);
        return RWKV7_OK;
    case BININT2:
        push_number(m, PICKLE_INT, little16(s->operand));
        return RWKV7_OK;
    case BININT:
        push_number(m, PICKLE_INT, (int32_t)little32(s->operand));
        return RWKV7_OK;
    case BINFLOAT:
        push(m, make(m, PICKLE_NUMBER));
        return RWKV7_OK;
    case LONG1:
    case LONG4:
        return do_long(m, s);
    case BINUNICODE:
        return do_string(m, s);
    case GLOBAL:
        return do_global(m, s);
    case EMPTY_LIST:
        push(m, make(m, PICKLE_LIST));
        return RWKV7_OK;
    case APPEND:
        return do_append(m, s, pop(m, 1), 1);
    case APPENDS:
        values = pop_mark(m, &n);
        return do_append(m, s, values, n);
    case EMPTY_DICT:
        push(m, make(m, PICKLE_DICT));
        return RWKV7_OK;
    case EMPTY_TUPLE:
        return do_tuple(m, s, m->stack, 0);
    case TUPLE1:
        return do_tuple(m, s, pop(m, 1), 1);
    case TUPLE2:
        return do_tuple(m, s, pop(m, 2), 2);
    case TUPLE3:
        return do_tuple(m, s, pop(m, 3), 3);
    case TUPLE:
        values = pop_mark(m, &n);
        return do_tuple(m, s, values, n);
    case SETITEM:
        return do_set_items(m, s, pop(m, 2), 2);
    case SETITEMS:
        values = pop_mark(m, &n);
        return do_set_items(m, s, values, n);
    case REDUCE:
    case NEWOBJ:
        return do_reduce(m, s);
    case BUILD:
        return do_build(m, s);
    case BINPERSID:
        return do_reference(m, s);
    case BINPUT:
        return do_put(m, s, *s->operand);
    case LONG_BINPUT:
        return do_put(m, s, little32(s->operand));
    case BINGET:
        return do_get(m, *s->operand);
    case LONG_BINGET:
        return do_get(m, little32(s->operand));
    case MARK:
        return do_mark(m);
    default:
        return do_stop(m);
    }
}

/* ---------------------------------------------------------------------------------- entry point */

/* Counts the opcodes; checks that each is allowed and complete and that STOP is the last byte. */
static enum rwkv7_status count_opcodes(struct machine *m, size_t *out)
{
    struct step s = {0};
    for (*out = 0; s.code != STOP; ++*out) {
        const enum rwkv7_status status = fetch(m, &s);
        if (status != RWKV7_OK)
            return status;
        if (*out == PICKLE_MAX_OPCODES)
            return reject(m, "expected at most %u opcodes, found more", PICKLE_MAX_OPCODES);
        advance(m, &s);
    }
    if (m->at != m->in->size)
        return reject(m, "found %zu bytes after the end of the pickle", m->in->size - m->at);
    m->at = 0;
    return RWKV7_OK;
}

enum rwkv7_status pickle_open(const struct file_image *in, const char *const *globals, struct pickle *out)
{
    struct machine m = {.in = in, .globals = globals, .out = out, .values = 1, .pairs = 1};
    struct step s = {0};
    size_t count = 0;

    memset(out, 0, sizeof *out);
    enum rwkv7_status status = count_opcodes(&m, &count);
    if (status != RWKV7_OK)
        return status;
    /*
     * Each opcode makes at most one value and pops only values that earlier opcodes pushed, so the
     * opcode count bounds every array.
     */
    out->values = mem_alloc(count + 1, sizeof *out->values);
    out->items = mem_alloc(count, sizeof *out->items);
    out->pairs = mem_alloc(count / 2 + 1, sizeof *out->pairs);
    m.stack = mem_alloc(count, sizeof *m.stack);
    m.memo = mem_alloc(count, sizeof *m.memo);
    if (!out->values || !out->items || !out->pairs || !m.stack || !m.memo)
        status = fail_memory(in->err, "a pickle");
    while (status == RWKV7_OK && s.code != STOP) {
        if ((status = fetch(&m, &s)) == RWKV7_OK && (status = execute(&m, &s)) == RWKV7_OK)
            advance(&m, &s);
    }
    out->count = m.values;
    mem_free(m.stack);
    mem_free(m.memo);
    if (status != RWKV7_OK)
        pickle_close(out);
    return status;
}

void pickle_close(struct pickle *p)
{
    mem_free(p->values);
    mem_free(p->items);
    mem_free(p->pairs);
    memset(p, 0, sizeof *p);
}
