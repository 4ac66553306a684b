/*
 * parse.h - what the parts of the parser share: args.c for the command line, config.c for the config file, values.c for values, suggest.c
 * for messages about names that do not exist.
 */
#ifndef CLI_PARSE_H
#define CLI_PARSE_H

#include "cli/common.h"

/* A line of a file. */
struct place {
    const char *file;
    unsigned line;
};

/*
 * Where values come from, the ones that win first: the command line, the environment, the config file, the default. An option that has
 * a value from one of them takes none from the next; its row is `taken` then.
 */
struct parse {
    struct args *args;
    bool *taken; /* [the rows of option_table] */
};

bool option_is_of(const struct option *o, const struct command *command);
/* The row for the command of the option whose name is the first `n` bytes of `name`; NULL. */
const struct option *option_find(const struct command *command, const char *name, size_t n);
/* Whether the option, or one that stands against it (--no-bos), has a value already. */
bool option_is_taken(const struct parse *p, const struct option *o);
/* Clears the flag that stands against this one. */
void option_clear_opposite(const struct parse *p, const struct option *o);

/* Stores `text` as the value: DONE, MISUSED when it is no such value, FAILED when out of memory. Of a flag: "yes" or "no". */
int value_store(const struct option *o, struct args *args, const char *text);
/* The same with a message. A flag that is set clears the one that stands against it. `place` is NULL for the command line. */
int value_set(const struct parse *p, const struct option *o, const char *text, const struct place *place);
/* A list with room for one more entry; NULL when out of memory. */
void *list_grow(void *list, size_t count, size_t size);
int complain_memory(void);
/* Keeps an allocated string until args_free; NULL, and the string is freed, when out of memory. */
char *args_own(struct args *args, char *text);

/* An option that the command does not have; `spelling` is "--NAME". */
int complain_unknown(const struct command *command, const char *spelling);
/* The same in a config file, for one command or for all (NULL). */
int complain_line(const struct command *command, const char *name, const struct place *place);

/*
 * Takes the options of the user's config file, $XDG_CONFIG_HOME/rwkv7/config, for args->command. args->config is its path when there is
 * one.
 */
int user_config_read(const struct parse *p);

#endif
