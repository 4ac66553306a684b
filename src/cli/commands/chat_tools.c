/* chat_tools.c - see chat_tools.h. */
#include "cli/commands/chat_tools.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_tree.h"
#include "cli/io/input.h"
#include "cli/io/messages.h"
#include "generate/tool_calls.h"

static int no_memory(void)
{
    return complain(FAILED, "out of memory for the tools");
}

/* Parses the file. cJSON would truncate strings at U+0000, so they are refused. */
static int parse(struct chat_tools *t, const char *text, size_t size)
{
    static const char nul[] = "\\u0000";
    const char *end = NULL;
    char field[TOOLS_FIELD];
    struct rwkv7_error err = {0};
    bool lacks_memory, has_nul = false;
    cJSON *const list = json_tree_parse(text, size, &end, &lacks_memory);
    while (list && end < text + size && strchr(" \t\r\n", *end) && *end)
        end++;
    for (size_t i = 0; i + sizeof nul <= size + 1 && !has_nul; i++)
        has_nul = text[i] == '\0' || memcmp(text + i, nul, sizeof nul - 1) == 0;
    int code = DONE;
    if (lacks_memory)
        code = no_memory();
    else if (!list || end != text + size)
        code = complain(MISUSED, "%s: expected a JSON array of tools, found something else at byte %zu", t->path,
                        end ? (size_t)(end - text) : 0);
    else if (has_nul)
        code = complain(MISUSED, "%s: \\u0000 is not supported", t->path);
    else if (tools_read(&t->tools, list, field, &err) == RWKV7_ERR_USAGE)
        code = complain(MISUSED, "%s: %s", t->path, err.message);
    else if (err.status != RWKV7_OK)
        code = report(&err);
    else if (t->tools.count == 0)
        code = complain(MISUSED, "%s: expected at least one tool", t->path);
    cJSON_Delete(list);
    return code;
}

static int choose(struct chat_tools *t, const struct chat_args *args)
{
    const char *const choice = args->tool_choice;
    if (strcmp(choice, "auto") == 0)
        return DONE;
    t->mode = TOOLS_REQUIRED;
    if (strcmp(choice, "required") == 0)
        return DONE;
    for (size_t i = 0; i < t->tools.count; i++)
        if (strcmp(t->tools.list[i].name, choice) == 0)
            t->only = &t->tools.list[i];
    return t->only ? DONE
                   : complain_usage(args->common.command,
                                    "--tool-choice needs auto, required or the name of a tool, not '%s'", choice);
}

int chat_tools_open(struct chat_tools *t, const struct chat_args *args)
{
    const struct constraint_args *const other = &args->constraint;
    char *text;
    size_t size;
    if (!args->tools)
        return DONE;
    if (other->any_json || other->schema || other->grammar || other->regex || other->choices.count > 0)
        return complain_usage(args->common.command, "--tools and a constraint of the whole answer exclude each other");
    if (strcmp(args->tools, "-") == 0)
        return complain_usage(args->common.command,
                              "--tools - and the messages both read standard input; give one of them a file");
    t->path = args->tools;
    int code = input_all(t->path, "--tools", &text, &size);
    if (code == DONE)
        code = parse(t, text, size);
    free(text);
    return code == DONE ? choose(t, args) : code;
}

void chat_tools_close(struct chat_tools *t)
{
    rwkv7_grammar_close(t->grammar);
    tools_free(&t->tools);
    text_free(&t->results);
}

int chat_tools_system(const struct chat_tools *t, const char *system, struct text *out)
{
    text_add_string(out, system);
    if (t->path)
        tools_add_system(&t->tools, out);
    text_add(out, "", 1);
    return out->failed ? no_memory() : DONE;
}

/* --------------------------------------------------------------------------------------- results */

/* Returns whether the last message consists of results. */
static bool answers_results(const struct conversation *talk)
{
    static const char start[] = "<tool_response>\n";
    const struct conversation_log *const log = &talk->log;
    return log->turn_count > 0 && strncmp(log->turns[log->turn_count - 1].user, start, sizeof start - 1) == 0;
}

int chat_tools_prepare(struct chat_tools *t, struct conversation *talk, enum thinking thinking)
{
    const struct tools_answer answer = {talk->options.template, thinking, false};
    const bool free = answers_results(talk);
    char field[TOOLS_FIELD];
    struct rwkv7_error err;
    if (!t->path)
        return DONE;
    rwkv7_grammar_close(t->grammar);
    t->tools.mode = free ? TOOLS_AUTO : t->mode;
    t->tools.only = free ? NULL : t->only;
    t->tools.single = t->tools.only != NULL;
    const enum rwkv7_status status = tools_compile(&t->tools, &answer, talk->tokenizer, &t->grammar, field, &err);
    talk->tools = t->grammar;
    if (status == RWKV7_ERR_USAGE)
        return complain(MISUSED, "%s: %s", t->path, err.message);
    return status == RWKV7_OK ? DONE : report(&err);
}

/* Returns where the answer begins in the text of a turn, after its thoughts. */
static const char *find_answer(const struct chat_template *template, const char *text)
{
    static const char opening[] = "<think>", closing[] = "</think>";
    const char *answer = strstr(text, template->answer);
    if (!answer)
        return "";
    answer += strlen(template->answer);
    const char *const words = answer + strspn(answer, " \t\n\r");
    const char *const end = strncmp(words, opening, sizeof opening - 1) == 0 ? strstr(words, closing) : NULL;
    return end ? end + sizeof closing - 1 : words;
}

size_t chat_tools_awaited(const struct chat_tools *t, const struct conversation *talk)
{
    struct text turn = {0}, content = {0};
    struct tool_calls calls = {0};
    if (!t->path || talk->log.turn_count == 0)
        return 0;
    conversation_last_turn(talk, &turn);
    text_add(&turn, "", 1);
    if (!turn.failed) {
        const char *const answer = find_answer(talk->options.template, turn.bytes);
        tool_calls_add(&calls, answer, strlen(answer), &content);
    }
    const size_t count = tool_calls_complete(&calls) ? calls.count : 0;
    tool_calls_free(&calls);
    text_free(&turn);
    text_free(&content);
    return count;
}

int chat_tools_add_result(struct chat_tools *t, const char *result)
{
    t->results.size -= t->result_count > 0; /* the NUL */
    tools_add_result(&t->results, result, strlen(result));
    text_add(&t->results, "", 1);
    t->result_count++;
    return t->results.failed ? no_memory() : DONE;
}

void chat_tools_forget_results(struct chat_tools *t)
{
    text_free(&t->results);
    t->result_count = 0;
}
