/*
 * chat_template.h - the words around a conversation that RWKV models are trained on:
 *
 *     System: ...
 *
 *     User: ...
 *
 *     Assistant: ...
 *
 * An empty line separates the turns, so that what is said must not hold one: runs of newlines become one. Models that think do so
 * between <think> and </think>, and the last character of the tag is left to the model.
 */
#ifndef GENERATE_CHAT_TEMPLATE_H
#define GENERATE_CHAT_TEMPLATE_H

#include <stdbool.h>

/* How an answer begins, and what is asked of it: words of THINKING_WORDS in the same order. */
enum thinking { THINK_OFF, THINK_ON, THINK_SHORT, THINK_NORMAL, THINK_LONG, THINK_EMPTY, THINK_FAKE };
#define THINKING_WORDS "off|on|short|normal|long|empty|fake"

/* Allocated by mem_alloc; NULL when out of memory. An empty system prompt is no text at all. */
char *chat_template_system(const char *text);
char *chat_template_turn(const char *user, bool first, enum thinking thinking);
/* What chat_template_turn puts behind "Assistant:". */
const char *chat_template_opening(enum thinking thinking);

#endif
