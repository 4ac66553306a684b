/* args.c - parses the command line according to the tables in table.c. */
#include "cli/options/args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/io/messages.h"
#include "cli/io/model_file.h"
#include "cli/options/foreign.h"
#include "cli/options/parse.h"

bool option_is_of(const struct option *o, const struct command *command)
{
    return o->name && (o->commands & command->bit);
}

const struct option *option_find(const struct command *command, const char *name, size_t n)
{
    for (const struct option *o = option_table; o->help; o++)
        if (option_is_of(o, command) && strlen(o->name) == n && strncmp(o->name, name, n) == 0)
            return o;
    return NULL;
}

/*
 * Pairs of options that exclude each other. Giving both is an error, except for the first pair:
 * there, the later one counts.
 */
static const char *const pairs[][2] = {
    {"bos", "no-bos"},         {"model", "shape"},        {"model", "sizes"},
    {"model", "plot"},         {"shape", "sizes"},        {"shape", "plot"},
    {"json", "csv"},           {"json", "echo"},          {"state-in", "prompt-cache"},
    {"state-in", "system"},    {"state-in", "state"},     {"state-in", "state-order"},
    {"state", "prompt-cache"}, {"history", "no-history"}, {"decode", "count"},
    {"decode", "lines"},       {"count", "lines"},
};

/* Returns the row of the option that `o` excludes in that pair; NULL if there is none. */
static const struct option *opposite(const struct command *command, const struct option *o, size_t pair)
{
    for (int side = 0; side < 2; side++)
        if (strcmp(o->name, pairs[pair][side]) == 0)
            return option_find(command, pairs[pair][1 - side], strlen(pairs[pair][1 - side]));
    return NULL;
}

/* Returns whether the option has a value that excludes others; a flag set to "no" does not. */
static bool counts(const struct parse *p, const struct option *o)
{
    return p->taken[o - option_table] && (o->value.kind != FLAG || *(const bool *)args_value(o, p->args));
}

bool option_is_taken(const struct parse *p, const struct option *o)
{
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        const struct option *const other = opposite(p->common->command, o, i);
        if (other && counts(p, other))
            return true;
    }
    return p->taken[o - option_table];
}

void option_clear_opposite(const struct parse *p, const struct option *o)
{
    const struct option *const other = opposite(p->common->command, o, 0);
    if (other)
        *(bool *)args_field(other, p->args) = false;
}

char *args_own(struct common_args *common, char *text)
{
    struct text_list *const list = &common->owned;
    const char **const grown = list_grow(list->at, list->count, sizeof *list->at);
    if (!grown) {
        free(text);
        return NULL;
    }
    list->at = grown;
    list->at[list->count++] = text;
    return text;
}

static const struct option *find_short(const struct command *command, char letter)
{
    for (const struct option *o = option_table; o->help; o++)
        if (option_is_of(o, command) && o->letter == letter)
            return o;
    return NULL;
}

/* The words of the command line; argv[at] is the next one. */
struct words {
    int count, at;
    char **argv;
};

/* Stores the value of an option: the attached text, "yes" for a flag, or else the next word. */
static int take(const struct option *o, const char *attached, struct words *words, const struct parse *p)
{
    const struct command *const command = p->common->command;
    const char *text = attached;
    if (o->value.kind == FLAG && !attached)
        text = "yes";
    if (!text && words->at == words->count)
        return complain_usage(command, "--%s needs a value: %s", o->name, o->value.argument);
    if (!text)
        text = words->argv[words->at++];
    p->taken[o - option_table] = true;
    return value_set(p, o, text, NULL);
}

/* "--seed", "--seed=1" */
static int parse_long(const char *word, struct words *words, const struct parse *p)
{
    const size_t n = strcspn(word, "=");
    const struct option *const o = option_find(p->common->command, word + 2, n - 2);
    if (!o) {
        char spelling[64];
        snprintf(spelling, sizeof spelling, "%.*s", (int)(n < sizeof spelling ? n : sizeof spelling - 1), word);
        return complain_unknown(p->common->command, spelling);
    }
    return take(o, word[n] ? word + n + 1 : NULL, words, p);
}

/*
 * Reports an option of another program, such as -ngl (n bytes of `spelling`), with a hint. Returns
 * DONE, and prints nothing, if it is not a known one.
 */
static int complain_foreign(const struct command *command, const char *spelling, size_t n)
{
    const char *const hint = foreign_hint(spelling, n);
    return hint ? complain_usage(command, "unknown option '%.*s': %s", (int)n, spelling, hint) : DONE;
}

/* Parses "-qv", "-n5" or "-qn 5": letters, of which only the last may take a value. */
static int parse_short(const char *word, struct words *words, const struct parse *p)
{
    const size_t n = strlen(word);
    if (n > 2 && complain_foreign(p->common->command, word, n) != DONE)
        return MISUSED;
    for (const char *letters = word + 1; *letters; letters++) {
        const struct option *const o = find_short(p->common->command, *letters);
        const char spelling[] = {'-', *letters, '\0'};
        if (!o && complain_foreign(p->common->command, spelling, 2) != DONE)
            return MISUSED;
        if (!o)
            return complain_usage(p->common->command, "unknown option '%s'", spelling);
        const int code = take(o, o->value.argument && letters[1] ? letters + 1 : NULL, words, p);
        if (code != DONE || o->value.argument)
            return code;
    }
    return DONE;
}

static bool takes_model(const struct command *command)
{
    return command->operand_as && strcmp(command->operand_as, "model") == 0;
}

/* Rejects a model file given where a prompt or a text file is expected; it needs -m. */
static int refuse_model(const struct common_args *args)
{
    if (takes_model(args->command) || !find_short(args->command, 'm'))
        return DONE;
    for (size_t i = 0; i < args->operands.count; i++)
        if (is_model_file(args->operands.at[i]))
            return complain_usage(args->command, "'%s' is a model; name it with -m", args->operands.at[i]);
    return DONE;
}

static int take_operand(const char *word, struct common_args *args)
{
    struct text_list *const list = &args->operands;
    const struct command *const command = args->command;
    const bool many = command->operands >= 0 && list->count >= (size_t)command->operands;
    if (many && refuse_model(args) != DONE)
        return MISUSED;
    if (many && command->operands == 1 && !takes_model(command))
        return complain_usage(command, "unexpected argument '%s'; several words need quotes around them", word);
    if (many)
        return complain_usage(command, "unexpected argument '%s'", word);
    const char **const grown = list_grow(list->at, list->count, sizeof *list->at);
    if (!grown)
        return complain_memory();
    list->at = grown;
    list->at[list->count++] = word;
    args->operand = list->at[0];
    return DONE;
}

/*
 * Returns the text of an option of the command line; NULL: it was not given there, or the command
 * has no such option, or its value is not a text.
 */
static const char *given_text(const struct parse *p, const char *name)
{
    const struct option *const o = option_find(p->common->command, name, strlen(name));
    const bool is_text =
        o && (o->value.kind == NAME || o->value.kind == INPUT || o->value.kind == TEXT || o->value.kind == SHAPE);
    return is_text && p->taken[o - option_table] ? *(const char *const *)args_value(o, p->args) : NULL;
}

/* Stores the operand as the value of the option that it stands for. */
static void store_operand(const struct parse *p)
{
    const char *const name = p->common->command->operand_as;
    const struct option *const o = option_find(p->common->command, name, strlen(name));
    *(const char **)args_field(o, p->args) = p->common->operand;
    p->taken[o - option_table] = true;
}

/* Returns whether an option of bench's table of all sizes is given; a model excludes these. */
static bool is_table_given(const struct parse *p)
{
    const struct option *const sizes = option_find(p->common->command, "sizes", strlen("sizes"));
    return (sizes && *(const int *)args_value(sizes, p->args) != SIZES_AUTO) || given_text(p, "plot");
}

/*
 * Checks combinations of options and operands. The operand MODEL becomes the value of --model, and
 * PROMPT that of --prompt.
 */
static int check_words(const struct parse *p)
{
    const struct command *const command = p->common->command;
    const char *const operand = p->common->operand, *const model = given_text(p, "model"),
                      *const shape = given_text(p, "shape"), *const prompt = given_text(p, "prompt");
    if (prompt && operand)
        return complain_usage(command, "two prompts: '%s' and --prompt '%s'", operand, prompt);
    if (refuse_model(p->common) != DONE)
        return MISUSED;
    if (shape && model)
        return complain_usage(command, "two models: '%s' and --shape %s", model, shape);
    if (model && is_table_given(p))
        return complain_usage(command, "two things to measure: '%s' and the table of --sizes or --plot", model);
    if (operand && takes_model(command) && !*operand)
        return complain_usage(command, "MODEL needs a name, not ''");
    if (operand && takes_model(command) && model)
        return complain_usage(command, "two models: '%s' and '%s'", model, operand);
    if (operand && command->operand_as)
        store_operand(p);
    return DONE;
}

/*
 * Takes values from environment variables. They hold file names or the name of a CPU tier, so any
 * text is stored; an empty variable counts as unset.
 */
static void take_environment(const struct parse *p)
{
    for (const struct option *o = option_table; o->help; o++) {
        const char *const variable =
            option_is_of(o, p->common->command) && o->value.variable ? getenv(o->value.variable) : NULL;
        if (!variable || !*variable || option_is_taken(p, o))
            continue;
        value_store(o, p->args, variable);
        p->taken[o - option_table] = true;
    }
}

/* Stores the defaults. They are always valid, so only memory can be short. */
static int take_defaults(const struct parse *p)
{
    for (const struct option *o = option_table; o->help; o++)
        if (option_is_of(o, p->common->command) && o->preset && !p->taken[o - option_table] &&
            value_store(o, p->args, o->preset) != DONE)
            return complain_memory();
    return DONE;
}

static int parse_words(const struct parse *p, int argc, char **argv)
{
    struct words words = {argc, 0, argv};
    bool literal = false; /* after "--" */
    while (words.at < words.count) {
        const char *const word = words.argv[words.at++];
        int code = DONE;
        if (literal || word[0] != '-' || word[1] == '\0') {
            code = take_operand(word, p->common);
        } else if (word[1] != '-') {
            code = parse_short(word, &words, p);
        } else if (word[2] != '\0') {
            code = parse_long(word, &words, p);
        } else {
            literal = true;
        }
        if (code != DONE || p->common->help || p->common->version)
            return code;
    }
    return check_words(p);
}

int args_parse(const struct command *command, int argc, char **argv, void *args)
{
    struct common_args *const common = args;
    bool taken[OPTIONS_ROOM] = {false};
    const struct parse p = {args, common, taken};

    memset(args, 0, command->size);
    common->command = command;
    int code = parse_words(&p, argc, argv);
    if (code != DONE || common->help || common->version)
        return code;
    take_environment(&p);
    code = user_config_read(&p);
    return code == DONE ? take_defaults(&p) : code;
}

/* Frees the lists of strings or numbers that an option was stored in. */
static void free_value(const struct option *o, void *args)
{
    void *const field = args_field(o, args);
    if (o->value.kind == TEXTS) {
        struct text_list *const list = field;
        for (size_t i = 0; i < list->count; i++)
            free((char *)(uintptr_t)list->at[i]);
        free(list->at);
        *list = (struct text_list){0};
    } else if (o->value.kind == COUNTS) {
        struct count_list *const list = field;
        free(list->at);
        *list = (struct count_list){0};
    } else if (o->value.kind == BANS || o->value.kind == BIASES) {
        /* shared by BANS and BIASES: emptied against a double free */
        struct bias_list *const list = field;
        free(list->at);
        *list = (struct bias_list){0};
    }
}

void args_free(void *args)
{
    struct common_args *const common = args;
    for (const struct option *o = option_table; o->help; o++)
        if (option_is_of(o, common->command))
            free_value(o, args);
    for (size_t i = 0; i < common->owned.count; i++)
        free((char *)(uintptr_t)common->owned.at[i]);
    free(common->owned.at);
    free(common->operands.at);
}
