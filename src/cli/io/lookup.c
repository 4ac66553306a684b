/* lookup.c - see lookup.h. */
#include "cli/io/lookup.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/options/args.h"

#define DEMO_MODEL "rwkv7-demo.safetensors"
#define WORLD_VOCAB "rwkv_vocab_v20230424.txt"
#define NEOX_TOKENIZER "20B_tokenizer.json"

static enum rwkv7_status failed(struct rwkv7_error *err, enum rwkv7_status status, const char *fmt, ...)
    RWKV7_PRINTF(3, 4);
static enum rwkv7_status failed(struct rwkv7_error *err, enum rwkv7_status status, const char *fmt, ...)
{
    va_list list;
    va_start(list, fmt);
    err->status = status;
    vsnprintf(err->message, sizeof err->message, fmt, list);
    va_end(list);
    return status;
}

/*
 * One search. A folder that cannot be read is an error, not an absent file: otherwise another file
 * would be used silently.
 */
struct search {
    char *path;         /* [PATH_ROOM] the last path tried */
    bool others;        /* searches folders of the installation and of the user */
    int error;          /* first errno that is an error; 0: none */
    char at[PATH_ROOM]; /* the path of that error */
};

/*
 * Returns whether an errno means that the file is absent. Folders of the installation and of the
 * user may be closed to this process, such as HOME in a service that runs as another user; then
 * they contain nothing for it. The folder of a model was given, so being unable to read it is an
 * error.
 */
static bool absent(const struct search *s, int code)
{
    return code == ENOENT || code == ENOTDIR || code == ENAMETOOLONG || (code == EACCES && s->others);
}

static void note_error(struct search *s, const char *place)
{
    if (s->error != 0 || absent(s, errno))
        return;
    s->error = errno;
    snprintf(s->at, sizeof s->at, "%s", place);
}

/* Formats a path; returns whether the file exists. */
static bool find_at(struct search *s, const char *fmt, ...) RWKV7_PRINTF(2, 3);
static bool find_at(struct search *s, const char *fmt, ...)
{
    va_list list;
    va_start(list, fmt);
    const int n = vsnprintf(s->path, PATH_ROOM, fmt, list);
    va_end(list);
    if (n <= 0 || n >= PATH_ROOM)
        return false;
    if (access(s->path, F_OK) == 0)
        return true;
    note_error(s, s->path);
    return false;
}

/* Finds a file that is installed with the program. */
static bool in_installation(struct search *s, const char *name)
{
    char folder[PATH_ROOM];
    for (size_t i = 0; installed_folder(i, folder); i++)
        if (find_at(s, "%s/%s", folder, name))
            return true;
    return false;
}

/* Finds a file in the user's data folder. */
static bool in_user_folder(struct search *s, const char *name)
{
    const char *const data = getenv("XDG_DATA_HOME"), *const home = getenv("HOME");
    if (data && data[0] == '/') /* the XDG specification: ignore a relative path */
        return find_at(s, "%s/rwkv7/%s", data, name);
    return home && find_at(s, "%s/.local/share/rwkv7/%s", home, name);
}

static enum rwkv7_status fail_search(const struct search *s, struct rwkv7_error *err)
{
    return failed(err, RWKV7_ERR_IO, "%.150s: %s", s->at, strerror(s->error));
}

enum rwkv7_status user_file_find(const char *name, char path[PATH_ROOM], struct rwkv7_error *err)
{
    struct search s = {.path = path, .others = true};
    if (in_user_folder(&s, name))
        return RWKV7_OK;
    path[0] = '\0';
    return s.error != 0 ? fail_search(&s, err) : RWKV7_OK;
}

enum rwkv7_status model_find(const struct model_args *args, char path[PATH_ROOM], struct rwkv7_error *err)
{
    size_t size;
    if (args->model) {
        if (snprintf(path, PATH_ROOM, "%s", args->model) >= PATH_ROOM)
            return failed(err, RWKV7_ERR_USAGE, "the path of the model is longer than %d bytes", PATH_ROOM - 1);
        return RWKV7_OK;
    }
    if (rwkv7_builtin_model(&size)) {
        path[0] = '\0';
        return RWKV7_OK;
    }
    struct search s = {.path = path, .others = true};
    if (in_installation(&s, DEMO_MODEL) || in_user_folder(&s, DEMO_MODEL))
        return RWKV7_OK;
    if (s.error != 0)
        return fail_search(&s, err);
    return failed(err, RWKV7_ERR_MODEL,
                  "no model: none was compiled in or installed; download RWKV weights and name them with -m FILE or "
                  "RWKV7_MODEL");
}

static bool is_vocab_name(const char *name)
{
    const char *const ending = strrchr(name, '.');
    return name[0] != '.' && strstr(name, "vocab") && ending && strcmp(ending, ".txt") == 0;
}

/*
 * Finds the only file of a folder whose name matches *vocab*.txt; the path is "" if there is none.
 */
static enum rwkv7_status only_vocab(struct search *s, const char *folder, struct rwkv7_error *err)
{
    enum rwkv7_status status = RWKV7_OK;
    DIR *const entries = opendir(folder);
    struct dirent *entry;
    s->path[0] = '\0';
    if (!entries) {
        note_error(s, folder);
        return status;
    }
    while (errno = 0, (entry = readdir(entries)) != NULL) {
        if (!is_vocab_name(entry->d_name))
            continue;
        if (s->path[0]) {
            status = failed(err, RWKV7_ERR_VOCAB, "%.150s holds several vocabularies; choose one with --vocab", folder);
            break;
        }
        if (!find_at(s, "%s/%s", folder, entry->d_name))
            s->path[0] = '\0';
    }
    if (status == RWKV7_OK && errno != 0)
        note_error(s, folder);
    closedir(entries);
    return status;
}

static bool is_folder(struct search *s, const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0)
        return S_ISDIR(st.st_mode);
    note_error(s, path);
    return false;
}

/* Finds the vocabulary beside a model; the path is "" if there is none. */
static enum rwkv7_status vocab_beside(struct search *s, const char *model, struct rwkv7_error *err)
{
    const char *const slash = strrchr(model, '/'), *const name = slash ? slash + 1 : model;
    char folder[PATH_ROOM];
    if (is_folder(s, model)) {
        snprintf(folder, sizeof folder, "%s", model);
    } else {
        const char *const dot = strrchr(name, '.');
        if (find_at(s, "%.*s.vocab.txt", (int)(dot ? dot - model : (long)strlen(model)), model))
            return RWKV7_OK;
        /* "/" rather than "" if the model is in the root folder */
        snprintf(folder, sizeof folder, "%.*s", slash > model ? (int)(slash - model) : 1, slash ? model : ".");
    }
    if (find_at(s, "%s/%s", folder, WORLD_VOCAB))
        return RWKV7_OK;
    const enum rwkv7_status status = only_vocab(s, folder, err);
    if (status == RWKV7_OK && !s->path[0] && !find_at(s, "%s/" NEOX_TOKENIZER, folder) &&
        !find_at(s, "%s/tokenizer.json", folder))
        s->path[0] = '\0';
    return status;
}

/*
 * Returns whether the model's folder contains only this model and its files, as folders from
 * Hugging Face do.
 */
static bool is_model_folder(struct search *s, const char *model)
{
    static const char *const files[] = {"model.safetensors", "pytorch_model.bin", "model.safetensors.index.json",
                                        "pytorch_model.bin.index.json"};
    const char *const slash = strrchr(model, '/'), *const name = slash ? slash + 1 : model;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (strcmp(name, files[i]) == 0)
            return true;
    return is_folder(s, model);
}

int model_files(const char *model, int (*take)(void *arg, const char *path), void *arg)
{
    /*
     * For any model; for a folder, or a file with a name that Transformers uses, the second list
     * too.
     */
    static const char *const beside[] = {NEOX_TOKENIZER, "tokenizer.json"}, *const in_folder[] = {
                                                                                "config.json", "tokenizer_config.json",
                                                                                "chat_template.jinja"};
    const char *const slash = strrchr(model, '/');
    char path[PATH_ROOM], folder[PATH_ROOM];
    struct search s = {.path = path};
    int code = 0;
    if (is_folder(&s, model))
        snprintf(folder, sizeof folder, "%s/", model);
    else
        snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - model) + 1 : 0, model);
    for (size_t i = 0; i < sizeof beside / sizeof beside[0] && code == 0; i++)
        if (find_at(&s, "%s%s", folder, beside[i]))
            code = take(arg, path);
    for (size_t i = 0; is_model_folder(&s, model) && i < sizeof in_folder / sizeof in_folder[0] && code == 0; i++)
        if (find_at(&s, "%s%s", folder, in_folder[i]))
            code = take(arg, path);
    DIR *const entries = opendir(*folder ? folder : ".");
    for (struct dirent *entry; entries && code == 0 && (entry = readdir(entries)) != NULL;)
        if (is_vocab_name(entry->d_name) && find_at(&s, "%s%s", folder, entry->d_name))
            code = take(arg, path);
    if (entries)
        closedir(entries);
    return code;
}

/*
 * Rejects an unsupported tokenizer in the model's folder: with the World vocabulary from elsewhere
 * the ids would be wrong.
 */
static enum rwkv7_status refuse_other_tokenizer(struct search *s, const char *model, struct rwkv7_error *err)
{
    static const char *const files[] = {"tokenizer.model", "spiece.model", "vocab.json", "merges.txt"};
    const char *const slash = strrchr(model, '/');
    const bool folder = is_folder(s, model);
    const int length = folder ? (int)strlen(model) : slash ? (int)(slash - model) + 1 : 0;
    for (size_t i = 0; is_model_folder(s, model) && i < sizeof files / sizeof files[0]; i++)
        if (find_at(s, "%.*s%s%s", length, model, folder ? "/" : "", files[i]))
            return failed(err, RWKV7_ERR_VOCAB, "%.150s: unsupported kind of tokenizer; name a vocabulary with --vocab",
                          s->path);
    return RWKV7_OK;
}

enum rwkv7_status vocab_missing(const char *model, struct rwkv7_error *err)
{
    if (model && *model)
        return failed(err, RWKV7_ERR_VOCAB,
                      "no vocabulary found for %.100s; put " WORLD_VOCAB " (models of the Pile: " NEOX_TOKENIZER
                      ") beside it, or name one "
                      "with --vocab",
                      model);
    return failed(err, RWKV7_ERR_VOCAB, "no vocabulary found%s; name one with --vocab",
                  model ? " for the built-in model" : "");
}

enum rwkv7_status vocab_find(const struct model_args *args, const char *model, char path[PATH_ROOM],
                             struct rwkv7_error *err)
{
    size_t size;
    path[0] = '\0';
    if (args->vocab) {
        if (snprintf(path, PATH_ROOM, "%s", args->vocab) >= PATH_ROOM)
            return failed(err, RWKV7_ERR_USAGE, "the path of the vocabulary is longer than %d bytes", PATH_ROOM - 1);
        return RWKV7_OK;
    }
    struct search s = {.path = path};
    if (model && *model) {
        const enum rwkv7_status status = vocab_beside(&s, model, err);
        if (s.error != 0)
            return fail_search(&s, err);
        if (status != RWKV7_OK || path[0])
            return status;
        const enum rwkv7_status other = refuse_other_tokenizer(&s, model, err);
        if (s.error != 0)
            return fail_search(&s, err);
        if (other != RWKV7_OK)
            return other;
    }
    s.others = true;
    if ((!model || *model) && in_user_folder(&s, WORLD_VOCAB))
        return RWKV7_OK;
    if (s.error != 0)
        return fail_search(&s, err);
    path[0] = '\0';
    if (rwkv7_builtin_vocab(&size))
        return RWKV7_OK;
    return vocab_missing(model, err);
}
