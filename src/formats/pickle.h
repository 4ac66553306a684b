/*
 * pickle.h - a Python pickle of plain data, as a graph of values. Nothing in it is ever called.
 *
 * A pickle is a program for a stack machine. Most of its opcodes push a constant or gather what lies on the stack into a
 * tuple or a dictionary; the dangerous ones import a Python function by name (a "global") and call it. Here a call is
 * just one more kind of value: the function's name with its arguments, for the reader of the file to recognise. Globals
 * of a given list are known by their number; those of modules that hold plain data (pickle_names.c) are placeholders
 * of which only the name is kept; all others are refused by name. Allowed are the opcodes that pickling protocol 2 needs
 * for tuples, lists, dictionaries, strings, numbers, booleans and calls; the others are refused by name too.
 *
 * Each opcode makes at most one value, and values refer to each other by number. So the memory that a pickle takes is
 * known from the number of its opcodes, however they share values, and there is no recursion.
 */
#ifndef FORMATS_PICKLE_H
#define FORMATS_PICKLE_H

#include "formats/reader.h"
#include "formats/snippet.h"

#define PICKLE_MAX_SIZE (64u << 20)   /* bytes; that of a model has about 200 per tensor */
#define PICKLE_MAX_OPCODES (2u << 20) /* 60 bytes each while reading; a tensor takes about 30 opcodes */
#define PICKLE_MAX_MARKS 32           /* tuples and dictionaries being built inside each other */

enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_NUMBER, /* one that is not kept: a float, or an integer of more than 8 bytes */
    PICKLE_STRING,
    PICKLE_GLOBAL,
    PICKLE_FOREIGN, /* a global that is not in the list */
    PICKLE_TUPLE,
    PICKLE_LIST, /* its items are not kept */
    PICKLE_DICT,
    PICKLE_CALL,
    PICKLE_REFERENCE, /* an object outside of the pickle ("persistent id") */
};

/* An index into pickle.values; 0 is a value of kind PICKLE_NONE. */
typedef uint32_t pickle_ref;

struct pickle_value {
    enum pickle_kind kind;
    uint32_t
        count; /* of bytes in a string, of items in a tuple, of pairs in a dictionary or given to the result of a call */
    union {
        int64_t number;     /* BOOL, INT */
        const char *string; /* STRING, [count]: in the image; FOREIGN, [count]: "module\nname\n" */
        size_t global;      /* GLOBAL: index into the list of known names */
        size_t items;       /* TUPLE: the first of them in pickle.items */
        struct {
            pickle_ref function, arguments; /* CALL: a GLOBAL and a TUPLE */
            uint32_t first, last;           /* DICT, CALL: pairs */
        } call;
        pickle_ref id; /* REFERENCE */
    };
};

struct pickle_pair {
    pickle_ref key, value;
    uint32_t next; /* 0: none */
};

struct pickle {
    struct pickle_value *values; /* [count] */
    uint32_t count;
    pickle_ref *items;
    struct pickle_pair *pairs; /* from 1 */
    pickle_ref root;
};

/*
 * `in` is the pickle alone, of at most PICKLE_MAX_SIZE bytes, which nobody else can change: it is read twice. `globals` are the known names as the
 * pickle spells them, "module\nname\n", up to NULL. Attributes that are set on the result of a call (BUILD), and what is
 * appended to it, are dropped. *out is empty after an error.
 */
enum rwkv7_status pickle_open(const struct file_image *in, const char *const *globals, struct pickle *out);
void pickle_close(struct pickle *p); /* harmless on a zeroed struct */

/* Whether a global, "module\nname\n", is one of plain data, which may occur anywhere and is never looked into (pickle_names.c). */
bool pickle_is_data(const uint8_t *global, size_t size);

/* "a string", "a dictionary", ...: what a value is, for messages. */
const char *pickle_kind_name(enum pickle_kind kind);
/* The same with the name of the class or function, "an object (collections.Counter)", if there is one. */
struct snippet pickle_describe(const struct pickle *p, pickle_ref ref);

#endif
