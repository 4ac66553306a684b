/* suggest.c - messages about unknown commands and options, with suggestions; see parse.h. */
#include <stdio.h>
#include <string.h>

#include "cli/io/messages.h"
#include "cli/io/model_file.h"
#include "cli/options/args.h"
#include "cli/options/foreign.h"
#include "cli/options/parse.h"

/*
 * Returns the edit distance: insertions, deletions, replacements, and swaps of two neighbours
 * (optimal string alignment). If one word is a prefix of the other, the distance is 1.
 */
static size_t distance(const char *a, const char *b)
{
    enum { ROOM = 32 };
    const size_t m = strlen(a), n = strlen(b), shorter = m < n ? m : n;
    size_t d[ROOM + 1][ROOM + 1];
    if (m > ROOM || n > ROOM)
        return ROOM;
    if (shorter >= 2 && strncmp(a, b, shorter) == 0)
        return m != n;
    for (size_t i = 0; i <= m; i++)
        for (size_t j = 0; j <= n; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            const size_t replaced = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            const size_t one_less = 1 + (d[i - 1][j] < d[i][j - 1] ? d[i - 1][j] : d[i][j - 1]);
            d[i][j] = replaced < one_less ? replaced : one_less;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < d[i][j])
                d[i][j] = d[i - 2][j - 2] + 1;
        }
    return d[m][n];
}

/*
 * Stores the candidate in *best if it is closer to `typed` than the one there, and close enough to
 * be meant.
 */
static void consider(const char *typed, const char *candidate, const char **best)
{
    const size_t near = distance(typed, candidate);
    if (near <= 1 + strlen(typed) / 4 && (!*best || near < distance(typed, *best)))
        *best = candidate;
}

const struct command *command_find(const char *name)
{
    const char *meant = NULL;
    for (const struct command *c = command_table; c->name; c++) {
        if (strcmp(c->name, name) == 0)
            return c;
        consider(name, c->name, &meant);
    }
    if (*name == '-') {
        consider(name, "--version", &meant);
        consider(name, "--help", &meant);
    }
    const char *const what = *name == '-' ? "expected a command, found" : "unknown command";
    if (is_model_file(name))
        complain_usage(NULL, "'%s' is a model, not a command; use rwkv7 run -m or rwkv7 chat", name);
    else if (meant)
        complain_usage(NULL, "%s '%s'; did you mean '%s'?", what, name, meant);
    else if (strchr(name, ' '))
        complain_usage(NULL, "%s '%s'; did you mean rwkv7 run '...'?", what, name);
    else
        complain_usage(NULL, "%s '%s'", what, name);
    return NULL;
}

int complain_unknown(const struct command *command, const char *spelling)
{
    const char *const name = spelling + 2;
    const char *meant = NULL;
    for (const struct option *o = option_table; o->help; o++) {
        if (!o->name)
            continue;
        if (o->commands & command->bit)
            consider(name, o->name, &meant);
        else if (strcmp(o->name, name) == 0)
            for (const struct command *c = command_table; c->name; c++)
                if (o->commands & c->bit)
                    return complain_usage(c, "'--%s' is an option of '%s', not of '%s'", name, c->name, command->name);
    }
    const char *const hint = foreign_hint(spelling, strlen(spelling));
    if (hint)
        return complain_usage(command, "unknown option '%s': %s", spelling, hint);
    if (meant)
        return complain_usage(command, "unknown option '--%s'; did you mean '--%s'?", name, meant);
    return complain_usage(command, "unknown option '--%s'", name);
}

int complain_line(const struct command *command, const char *name, const struct place *place)
{
    const char *meant = NULL;
    for (const struct option *o = option_table; o->help; o++)
        if (o->name && (!command || (o->commands & command->bit)))
            consider(name, o->name, &meant);
    return complain(MISUSED, "%s:%u: unknown option '%s'%s%s%s%s%s", place->file, place->line, name,
                    command ? " of " : "", command ? command->name : "", meant ? "; did you mean '" : "",
                    meant ? meant : "", meant ? "'?" : "");
}
