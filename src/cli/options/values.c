/* values.c - parses the values of options and stores them; see parse.h. */
#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/io/messages.h"
#include "cli/options/args.h"
#include "cli/options/parse.h"

void *list_grow(void *list, size_t count, size_t size)
{
    return (count & (count - 1)) == 0 ? realloc(list, (count ? 2 * count : 1) * size) : list;
}

/*
 * Copies text to `to` with the escapes \n, \t, \r, \\ and \xHH replaced. Returns false for any
 * other escape and for \x00.
 */
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

static int store_text(struct text_list *list, const char *text)
{
    char *const copy = malloc(strlen(text) + 1);
    const char **const grown = copy ? list_grow(list->at, list->count, sizeof *list->at) : NULL;
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
        int *const grown = list_grow(list->at, list->count, sizeof *list->at);
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
        struct rwkv7_token_bias *const grown = list_grow(list->at, list->count, sizeof *list->at);
        if (!grown)
            return FAILED;
        list->at = grown;
        list->at[list->count++] = (struct rwkv7_token_bias){(uint32_t)id, (float)bias};
        if (*text != ',')
            return *text == '\0' ? DONE : MISUSED;
    }
}

int value_store(const struct option *o, void *args, const char *text)
{
    void *const at = args_field(o, args);
    long long whole;
    double real;

    switch (o->value.kind) {
    case FLAG: {
        const int word = parse_choice("no|yes", text);
        *(bool *)at = word == 1;
        return word >= 0 ? DONE : MISUSED;
    }
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
        ((struct seed_option *)at)->given = true;
        return parse_unsigned(text, &((struct seed_option *)at)->value, NULL) ? DONE : MISUSED;
    case BANS:
    case BIASES:
        return store_biases(o, at, text);
    }
    return MISUSED;
}

int complain_memory(void)
{
    return complain(FAILED, "out of memory for the command line");
}

/* Prints a message about a mistake on the command line, or in a line of a file. */
static int complain_at(const struct command *command, const struct place *place, const char *fmt, ...)
    RWKV7_PRINTF(3, 4);
static int complain_at(const struct command *command, const struct place *place, const char *fmt, ...)
{
    char message[512];
    va_list list;
    va_start(list, fmt);
    vsnprintf(message, sizeof message, fmt, list);
    va_end(list);
    return place ? complain(MISUSED, "%s:%u: %s", place->file, place->line, message)
                 : complain_usage(command, "%s", message);
}

static int complain_value(const struct command *command, const struct option *o, const char *text,
                          const struct place *place)
{
    const char *const name = o->name;
    switch (o->value.kind) {
    case FLAG:
        return complain_at(command, place, "--%s is a flag: yes or no, not '%s'", name, text);
    case CHOICE:
    case SHAPE:
        return complain_at(command, place, "--%s needs one of %s, not '%s'", name, option_words(o), text);
    case WHOLE:
        return complain_at(command, place, "--%s needs a whole number from %.0f to %.0f, not '%s'", name,
                           o->value.least, o->value.most, text);
    case REAL:
        return complain_at(command, place, "--%s needs a number from %g to %g, not '%s'", name, o->value.least,
                           o->value.most, text);
    case COUNTS:
        return complain_at(command, place, "--%s needs whole numbers from %.0f to %.0f with commas between, not '%s'",
                           name, o->value.least, o->value.most, text);
    case SEED:
        return complain_at(command, place, "--%s needs a whole number from 0 to %llu, not '%s'", name,
                           (unsigned long long)UINT64_MAX, text);
    case TEXTS:
        if (*text == '\0')
            return complain_at(command, place, "--%s needs a text that is not empty", name);
        return complain_at(command, place, "--%s needs text with the escapes \\n \\t \\r \\\\ \\xHH only, not '%s'",
                           name, text);
    case BANS:
        return complain_at(command, place, "--%s needs token ids with commas between, not '%s'", name, text);
    case BIASES:
        return complain_at(command, place, "--%s needs ID=NUMBER, with commas between if several, not '%s'", name,
                           text);
    default:
        return complain_at(command, place, "--%s needs %s, not '%s'", name, o->value.argument, text);
    }
}

int value_set(const struct parse *p, const struct option *o, const char *text, const struct place *place)
{
    const int code = value_store(o, p->args, text);
    if (code == MISUSED)
        return complain_value(p->common->command, o, text, place);
    if (code != DONE)
        return complain_memory();
    if (o->value.kind == FLAG && *(const bool *)args_value(o, p->args))
        option_clear_opposite(p, o);
    return DONE;
}
