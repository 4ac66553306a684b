/*
 * pickle.h - reads a Python pickle of plain data as a graph of values. Nothing in it is ever
 * executed.
 *
 * A pickle is a program for a stack machine. Most of its opcodes push a constant or collect values
 * from the stack into a tuple or a dictionary. The dangerous opcodes import a Python function by
 * name (a "global") and call it. This reader does neither: a call becomes a value that holds the
 * name of the function and its arguments, and the caller may recognise it.
 *
 * The caller gives a list of known globals; these are identified by their index. Globals of modules
 * that hold plain data (pickle_names.c) become placeholders that keep only the name. Only the
 * opcodes that protocol 2 needs for tuples, lists, dictionaries, strings, numbers, booleans and
 * calls are allowed. Other globals and opcodes are rejected, with a message that names them.
 *
 * Each opcode makes at most one value, and values refer to each other by index. So the number of
 * opcodes bounds the memory, however values are shared, and there is no recursion.
 */
#ifndef FORMATS_PICKLE_H
#define FORMATS_PICKLE_H

#include "formats/reader.h"
#include "formats/snippet.h"

#define PICKLE_MAX_SIZE (64u << 20)   /* bytes; the pickle of a model has about 200 per tensor */
#define PICKLE_MAX_OPCODES (2u << 20) /* 60 bytes each while reading; a tensor takes about 30 opcodes */
#define PICKLE_MAX_MARKS 32           /* nesting depth of tuples and dictionaries under construction */

enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_NUMBER, /* value not kept: a float, or an integer of more than 8 bytes */
    PICKLE_STRING,
    PICKLE_GLOBAL,
    PICKLE_FOREIGN, /* a global of plain data that is not in the given list */
    PICKLE_TUPLE,
    PICKLE_LIST, /* items not kept */
    PICKLE_DICT,
    PICKLE_CALL,
    PICKLE_REFERENCE, /* a reference to an object outside the pickle ("persistent id") */
};

/* An index into pickle.values; value 0 is of kind PICKLE_NONE. */
typedef uint32_t pickle_ref;

struct pickle_value {
    enum pickle_kind kind;
    uint32_t count; /* bytes of a string, items of a tuple or list, pairs of a dictionary or of a call's result */
    union {
        int64_t number;     /* BOOL, INT */
        const char *string; /* STRING: [count] bytes of the image; FOREIGN: "module\nname\n" [count] */
        size_t global;      /* GLOBAL: index into the given list */
        size_t items;       /* TUPLE: index of the first item in pickle.items */
        struct {
            pickle_ref function, arguments; /* CALL: a GLOBAL or FOREIGN, and a TUPLE */
            uint32_t first, last;           /* DICT, CALL: the first and the last pair */
        } call;
        pickle_ref id; /* REFERENCE */
    };
};

struct pickle_pair {
    pickle_ref key, value;
    uint32_t next; /* index of the next pair; 0: none */
};

struct pickle {
    struct pickle_value *values; /* [count] */
    uint32_t count;
    pickle_ref *items;
    struct pickle_pair *pairs; /* indices start at 1 */
    pickle_ref root;
};

/*
 * `in` is the pickle alone, at most PICKLE_MAX_SIZE bytes. It is read twice, so no other process
 * may change it: pass a copy. `globals` is a NULL-terminated list of known names as the pickle
 * spells them, "module\nname\n". Attributes set on the result of a call (BUILD) and items appended
 * to it are dropped. *out is empty after an error.
 */
enum rwkv7_status pickle_open(const struct file_image *in, const char *const *globals, struct pickle *out);
void pickle_close(struct pickle *p); /* harmless on a zeroed struct */

/*
 * Whether a global, "module\nname\n", belongs to a module of plain data (pickle_names.c). Such a
 * value may occur anywhere; its content is ignored.
 */
bool pickle_is_data(const uint8_t *global, size_t size);

/* Returns the kind of a value for messages: "a string", "a dictionary", ... */
const char *pickle_kind_name(enum pickle_kind kind);
/*
 * Describes a value for messages, with the name of its class or function if it has one: "an object
 * (collections.Counter)".
 */
struct snippet pickle_describe(const struct pickle *p, pickle_ref ref);

#endif
