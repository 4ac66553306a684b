/*
 * parse.h - functions shared by the parts of the parser: args.c (command line), config.c (config
 * file), values.c (values), suggest.c (messages about unknown names).
 */
#ifndef CLI_PARSE_H
#define CLI_PARSE_H

#include "cli/io/messages.h"
#include "cli/options/args.h"

/* A line of a file, for messages. */
struct place {
    const char *file;
    unsigned line;
};

/*
 * The state of parsing. Values come from the command line, the environment, the config file and the
 * defaults, in this order of precedence: an option that has a value is `taken`, and later sources
 * do not change it.
 */
struct parse {
    void *args;                 /* the struct of the command */
    struct common_args *common; /* its first member */
    bool *taken;                /* [rows of option_table] */
};

bool option_is_of(const struct option *o, const struct command *command);
/* Returns the command's row of the option whose name is the first `n` bytes of `name`, or NULL. */
const struct option *option_find(const struct command *command, const char *name, size_t n);
/*
 * Returns whether the option, or the one that excludes it (such as --no-bos), already has a value.
 */
bool option_is_taken(const struct parse *p, const struct option *o);
/* Clears the flag that excludes this one. */
void option_clear_opposite(const struct parse *p, const struct option *o);

/*
 * Parses and stores a value. For a flag, text is "yes" or "no". Returns DONE, MISUSED if the text
 * is not valid, or FAILED if memory is short. Prints nothing.
 */
int value_store(const struct option *o, void *args, const char *text);
/*
 * As value_store, but prints a message on failure. A flag that is set clears the one that excludes
 * it. place: the line of a config file, or NULL for the command line.
 */
int value_set(const struct parse *p, const struct option *o, const char *text, const struct place *place);
/* Returns the list with room for one more entry; NULL if memory is short. */
void *list_grow(void *list, size_t count, size_t size);
int complain_memory(void);
/*
 * Makes an allocated string owned by the arguments. If memory is short, frees it and returns NULL.
 */
char *args_own(struct common_args *common, char *text);

/* Reports an unknown option of a command; spelling: "--NAME". Returns MISUSED. */
int complain_unknown(const struct command *command, const char *spelling);
/* As above, for a line of a config file. command: NULL if the line is for all commands. */
int complain_line(const struct command *command, const char *name, const struct place *place);

/*
 * Reads the options for common->command from the user's config file, $XDG_CONFIG_HOME/rwkv7/config.
 * Sets common->config to its path, or to NULL if there is none.
 */
int user_config_read(const struct parse *p);

#endif
