/*
 * chat_template_file.c - reads a template file: a conversation as the model sees it, with
 * placeholders for the messages.
 *
 *     System: {system}
 *
 *     User: {user}
 *
 *     Assistant: {answer}
 *
 * The part up to the first empty line after {system} is used once, at the start, and only if there
 * is a system prompt. If {system} is missing, a system prompt becomes a paragraph at the start.
 * Spaces before {answer} are not part of the prompt, because the model writes them itself. The text
 * after {answer}, without the last line end of the file, separates an answer from the next turn. It
 * is usually missing; then an empty line is used.
 */
#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "generate/chat_template.h"

enum { SYSTEM, USER, ANSWER, PLACES };
static const char *const places[PLACES] = {"{system}", "{user}", "{answer}"};

/*
 * Copies the text [n] without its byte order mark, with LF for CR LF, to `text` [*size], terminated
 * by a NUL.
 */
static enum rwkv7_status copy_text(const char *path, const char *from, size_t n, char *text, size_t *size,
                                   struct rwkv7_error *err)
{
    if (n > CHAT_TEMPLATE_MOST)
        return fail(err, RWKV7_ERR_USAGE, "%s: expected a template of at most %d bytes", path, CHAT_TEMPLATE_MOST);
    if (n > 0 && memchr(from, '\0', n))
        return fail(err, RWKV7_ERR_USAGE, "%s: expected text, found a NUL byte", path);
    *size = 0;
    for (size_t i = n >= 3 && memcmp(from, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; i < n; i++)
        if (from[i] != '\r' || i + 1 == n || from[i + 1] != '\n')
            text[(*size)++] = from[i];
    text[*size] = '\0';
    return RWKV7_OK;
}

/* Fails if the text contains words in braces that are not placeholders. */
static enum rwkv7_status check_words(const char *path, const char *text, struct rwkv7_error *err)
{
    for (const char *at = text; (at = strchr(at, '{')); at++) {
        size_t n = 1;
        bool known = false;
        while (islower((unsigned char)at[n]))
            n++;
        for (int i = 0; i < PLACES; i++)
            known = known || strncmp(at, places[i], strlen(places[i])) == 0;
        if (n > 1 && at[n] == '}' && !known)
            return fail(err, RWKV7_ERR_USAGE, "%s: expected the placeholders {system}, {user} and {answer}, found %.*s",
                        path, (int)(n < 30 ? n + 1 : 30), at);
    }
    return RWKV7_OK;
}

/* Finds the placeholders; NULL if {system} is missing. */
static enum rwkv7_status find_places(const char *path, char *text, char *at[PLACES], struct rwkv7_error *err)
{
    for (int i = 0; i < PLACES; i++) {
        size_t count = 0;
        at[i] = strstr(text, places[i]);
        for (const char *next = at[i]; next; next = strstr(next + 1, places[i]))
            count++;
        if (count > 1 || (count == 0 && i != SYSTEM))
            return fail(err, RWKV7_ERR_USAGE, "%s: expected the placeholder %s %s, found %zu of it", path, places[i],
                        i == SYSTEM ? "at most once" : "once", count);
    }
    if (at[USER] > at[ANSWER] || (at[SYSTEM] && at[SYSTEM] > at[USER]))
        return fail(err, RWKV7_ERR_USAGE, "%s: expected %s before %s", path,
                    places[at[USER] > at[ANSWER] ? USER : SYSTEM], places[at[USER] > at[ANSWER] ? ANSWER : USER]);
    return RWKV7_OK;
}

/*
 * Sets the stop string: the text after {answer}. If that is white space, the start of the next turn
 * is appended.
 */
static void make_stop(const struct chat_template *t, char *to)
{
    const bool is_blank = t->between[strspn(t->between, " \t\n")] == '\0';
    size_t n = strlen(t->between), words = strspn(t->user, " \t\n");
    words += strcspn(t->user + words, "\n");
    memcpy(to, t->between, n);
    if (is_blank) {
        memcpy(to + n, t->user, words);
        n += words;
    }
    while (n > 0 && (to[n - 1] == ' ' || to[n - 1] == '\t' || (!is_blank && to[n - 1] == '\n')))
        n--;
    to[n] = '\0';
}

static enum rwkv7_status parse(const char *path, struct chat_template *t, size_t size, struct rwkv7_error *err)
{
    char *const text = t->memory, *at[PLACES];
    enum rwkv7_status status;
    if ((status = check_words(path, text, err)) || (status = find_places(path, text, at, err)))
        return status;
    t->system[0] = "";
    t->system[1] = "\n\n";
    t->user = text;
    if (at[SYSTEM]) {
        char *const after = at[SYSTEM] + strlen(places[SYSTEM]);
        const char *const line = strstr(after, "\n\n");
        if (!line || line + 2 > at[USER])
            return fail(err, RWKV7_ERR_USAGE, "%s: expected an empty line between {system} and the turn with {user}",
                        path);
        /*
         * Texts are separated by NULs. Move the part after {system} by one byte to make room for a
         * NUL.
         */
        const size_t n = (size_t)(line + 2 - after);
        memmove(after - 1, after, n);
        t->system[0] = text;
        t->system[1] = after - 1;
        after[n - 1] = '\0';
        *at[SYSTEM] = '\0';
        t->user = line + 2;
    }
    t->answer = at[USER] + strlen(places[USER]);
    t->between = at[ANSWER] + strlen(places[ANSWER]);
    if (text[size - 1] == '\n')
        text[size - 1] = '\0';
    if (*t->between == '\0')
        t->between = "\n\n";
    *at[USER] = '\0';
    *at[ANSWER] = '\0';
    for (char *end = at[ANSWER]; end > t->answer && end[-1] == ' '; end--)
        end[-1] = '\0';
    char *const stop = text + size + 1;
    make_stop(t, stop);
    t->stops[0] = *stop ? stop : NULL;
    t->thinks = true;
    return RWKV7_OK;
}

enum rwkv7_status chat_template_parse(const char *path, const char *text, size_t size, struct chat_template *out,
                                      struct rwkv7_error *err)
{
    *out = (struct chat_template){.name = path, .memory = mem_alloc(2 * CHAT_TEMPLATE_MOST + 8, 1)};
    if (!out->memory)
        return fail_memory(err, "the template");
    enum rwkv7_status status = copy_text(path, text, size, out->memory, &size, err);
    if (status == RWKV7_OK)
        status = parse(path, out, size, err);
    if (status != RWKV7_OK)
        chat_template_free(out);
    return status;
}

void chat_template_free(struct chat_template *t)
{
    mem_free(t->memory);
    *t = (struct chat_template){0};
}
