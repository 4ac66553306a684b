/*
 * manual.c - `rwkv7 help --man`: prints the options part of the manual page from table.c, for
 * scripts/manual.sh. Where a paragraph belongs, it prints a line with its name, "@ OPTION COMMAND"
 * or "@ heading TITLE"; the script inserts the paragraphs of manual.mdoc.
 */
#include <ctype.h>
#include <string.h>

#include "cli/options/args.h"

/*
 * One entry of the page: consecutive rows with the same name and argument, for example rows that
 * differ only in their defaults.
 */
struct entry {
    const struct option *first, *end;
    unsigned commands;
};

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static struct entry entry_at(const struct option *o)
{
    struct entry e = {o, o, 0};
    for (; e.end->name && same_text(e.end->name, o->name) && same_text(e.end->value.argument, o->value.argument);
         e.end++)
        e.commands |= e.end->commands;
    return e;
}

static const char *first_command(unsigned commands)
{
    for (const struct command *c = command_table; c->name; c++)
        if (commands & c->bit)
            return c->name;
    return "";
}

static void print_commands(unsigned commands, const char *between, FILE *to)
{
    const char *before = "";
    for (const struct command *c = command_table; c->name; c++)
        if (commands & c->bit) {
            fprintf(to, "%s%s", before, c->name);
            before = between;
        }
}

static bool is_for_all(unsigned commands)
{
    return commands == ~0u;
}

/* Prints an item, such as ".It Fl m , Fl -model Ar file". */
static void print_item(const struct option *o, FILE *to)
{
    fprintf(to, ".It ");
    if (o->letter)
        fprintf(to, "Fl %c , ", o->letter);
    fprintf(to, "Fl -%s", o->name);
    const bool choice = o->value.kind == CHOICE;
    if (o->value.argument)
        fprintf(to, " Ar ");
    for (const char *at = o->value.argument; at && *at; at++) {
        if (choice && *at == '|')
            fprintf(to, " | ");
        else
            fputc(tolower((unsigned char)*at), to);
    }
    fprintf(to, "\n");
}

/* Prints the defaults, such as "Default: 256; chat: 4096." */
static void print_defaults(const struct entry *e, FILE *to)
{
    const char *first = NULL;
    for (const struct option *o = e->first; o < e->end; o++) {
        if (!o->preset || same_text(o->preset, first))
            continue;
        if (first) {
            fprintf(to, "; ");
            print_commands(o->commands, ", ", to);
            fprintf(to, ": %s", o->preset);
        } else {
            fprintf(to, "Default: %s", o->preset);
            first = o->preset;
        }
    }
    if (first)
        fprintf(to, ".\n");
}

void manual_print(FILE *to)
{
    bool listing = false;
    unsigned heading = 0; /* the commands of the current heading */
    for (const struct option *o = option_table; o->help;) {
        if (!o->name) {
            fprintf(to, "%s.Ss %s (", listing ? ".El\n" : "", o->help);
            print_commands(o->commands, ", ", to);
            fprintf(to, ")\n@ heading %s\n.Bl -tag -width Ds\n", o->help);
            listing = true;
            heading = o->commands;
            o++;
            continue;
        }
        const struct entry e = entry_at(o);
        if (!listing)
            fprintf(to, ".Bl -tag -width Ds\n");
        listing = true;
        print_item(o, to);
        if (e.commands != heading && !is_for_all(e.commands)) {
            fprintf(to, ".Pq Cm ");
            print_commands(e.commands, " , ", to);
            fprintf(to, "\n");
        }
        print_defaults(&e, to);
        fprintf(to, "@ %s %s\n", o->name, is_for_all(e.commands) ? "all" : first_command(e.commands));
        o = e.end;
    }
    fprintf(to, ".El\n");
}
