/*
 * chat_template.h - chat templates: the format of conversations that a model was trained with, for
 * example
 *
 *     System: ...
 *
 *     User: ...
 *
 *     Assistant: ...
 *
 * There is one template per family of chat models; users can add files (chat_template_file.c). An
 * empty line separates turns, so messages must not contain one: runs of newlines are reduced to
 * one. Reasoning models think between <think> and </think>; the prompt ends before the last
 * character of the opening tag, which the model generates.
 */
#ifndef GENERATE_CHAT_TEMPLATE_H
#define GENERATE_CHAT_TEMPLATE_H

#include <stdbool.h>

#include "rwkv7.h"

/* The reasoning at the start of an answer. Same order as THINKING_WORDS. */
enum thinking { THINK_OFF, THINK_ON, THINK_SHORT, THINK_NORMAL, THINK_LONG, THINK_EMPTY, THINK_FAKE };
#define THINKING_WORDS "off|on|short|normal|long|empty|fake"

enum { TEMPLATE_STOPS = 2 };

struct chat_template {
    const char *name;                  /* "world", or the path of a file */
    const char *system[2];             /* text before and after the system prompt */
    const char *user, *answer;         /* text before a message, and before an answer */
    const char *between;               /* text after an answer, before the next turn */
    const char *stops[TEMPLATE_STOPS]; /* strings that end an answer; may be NULL */
    bool thinks;                       /* the models support thinking */
    char *memory;                      /* allocated strings of a template file; NULL: built in */
};

/* Returns the built-in template of that name, or NULL. */
const struct chat_template *chat_template_named(const char *name);
/* Returns built-in template `index`, NULL past the end. The first is the default. */
const struct chat_template *chat_template_at(size_t index);
/*
 * Returns the template that a model was trained with, guessed from its version, vocabulary and
 * name. *why: the one that decided, for messages.
 */
const struct chat_template *chat_template_choose(const struct rwkv7_model *model, const char **why);
enum { CHAT_TEMPLATE_MOST = 1 << 16 }; /* bytes of a template file */
/*
 * Makes a template of the text [size] of a file. Fails with RWKV7_ERR_USAGE and the reason if it is
 * not valid. The path is used in messages and must outlive the template; the text is copied. Free
 * it with chat_template_free, which ignores built-in and zeroed templates.
 */
enum rwkv7_status chat_template_parse(const char *path, const char *text, size_t size, struct chat_template *out,
                                      struct rwkv7_error *err);
void chat_template_free(struct chat_template *t);

/*
 * Returns the text of the system prompt, allocated by mem_alloc; NULL if memory is short. An empty
 * prompt gives an empty text.
 */
char *chat_template_system(const struct chat_template *t, const char *text);
char *chat_template_turn(const struct chat_template *t, const char *user, bool first, enum thinking thinking);
/* Returns the text that chat_template_turn puts at the start of the answer. */
const char *chat_template_opening(enum thinking thinking);

#endif
