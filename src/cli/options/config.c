/*
 * config.c - reads the user's config file: lines "option = value" with the long names of table.c. A
 * line applies to all commands that have the option, or, after a line "[command]", to that command.
 *
 * A line for all commands applies to a command only if the option accepts the same values there as
 * in the first row of its name. For example, "tokens = 100" does not apply to `logits`, whose
 * --tokens are token ids.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/io/input.h"
#include "cli/io/messages.h"
#include "cli/options/args.h"
#include "cli/options/parse.h"

#define MOST_BYTES 65536 /* maximum size; the file is written by hand */
#define LINE_ROOM 4096

/* Returns whether an option is allowed on the command line only. */
static bool is_for_command_line(const struct option *o)
{
    static const char *const names[] = {"help", "version", "no-config", "list", "man"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(o->name, names[i]) == 0)
            return true;
    return false;
}

/*
 * Returns whether the command reads the config file. `help`, for example, does not, so that it
 * works whatever the file contains.
 */
static bool reads_config(const struct command *command)
{
    for (const struct option *o = option_table; o->help; o++)
        if (option_is_of(o, command) && !is_for_command_line(o))
            return true;
    return false;
}

static char *joined(const char *a, const char *b)
{
    const size_t room = strlen(a) + strlen(b) + 1;
    char *const text = malloc(room);
    if (text)
        snprintf(text, room, "%s%s", a, b);
    return text;
}

/* Sets args->config to the path of the file, or to NULL if no folder for it is known. */
static int find_path(struct common_args *args)
{
    const char *const config = getenv("XDG_CONFIG_HOME"), *const home = getenv("HOME");
    char *path;
    if (config && config[0] == '/') /* the XDG specification: ignore a relative path */
        path = joined(config, "/rwkv7/config");
    else if (home && *home)
        path = joined(home, "/.config/rwkv7/config");
    else
        return DONE;
    args->config = path ? args_own(args, path) : NULL;
    return args->config ? DONE : complain_memory();
}

/*
 * Reads the file. *text is terminated by a NUL; it is NULL, as is args->config, if there is no
 * file.
 */
static int load(struct common_args *args, char **text, size_t *size)
{
    struct stat st;
    *text = NULL;
    /*
     * A folder that this process may not enter counts as absent, for example HOME in a service that
     * runs as another user.
     */
    if (stat(args->config, &st) != 0) {
        const char *const path = args->config;
        args->config = NULL;
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == ENAMETOOLONG
                   ? DONE
                   : complain(FAILED, "cannot read %s: %s", path, strerror(errno));
    }
    if (!S_ISREG(st.st_mode))
        return complain(MISUSED, "%s: expected a regular file", args->config);
    if (st.st_size > MOST_BYTES)
        return complain(MISUSED, "%s: expected at most %d bytes, found %lld", args->config, MOST_BYTES,
                        (long long)st.st_size);
    char *const buffer = malloc(MOST_BYTES + 1);
    *text = buffer ? args_own(args, buffer) : NULL;
    if (!*text)
        return complain_memory();
    const int fd = open(args->config, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t got = -1;
    for (*size = 0; fd >= 0 && *size < MOST_BYTES; *size += (size_t)got)
        if ((got = read(fd, *text + *size, MOST_BYTES - *size)) <= 0)
            break;
    const int read_error = errno;
    if (fd >= 0)
        close(fd);
    if (got < 0)
        return complain(FAILED, "cannot read %s: %s", args->config, strerror(read_error));
    (*text)[*size] = '\0';
    return DONE;
}

/* Removes blanks from both ends of the text, in place. */
static char *trimmed(char *text)
{
    static const char blanks[] = " \t\r";
    text += strspn(text, blanks);
    size_t n = strlen(text);
    while (n > 0 && strchr(blanks, text[n - 1]))
        n--;
    text[n] = '\0';
    return text;
}

/* Removes quotes around a value; they protect blanks at its ends. */
static char *unquoted(char *text)
{
    const size_t n = strlen(text);
    if (n < 2 || text[0] != '"' || text[n - 1] != '"')
        return text;
    text[n - 1] = '\0';
    return text + 1;
}

/* Replaces "~/" at the start of a file name by the home folder. */
static const char *expanded(struct common_args *args, const struct option *o, const char *text)
{
    const char *const home = getenv("HOME");
    if ((o->value.kind != NAME && o->value.kind != INPUT) || strncmp(text, "~/", 2) != 0 || !home)
        return text;
    char *const path = joined(home, text + 1);
    return path ? args_own(args, path) : NULL;
}

static const struct option *first_of_name(const char *name)
{
    for (const struct option *o = option_table; o->help; o++)
        if (o->name && strcmp(o->name, name) == 0)
            return o;
    return NULL;
}

static bool means_the_same(const struct option *o, const struct option *first)
{
    return o->value.kind == first->value.kind && o->value.least == first->value.least &&
           o->value.most == first->value.most &&
           (o->value.kind != CHOICE || strcmp(o->value.argument, first->value.argument) == 0);
}

static int set(const struct parse *p, const struct option *o, const char *value, const struct place *place)
{
    struct common_args *const args = p->common;
    if (!value && o->value.kind != FLAG)
        return complain(MISUSED, "%s:%u: %s needs a value: %s = %s", place->file, place->line, o->name, o->name,
                        o->value.argument);
    const char *const text = expanded(args, o, value ? value : "yes");
    return text ? value_set(p, o, text, place) : complain_memory();
}

/*
 * Parses a line "option = value". section: the command it applies to; NULL: all commands. Marks the
 * row in set_rows if the line gives it a value.
 */
static int take_option(const struct parse *p, char *line, const struct command *section, bool *set_rows,
                       const struct place *place)
{
    char *const equals = strchr(line, '=');
    char *value = NULL;
    if (equals) {
        *equals = '\0';
        value = unquoted(trimmed(equals + 1));
    }
    const char *const name = trimmed(line);
    const struct command *const command = p->common->command;
    const struct option *const first = section ? option_find(section, name, strlen(name)) : first_of_name(name);
    if (!first)
        return complain_line(section, name, place);
    if (is_for_command_line(first))
        return complain(MISUSED, "%s:%u: '%s' is allowed on the command line only", place->file, place->line, name);
    const struct option *const o = option_find(command, name, strlen(name));
    if (!o || (section && section != command) || (!section && !means_the_same(o, first)) || option_is_taken(p, o))
        return DONE;
    set_rows[o - option_table] = true;
    return set(p, o, value, place);
}

static const struct command *command_named(const char *name)
{
    for (const struct command *c = command_table; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

/* Parses a line such as "[run]". */
static int take_section(char *line, const struct command **section, const struct place *place)
{
    char *const end = strchr(line, ']');
    if (!end || end[1])
        return complain(MISUSED, "%s:%u: expected [COMMAND], found '%s'", place->file, place->line, line);
    *end = '\0';
    *section = command_named(trimmed(line + 1));
    return *section ? DONE
                    : complain(MISUSED, "%s:%u: unknown command '%s'", place->file, place->line, trimmed(line + 1));
}

static int take_lines(const struct parse *p, char *text, size_t size, bool *set_rows)
{
    const struct command *section = NULL;
    struct place place = {p->common->config, 0};
    const char *const end = text + size;
    int code = DONE;
    text += input_skip_mark(text) - text;
    while (code == DONE && text < end) {
        const size_t n = strcspn(text, "\n");
        char *const next = text + n + 1;
        place.line++;
        if (text + n < end && text[n] == '\0')
            return complain(MISUSED, "%s:%u: expected text, found a NUL byte", place.file, place.line);
        if (n > LINE_ROOM)
            return complain(MISUSED, "%s:%u: expected at most %d bytes in a line, found %zu", place.file, place.line,
                            LINE_ROOM, n);
        text[n] = '\0';
        char *const line = trimmed(text);
        if (*line == '[')
            code = take_section(line, &section, &place);
        else if (*line && *line != '#')
            code = take_option(p, line, section, set_rows, &place);
        text = next;
    }
    return code;
}

int user_config_read(const struct parse *p)
{
    struct common_args *const args = p->common;
    bool set_rows[OPTIONS_ROOM] = {false};
    char *text = NULL;
    size_t size = 0;
    if (args->no_config || !reads_config(args->command))
        return DONE;
    int code = find_path(args);
    if (code == DONE && args->config)
        code = load(args, &text, &size);
    if (code == DONE && text)
        code = take_lines(p, text, size, set_rows);
    for (size_t i = 0; i < OPTIONS_ROOM; i++)
        p->taken[i] = p->taken[i] || set_rows[i];
    return code;
}

void args_report_config(const struct common_args *common)
{
    if (common->config)
        complain(DONE, "options from %s", common->config);
}
