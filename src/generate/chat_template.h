/*
 * chat_template.h - the words around a conversation that a model was trained on, such as
 *
 *     System: ...
 *
 *     User: ...
 *
 *     Assistant: ...
 *
 * There is one template for each family of chat models, and users may write others (chat_template_file.c). An empty line separates the
 * turns, so that what is said must not hold one: runs of newlines become one. Models that think do so between <think> and </think>, and
 * the last character of the tag is left to the model.
 */
#ifndef GENERATE_CHAT_TEMPLATE_H
#define GENERATE_CHAT_TEMPLATE_H

#include <stdbool.h>

#include "rwkv7.h"

/* How an answer begins, and what is asked of it: words of THINKING_WORDS in the same order. */
enum thinking { THINK_OFF, THINK_ON, THINK_SHORT, THINK_NORMAL, THINK_LONG, THINK_EMPTY, THINK_FAKE };
#define THINKING_WORDS "off|on|short|normal|long|empty|fake"

enum { TEMPLATE_STOPS = 2 };

struct chat_template {
    const char *name;          /* "world"; the path of a file */
    const char *system[2];     /* before and behind the system prompt, at the beginning */
    const char *user, *answer; /* before what the user says, and behind it, before the answer */
    const char *between;       /* behind an answer, if a turn follows */
    const char
        *stops[TEMPLATE_STOPS]; /* where an answer ends, as the model would speak for the user next; may be NULL */
    bool thinks;                /* the models can be asked for thoughts */
    char *memory;               /* of a file: what the others point into; NULL: built in */
};

/* The one of that name; NULL: there is none. */
const struct chat_template *chat_template_named(const char *name);
/* The built-in ones, NULL past the end; the first is the usual one. */
const struct chat_template *chat_template_at(size_t index);
/* The one that a model was trained on, as far as its version, vocabulary and name tell. *why: which of these, for people. */
const struct chat_template *chat_template_choose(const struct rwkv7_model *model, const char **why);
/*
 * One of a file: RWKV7_ERR_USAGE with the reason if it is none, RWKV7_ERR_IO if it cannot be read. The path must outlive it. Free it with
 * chat_template_free, harmless on a built-in one and on zeroes.
 */
enum rwkv7_status chat_template_open(const char *path, struct chat_template *out, struct rwkv7_error *err);
void chat_template_free(struct chat_template *t);

/* Allocated by mem_alloc; NULL when out of memory. An empty system prompt is no text at all. */
char *chat_template_system(const struct chat_template *t, const char *text);
char *chat_template_turn(const struct chat_template *t, const char *user, bool first, enum thinking thinking);
/* What chat_template_turn puts at the beginning of the answer. */
const char *chat_template_opening(enum thinking thinking);

#endif
