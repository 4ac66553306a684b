/*
 * chat_template.c - the built-in chat templates, how one is chosen for a model, and the text they
 * produce; see chat_template.h.
 */
#include "generate/chat_template.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

/* --------------------------------------------------------------------------- built-in templates */

static const struct chat_template templates[] = {
    /* G1 and later models; an answer may have several paragraphs. */
    {.name = "g1",
     .system = {"System: ", "\n\n"},
     .user = "User: ",
     .answer = "\n\nAssistant:",
     .between = "\n\n",
     .stops = {"\n\nUser:", "\nUser:"},
     .thinks = true},
    /* World models of all versions; an answer is one paragraph. */
    {.name = "world",
     .system = {"System: ", "\n\n"},
     .user = "User: ",
     .answer = "\n\nAssistant:",
     .between = "\n\n",
     .stops = {"\n\n", "\nUser:"}},
    /*
     * Raven, in two forms. It has no prefix for a system prompt, so the prompt is put first
     * unchanged.
     */
    {.name = "raven",
     .system = {"", "\n\n"},
     .user = "Bob: ",
     .answer = "\n\nAlice:",
     .between = "\n\n",
     .stops = {"\n\n", "\nBob:"}},
    {.name = "instruction",
     .system = {"", "\n"},
     .user = "\nBelow is an instruction that describes a task. Write a response that appropriately completes the "
             "request.\n\n"
             "# Instruction:\n",
     .answer = "\n\n# Response:\n",
     .between = "\n",
     .stops = {"\n\n", "\n# Instruction:"}},
};
#define COUNT (sizeof templates / sizeof templates[0])

const struct chat_template *chat_template_at(size_t index)
{
    return index < COUNT ? &templates[index] : NULL;
}

const struct chat_template *chat_template_named(const char *name)
{
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(templates[i].name, name) == 0)
            return &templates[i];
    return NULL;
}

/* ------------------------------------------------------------------------------------- choosing */

/*
 * Returns whether a name contains a word, ignoring case. The word may not follow a letter or digit,
 * but may be a prefix: "-g1d-" contains "g1".
 */
static bool has_word(const char *name, const char *word)
{
    const size_t n = strlen(word);
    for (const char *at = name; *at; at++)
        if (strncasecmp(at, word, n) == 0 && (at == name || !isalnum((unsigned char)at[-1])))
            return true;
    return false;
}

/* Checks the name of the file or folder, and the name in its metadata. */
static bool is_called(const struct rwkv7_model *model, const char *word)
{
    const char *path = rwkv7_model_info(model)->path, *key, *value;
    const char *last = path;
    for (const char *at = path; *at; at++)
        if (*at == '/' && at[1] != '\0' && at[1] != '/')
            last = at + 1;
    bool found = has_word(last, word);
    for (size_t i = 0; !found && rwkv7_model_metadata(model, i, &key, &value); i++)
        found = strcmp(key, "general.name") == 0 && has_word(value, word);
    return found;
}

enum { NEOX_ROWS = 50277, NEOX_PADDED = 50304 }; /* sizes of the GPT-NeoX vocabulary */

const struct chat_template *chat_template_choose(const struct rwkv7_model *model, const char **why)
{
    const struct rwkv7_shape *const shape = &rwkv7_model_info(model)->shape;
    const char *name = "world";
    if (is_called(model, "raven")) {
        name = "raven";
        *why = "the name of the model";
    } else if (shape->vocab >= NEOX_ROWS && shape->vocab <= NEOX_PADDED) {
        name = "raven";
        *why = "a vocabulary of GPT-NeoX";
    } else if (shape->arch != RWKV7_ARCH_X070) {
        *why = "the version of the model";
    } else if (is_called(model, "world") && !is_called(model, "g0") && !is_called(model, "g1")) {
        *why = "the name of the model";
    } else {
        name = "g1";
        *why = "the version of the model";
    }
    return chat_template_named(name);
}

/* ----------------------------------------------------------------------------------------- text */

/* Used instead of isspace(), which in some locales accepts bytes of UTF-8 characters. */
static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/*
 * Appends text, trimmed, with runs of newlines and CR LF reduced to one newline. Returns the new
 * end.
 */
static char *append_clean(char *to, const char *text)
{
    char *const begin = to;
    for (; *text; text++) {
        if (*text == '\r' && text[1] == '\n')
            continue;
        if (to == begin && is_space(*text))
            continue;
        if (*text == '\n' && to[-1] == '\n')
            continue;
        *to++ = *text;
    }
    while (to > begin && is_space(to[-1]))
        to--;
    return to;
}

static char *append(char *to, const char *text)
{
    while (*text)
        *to++ = *text++;
    return to;
}

char *chat_template_system(const struct chat_template *t, const char *text)
{
    char *const all = mem_alloc(strlen(t->system[0]) + strlen(text) + strlen(t->system[1]) + 1, 1);
    if (!all)
        return NULL;
    char *const content = append(all, t->system[0]);
    char *to = append_clean(content, text);
    to = to == content ? all : append(to, t->system[1]);
    *to = '\0';
    return all;
}

static const struct {
    const char *request, *opening;
} manners[] = {
    [THINK_OFF] = {"", ""},
    [THINK_ON] = {"", " <think"},
    [THINK_SHORT] = {" (think a bit)", " <think"},
    [THINK_NORMAL] = {" (think)", " <think"},
    [THINK_LONG] = {" (think a lot)", " <think"},
    [THINK_EMPTY] = {"", " <think>\n</think"},
    [THINK_FAKE] = {"", " <think></think"},
};

const char *chat_template_opening(enum thinking thinking)
{
    return manners[thinking].opening;
}

char *chat_template_turn(const struct chat_template *t, const char *user, bool first, enum thinking thinking)
{
    const char *const request = manners[thinking].request, *const opening = manners[thinking].opening;
    const char *const between = first ? "" : t->between;
    char *const all = mem_alloc(strlen(between) + strlen(t->user) + strlen(user) + strlen(request) + strlen(t->answer) +
                                    strlen(opening) + 1,
                                1);
    if (!all)
        return NULL;
    char *to = append(append(all, between), t->user);
    to = append(append_clean(to, user), request);
    to = append(append(to, t->answer), opening);
    *to = '\0';
    return all;
}
