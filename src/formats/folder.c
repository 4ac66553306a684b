/* folder.c - see folder.h. */
#include "formats/folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/snippet.h"

struct listing {
    char **names; /* [count], sorted; hidden files are left out */
    size_t count, room;
};

static void listing_free(struct listing *l)
{
    for (size_t i = 0; i < l->count; i++)
        mem_free(l->names[i]);
    mem_free(l->names);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum rwkv7_status list_folder(const char *folder, struct listing *l, struct rwkv7_error *err)
{
    enum rwkv7_status status = RWKV7_OK;
    const struct dirent *entry;
    DIR *dir = opendir(folder);
    if (!dir)
        return fail_errno(err, "%s", snippet_path(folder).text);
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        if (l->count == l->room) {
            const size_t room = l->room ? 2 * l->room : 32;
            char **grown = mem_grow(l->names, l->room, room, sizeof *grown);
            if (!grown) {
                status = fail_memory(err, "a list of files");
                goto done;
            }
            l->names = grown;
            l->room = room;
        }
        l->names[l->count] = mem_string(entry->d_name, strlen(entry->d_name));
        if (!l->names[l->count]) {
            status = fail_memory(err, "a list of files");
            goto done;
        }
        l->count++;
    }
    if (errno != 0)
        status = fail_errno(err, "%s", snippet_path(folder).text);
    else if (l->count > 0)
        qsort(l->names, l->count, sizeof *l->names, compare_names);
done:
    closedir(dir);
    return status;
}

static bool is_index(const char *name)
{
    return path_ends_with(name, ".safetensors.index.json");
}

static bool is_single(const char *name)
{
    return path_ends_with(name, ".safetensors") || path_ends_with(name, ".st");
}

static bool is_pth(const char *name)
{
    return path_ends_with(name, ".pth");
}

static bool is_gguf(const char *name)
{
    return path_ends_with(name, ".gguf");
}

static bool is_model(const char *name)
{
    return strcmp(name, "model.safetensors") == 0;
}

static bool is_model_index(const char *name)
{
    return strcmp(name, "model.safetensors.index.json") == 0;
}

static bool is_torch(const char *name)
{
    return strcmp(name, "pytorch_model.bin") == 0;
}

static bool is_torch_index(const char *name)
{
    return strcmp(name, "pytorch_model.bin.index.json") == 0;
}

/*
 * Returns the only matching name, or NULL if none or several match. Sets `several` if several
 * match.
 */
static const char *only(const struct listing *l, bool (*fits)(const char *), bool *several)
{
    const char *found = NULL;
    for (size_t i = 0; i < l->count; i++) {
        if (!fits(l->names[i]))
            continue;
        *several = found != NULL;
        if (*several)
            return NULL;
        found = l->names[i];
    }
    return found;
}

/* Writes "a, b, c, ..." with the names that match; all names if `fits` is NULL. */
static void describe(const struct listing *l, bool (*fits)(const char *), char *text, size_t room)
{
    size_t used = 0;
    for (size_t i = 0; i < l->count; i++) {
        if (fits && !fits(l->names[i]))
            continue;
        const struct snippet name = snippet_text(l->names[i], strlen(l->names[i]), 40);
        const size_t n = strlen(name.text) + 2;
        if (used + n + sizeof ", ..." > room) {
            snprintf(text + used, room - used, ", ...");
            return;
        }
        used += (size_t)snprintf(text + used, room - used, "%s%s", used ? ", " : "", name.text);
    }
    if (used == 0)
        snprintf(text, room, "nothing");
}

enum rwkv7_status folder_checkpoint(const char *folder, char **path, struct rwkv7_error *err)
{
    bool (*const order[])(const char *) = {is_model, is_model_index, is_index, is_single,
                                           is_torch, is_torch_index, is_pth,   is_gguf};
    struct listing l = {0};
    const char *found = NULL;
    bool several = false;
    char message[sizeof err->message]; /* the path, the problem, and as many names as fit */
    size_t i;
    enum rwkv7_status status = list_folder(folder, &l, err);
    if (status != RWKV7_OK)
        goto done;
    for (i = 0; i < sizeof order / sizeof order[0] && !found && !several; i++)
        found = only(&l, order[i], &several);
    if (!found) {
        const int n = snprintf(message, sizeof message,
                               several ? "%s: found several checkpoints in this folder; give the path of one of them: "
                                       : "%s: expected model.safetensors or another checkpoint (.safetensors, .st, "
                                         "pytorch_model.bin, .pth, .gguf) in this folder, found ",
                               snippet_path(folder).text);
        describe(&l, several ? order[i - 1] : NULL, message + n, sizeof message - (size_t)n);
        status = fail(err, RWKV7_ERR_MODEL, "%s", message);
        goto done;
    }
    *path = folder_join(folder, strlen(folder), found);
    if (!*path)
        status = fail_memory(err, "a path");
done:
    listing_free(&l);
    return status;
}

bool path_ends_with(const char *path, const char *end)
{
    const size_t n = strlen(path), m = strlen(end);
    return n > m && strcmp(path + n - m, end) == 0;
}

char *folder_join(const char *folder, size_t length, const char *name)
{
    const bool slash = length > 0 && folder[length - 1] != '/';
    const size_t n = strlen(name) + 1;
    char *path = mem_alloc(length + 1 + n, 1);
    if (!path)
        return NULL;
    memcpy(path, folder, length);
    if (slash)
        path[length++] = '/';
    memcpy(path + length, name, n);
    return path;
}
