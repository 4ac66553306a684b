/* chat_template.c - see chat_template.h. */
#include "generate/chat_template.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"

/* Appends `text` without white space around it, with one newline for several and for CR LF; returns the new end. */
static char *append_clean(char *to, const char *text)
{
    char *const begin = to;
    for (; *text; text++) {
        if (*text == '\r' && text[1] == '\n')
            continue;
        if (to == begin && isspace((unsigned char)*text))
            continue;
        if (*text == '\n' && to[-1] == '\n')
            continue;
        *to++ = *text;
    }
    while (to > begin && isspace((unsigned char)to[-1]))
        to--;
    return to;
}

static char *append(char *to, const char *text)
{
    while (*text)
        *to++ = *text++;
    return to;
}

char *chat_template_system(const char *text)
{
    char *const all = mem_alloc(strlen(text) + 16, 1);
    if (!all)
        return NULL;
    char *const said = append(all, "System: ");
    char *to = append_clean(said, text);
    to = to == said ? all : append(to, "\n\n");
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

char *chat_template_turn(const char *user, bool first, enum thinking thinking)
{
    char *const all = mem_alloc(strlen(user) + 80, 1);
    if (!all)
        return NULL;
    char *to = append(all, first ? "User: " : "\n\nUser: ");
    to = append_clean(to, user);
    to = append(to, manners[thinking].request);
    to = append(to, "\n\nAssistant:");
    to = append(to, manners[thinking].opening);
    *to = '\0';
    return all;
}
