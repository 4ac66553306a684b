/* chat.c - `rwkv7 chat`: a conversation, typed at a terminal or piped in, one message per line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/commands/chat_tools.h"
#include "cli/commands/commands.h"
#include "cli/commands/constraint.h"
#include "cli/commands/engine.h"
#include "cli/commands/state_files.h"
#include "cli/commands/template.h"
#include "cli/commands/tuned.h"
#include "cli/io/face.h"
#include "cli/io/input.h"
#include "cli/io/inputs.h"
#include "cli/io/line.h"
#include "cli/io/messages.h"
#include "cli/io/output.h"
#include "cli/io/remark.h"
#include "cli/io/signals.h"
#include "cli/io/target.h"
#include "cli/io/terminal.h"
#include "cli/options/args.h"
#include "cli/options/request_options.h"
#include "generate/conversation.h"

struct chat {
    const struct chat_args *args;
    struct engine engine;
    struct conversation conversation;
    struct request_options options;
    struct prompt_cache cache;
    const struct chat_template *template;
    struct chat_template file_template; /* read from the file of --template */
    struct chat_tools tools;
    struct line_reader *lines;
    bool terminal; /* standard input and output are a terminal */
    enum thinking thinking;
    char *system;
    uint64_t seed;
    bool ended;
    int failure; /* the exit code of the last message or command that failed */
};

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

/*
 * At a terminal every ^C stops the answer or discards the line, and never ends the program; ^D, a
 * command, SIGTERM or a hangup does.
 */
static void catch_interrupts(const struct chat *c)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    sigemptyset(&action.sa_mask);
    interrupt_catch();
    if (c->terminal)
        sigaction(SIGINT, &action, NULL);
}

/* -------------------------------------------------------------------------------------- answers */

/* Draws the progress line while the conversation is read; cancels when interrupted. */
static bool show_reading(void *arg, uint64_t done, uint64_t total)
{
    (void)arg;
    if (done > 0 && total > done)
        progress_show("reading", (double)done / (double)total, (double)done, "tokens");
    return !interrupted;
}

/* Converts a status of the conversation to an exit code; prints the message of a failure. */
static int outcome(enum rwkv7_status status, const struct rwkv7_error *err)
{
    progress_clear();
    if (status == RWKV7_ERR_STOPPED)
        return complain(INTERRUPTED, "%s", err->message);
    return status == RWKV7_OK ? DONE : report(err);
}

/* Generates the answer and shows it token by token. *end: why it ended. */
static int write_answer(struct chat *c, struct face *face, enum rwkv7_end *end)
{
    struct conversation *const talk = &c->conversation;
    struct rwkv7_error err;
    struct rwkv7_step step = {0};
    /* Each answer has a seed of its own, so that /retry draws a different answer. */
    int code = outcome(conversation_answer(talk, c->seed + talk->answers, &err), &err);
    out_lost(); /* discards the count of earlier output */
    while (code == DONE && step.end == RWKV7_END_NONE) {
        const enum rwkv7_status status = conversation_next(talk, &step, &err);
        code = status == RWKV7_OK ? face_show(face, step.text, step.length) : report(&err);
        const size_t lost = out_lost();
        /* Output was lost: the reader closed the pipe. */
        if (status == RWKV7_OK && step.end == RWKV7_END_NONE && lost > 0) {
            step.end = RWKV7_END_CANCELLED;
            if (conversation_cut_answer(talk, lost, &err) != RWKV7_OK)
                code = report(&err);
        }
    }
    *end = step.end;
    conversation_end_answer(talk);
    return code;
}

/* Answers a message; `asked` is the status of evaluating that message. */
static int answer(struct chat *c, enum rwkv7_status asked, const struct rwkv7_error *err)
{
    struct face face;
    enum rwkv7_end end = RWKV7_END_NONE;
    progress_clear();
    if (asked == RWKV7_ERR_STOPPED) {
        remark("stopped before the answer; the message was removed");
        return DONE;
    }
    if (asked != RWKV7_OK)
        return report(err);
    const bool dim = isatty(STDOUT_FILENO) && terminal_colours();
    int code = face_begin(&face, dim, (enum thoughts)c->args->thoughts, c->args->tools != NULL,
                          chat_template_opening(c->thinking));
    if (code == DONE)
        code = chat_tools_prepare(&c->tools, &c->conversation, c->thinking);
    if (code == DONE)
        code = write_answer(c, &face, &end);
    const int ended = face_end(&face, end == RWKV7_END_STOP || end == RWKV7_END_TOKEN);
    if (code == DONE)
        code = ended;
    if (code == DONE && c->terminal)
        code = out_write("\n", 1);
    if (code == DONE)
        code = out_flush();
    if (code == DONE && end == RWKV7_END_CANCELLED && c->terminal)
        remark("stopped");
    if (code == DONE && end == RWKV7_END_LENGTH)
        remark("stopped after %d tokens, see --tokens", c->args->request.tokens);
    const size_t awaited = code == DONE && c->terminal ? chat_tools_awaited(&c->tools, &c->conversation) : 0;
    if (awaited > 0)
        remark("the next %zu message%s: result%s of the call%s", awaited, plural(awaited), plural(awaited),
               plural(awaited));
    return code;
}

/* ------------------------------------------------------------------------------------- commands */

static int undo_command(struct chat *c, const char *operand)
{
    (void)operand;
    if (c->conversation.log.turn_count == 0)
        return complain(MISUSED, "nothing to undo");
    struct rwkv7_error err;
    const int code = outcome(conversation_undo(&c->conversation, &err), &err);
    if (code == DONE)
        remark("undone; %zu message%s left", c->conversation.log.turn_count, plural(c->conversation.log.turn_count));
    return code;
}

static int retry_command(struct chat *c, const char *operand)
{
    (void)operand;
    if (c->conversation.log.turn_count == 0)
        return complain(MISUSED, "no message to retry");
    struct rwkv7_error err;
    const size_t turns = c->conversation.log.turn_count;
    const enum rwkv7_status asked = conversation_ask_again(&c->conversation, c->thinking, &err);
    if (asked == RWKV7_ERR_STOPPED && c->conversation.log.turn_count == turns)
        return outcome(asked, &err); /* stopped before the last answer was removed */
    return answer(c, asked, &err);
}

static int start_with(struct chat *c, const char *system)
{
    struct text whole = {0};
    struct rwkv7_error err;
    int code = chat_tools_system(&c->tools, system, &whole);
    if (code == DONE)
        code = outcome(conversation_start(&c->conversation, whole.bytes, &err), &err);
    text_free(&whole);
    return code;
}

/* Starts a new conversation; if that fails, starts one without a system prompt. */
static int start(struct chat *c, const char *system)
{
    const int code = start_with(c, system);
    if (code == DONE)
        return DONE;
    interrupted = 0;
    const int again = start_with(c, "");
    return again == DONE ? code : again;
}

static int reset_command(struct chat *c, const char *operand)
{
    (void)operand;
    const int code = start(c, c->system);
    if (code == DONE)
        remark(*c->system ? "started over, with the same system prompt" : "started over");
    return code;
}

static int system_command(struct chat *c, const char *operand)
{
    if (*operand == '\0') {
        if (!*c->system)
            remark("no system prompt");
        for (const char *line = c->system; *line;) {
            const size_t n = strcspn(line, "\n");
            remark("%.*s", (int)n, line);
            line += n + (line[n] == '\n');
        }
        return DONE;
    }
    char *const system = strdup(operand);
    if (!system)
        return complain(FAILED, "out of memory for the system prompt");
    int code = start(c, system);
    if (code == DONE) {
        free(c->system);
        c->system = system;
        remark("started over, with this system prompt");
    } else {
        free(system);
    }
    return code;
}

static int set_thinking(struct chat *c, enum thinking thinking)
{
    const int code = template_check_thinking(c->template, thinking);
    if (code == DONE)
        c->thinking = thinking;
    return code;
}

static int think_command(struct chat *c, const char *operand)
{
    const int thinking = parse_choice(THINKING_WORDS, operand);
    if (thinking < 0)
        return complain(MISUSED, "/think needs one of %s, not '%s'", THINKING_WORDS, operand);
    const int code = set_thinking(c, (enum thinking)thinking);
    if (code == DONE)
        remark("thinking: %s, from the next message on", operand);
    return code;
}

static int save_conversation(struct chat *c, const char *path)
{
    struct rwkv7_error err;
    struct target target;
    int code = target_open(&target, path);
    if (code == DONE)
        code = outcome(conversation_save(&c->conversation, target.path, &err), &err);
    target_close(&target);
    return code;
}

static int save_command(struct chat *c, const char *operand)
{
    if (*operand == '\0')
        return complain(MISUSED, "/save needs a file name");
    int code = state_path_check(operand);
    if (code == DONE)
        code = save_conversation(c, operand);
    if (code == DONE)
        remark("saved to %s", operand);
    return code;
}

static int load_conversation(struct chat *c, const char *path)
{
    struct rwkv7_error err;
    const enum rwkv7_status status = conversation_load(&c->conversation, path, &err);
    progress_clear();
    return status == RWKV7_OK ? DONE : state_report(&err, path, false);
}

static int load_command(struct chat *c, const char *operand)
{
    if (*operand == '\0')
        return complain(MISUSED, "/load needs a file name");
    if (c->args->tuned.state)
        return complain(MISUSED, "/load and --state exclude each other");
    const int code = load_conversation(c, operand);
    if (code == DONE)
        remark("%zu message%s, %llu tokens", c->conversation.log.turn_count, plural(c->conversation.log.turn_count),
               (unsigned long long)rwkv7_session_tokens(c->conversation.session));
    return code;
}

static int stats_command(struct chat *c, const char *operand)
{
    const struct conversation *const t = &c->conversation;
    const struct rwkv7_model_info *const info = rwkv7_model_info(c->engine.model);
    char state[16], memory[16];
    (void)operand;
    fprintf(stderr, "%zu message%s, %llu tokens; state %s, memory %s\n", t->log.turn_count, plural(t->log.turn_count),
            (unsigned long long)rwkv7_session_tokens(t->session), scaled_text((double)info->session_bytes, "B", state),
            scaled_text((double)rwkv7_memory_peak(), "B", memory));
    if (t->last.answered == 0)
        return DONE;
    fprintf(stderr, "last: read %llu tokens, %.1f tok/s; wrote %llu tokens, %.1f tok/s",
            (unsigned long long)t->last.asked, (double)t->last.asked / t->last.asking,
            (unsigned long long)t->last.answered, (double)t->last.answered / t->last.answering);
    const struct rwkv7_generator_stats *const w = &t->last.writing;
    if (w->drafted > 0 && w->steps > 0)
        fprintf(stderr, "; %.2f tokens per step, drafted %llu, accepted %llu", (double)w->evaluated / (double)w->steps,
                (unsigned long long)w->drafted, (unsigned long long)w->accepted);
    fputs("\n", stderr);
    return DONE;
}

static int quit_command(struct chat *c, const char *operand)
{
    (void)operand;
    c->ended = true;
    return DONE;
}

static int list_command(struct chat *c, const char *operand);

static const struct chat_command {
    const char *name, *operand, *help;
    int (*run)(struct chat *c, const char *operand);
    const char *values; /* allowed operands, "a|b|c"; NULL: any */
    bool file;          /* the operand is a file name */
} commands[] = {
    {"undo", "", "remove the last message and its answer", undo_command, NULL, false},
    {"retry", "", "answer the last message again", retry_command, NULL, false},
    {"reset", "", "start over, with the same system prompt", reset_command, NULL, false},
    {"system", "TEXT", "start over, with this system prompt", system_command, NULL, false},
    {"think", "MODE", "set --think from the next message on: " THINKING_WORDS, think_command, THINKING_WORDS, false},
    {"save", "FILE", "save the conversation", save_command, NULL, true},
    {"load", "FILE", "load a saved conversation", load_command, NULL, true},
    {"stats", "", "token counts, speeds and memory", stats_command, NULL, false},
    {"help", "", "this text; also /?", list_command, NULL, false},
    {"quit", "", "end; also /exit, /bye and ^D", quit_command, NULL, false},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

/* Names that other chat programs use for these commands. */
static const struct {
    const char *name, *command;
} aliases[] = {{"?", "help"}, {"exit", "quit"}, {"bye", "quit"}};
enum { ALIASES = sizeof aliases / sizeof *aliases };

static int list_command(struct chat *c, const char *operand)
{
    (void)c, (void)operand;
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(stderr, "  /%-6s %-5s  %s\n", commands[i].name, commands[i].operand, commands[i].help);
    fprintf(stderr, "End a line with a backslash to continue the message, or put several lines between two\n"
                    "lines of \"\"\". Start a message with // for a literal /. ^C stops an answer.\n");
    return DONE;
}

/* Finds a command by its name or alias of `n` bytes; NULL: unknown. */
static const struct chat_command *find_command(const char *name, size_t n)
{
    for (size_t i = 0; i < ALIASES; i++)
        if (strlen(aliases[i].name) == n && strncmp(aliases[i].name, name, n) == 0)
            return find_command(aliases[i].command, strlen(aliases[i].command));
    for (size_t i = 0; i < COMMANDS; i++)
        if (strlen(commands[i].name) == n && strncmp(commands[i].name, name, n) == 0)
            return &commands[i];
    return NULL;
}

static int run_slash(struct chat *c, const char *text)
{
    const size_t n = strcspn(text, " \t\n");
    const char *operand = text + n + strspn(text + n, " \t\n");
    const struct chat_command *const command = find_command(text, n);
    if (!command)
        return complain(MISUSED, "unknown command '/%.*s'; see /help, or start the message with // for a literal /",
                        (int)(n < 40 ? n : 40), text);
    chat_tools_forget_results(&c->tools);
    if (*command->operand == '\0' && *operand)
        return complain(MISUSED, "/%.*s takes no operand", (int)n, text);
    return command->run(c, operand);
}

/* Fills the list of words that Tab completes. */
static void fill_words(struct line_word words[COMMANDS + ALIASES])
{
    for (size_t i = 0; i < COMMANDS; i++)
        words[i] = (struct line_word){commands[i].name, commands[i].values, commands[i].file, *commands[i].operand};
    for (size_t i = 0; i < ALIASES; i++)
        words[COMMANDS + i] = (struct line_word){.name = aliases[i].name};
}

static int open_lines(struct chat *c)
{
    static struct line_word words[COMMANDS + ALIASES];
    static struct line_options options; /* static: the reader uses it until line_close */
    const char *const history = c->args->history;
    fill_words(words);
    options = (struct line_options){.terminal = c->terminal,
                                    .keeps_history = !c->args->no_history && !(history && !*history),
                                    .history = history,
                                    .words = words,
                                    .word_count = COMMANDS + ALIASES};
    return line_open(&c->lines, &options);
}

/* ----------------------------------------------------------------------------------------- loop */

/* Takes the result of a call. The model answers when there is one for each of its calls. */
static int take_result(struct chat *c, const char *result, size_t awaited)
{
    struct rwkv7_error err;
    const int code = chat_tools_add_result(&c->tools, result);
    if (code != DONE || c->tools.result_count < awaited)
        return code;
    const enum rwkv7_status asked = conversation_ask(&c->conversation, c->tools.results.bytes, c->thinking, &err);
    chat_tools_forget_results(&c->tools);
    return answer(c, asked, &err);
}

static int take_message(struct chat *c, const char *text)
{
    struct rwkv7_error err;
    const size_t awaited = chat_tools_awaited(&c->tools, &c->conversation);
    if (awaited == 0 && text[strspn(text, " \t\n\r")] == '\0')
        return DONE;
    if (text[0] == '/' && text[1] != '/' && (awaited == 0 || c->terminal))
        return run_slash(c, text + 1);
    if (awaited > 0)
        return take_result(c, text, awaited);
    const enum rwkv7_status asked = conversation_ask(&c->conversation, text + (text[0] == '/'), c->thinking, &err);
    return answer(c, asked, &err);
}

/* Remembers the first failure: later ones may be its consequences. */
static void note_failure(struct chat *c, int code)
{
    if (c->failure == DONE)
        c->failure = code;
}

static int converse(struct chat *c)
{
    while (!c->ended) {
        char *text;
        if (c->terminal)
            interrupted = 0;
        if (hung_up)
            return INTERRUPTED;
        int code = line_read(c->lines, &text);
        if (code == MISUSED) {
            note_failure(c, code);
            continue;
        }
        if (code != DONE)
            return code;
        if (!text && c->terminal && interrupted) {
            out_write("\n", 1);
            if (!hung_up)
                remark("^D or /quit ends, /help explains");
            continue;
        }
        if (!text)
            break;
        code = take_message(c, text);
        free(text);
        if (code == CLOSED || (code == INTERRUPTED && !c->terminal))
            return code;
        note_failure(c, code);
    }
    if (interrupted && !c->terminal)
        return INTERRUPTED;
    return c->terminal ? DONE : c->failure;
}

static int choose_template(struct chat *c)
{
    const char *why;
    const int code =
        template_choose(&c->args->common, &c->args->template, c->engine.model, &c->file_template, &c->template, &why);
    if (code == DONE && c->args->print.verbose) {
        engine_report(&c->engine);
        template_report(c->template, why);
    }
    return code;
}

enum { WORLD_IDS = 65530 }; /* a built-in model with a smaller vocabulary is not a chat model */

static int create_conversation(struct chat *c)
{
    const struct chat_args *const args = c->args;
    struct rwkv7_error err;
    request_options_fill(&c->options, &args->request, 0);
    engine_use_drafts(&c->engine, &c->options.generate);
    c->options.generate.progress = show_reading;
    c->options.generate.grammar = c->engine.grammar;
    const bool hint = !args->print.quiet && !args->saved.state_in;
    const bool cached = prompt_cache_option(&c->cache, &args->saved, args->machine.math);
    const struct conversation_options options = {.generate = c->options.generate,
                                                 .sampling = c->options.sampling,
                                                 .max_tokens = limit_option(&args->request),
                                                 .trained = args->tuned.state != NULL,
                                                 .cache = cached ? &c->cache : NULL,
                                                 .template = c->template};
    const int code =
        outcome(conversation_create(&c->conversation, c->engine.model, c->engine.tokenizer, &options, &err), &err);
    return code == DONE ? tuned_start(&args->tuned, hint, c->engine.model, c->conversation.base) : code;
}

/* Loads the saved conversation of --state-in, or evaluates the system prompt. */
static int start_conversation(struct chat *c)
{
    const int code = chat_tools_prepare(&c->tools, &c->conversation, c->thinking);
    if (code != DONE)
        return code;
    return c->args->saved.state_in ? load_conversation(c, c->args->saved.state_in) : start_with(c, c->system);
}

static int begin(struct chat *c)
{
    const struct chat_args *const args = c->args;
    const struct seed_option *const seed = &args->request.sampling.seed;
    c->seed = seed->given ? seed->value : random_seed();
    c->terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    c->system = strdup(args->system ? input_skip_mark(args->system) : "");
    if (!c->system)
        return complain(FAILED, "out of memory for the conversation");
    catch_interrupts(c);
    int code = choose_template(c);
    if (code == DONE)
        code = set_thinking(c, (enum thinking)args->template.thinking);
    if (code == DONE)
        code = open_lines(c);
    if (code == DONE && args->saved.state_out)
        code = state_path_check(args->saved.state_out);
    if (code == DONE)
        code = create_conversation(c);
    if (code == DONE)
        code = start_conversation(c);
    if (code == DONE && c->terminal)
        remark("%s; /help explains, ^C stops an answer, ^D ends", rwkv7_model_info(c->engine.model)->path);
    if (code == DONE && !args->model.model && rwkv7_model_info(c->engine.model)->shape.vocab < WORLD_IDS)
        remark("this is not a chat model; choose one with -m, see rwkv7 help pull");
    return code;
}

int chat_command(const void *command_args)
{
    const struct chat_args *const args = command_args;
    struct chat c = {.args = args};
    if (args->print.verbose)
        args_report_config(&args->common);
    if (args->saved.state_in && (args->saved.prompt_cache || args->system))
        return complain_usage(args->common.command, "--state-in and --%s exclude each other",
                              args->system ? "system" : "prompt-cache");
    if (args->history && strcmp(args->history, "-") == 0)
        return complain_usage(args->common.command, "cannot keep the history in '-': use ./- for a file of that name");
    if (args->print.quiet) {
        progress_disable();
        remark_disable();
    }
    int code = tuned_check(&args->common, &args->tuned, &args->saved);
    if (code == DONE)
        code = constraint_check(&args->common, &args->constraint, "the messages");
    if (code == DONE)
        code = chat_tools_open(&c.tools, args);
    if (code == DONE)
        code = inputs_refuse_stdout(); /* answers appended to the input would never end */
    if (code == DONE)
        code = engine_open_runtime(&c.engine, &args->machine);
    if (code == DONE)
        code = engine_open_model(&c.engine, &args->model);
    if (code == DONE)
        code = engine_open_vocab(&c.engine, &args->model);
    if (code == DONE)
        code = engine_open_drafts(&c.engine, &args->request.draft, &args->common, args->machine.math);
    if (code == DONE)
        code = constraint_open(&c.engine, &args->constraint);
    if (code == DONE)
        code = begin(&c);
    const bool begun = code == DONE; /* else the state to save is incomplete */
    if (begun)
        code = converse(&c);
    if (args->saved.state_out && begun && (code == DONE || code == INTERRUPTED || code == CLOSED)) {
        const int saved = save_conversation(&c, args->saved.state_out);
        code = saved == DONE ? code : saved;
    }
    line_close(c.lines);
    free(c.system);
    conversation_free(&c.conversation);
    chat_tools_close(&c.tools);
    chat_template_free(&c.file_template);
    engine_close(&c.engine);
    return code;
}
