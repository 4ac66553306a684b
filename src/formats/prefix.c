/* prefix.c - see prefix.h. */
#include "formats/prefix.h"

#include <string.h>

#include "formats/snippet.h"

/* Returns the word after the one at `name`; NULL if it is the last. Words end with a dot. */
static const char *next_word(const char *name)
{
    const char *dot = strchr(name, '.');
    return dot ? dot + 1 : NULL;
}

/*
 * Removes the words that torch.compile, FSDP and activation checkpointing insert into the names
 * below a module that they wrap. Returns true if the name changed.
 */
static bool remove_wrappers(char *name)
{
    static const char *const wrappers[] = {"_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."};
    char *to = name; /* end of the result; each byte moves only once: a name may be very long */
    const char *word = name;
    while (word) {
        const char *next = next_word(word);
        const size_t size = next ? (size_t)(next - word) : strlen(word);
        bool is_wrapper = false;
        for (size_t i = 0; i < sizeof wrappers / sizeof wrappers[0] && !is_wrapper; i++)
            is_wrapper = size == strlen(wrappers[i]) && memcmp(word, wrappers[i], size) == 0;
        if (!is_wrapper) {
            memmove(to, word, size);
            to += size;
        }
        word = next;
    }
    const bool removed = *to != '\0';
    *to = '\0';
    return removed;
}

/*
 * Returns where the plain name of a layer's tensor starts: at the first "blocks.0.",
 * "model.layers.0.", "blk.0." or, in RWKV-5 folders of Hugging Face, "rwkv.blocks.0.". NULL if the
 * tensor belongs to no layer.
 */
static const char *find_layer(const char *name, bool is_hf)
{
    static const char *const roots[] = {"blocks.", "model.layers.", "blk.", "rwkv.blocks."};
    const size_t count = sizeof roots / sizeof roots[0] - !is_hf;
    for (; name; name = next_word(name))
        for (size_t i = 0; i < count; i++) {
            const size_t n = strlen(roots[i]);
            if (strncmp(name, roots[i], n) == 0 && name[n] >= '0' && name[n] <= '9')
                return name;
        }
    return NULL;
}

/*
 * Returns the number of bytes in the words that both names start with. `prefix` [length] ends with
 * a dot.
 */
static size_t shared_words(const char *name, const char *prefix, size_t length)
{
    size_t shared = 0;
    for (size_t i = 0; i < length && name[i] == prefix[i]; i++)
        if (prefix[i] == '.')
            shared = i + 1;
    return shared;
}

/*
 * Returns the prefix of a PEFT adapter that changes no layer (only the head, for example); NULL if
 * it is none.
 */
static const char *find_adapter(const struct tensor_index *index, size_t *length)
{
    static const char prefix[] = "base_model.model.";
    *length = sizeof prefix - 1;
    for (size_t i = 0; i < index->count; i++)
        if (strncmp(index->tensors[i].name, prefix, *length) != 0)
            return NULL;
    return index->count > 0 ? prefix : NULL;
}

/* Returns the common prefix of the tensors of all layers; NULL if there is none or they differ. */
static const char *find_prefix(const struct tensor_index *index, size_t *length)
{
    const char *prefix = NULL;
    bool is_hf = false;
    *length = 0;
    for (size_t i = 0; i < index->count && !is_hf; i++)
        is_hf = strstr(index->tensors[i].name, ".attention.") || strstr(index->tensors[i].name, ".feed_forward.");
    for (size_t i = 0; i < index->count; i++) {
        const char *name = index->tensors[i].name, *plain = find_layer(name, is_hf);
        if (!plain)
            continue;
        const size_t n = (size_t)(plain - name);
        if (prefix && (n != *length || memcmp(name, prefix, n) != 0))
            return NULL;
        prefix = name;
        *length = n;
    }
    if (!prefix)
        return find_adapter(index, length);
    return *length > 0 ? prefix : NULL;
}

enum rwkv7_status prefix_strip(struct tensor_index *index, struct rwkv7_error *err)
{
    bool changed = false;
    size_t length;
    for (size_t i = 0; i < index->count; i++)
        changed |= remove_wrappers((char *)(uintptr_t)index->tensors[i].name);
    const char *prefix = find_prefix(index, &length);
    if (prefix) {
        changed = true;
        index->prefix = snippet_text(prefix, length, 80);
        for (size_t i = 0; i < index->count; i++)
            index->tensors[i].name += shared_words(index->tensors[i].name, prefix, length);
    }
    if (!changed)
        return RWKV7_OK;
    tensors_sort(index->tensors, index->count);
    for (size_t i = 1; i < index->count; i++)
        if (strcmp(index->tensors[i - 1].name, index->tensors[i].name) == 0)
            return fail(err, RWKV7_ERR_MODEL, "%s: duplicate tensor '%s' after removal of the wrapper names",
                        snippet_path(index->tensors[i].file).text, snippet_name(index->tensors[i].name).text);
    return RWKV7_OK;
}
