/*
 * completions.c - `rwkv7 completions`: prints the completion script of a shell for commands,
 * options and values, made from the tables of table.c.
 */
#include <stdio.h>
#include <string.h>

#include "cli/commands/commands.h"
#include "cli/io/messages.h"
#include "cli/io/published.h"
#include "cli/options/args.h"

/* The kinds of values and operands that a script completes. */
enum expected { NOTHING, ANYTHING, WORDS, FILES, FOLDERS };

static enum expected expected_value(const struct option *o)
{
    const char *const argument = o->value.argument;
    if (!argument)
        return NOTHING;
    if (option_words(o))
        return WORDS;
    if (strcmp(argument, "DIR") == 0)
        return FOLDERS;
    return strcmp(argument, "FILE") == 0 || strcmp(argument, "MODEL") == 0 ? FILES : ANYTHING;
}

static enum expected expected_operand(const struct command *c)
{
    if (c->operands == 0)
        return NOTHING;
    if (strstr(c->synopsis, "COMMAND") || strstr(c->synopsis, "SHELL") || strstr(c->synopsis, "SIZE"))
        return WORDS;
    return strstr(c->synopsis, "PROMPT") || strstr(c->synopsis, "TEXT") ? ANYTHING : FILES;
}

/* Prints "a|b|c" as "a b c". */
static void print_words(const char *words)
{
    for (; *words; words++)
        putchar(*words == '|' ? ' ' : *words);
}

static void print_operand_words(const struct command *c)
{
    if (strstr(c->synopsis, "SHELL"))
        printf("bash zsh fish");
    else if (strstr(c->synopsis, "SIZE"))
        print_words(published_names);
    else
        for (const struct command *other = command_table; other->name; other++)
            printf("%s%s", other == command_table ? "" : " ", other->name);
}

/*
 * Prints text inside single quotes. A quote becomes '\'': close, escaped quote, open. Characters in
 * `escaped` get a backslash.
 */
static void print_quoted(const char *text, const char *escaped)
{
    for (; *text; text++) {
        if (*text == '\'')
            printf("'\\''");
        else
            printf("%s%c", strchr(escaped, *text) ? "\\" : "", *text);
    }
}

static bool is_of(const struct option *o, const struct command *c)
{
    return o->name && (o->commands & c->bit);
}

/* ----------------------------------------------------------------------------------------- bash */

static void print_bash_value(const struct command *c, const struct option *o)
{
    printf("    %s:--%s", c->name, o->name);
    if (o->letter)
        printf(" | %s:-%c", c->name, o->letter);
    printf(") ");
    switch (expected_value(o)) {
    case WORDS:
        printf("COMPREPLY=($(compgen -W '");
        print_words(option_words(o));
        printf("' -- \"$current\")) ;;\n");
        break;
    case FOLDERS:
        printf("compopt -o dirnames 2>/dev/null ;;\n");
        break;
    case FILES:
        printf("compopt -o default 2>/dev/null ;;\n");
        break;
    default:
        printf(";;\n");
        break;
    }
}

static void print_bash(void)
{
    printf(
        "# bash completion for rwkv7, made by `rwkv7 completions bash`\n"
        "_rwkv7() {\n"
        "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}\n"
        "    COMPREPLY=()\n"
        "    [ \"$previous\" != = ] || previous=${COMP_WORDS[COMP_CWORD - 2]} # --type=q is three words to bash\n"
        "    [ \"$current\" != = ] || current=\n"
        "    if ((COMP_CWORD == 1)); then\n"
        "        COMPREPLY=($(compgen -W '--help --version");
    for (const struct command *c = command_table; c->name; c++)
        printf(" %s", c->name);
    printf("' -- \"$current\"))\n"
           "        return\n"
           "    fi\n"
           "    case $command:$previous in\n");
    for (const struct command *c = command_table; c->name; c++)
        for (const struct option *o = option_table; o->help; o++)
            if (is_of(o, c) && expected_value(o) != NOTHING)
                print_bash_value(c, o);
    printf("    *)\n"
           "        case $command:$current in\n");
    for (const struct command *c = command_table; c->name; c++) {
        printf("        %s:-*) COMPREPLY=($(compgen -W '", c->name);
        for (const struct option *o = option_table; o->help; o++)
            if (is_of(o, c))
                printf("%s--%s", o == option_table ? "" : " ", o->name);
        printf("' -- \"$current\")) ;;\n");
        if (expected_operand(c) == WORDS) {
            printf("        %s:*) COMPREPLY=($(compgen -W '", c->name);
            print_operand_words(c);
            printf("' -- \"$current\")) ;;\n");
        } else if (expected_operand(c) == FILES) {
            printf("        %s:*) compopt -o default 2>/dev/null ;;\n", c->name);
        }
    }
    printf("        esac\n"
           "        ;;\n"
           "    esac\n"
           "}\n"
           "complete -F _rwkv7 rwkv7\n");
}

/* ------------------------------------------------------------------------------------------ zsh */

static void print_zsh_action(enum expected expected)
{
    if (expected == FILES)
        printf("_files");
    else if (expected == FOLDERS)
        printf("_files -/");
}

static void print_zsh_option(const struct option *o)
{
    static const char special[] = "[]:\\";
    const bool repeated = o->value.kind == TEXTS || o->value.kind == BANS || o->value.kind == BIASES;
    const enum expected expected = expected_value(o);
    printf("            %s", repeated ? "'*'" : "");
    if (o->letter)
        printf("'(-%c --%s)'{-%c%s,--%s%s}'[", o->letter, o->name, o->letter, expected == NOTHING ? "" : "+", o->name,
               expected == NOTHING ? "" : "=");
    else
        printf("'--%s%s[", o->name, expected == NOTHING ? "" : "=");
    print_quoted(o->help, special);
    printf("]");
    if (expected != NOTHING) {
        printf(":");
        if (expected == WORDS) {
            printf("%s:(", o->name);
            print_words(option_words(o));
            printf(")");
        } else {
            print_quoted(o->value.argument, special);
            printf(":");
            print_zsh_action(expected);
        }
    }
    printf("' \\\n");
}

static void print_zsh(void)
{
    printf("#compdef rwkv7\n"
           "# zsh completion for rwkv7, made by `rwkv7 completions zsh`\n"
           "_rwkv7() {\n"
           "    if ((CURRENT == 2)); then\n"
           "        local -a commands\n"
           "        commands=(\n");
    for (const struct command *c = command_table; c->name; c++) {
        printf("            '%s:", c->name);
        print_quoted(c->brief, ":\\");
        printf("'\n");
    }
    printf("            '--version:version, kernels, libraries'\n"
           "        )\n"
           "        _describe command commands\n"
           "        return\n"
           "    fi\n"
           "    local command=$words[2]\n"
           "    shift words\n"
           "    ((CURRENT--))\n"
           "    case $command in\n");
    for (const struct command *c = command_table; c->name; c++) {
        const enum expected operand = expected_operand(c);
        printf("    %s)\n"
               "        _arguments -s \\\n",
               c->name);
        for (const struct option *o = option_table; o->help; o++)
            if (is_of(o, c))
                print_zsh_option(o);
        printf("            '*:operand:");
        if (operand == WORDS) {
            printf("(");
            print_operand_words(c);
            printf(")");
        } else {
            print_zsh_action(operand);
        }
        printf("'\n"
               "        ;;\n");
    }
    printf("    esac\n"
           "}\n"
           "_rwkv7 \"$@\"\n");
}

/* ----------------------------------------------------------------------------------------- fish */

static void print_fish_option(const struct command *c, const struct option *o)
{
    printf("complete -c rwkv7 -n '__fish_seen_subcommand_from %s' -l %s", c->name, o->name);
    if (o->letter)
        printf(" -s %c", o->letter);
    switch (expected_value(o)) {
    case NOTHING:
        break;
    case ANYTHING:
        printf(" -x");
        break;
    case WORDS:
        printf(" -x -a '");
        print_words(option_words(o));
        printf("'");
        break;
    case FILES:
        printf(" -r -F");
        break;
    case FOLDERS:
        printf(" -x -a '(__fish_complete_directories)'");
        break;
    }
    printf(" -d '");
    print_quoted(o->help, "\\");
    printf("'\n");
}

static void print_fish(void)
{
    printf("# fish completion for rwkv7, made by `rwkv7 completions fish`\n"
           "complete -c rwkv7 -f\n"
           "complete -c rwkv7 -n __fish_use_subcommand -l version -d 'version, kernels, libraries'\n");
    for (const struct command *c = command_table; c->name; c++) {
        const enum expected operand = expected_operand(c);
        printf("complete -c rwkv7 -n __fish_use_subcommand -a %s -d '", c->name);
        print_quoted(c->brief, "\\");
        printf("'\n");
        if (operand == FILES) {
            printf("complete -c rwkv7 -n '__fish_seen_subcommand_from %s' -F\n", c->name);
        } else if (operand == WORDS) {
            printf("complete -c rwkv7 -n '__fish_seen_subcommand_from %s' -a '", c->name);
            print_operand_words(c);
            printf("'\n");
        }
        for (const struct option *o = option_table; o->help; o++)
            if (is_of(o, c))
                print_fish_option(c, o);
    }
}

int completions_command(const void *command_args)
{
    const struct completions_args *const args = command_args;
    const char *const shell = args->common.operand ? args->common.operand : "";
    if (strcmp(shell, "bash") == 0)
        print_bash();
    else if (strcmp(shell, "zsh") == 0)
        print_zsh();
    else if (strcmp(shell, "fish") == 0)
        print_fish();
    else if (!*shell)
        return complain_usage(args->common.command, "no shell given: expected one of bash, zsh, fish");
    else
        return complain_usage(args->common.command, "completions needs one of bash, zsh, fish, not '%s'", shell);
    return DONE;
}
