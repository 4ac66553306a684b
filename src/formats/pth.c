/* pth.c - see pth.h. */
#include "formats/pth.h"

#include <stdbool.h>
#include <string.h>

#include <utf8proc.h>

#include "base/mem.h"
#include "formats/pickle.h"
#include "formats/snippet.h"
#include "formats/zip.h"

/* Every function that may occur, as a pickle spells it. The types of storages come last, in the order of storage_types. */
enum { ORDERED_DICT, REBUILD_TENSOR, REBUILD_PARAMETER, STORAGES };
static const char *const globals[] = {
    "collections\nOrderedDict\n",
    "torch._utils\n_rebuild_tensor_v2\n",
    "torch._utils\n_rebuild_parameter\n", /* (tensor, requires_grad, hooks) */
    "torch\nFloatStorage\n",
    "torch\nHalfStorage\n",
    "torch\nBFloat16Storage\n",
    "torch\nDoubleStorage\n",
    "torch\nLongStorage\n",
    "torch\nIntStorage\n",
    "torch\nShortStorage\n",
    "torch\nCharStorage\n",
    "torch\nByteStorage\n",
    "torch\nBoolStorage\n",
    NULL,
};
static const enum dtype storage_types[] = {DT_F32, DT_F16, DT_BF16, DT_F64, DT_I64,
                                           DT_I32, DT_I16, DT_I8,   DT_U8,  DT_BOOL};

#define MAX_KEY 20  /* bytes of the name of a storage, a decimal number */
#define MAX_PATH 32 /* bytes of "data/" and such a name, or of "byteorder" */

struct checkpoint {
    const struct file_image *in;
    struct zip zip;
    struct pickle pickle;
    char *path;    /* the folder of the archive with its '/', and room for what is looked for in it */
    size_t folder; /* bytes of the folder */
    struct tensor_list *out;
};

/* Some of the numbers of an entry data/K. */
struct storage {
    const struct zip_entry *entry;
    enum dtype type;
    uint64_t numbers;
};

/* ------------------------------------------------------------------------------------------------------ the archive */

/* The entry PART KEY of the folder. */
static const struct zip_entry *find_entry(const struct checkpoint *c, const char *part, const char *key, size_t size)
{
    const size_t n = strlen(part);
    memcpy(c->path + c->folder, part, n);
    memcpy(c->path + c->folder + n, key, size);
    return zip_find(&c->zip, c->path, c->folder + n + size);
}

/* FOLDER/data.pkl, which must be the only one. */
static enum rwkv7_status find_pickle(struct checkpoint *c, const struct zip_entry **out)
{
    static const char end[] = "/data.pkl";
    const size_t n = sizeof end - 1;
    *out = NULL;
    for (size_t i = 0; i < c->zip.count; i++) {
        const struct zip_entry *const e = &c->zip.entries[i];
        if (e->name_size <= n || memcmp(e->name + e->name_size - n, end, n) != 0)
            continue;
        if (*out)
            return refuse(c->in, "a ZIP archive with two checkpoints, '%s' and '%s'",
                          snippet_text((*out)->name, (*out)->name_size, 48).text,
                          snippet_text(e->name, e->name_size, 48).text);
        *out = e;
    }
    if (!*out)
        return refuse(c->in, "a ZIP archive without data.pkl, not a PyTorch checkpoint");
    c->folder = (*out)->name_size - n + 1;
    c->path = mem_alloc(c->folder + MAX_PATH, 1);
    if (!c->path)
        return fail_memory(c->in->err, "a name");
    memcpy(c->path, (*out)->name, c->folder);
    return RWKV7_OK;
}

static enum rwkv7_status check_byte_order(const struct checkpoint *c)
{
    static const char little[] = "little";
    const struct zip_entry *const e = find_entry(c, "byteorder", "", 0);
    if (!e || (e->size == sizeof little - 1 && memcmp(e->data, little, e->size) == 0))
        return RWKV7_OK;
    return refuse(c->in, "expected numbers in little-endian byte order, found '%s'",
                  snippet_text(e->data, e->size, 16).text);
}

/* ------------------------------------------------------------------------------------------------------- the pickle */

static const struct pickle_value *value_at(const struct checkpoint *c, pickle_ref ref)
{
    return &c->pickle.values[ref];
}

static const struct pickle_value *item(const struct checkpoint *c, const struct pickle_value *tuple, size_t i)
{
    return value_at(c, c->pickle.items[tuple->items + i]);
}

/* The arguments of a call of that function, if that is what the value is and there are `count` of them. */
static const struct pickle_value *arguments(const struct checkpoint *c, const struct pickle_value *v, size_t function,
                                            size_t count)
{
    if (v->kind != PICKLE_CALL || value_at(c, v->call.function)->global != function)
        return NULL;
    const struct pickle_value *const tuple = value_at(c, v->call.arguments);
    return tuple->count == count ? tuple : NULL;
}

static bool is_string(const struct pickle_value *v, const char *text)
{
    return v->kind == PICKLE_STRING && v->count == strlen(text) && memcmp(v->string, text, v->count) == 0;
}

static bool is_size(const struct pickle_value *v)
{
    return v->kind == PICKLE_INT && v->number >= 0;
}

/* Valid UTF-8 without a NUL. */
static bool is_name(const struct pickle_value *v)
{
    size_t at = 0;
    if (v->kind != PICKLE_STRING)
        return false;
    while (at < v->count) {
        utf8proc_int32_t character;
        const utf8proc_ssize_t n =
            utf8proc_iterate((const uint8_t *)v->string + at, (utf8proc_ssize_t)(v->count - at), &character);
        if (n <= 0 || character == 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

/* ------------------------------------------------------------------------------------------------------ the tensors */

/* Reads the persistent id ('storage', type, key, device, numbers), and finds the numbers. */
static enum rwkv7_status read_storage(const struct checkpoint *c, const char *name, const struct pickle_value *v,
                                      struct storage *out)
{
    const struct pickle_value *const id = v->kind == PICKLE_REFERENCE ? value_at(c, v->id) : v;
    if (id == v || id->kind != PICKLE_TUPLE || id->count != 5 || !is_string(item(c, id, 0), "storage"))
        return refuse_tensor(c->in, name, "expected a storage, found %s", pickle_kind_name(id->kind));
    const struct pickle_value *const type = item(c, id, 1), *const key = item(c, id, 2),
                                     *const numbers = item(c, id, 4);
    size_t bytes;
    if (type->kind != PICKLE_GLOBAL || type->global < STORAGES || key->kind != PICKLE_STRING || !is_size(numbers))
        return refuse_tensor(c->in, name, "expected a storage with a type, a key and a size, found something else");
    out->type = storage_types[type->global - STORAGES];
    out->numbers = (uint64_t)numbers->number;
    out->entry = key->count <= MAX_KEY ? find_entry(c, "data/", key->string, key->count) : NULL;
    if (!out->entry)
        return refuse_tensor(c->in, name, "there is no storage '%s' in the archive",
                             snippet_text(key->string, key->count, 24).text);
    if (!size_mul((size_t)out->numbers, dtype_bits(out->type) / 8, &bytes) || bytes != out->entry->size)
        return refuse_tensor(c->in, name, "storage '%s': %llu numbers of type %s do not fit its %zu bytes",
                             snippet_text(key->string, key->count, 24).text, (unsigned long long)out->numbers,
                             dtype_name(out->type), out->entry->size);
    return RWKV7_OK;
}

static bool read_sizes(const struct checkpoint *c, const struct pickle_value *tuple, uint64_t *sizes)
{
    for (size_t i = 0; i < tuple->count; i++) {
        if (!is_size(item(c, tuple, i)))
            return false;
        sizes[i] = (uint64_t)item(c, tuple, i)->number;
    }
    return true;
}

/* The number of elements, each stride being the number of those that it steps over; the strides of single rows are free. */
static enum rwkv7_status count_elements(const struct checkpoint *c, const struct tensor *t, const uint64_t *strides,
                                        size_t *out)
{
    bool row_major = true;
    *out = 1;
    for (int i = t->rank; i-- > 0;) {
        row_major &= t->shape[i] == 1 || strides[i] == *out;
        if (!size_mul(*out, (size_t)t->shape[i], out))
            return refuse_tensor(c->in, t->name, "shape %s is too large", snippet_axes(t->shape, t->rank).text);
    }
    if (!row_major && *out > 0)
        return refuse_tensor(c->in, t->name, "shape %s has strides %s; save it with .contiguous()",
                             snippet_axes(t->shape, t->rank).text, snippet_axes(strides, t->rank).text);
    return RWKV7_OK;
}

static enum rwkv7_status read_tensor(const struct checkpoint *c, const struct pickle_value *v, struct tensor *t)
{
    uint64_t strides[TENSOR_MAX_RANK];
    struct storage storage = {0};
    size_t elements = 0;
    const struct pickle_value *parameter = arguments(c, v, REBUILD_PARAMETER, 3);
    if (parameter)
        v = item(c, parameter, 0);
    const struct pickle_value *const call = arguments(c, v, REBUILD_TENSOR, 6);
    if (!call || v->count != 0)
        return refuse_tensor(c->in, t->name, "expected a tensor, found %s", pickle_kind_name(v->kind));
    enum rwkv7_status status = read_storage(c, t->name, item(c, call, 0), &storage);
    if (status != RWKV7_OK)
        return status;

    const struct pickle_value *const offset = item(c, call, 1), *const shape = item(c, call, 2),
                                     *const stride = item(c, call, 3);
    if (!is_size(offset) || shape->kind != PICKLE_TUPLE || stride->kind != PICKLE_TUPLE ||
        shape->count != stride->count)
        return refuse_tensor(c->in, t->name, "expected an offset, a shape and as many strides, found something else");
    if (shape->count > TENSOR_MAX_RANK)
        return refuse_tensor(c->in, t->name, "expected at most %d axes, found %u", TENSOR_MAX_RANK, shape->count);
    t->type = storage.type;
    t->rank = (int)shape->count;
    if (!read_sizes(c, shape, t->shape) || !read_sizes(c, stride, strides))
        return refuse_tensor(c->in, t->name, "its shape or its strides are not sizes");
    if ((status = count_elements(c, t, strides, &elements)) != RWKV7_OK)
        return status;
    if (elements > storage.numbers || (uint64_t)offset->number > storage.numbers - elements)
        return refuse_tensor(c->in, t->name, "shape %s at %lld does not fit a storage of %llu numbers",
                             snippet_axes(t->shape, t->rank).text, (long long)offset->number,
                             (unsigned long long)storage.numbers);
    const size_t element = dtype_bits(t->type) / 8; /* the storage has a size in bytes, so the products have too */
    t->data = storage.entry->data + (size_t)offset->number * element;
    t->bytes = elements * element;
    return RWKV7_OK;
}

static enum rwkv7_status read_tensors(struct checkpoint *c)
{
    const struct pickle_value *const root = value_at(c, c->pickle.root);
    const struct pickle_pair *const pairs = c->pickle.pairs;
    size_t length = 0;

    if (root->kind != PICKLE_DICT && !arguments(c, root, ORDERED_DICT, 0))
        return refuse(c->in, "expected a dictionary of tensors, found %s", pickle_kind_name(root->kind));
    const uint32_t first = root->count > 0 ? root->call.first : 0;
    for (uint32_t at = first; at; at = pairs[at].next) {
        const struct pickle_value *const key = value_at(c, pairs[at].key);
        if (!is_name(key))
            return refuse(c->in, "expected a name for a tensor, found %s",
                          key->kind == PICKLE_STRING ? "one that is not UTF-8" : pickle_kind_name(key->kind));
        length += key->count + 1;
    }
    c->out->tensors = mem_alloc(root->count, sizeof *c->out->tensors);
    c->out->strings = mem_alloc(length, 1);
    if (!c->out->tensors || !c->out->strings)
        return fail_memory(c->in->err, "the index of tensors");

    char *name = c->out->strings;
    for (uint32_t at = first; at; at = pairs[at].next) {
        const struct pickle_value *const key = value_at(c, pairs[at].key);
        struct tensor *const t = &c->out->tensors[c->out->count++];
        memcpy(name, key->string, key->count);
        t->name = name;
        t->file = c->in->file;
        name += key->count + 1;
        const enum rwkv7_status status = read_tensor(c, value_at(c, pairs[at].value), t);
        if (status != RWKV7_OK)
            return status;
    }
    return RWKV7_OK;
}

/* -------------------------------------------------------------------------------------------------------- the whole */

enum rwkv7_status pth_read(const struct file_image *in, struct tensor_list *out)
{
    struct checkpoint c = {.in = in, .out = out};
    const struct zip_entry *entry = NULL;

    memset(out, 0, sizeof *out);
    enum rwkv7_status status = zip_open(in, &c.zip);
    if (status != RWKV7_OK)
        return status;
    if ((status = find_pickle(&c, &entry)) == RWKV7_OK && (status = check_byte_order(&c)) == RWKV7_OK) {
        const struct file_image pickle = {.bytes = entry->data, .size = entry->size, .file = in->file, .err = in->err};
        if ((status = pickle_open(&pickle, globals, &c.pickle)) == RWKV7_OK)
            status = read_tensors(&c);
    }
    if (status != RWKV7_OK)
        tensor_list_free(out);
    pickle_close(&c.pickle);
    mem_free(c.path);
    zip_close(&c.zip);
    return status;
}
