/* args.c - the parser of the command line. What there is to parse stands in table.c. */
#include "cli/options/args.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common.h"
#include "cli/io/model_file.h"
#include "cli/options/foreign.h"

/* ------------------------------------------------------------------------------------------- what was meant instead */

/*
 * Steps from a to b: a letter inserted, dropped, replaced, or two neighbours swapped (optimal string alignment). A word
 * that begins with the other one counts as one step.
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

/* Keeps the candidate that is nearest to `typed`, if it is near enough to have been meant. */
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

/* `spelling` is "--NAME". */
static int complain_unknown(const struct command *command, const char *spelling)
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

/* ----------------------------------------------------------------------------------------------------------- values */

/* A list with room for one more entry; NULL when out of memory. */
static void *grow(void *list, size_t count, size_t size)
{
    return (count & (count - 1)) == 0 ? realloc(list, (count ? 2 * count : 1) * size) : list;
}

/* `to` becomes `text` with \n, \t, \r, \\, \xHH as what they mean; false for any other escape and for \x00. */
static bool unescape(const char *text, char *to)
{
    static const char names[] = "ntr\\", meanings[] = "\n\t\r\\";
    for (; *text; text++) {
        if (*text != '\\') {
            *to++ = *text;
            continue;
        }
        const char *const name = *++text ? strchr(names, *text) : NULL;
        unsigned byte = 0;
        if (name) {
            byte = (unsigned char)meanings[name - names];
        } else if (*text == 'x' && isxdigit((unsigned char)text[1]) && isxdigit((unsigned char)text[2])) {
            const char digits[3] = {text[1], text[2], '\0'};
            byte = (unsigned)strtoul(digits, NULL, 16);
            text += 2;
        }
        if (byte == 0)
            return false;
        *to++ = (char)byte;
    }
    *to = '\0';
    return true;
}

static bool in_range(const struct option *o, double value)
{
    return value >= o->value.least && value <= o->value.most;
}

int parse_choice(const char *words, const char *text)
{
    const size_t n = strlen(text);
    for (int i = 0;; i++) {
        const size_t length = strcspn(words, "|");
        if (length == n && strncmp(words, text, n) == 0)
            return i;
        if (words[length] == '\0')
            return -1;
        words += length + 1;
    }
}

/* Putting values in their places: DONE, MISUSED when `text` is no such value, FAILED when out of memory. */

static int store_text(struct text_list *list, const char *text)
{
    char *const copy = malloc(strlen(text) + 1);
    const char **const grown = copy ? grow(list->at, list->count, sizeof *list->at) : NULL;
    if (!grown) {
        free(copy);
        return FAILED;
    }
    list->at = grown;
    list->at[list->count++] = copy;
    return unescape(text, copy) && *copy ? DONE : MISUSED;
}

static int store_counts(const struct option *o, struct count_list *list, const char *text)
{
    list->count = 0;
    for (;; text++) {
        long long value;
        if (!parse_whole(text, &value, &text) || !in_range(o, (double)value))
            return MISUSED;
        int *const grown = grow(list->at, list->count, sizeof *list->at);
        if (!grown)
            return FAILED;
        list->at = grown;
        list->at[list->count++] = (int)value;
        if (*text != ',')
            return *text == '\0' ? DONE : MISUSED;
    }
}

static int store_biases(const struct option *o, struct bias_list *list, const char *text)
{
    for (;; text++) {
        uint64_t id;
        double bias = -INFINITY;
        if (!parse_unsigned(text, &id, &text) || id > UINT32_MAX)
            return MISUSED;
        if (o->value.kind == BIASES && (*text != '=' || !parse_real(text + 1, &bias, &text)))
            return MISUSED;
        struct rwkv7_token_bias *const grown = grow(list->at, list->count, sizeof *list->at);
        if (!grown)
            return FAILED;
        list->at = grown;
        list->at[list->count++] = (struct rwkv7_token_bias){(uint32_t)id, (float)bias};
        if (*text != ',')
            return *text == '\0' ? DONE : MISUSED;
    }
}

static int store(const struct option *o, struct args *args, const char *text)
{
    void *const at = (char *)args + o->value.at;
    long long whole;
    double real;

    switch (o->value.kind) {
    case FLAG:
        break;
    case NAME:
    case INPUT:
    case TEXT:
        *(const char **)at = text;
        return *text || o->value.kind == TEXT ? DONE : MISUSED;
    case TEXTS:
        return store_text(at, text);
    case CHOICE:
        *(int *)at = parse_choice(o->value.argument, text);
        return *(int *)at >= 0 ? DONE : MISUSED;
    case SHAPE:
        *(const char **)at = text;
        return rwkv7_shape_named(text, &(struct rwkv7_shape){0}) ? DONE : MISUSED;
    case WHOLE:
        if (!parse_whole(text, &whole, NULL) || !in_range(o, (double)whole))
            return MISUSED;
        *(int *)at = (int)whole;
        return DONE;
    case REAL:
        if (!parse_real(text, &real, NULL) || !in_range(o, real) || (real != 0 && (float)real == 0))
            return MISUSED;
        *(float *)at = (float)real;
        return DONE;
    case COUNTS:
        return store_counts(o, at, text);
    case SEED:
        args->seed_given = true;
        return parse_unsigned(text, at, NULL) ? DONE : MISUSED;
    case BANS:
    case BIASES:
        return store_biases(o, at, text);
    }
    return MISUSED;
}

static int complain_memory(void)
{
    return complain(FAILED, "out of memory for the command line");
}

static int complain_value(const struct command *command, const struct option *o, const char *text)
{
    switch (o->value.kind) {
    case CHOICE:
    case SHAPE:
        return complain_usage(command, "--%s needs one of %s, not '%s'", o->name, option_words(o), text);
    case WHOLE:
        return complain_usage(command, "--%s needs a whole number from %.0f to %.0f, not '%s'", o->name, o->value.least,
                              o->value.most, text);
    case REAL:
        return complain_usage(command, "--%s needs a number from %g to %g, not '%s'", o->name, o->value.least,
                              o->value.most, text);
    case COUNTS:
        return complain_usage(command, "--%s needs whole numbers from %.0f to %.0f with commas between, not '%s'",
                              o->name, o->value.least, o->value.most, text);
    case SEED:
        return complain_usage(command, "--%s needs a whole number from 0 to %llu, not '%s'", o->name,
                              (unsigned long long)UINT64_MAX, text);
    case TEXTS:
        return complain_usage(command, "--%s needs text, with no escapes but \\n \\t \\r \\\\ \\xHH, not '%s'", o->name,
                              text);
    case BANS:
        return complain_usage(command, "--%s needs token ids with commas between, not '%s'", o->name, text);
    case BIASES:
        return complain_usage(command, "--%s needs ID=NUMBER, with commas between if several, not '%s'", o->name, text);
    default:
        return complain_usage(command, "--%s needs %s, not '%s'", o->name, o->value.argument, text);
    }
}

/* ----------------------------------------------------------------------------------------------------------- parser */

static const struct option *find_long(const struct command *command, const char *name, size_t n)
{
    for (const struct option *o = option_table; o->help; o++)
        if (o->name && (o->commands & command->bit) && strlen(o->name) == n && strncmp(o->name, name, n) == 0)
            return o;
    return NULL;
}

static const struct option *find_short(const struct command *command, char letter)
{
    for (const struct option *o = option_table; o->help; o++)
        if (o->name && (o->commands & command->bit) && o->letter == letter)
            return o;
    return NULL;
}

/* Where the parser stands: argv[at] is the next word. */
struct words {
    int count, at;
    char **argv;
};

/* Sets a flag, or stores the value of another option: what is attached to it, or else the next word. */
static int take(const struct option *o, const char *attached, struct words *words, struct args *args)
{
    const char *text = attached;
    if (o->value.kind == FLAG) {
        if (attached)
            return complain_usage(args->command, "--%s takes no value, but '%s' was given", o->name, attached);
        *(bool *)((char *)args + o->value.at) = true;
        return DONE;
    }
    if (!text && words->at == words->count)
        return complain_usage(args->command, "--%s needs a value: %s", o->name, o->value.argument);
    if (!text)
        text = words->argv[words->at++];
    const int code = store(o, args, text);
    return code == MISUSED ? complain_value(args->command, o, text) : code == FAILED ? complain_memory() : DONE;
}

/* "--seed", "--seed=1" */
static int parse_long(const char *word, struct words *words, struct args *args)
{
    const size_t n = strcspn(word, "=");
    const struct option *const o = find_long(args->command, word + 2, n - 2);
    if (!o) {
        char spelling[64];
        snprintf(spelling, sizeof spelling, "%.*s", (int)(n < sizeof spelling ? n : sizeof spelling - 1), word);
        return complain_unknown(args->command, spelling);
    }
    return take(o, word[n] ? word + n + 1 : NULL, words, args);
}

/* A letter that the command does not have, or, with 1 < n, a word like -ngl: DONE if it is not a known option of other programs. */
static int complain_foreign(const struct command *command, const char *spelling, size_t n)
{
    const char *const hint = foreign_hint(spelling, n);
    return hint ? complain_usage(command, "unknown option '%.*s': %s", (int)n, spelling, hint) : DONE;
}

/* "-qv", "-n5", "-qn 5": letters, of which the last one may take a value. */
static int parse_short(const char *word, struct words *words, struct args *args)
{
    const size_t n = strlen(word);
    if (n > 2 && complain_foreign(args->command, word, n) != DONE)
        return MISUSED;
    for (const char *letters = word + 1; *letters; letters++) {
        const struct option *const o = find_short(args->command, *letters);
        const char spelling[] = {'-', *letters, '\0'};
        if (!o && complain_foreign(args->command, spelling, 2) != DONE)
            return MISUSED;
        if (!o)
            return complain_usage(args->command, "unknown option '%s'", spelling);
        const int code = take(o, o->value.argument && letters[1] ? letters + 1 : NULL, words, args);
        if (code != DONE || o->value.argument)
            return code;
    }
    return DONE;
}

/* A model where a text or a file of texts is expected: it is meant for -m. */
static int refuse_model(const struct args *args)
{
    if (args->command->takes_model || !find_short(args->command, 'm'))
        return DONE;
    for (size_t i = 0; i < args->operands.count; i++)
        if (is_model_file(args->operands.at[i]))
            return complain_usage(args->command, "'%s' is a model; name it with -m", args->operands.at[i]);
    return DONE;
}

static int take_operand(const char *word, struct args *args)
{
    struct text_list *const list = &args->operands;
    const struct command *const command = args->command;
    const bool many = command->operands >= 0 && list->count >= (size_t)command->operands;
    if (many && refuse_model(args) != DONE)
        return MISUSED;
    if (many && command->operands == 1 && !command->takes_model)
        return complain_usage(command, "unexpected argument '%s'; several words need quotes around them", word);
    if (many)
        return complain_usage(command, "unexpected argument '%s'", word);
    const char **const grown = grow(list->at, list->count, sizeof *list->at);
    if (!grown)
        return complain_memory();
    list->at = grown;
    list->at[list->count++] = word;
    args->operand = list->at[0];
    return DONE;
}

/* What options and operands mean together. `model` is the one of the environment. */
static int finish(struct args *args, const char *model)
{
    if (args->prompt && args->operand)
        return complain_usage(args->command, "two prompts: '%s' and --prompt '%s'", args->operand, args->prompt);
    if (refuse_model(args) != DONE)
        return MISUSED;
    if (args->prompt)
        args->operand = args->prompt;
    if (args->command->takes_model && args->operand) {
        if (!*args->operand)
            return complain_usage(args->command, "MODEL needs a name, not ''");
        if (args->model != model)
            return complain_usage(args->command, "two models: '%s' and '%s'", args->model, args->operand);
        args->model = args->operand;
    }
    if (args->shape && args->model != model)
        return complain_usage(args->command, "two models: '%s' and --shape %s", args->model, args->shape);
    if ((args->sizes > 0 || args->plot) && args->model != model)
        return complain_usage(args->command, "two things to measure: '%s' and the table of --sizes or --plot",
                              args->model);
    return DONE;
}

int args_parse(const struct command *command, int argc, char **argv, struct args *args)
{
    struct words words = {argc, 0, argv};
    bool literal = false; /* behind "--" */

    memset(args, 0, sizeof *args);
    args->command = command;
    for (const struct option *o = option_table; o->help; o++) {
        if (!o->name || !(o->commands & command->bit))
            continue;
        const char *const variable = o->value.variable ? getenv(o->value.variable) : NULL;
        /* Presets are right, and only options of kind NAME and INPUT have a variable, for which every name will do; empty is unset. */
        if (o->preset && store(o, args, o->preset) != DONE)
            return complain_memory();
        if (variable && *variable)
            store(o, args, variable);
    }
    const char *const model = args->model;

    while (words.at < words.count) {
        const char *const word = words.argv[words.at++];
        int code = DONE;
        if (literal || word[0] != '-' || word[1] == '\0') {
            code = take_operand(word, args);
        } else if (word[1] != '-') {
            code = parse_short(word, &words, args);
        } else if (word[2] != '\0') {
            code = parse_long(word, &words, args);
        } else {
            literal = true;
        }
        if (code != DONE)
            return code;
        if (args->help || args->version)
            return DONE;
    }
    return finish(args, model);
}

void args_free(struct args *args)
{
    for (size_t i = 0; i < args->stops.count; i++)
        free((char *)(uintptr_t)args->stops.at[i]);
    free(args->stops.at);
    free(args->operands.at);
    free(args->prompts.at);
    free(args->team.at);
    free(args->biases.at);
}
