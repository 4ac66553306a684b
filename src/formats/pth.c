/* pth.c - see pth.h. */
#include "formats/pth.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <utf8proc.h>

#include "base/mem.h"
#include "formats/pickle.h"
#include "formats/snippet.h"
#include "formats/strided.h"
#include "formats/zip.h"

/*
 * The functions and classes that may occur, as a pickle spells them. The storage types come last,
 * in the order of storage_types.
 */
enum { ORDERED_DICT, REBUILD_TENSOR, REBUILD_PARAMETER, STORAGES };
static const char *const globals[] = {
    "collections\nOrderedDict\n",
    "torch._utils\n_rebuild_tensor_v2\n",
    "torch._utils\n_rebuild_parameter\n", /* arguments: (tensor, requires_grad, hooks) */
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

#define MAX_KEY 20  /* bytes of a storage's key, a decimal number */
#define MAX_PATH 32 /* bytes of "data/" and a key, or of "byteorder" */

#define MAX_DEPTH 2 /* nesting of the weights below the outermost dictionary: {"checkpoint": {"model": {...}}} */

struct checkpoint {
    const struct file_image *in;
    struct zip zip;
    char *copy; /* of the pickle, because another process may change the file */
    struct pickle pickle;
    char *path;    /* scratch for entry names: the folder of the archive with its '/', then MAX_PATH bytes */
    size_t folder; /* bytes of the folder, '/' included */
    struct place *places;
    size_t place_count;
    struct view *views; /* [out->count] */
    struct tensor_list *out;
};

/* A dictionary of the pickle; places[0] is the outermost. */
struct place {
    pickle_ref dictionary;
    pickle_ref key; /* its key in places[parent] */
    size_t parent;
    unsigned depth;
    size_t tensors; /* number of tensors directly in it */
};

/* Strides of a tensor in its storage, in elements. */
struct view {
    uint64_t strides[TENSOR_MAX_RANK];
    bool row_major;
};

/* The entry data/K of the archive, which one or several tensors use. */
struct storage {
    const struct zip_entry *entry;
    enum dtype type;
    uint64_t numbers;
};

/* -------------------------------------------------------------------------------------- archive */

/* Finds the entry of the folder whose name is `part` followed by `key` [size]. */
static const struct zip_entry *find_entry(const struct checkpoint *c, const char *part, const char *key, size_t size)
{
    const size_t n = strlen(part);
    memcpy(c->path + c->folder, part, n);
    memcpy(c->path + c->folder + n, key, size);
    return zip_find(&c->zip, c->path, c->folder + n + size);
}

/* Finds FOLDER/data.pkl, of which there must be exactly one, and keeps the folder's name. */
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
            return refuse(c->in, "expected one checkpoint in the ZIP archive, found '%s' and '%s'",
                          snippet_text((*out)->name, (*out)->name_size, 48).text,
                          snippet_text(e->name, e->name_size, 48).text);
        *out = e;
    }
    if (!*out)
        return refuse(c->in, "expected a PyTorch checkpoint, found a ZIP archive without data.pkl");
    c->folder = (*out)->name_size - n + 1;
    c->path = mem_alloc(c->folder + MAX_PATH, 1);
    if (!c->path)
        return fail_memory(c->in->err, "an entry name");
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

/* --------------------------------------------------------------------------------------- pickle */

static const struct pickle_value *value_at(const struct checkpoint *c, pickle_ref ref)
{
    return &c->pickle.values[ref];
}

static const struct pickle_value *item(const struct checkpoint *c, const struct pickle_value *tuple, size_t i)
{
    return value_at(c, c->pickle.items[tuple->items + i]);
}

static bool calls(const struct checkpoint *c, const struct pickle_value *v, size_t function)
{
    const struct pickle_value *const called = v->kind == PICKLE_CALL ? value_at(c, v->call.function) : NULL;
    return called && called->kind == PICKLE_GLOBAL && called->global == function;
}

/* Returns the arguments if the value is a call of `function` with `count` arguments, else NULL. */
static const struct pickle_value *arguments(const struct checkpoint *c, const struct pickle_value *v, size_t function,
                                            size_t count)
{
    if (!calls(c, v, function))
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

/* Whether the value is a string of valid UTF-8 without NUL. */
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

/* -------------------------------------------------------------------------------------- tensors */

/* Decodes the persistent id ('storage', type, key, device, numbers) and finds its entry. */
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
        return refuse_tensor(c->in, name, "expected a storage with a type, a key and a size");
    out->type = storage_types[type->global - STORAGES];
    out->numbers = (uint64_t)numbers->number;
    out->entry = key->count <= MAX_KEY ? find_entry(c, "data/", key->string, key->count) : NULL;
    if (!out->entry)
        return refuse_tensor(c->in, name, "storage '%s' does not exist in the archive",
                             snippet_text(key->string, key->count, 24).text);
    if (!size_mul(dtype_bits(out->type) / 8, out->numbers, &bytes) || bytes != out->entry->size)
        return refuse_tensor(c->in, name, "storage '%s': expected %llu numbers of type %s, found %zu bytes",
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

/*
 * Computes the number of elements and the extent in the storage, from the first to the last
 * element. A tensor is row-major if each stride equals the number of elements of the axes inside
 * it; the stride of an axis of size 1 is ignored.
 */
static enum rwkv7_status count_elements(const struct checkpoint *c, const struct tensor *t, struct view *view,
                                        size_t *elements, size_t *extent)
{
    bool is_small = true;
    view->row_major = true;
    *elements = 1;
    for (int i = t->rank; i-- > 0;) {
        view->row_major &= t->shape[i] == 1 || view->strides[i] == *elements;
        if (!size_mul(*elements, t->shape[i], elements))
            return refuse_tensor(c->in, t->name, "shape %s is too large", snippet_axes(t->shape, t->rank).text);
    }
    view->row_major |= *elements == 0;
    *extent = *elements;
    if (view->row_major)
        return RWKV7_OK;
    *extent = 1;
    for (int i = 0; i < t->rank; i++) {
        size_t last;
        is_small =
            is_small && size_mul((size_t)t->shape[i] - 1, view->strides[i], &last) && size_add(*extent, last, extent);
    }
    return is_small ? RWKV7_OK
                    : refuse_tensor(c->in, t->name, "shape %s with strides %s is too large",
                                    snippet_axes(t->shape, t->rank).text, snippet_axes(view->strides, t->rank).text);
}

static enum rwkv7_status read_tensor(const struct checkpoint *c, pickle_ref ref, struct tensor *t, struct view *view)
{
    const struct pickle_value *v = value_at(c, ref);
    struct storage storage = {0};
    size_t elements = 0, extent = 0;
    const struct pickle_value *parameter = arguments(c, v, REBUILD_PARAMETER, 3);
    if (parameter)
        v = item(c, parameter, 0);
    const struct pickle_value *const call = arguments(c, v, REBUILD_TENSOR, 6);
    if (!call || v->count != 0)
        return refuse_tensor(c->in, t->name, "expected a tensor, found %s",
                             pickle_describe(&c->pickle, parameter ? c->pickle.items[parameter->items] : ref).text);
    enum rwkv7_status status = read_storage(c, t->name, item(c, call, 0), &storage);
    if (status != RWKV7_OK)
        return status;

    const struct pickle_value *const offset = item(c, call, 1), *const shape = item(c, call, 2),
                                     *const stride = item(c, call, 3);
    if (!is_size(offset) || shape->kind != PICKLE_TUPLE || stride->kind != PICKLE_TUPLE ||
        shape->count != stride->count)
        return refuse_tensor(c->in, t->name, "expected an offset, and a shape and strides of the same length");
    if (shape->count > TENSOR_MAX_RANK)
        return refuse_tensor(c->in, t->name, "expected at most %d axes, found %u", TENSOR_MAX_RANK, shape->count);
    t->type = storage.type;
    t->rank = (int)shape->count;
    if (!read_sizes(c, shape, t->shape) || !read_sizes(c, stride, view->strides))
        return refuse_tensor(c->in, t->name, "expected a shape and strides of non-negative integers");
    if ((status = count_elements(c, t, view, &elements, &extent)) != RWKV7_OK)
        return status;
    if (extent > storage.numbers || (uint64_t)offset->number > storage.numbers - extent)
        return refuse_tensor(c->in, t->name, "shape %s at offset %lld exceeds its storage of %llu numbers",
                             snippet_axes(t->shape, t->rank).text, (long long)offset->number,
                             (unsigned long long)storage.numbers);
    if (elements > storage.numbers) /* strides of 0 repeat elements: a small file could demand any amount of memory */
        return refuse_tensor(c->in, t->name,
                             "shape %s with strides %s repeats elements of a storage of %llu numbers; "
                             "save it with .contiguous()",
                             snippet_axes(t->shape, t->rank).text, snippet_axes(view->strides, t->rank).text,
                             (unsigned long long)storage.numbers);
    const size_t element = dtype_bits(t->type) / 8; /* no overflow below: the storage fits the file */
    t->data = storage.entry->data + (size_t)offset->number * element;
    t->bytes = elements * element;
    return RWKV7_OK;
}

/*
 * Copies the tensors that are not row-major into memory of their own. Many views may share a small
 * storage, so the copies could be much larger than the file. Their total is limited to its size.
 */
static enum rwkv7_status copy_tensors(struct checkpoint *c)
{
    struct tensor_list *const out = c->out;
    size_t total = 0;
    for (size_t i = 0; i < out->count; i++) {
        struct tensor *const t = &out->tensors[i];
        if (c->views[i].row_major)
            continue;
        if (t->bytes > c->in->size - total)
            return refuse_tensor(c->in, t->name,
                                 "strides %s: the copies of tensors that are not row-major would exceed "
                                 "the size of the file; save it with .contiguous()",
                                 snippet_axes(c->views[i].strides, t->rank).text);
        total += (size_t)t->bytes;
    }
    if (total == 0)
        return RWKV7_OK;
    size_t room = 0;
    if (size_mul(out->count, MEM_ALIGN, &room) && size_add(room, total, &room))
        out->copies = mem_alloc(room, 1);
    if (!out->copies)
        return fail_memory(c->in->err, "tensors that are not row-major");
    uint8_t *to = (uint8_t *)out->copies;
    for (size_t i = 0; i < out->count; i++) {
        struct tensor *const t = &out->tensors[i];
        if (c->views[i].row_major)
            continue;
        strided_copy(to, t, c->views[i].strides);
        t->data = to;
        to += ((size_t)t->bytes + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN;
    }
    return RWKV7_OK;
}

/* ---------------------------------------------------- choice of the dictionary with the weights */

static bool is_dictionary(const struct checkpoint *c, const struct pickle_value *v)
{
    return v->kind == PICKLE_DICT || arguments(c, v, ORDERED_DICT, 0);
}

static uint32_t first_pair(const struct pickle_value *dictionary)
{
    return dictionary->count > 0 ? dictionary->call.first : 0;
}

/*
 * Whether PyTorch would build a tensor from the value. Includes kinds that are rejected here, such
 * as torch._utils._rebuild_qtensor(...), so that they are not skipped silently.
 */
static bool is_tensor(const struct checkpoint *c, const struct pickle_value *v)
{
    static const char rebuild[] = "torch._utils\n_rebuild_";
    if (calls(c, v, REBUILD_TENSOR) || calls(c, v, REBUILD_PARAMETER))
        return true;
    const struct pickle_value *const called = v->kind == PICKLE_CALL ? value_at(c, v->call.function) : v;
    return called->kind == PICKLE_FOREIGN && called->count > sizeof rebuild &&
           memcmp(called->string, rebuild, sizeof rebuild - 1) == 0;
}

/*
 * Collects the outermost dictionary and those inside it under string keys, down to MAX_DEPTH, outer
 * ones first.
 */
static enum rwkv7_status find_places(struct checkpoint *c)
{
    const struct pickle_pair *const pairs = c->pickle.pairs;
    uint8_t *const seen =
        mem_alloc(c->pickle.count, 1); /* indexed by value: a dictionary may occur in several others, or in itself */
    size_t dictionaries = 0;
    for (uint32_t i = 0; i < c->pickle.count; i++)
        dictionaries += is_dictionary(c, value_at(c, i));
    c->places = mem_alloc(dictionaries, sizeof *c->places);
    if (!seen || !c->places) {
        mem_free(seen);
        return fail_memory(c->in->err, "the dictionaries of a checkpoint");
    }
    c->places[c->place_count++] = (struct place){.dictionary = c->pickle.root};
    seen[c->pickle.root] = 1;
    for (size_t i = 0; i < c->place_count; i++) {
        struct place *const place = &c->places[i];
        for (uint32_t at = first_pair(value_at(c, place->dictionary)); at; at = pairs[at].next) {
            const struct pickle_value *const v = value_at(c, pairs[at].value);
            const bool named = value_at(c, pairs[at].key)->kind == PICKLE_STRING;
            place->tensors += is_tensor(c, v);
            if (!named || place->depth == MAX_DEPTH || !is_dictionary(c, v) || seen[pairs[at].value])
                continue;
            seen[pairs[at].value] = 1;
            c->places[c->place_count++] = (struct place){pairs[at].value, pairs[at].key, i, place->depth + 1, 0};
        }
    }
    mem_free(seen);
    return RWKV7_OK;
}

/*
 * Usual names of the weights, in order of precedence. The outermost dictionary precedes them all.
 */
static const char *const usual_names[] = {"state_dict", "model_state_dict", "model", "module", "weights", "params"};

static size_t rank(const struct checkpoint *c, size_t place)
{
    const size_t names = sizeof usual_names / sizeof usual_names[0];
    size_t i = 0;
    if (place == 0)
        return 0;
    while (i < names && !is_string(value_at(c, c->places[place].key), usual_names[i]))
        i++;
    return i + 1;
}

/* Returns the key of a pair in quotes if it is a string, else its kind. */
static struct snippet entry_name(const struct checkpoint *c, const struct pickle_pair *pair)
{
    const struct pickle_value *const key = value_at(c, pair->key);
    char text[sizeof(struct snippet) + 2];
    if (key->kind == PICKLE_STRING)
        snprintf(text, sizeof text, "'%s'", snippet_text(key->string, key->count, 40).text);
    else
        snprintf(text, sizeof text, "under %s", pickle_kind_name(key->kind));
    return snippet_text(text, strlen(text), 80);
}

static struct snippet place_name(const struct checkpoint *c, size_t place)
{
    const struct pickle_value *const key = value_at(c, c->places[place].key);
    return place == 0 ? snippet_text("the outermost", 13, 32) : snippet_text(key->string, key->count, 32);
}

/*
 * Chooses the dictionary with the weights. A checkpoint may also contain an average of the weights,
 * so the number of tensors alone does not decide. All dictionaries with more than half of the
 * largest number are candidates; the name decides among them, see usual_names.
 */
static enum rwkv7_status choose_place(const struct checkpoint *c, size_t *out)
{
    size_t max_tensors = 0, chosen = 0;
    bool found = false;
    for (size_t i = 0; i < c->place_count; i++)
        max_tensors = c->places[i].tensors > max_tensors ? c->places[i].tensors : max_tensors;
    for (size_t i = 0; i < c->place_count; i++) {
        if (c->places[i].tensors <= max_tensors / 2)
            continue;
        if (!found || rank(c, i) < rank(c, chosen))
            chosen = i;
        found = true;
    }
    *out = chosen;
    if (max_tensors == 0) {
        const struct pickle_value *const root = value_at(c, c->pickle.root);
        const struct pickle_pair *const first = &c->pickle.pairs[first_pair(root)];
        return root->count == 0
                   ? RWKV7_OK
                   : refuse(c->in, "expected a dictionary of tensors, found %u values, the first %s (%s)", root->count,
                            entry_name(c, first).text, pickle_describe(&c->pickle, first->value).text);
    }
    for (size_t i = 0; i < c->place_count; i++)
        if (i != chosen && c->places[i].tensors > max_tensors / 2 && rank(c, i) == rank(c, chosen))
            return refuse(c->in, "expected one dictionary of tensors, found '%s' and '%s'; save only one of them",
                          place_name(c, chosen).text, place_name(c, i).text);
    return RWKV7_OK;
}

struct skipped {
    char text[160]; /* fits in a note together with the path */
    size_t used, skipped, left_out;
};

static void note_skipped(struct skipped *n, const struct checkpoint *c, const struct pickle_pair *pair)
{
    char entry[sizeof(struct snippet) * 2 + 8];
    const int size =
        snprintf(entry, sizeof entry, "%s%s (%s)", n->skipped > 0 ? ", " : "", entry_name(c, pair).text,
                 is_tensor(c, value_at(c, pair->value)) ? "a tensor" : pickle_describe(&c->pickle, pair->value).text);
    n->skipped++;
    if (n->left_out > 0 || n->used + (size_t)size + 32 > sizeof n->text) {
        n->left_out++;
        return;
    }
    memcpy(n->text + n->used, entry, (size_t)size + 1);
    n->used += (size_t)size;
}

/*
 * Adds a note that names the chosen dictionary and the values that were skipped in it and in the
 * dictionaries around it.
 */
static enum rwkv7_status make_note(const struct checkpoint *c, size_t chosen)
{
    const struct pickle_pair *const pairs = c->pickle.pairs;
    struct skipped n = {0};
    size_t inner = chosen;
    for (size_t place = chosen;; inner = place, place = c->places[place].parent) {
        const pickle_ref taken = c->places[inner].dictionary;
        for (uint32_t at = first_pair(value_at(c, c->places[place].dictionary)); at; at = pairs[at].next)
            if (place == chosen ? !is_tensor(c, value_at(c, pairs[at].value)) : pairs[at].value != taken)
                note_skipped(&n, c, &pairs[at]);
        if (place == 0)
            break;
    }
    if (n.left_out > 0)
        snprintf(n.text + n.used, sizeof n.text - n.used, " and %zu more", n.left_out);
    const struct snippet path = snippet_path(c->in->file);
    if (chosen > 0)
        return note(c->in->notes, c->in->err, "%s: the weights are in '%s'%s%s", path.text, place_name(c, chosen).text,
                    n.skipped > 0 ? "; skipped: " : "", n.text);
    return n.skipped > 0 ? note(c->in->notes, c->in->err, "%s: skipped: %s", path.text, n.text) : RWKV7_OK;
}

/* Reads the tensors of a dictionary and skips its other values. */
static enum rwkv7_status read_dictionary(struct checkpoint *c, const struct place *place)
{
    const struct pickle_pair *const pairs = c->pickle.pairs;
    const uint32_t first = first_pair(value_at(c, place->dictionary));
    size_t length = 0;

    for (uint32_t at = first; at; at = pairs[at].next) {
        const struct pickle_value *const key = value_at(c, pairs[at].key);
        if (!is_tensor(c, value_at(c, pairs[at].value)))
            continue;
        if (!is_name(key))
            return refuse(c->in, "expected a tensor name, found %s",
                          key->kind == PICKLE_STRING ? "a string that is not UTF-8" : pickle_kind_name(key->kind));
        length += (size_t)key->count + 1; /* at most the size of the pickle, unless keys are repeated */
        if (length > PICKLE_MAX_SIZE)
            return refuse(c->in, "expected tensor names of at most %u bytes in total, found more", PICKLE_MAX_SIZE);
    }
    c->out->tensors = mem_alloc(place->tensors, sizeof *c->out->tensors);
    c->out->strings = mem_alloc(length, 1);
    c->views = mem_alloc(place->tensors, sizeof *c->views);
    if (!c->out->tensors || !c->out->strings || !c->views)
        return fail_memory(c->in->err, "the index of tensors");

    char *name = c->out->strings;
    for (uint32_t at = first; at; at = pairs[at].next) {
        const struct pickle_value *const key = value_at(c, pairs[at].key);
        if (!is_tensor(c, value_at(c, pairs[at].value)))
            continue;
        struct tensor *const t = &c->out->tensors[c->out->count];
        struct view *const view = &c->views[c->out->count++];
        memcpy(name, key->string, key->count);
        t->name = name;
        t->file = c->in->file;
        name += (size_t)key->count + 1;
        const enum rwkv7_status status = read_tensor(c, pairs[at].value, t, view);
        if (status != RWKV7_OK)
            return status;
    }
    return copy_tensors(c);
}

static enum rwkv7_status read_tensors(struct checkpoint *c)
{
    enum rwkv7_status status;
    size_t chosen = 0;
    if (!is_dictionary(c, value_at(c, c->pickle.root)))
        return refuse(c->in, "expected a dictionary of tensors, found %s",
                      pickle_describe(&c->pickle, c->pickle.root).text);
    if ((status = find_places(c)) != RWKV7_OK || (status = choose_place(c, &chosen)) != RWKV7_OK ||
        (status = read_dictionary(c, &c->places[chosen])) != RWKV7_OK)
        return status;
    return make_note(c, chosen);
}

/* ---------------------------------------------------------------------------------- entry point */

static enum rwkv7_status copy_pickle(struct checkpoint *c, const struct zip_entry *entry)
{
    if (entry->size > PICKLE_MAX_SIZE)
        return refuse(c->in, "expected a pickle of at most %u bytes, found %zu", PICKLE_MAX_SIZE, entry->size);
    c->copy = mem_string((const char *)entry->data, entry->size);
    return c->copy ? RWKV7_OK : fail_memory(c->in->err, "a pickle");
}

enum rwkv7_status pth_read(const struct file_image *in, struct tensor_list *out)
{
    struct checkpoint c = {.in = in, .out = out};
    const struct zip_entry *entry = NULL;

    memset(out, 0, sizeof *out);
    enum rwkv7_status status = zip_open(in, &c.zip);
    if (status != RWKV7_OK)
        return status;
    if ((status = find_pickle(&c, &entry)) == RWKV7_OK && (status = check_byte_order(&c)) == RWKV7_OK) {
        status = copy_pickle(&c, entry);
        const struct file_image pickle = {
            .bytes = (const uint8_t *)c.copy, .size = entry->size, .file = in->file, .err = in->err};
        if (status == RWKV7_OK && (status = pickle_open(&pickle, globals, &c.pickle)) == RWKV7_OK)
            status = read_tensors(&c);
    }
    if (status != RWKV7_OK)
        tensor_list_free(out);
    pickle_close(&c.pickle);
    mem_free(c.copy);
    mem_free(c.places);
    mem_free(c.views);
    mem_free(c.path);
    zip_close(&c.zip);
    return status;
}
