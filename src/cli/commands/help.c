/*
 * help.c - prints the help texts from the tables of table.c, in lines below 80 columns if possible.
 */
#include <stdio.h>
#include <string.h>

#include "cli/commands/commands.h"
#include "cli/io/messages.h"
#include "cli/options/args.h"

enum { TEXT_COLUMN = 26, COLUMNS = 79 };

/* Prints the words of "a|b|c" separated by spaces, wrapped and indented to TEXT_COLUMN. */
static void print_words(const char *words, FILE *to)
{
    size_t column = 0;
    while (*words) {
        const size_t n = strcspn(words, "|");
        const bool fits = column > 0 && column + 1 + n <= COLUMNS;
        if (!fits)
            fprintf(to, "%s%*s", column > 0 ? "\n" : "", TEXT_COLUMN, "");
        column = fits ? column + 1 + n : TEXT_COLUMN + n;
        fprintf(to, "%s%.*s", fits ? " " : "", (int)n, words);
        words += n + (words[n] == '|');
    }
    fprintf(to, "\n");
}

static void print_option(const struct option *o, FILE *to)
{
    char left[64];
    const int n = snprintf(left, sizeof left, "  %c%c%c --%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
                           o->letter ? ',' : ' ', o->name, o->value.argument ? " " : "",
                           o->value.argument ? o->value.argument : "");
    if (n >= TEXT_COLUMN)
        fprintf(to, "%s\n%*s", left, TEXT_COLUMN, "");
    else
        fprintf(to, "%-*s", TEXT_COLUMN, left);
    if (o->value.kind == SHAPE) {
        fprintf(to, "%s:\n", o->help);
        print_words(option_words(o), to);
        return;
    }
    fprintf(to, o->preset ? "%s [%s]\n" : "%s\n", o->help, o->preset);
}

static void print_command(const struct command *command, FILE *to)
{
    fprintf(to, "Usage: rwkv7 %s [OPTION...]%s%s\n\n%s\n\n", command->name, *command->synopsis ? " " : "",
            command->synopsis, command->about);
    for (const struct option *o = option_table; o->help; o++) {
        if (!(o->commands & command->bit))
            continue;
        if (o->name)
            print_option(o, to);
        else
            fprintf(to, "\n%s\n", o->help);
    }
}

static void print_program(FILE *to)
{
    fprintf(to, "rwkv7 runs RWKV language models on a CPU.\n\nUsage: rwkv7 COMMAND [OPTION...]\n\n");
    for (const struct command *c = command_table; c->name; c++) {
        char left[64];
        snprintf(left, sizeof left, "  %s %s", c->name, c->synopsis);
        fprintf(to, "%-*s%s\n", TEXT_COLUMN, left, c->brief);
    }
    fprintf(to, "\n"
                "Try:  rwkv7 run \"Once upon a time\"\n"
                "More: rwkv7 help run, man rwkv7\n");
}

void help_print(const struct command *command, FILE *to)
{
    if (command)
        print_command(command, to);
    else
        print_program(to);
}

int help_command(const void *command_args)
{
    const struct help_args *const args = command_args;
    const struct command *const about = args->common.operand ? command_find(args->common.operand) : NULL;
    if (args->common.operand && !about)
        return MISUSED;
    if (args->man) {
        manual_print(stdout);
        return DONE;
    }
    help_print(about, stdout);
    return DONE;
}
