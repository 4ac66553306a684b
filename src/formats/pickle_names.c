/*
 * pickle_names.c - names of pickle values in messages, and the list of modules of plain data, whose
 * classes and functions a pickle may mention. See pickle.h.
 */
#include <stdio.h>
#include <string.h>

#include "formats/pickle.h"

/*
 * Modules, with their submodules, that training programs put into a checkpoint beside the weights:
 * hyperparameters, random generators, paths, dates. Of "__builtin__" only the types of plain data
 * are allowed. A file that names anything else, such as os.system, is rejected: it may be
 * malicious, or an unknown program wrote it.
 */
static const char *const data_modules[] = {
    "__main__",          "_codecs",        "accelerate",   "argparse",  "collections", "datetime",
    "decimal",           "deepspeed",      "easydict",     "enum",      "fractions",   "lightning",
    "lightning_fabric",  "ml_collections", "numpy",        "omegaconf", "pathlib",     "peft",
    "pytorch_lightning", "torch",          "transformers", "types",     "uuid",        "yacs",
};
static const char *const data_types[] = {"bytearray", "complex", "dict", "float", "frozenset", "int",   "list",
                                         "object",    "range",   "set",  "slice", "str",       "tuple", "xrange"};

static bool is_text(const uint8_t *bytes, size_t size, const char *text)
{
    return strlen(text) == size && memcmp(bytes, text, size) == 0;
}

bool pickle_is_data(const uint8_t *global, size_t size)
{
    const size_t module = (size_t)((const uint8_t *)memchr(global, '\n', size) - global);
    const uint8_t *const name = global + module + 1, *const dot = memchr(global, '.', module);
    const size_t name_size = size - module - 2, outermost = dot ? (size_t)(dot - global) : module;
    for (size_t i = 0; i < sizeof data_modules / sizeof data_modules[0]; i++)
        if (is_text(global, outermost, data_modules[i]))
            return true;
    if (is_text(global, module, "__builtin__") || is_text(global, module, "builtins"))
        for (size_t i = 0; i < sizeof data_types / sizeof data_types[0]; i++)
            if (is_text(name, name_size, data_types[i]))
                return true;
    return false;
}

const char *pickle_kind_name(enum pickle_kind kind)
{
    static const char *const names[] = {
        [PICKLE_NONE] = "None",       [PICKLE_BOOL] = "a boolean",
        [PICKLE_INT] = "a number",    [PICKLE_NUMBER] = "a number",
        [PICKLE_STRING] = "a string", [PICKLE_GLOBAL] = "a function",
        [PICKLE_TUPLE] = "a tuple",   [PICKLE_FOREIGN] = "a function or class",
        [PICKLE_LIST] = "a list",     [PICKLE_DICT] = "a dictionary",
        [PICKLE_CALL] = "an object",  [PICKLE_REFERENCE] = "a storage",
    };
    return names[kind];
}

struct snippet pickle_describe(const struct pickle *p, pickle_ref ref)
{
    char text[3 * sizeof(struct snippet)];
    const struct pickle_value *const v = &p->values[ref], *const name =
                                                              v->kind == PICKLE_CALL ? &p->values[v->call.function] : v;
    if (name->kind != PICKLE_FOREIGN)
        return snippet_text(pickle_kind_name(v->kind), strlen(pickle_kind_name(v->kind)), 40);
    const size_t module = (size_t)((const char *)memchr(name->string, '\n', name->count) - name->string);
    snprintf(text, sizeof text, "%s (%s.%s)", pickle_kind_name(v->kind), snippet_text(name->string, module, 24).text,
             snippet_text(name->string + module + 1, name->count - module - 2, 24).text);
    return snippet_text(text, strlen(text), 80);
}
