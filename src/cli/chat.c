/* chat.c - `rwkv7 chat`: a conversation, typed at a terminal or piped in, one message a line. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/face.h"
#include "cli/line.h"
#include "cli/sampling.h"
#include "cli/saved.h"
#include "cli/talk.h"
#include "cli/terminal.h"

struct chat {
    const struct args *args;
    struct engine engine;
    struct talk talk;
    struct line_reader *lines;
    bool terminal; /* someone types and reads */
    enum thinking thinking;
    char *system;
    uint64_t seed;
    bool ended;
    int failure; /* the exit code of the last message or command that failed */
};

/* A line for the eyes of who types: not an answer, and not a mistake. */
static void remark(const struct chat *c, const char *fmt, ...) RWKV7_PRINTF(2, 3);

static void remark(const struct chat *c, const char *fmt, ...)
{
    if (c->args->quiet)
        return;
    const bool dim = terminal_colours();
    va_list list, again;
    va_start(list, fmt);
    va_copy(again, list);
    const int length = vsnprintf(NULL, 0, fmt, list);
    char *const text = length < 0 ? NULL : malloc((size_t)length + 1);
    if (text) {
        vsnprintf(text, (size_t)length + 1, fmt, again);
        rwkv7_text_plain(text); /* names of files may be in it */
        fprintf(stderr, "%s%s%s\n", dim ? "\033[2m" : "", text, dim ? "\033[0m" : "");
    }
    free(text);
    va_end(again);
    va_end(list);
}

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

/* At a terminal ^C ends an answer or a line, however often; what ends the program is ^D, or being told to or hung up. */
static void catch_interrupts(const struct chat *c)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    sigemptyset(&action.sa_mask);
    interrupt_catch();
    if (c->terminal)
        sigaction(SIGINT, &action, NULL);
}

/* ---------------------------------------------------------------------------------------------------------- answers */

/* `asked` is the outcome of asking. */
static int answer(struct chat *c, int asked)
{
    struct face face;
    if (asked != DONE)
        return asked;
    if (interrupted) {
        remark(c, "stopped before the answer; the message is taken back");
        return DONE;
    }
    const bool dim = isatty(STDOUT_FILENO) && terminal_colours();
    int code = face_begin(&face, dim, (enum thoughts)c->args->thoughts, template_opening(c->thinking));
    /* Another seed for each answer: asked again, the model should say something else. */
    if (code == DONE)
        code = talk_answer(&c->talk, c->seed + c->talk.answers, face_show, &face);
    const int end = face_end(&face);
    if (code == DONE)
        code = end;
    if (code == DONE && c->terminal)
        code = out_write("\n", 1);
    if (code == DONE)
        code = out_flush();
    if (code == DONE && c->talk.last.end == ANSWER_INTERRUPTED && c->terminal)
        remark(c, "stopped");
    if (code == DONE && c->talk.last.end == ANSWER_LONG)
        remark(c, "stopped after %d tokens, see --tokens", c->args->tokens);
    return code;
}

/* --------------------------------------------------------------------------------------------------------- commands */

static int undo_command(struct chat *c, const char *operand)
{
    (void)operand;
    if (c->talk.log.turn_count == 0)
        return complain(MISUSED, "there is nothing to take back");
    const int code = talk_undo(&c->talk);
    if (code == DONE)
        remark(c, "taken back; %zu before", c->talk.log.turn_count);
    return code;
}

static int retry_command(struct chat *c, const char *operand)
{
    (void)operand;
    if (c->talk.log.turn_count == 0)
        return complain(MISUSED, "there is nothing to answer again");
    return answer(c, talk_ask_again(&c->talk, c->thinking));
}

/* Starts over; when that fails, without a system prompt. */
static int start(struct chat *c, const char *system)
{
    const int code = talk_start(&c->talk, system);
    if (code == DONE)
        return DONE;
    interrupted = 0;
    const int again = talk_start(&c->talk, "");
    return again == DONE ? code : again;
}

static int reset_command(struct chat *c, const char *operand)
{
    (void)operand;
    return start(c, c->system);
}

static int system_command(struct chat *c, const char *operand)
{
    if (*operand == '\0') {
        if (!*c->system)
            remark(c, "there is no system prompt");
        for (const char *line = c->system; *line;) {
            const size_t n = strcspn(line, "\n");
            remark(c, "%.*s", (int)n, line);
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
    } else {
        free(system);
    }
    return code;
}

static int think_command(struct chat *c, const char *operand)
{
    static const char *const names[] = {"off", "empty", "short", "normal", "long"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], operand) == 0) {
            c->thinking = (enum thinking)i;
            return DONE;
        }
    return complain(MISUSED, "/think needs one of off, empty, short, normal, long, not '%s'", operand);
}

static int save_command(struct chat *c, const char *operand)
{
    if (*operand == '\0')
        return complain(MISUSED, "/save needs the name of a file");
    int code = saved_possible(operand, c->args, &c->engine);
    if (code == DONE)
        code = talk_save(&c->talk, operand);
    if (code == DONE)
        remark(c, "kept in %s", operand);
    return code;
}

static int load_command(struct chat *c, const char *operand)
{
    if (*operand == '\0')
        return complain(MISUSED, "/load needs the name of a file");
    if (c->args->state)
        return complain(MISUSED, "/load and --state exclude each other");
    const int code = talk_load(&c->talk, operand);
    if (code == DONE)
        remark(c, "%zu message%s, %llu tokens", c->talk.log.turn_count, plural(c->talk.log.turn_count),
               (unsigned long long)rwkv7_session_tokens(c->talk.session));
    return code;
}

static int stats_command(struct chat *c, const char *operand)
{
    const struct talk *const t = &c->talk;
    const struct rwkv7_model_info *const info = rwkv7_model_info(c->engine.model);
    char state[16], memory[16];
    (void)operand;
    fprintf(stderr, "%zu message%s, %llu tokens; a state has %s, memory %s\n", t->log.turn_count,
            plural(t->log.turn_count), (unsigned long long)rwkv7_session_tokens(t->session),
            scaled_text((double)info->session_bytes, "B", state),
            scaled_text((double)rwkv7_memory_peak(), "B", memory));
    if (t->last.answered > 0)
        fprintf(stderr, "last: read %llu tokens, %.1f tok/s; wrote %llu tokens, %.1f tok/s\n",
                (unsigned long long)t->last.asked, (double)t->last.asked / t->last.asking,
                (unsigned long long)t->last.answered, (double)t->last.answered / t->last.answering);
    return DONE;
}

static int quit_command(struct chat *c, const char *operand)
{
    (void)operand;
    c->ended = true;
    return DONE;
}

static int list_command(struct chat *c, const char *operand);

static const struct {
    const char *name, *operand, *help;
    int (*run)(struct chat *c, const char *operand);
} commands[] = {
    {"undo", "", "take back the last message and its answer", undo_command},
    {"retry", "", "another answer to the last message", retry_command},
    {"reset", "", "start over, with the same system prompt", reset_command},
    {"system", "TEXT", "start over, with this system prompt", system_command},
    {"think", "MODE", "off, empty, short, normal, long: from the next message on", think_command},
    {"save", "FILE", "keep the conversation", save_command},
    {"load", "FILE", "go on with one that was kept", load_command},
    {"stats", "", "numbers and speeds", stats_command},
    {"help", "", "this text", list_command},
    {"quit", "", "end; also ^D", quit_command},
};

static int list_command(struct chat *c, const char *operand)
{
    (void)c, (void)operand;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(stderr, "  /%-6s %-5s  %s\n", commands[i].name, commands[i].operand, commands[i].help);
    fprintf(stderr, "A message goes on behind a backslash at the end of a line, and between two lines of\n"
                    "\"\"\". One that begins with // is a message that begins with /. ^C stops an answer.\n");
    return DONE;
}

static int run_slash(struct chat *c, const char *text)
{
    const size_t n = strcspn(text, " \t\n");
    const char *operand = text + n + strspn(text + n, " \t\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strlen(commands[i].name) == n && strncmp(commands[i].name, text, n) == 0) {
            if (*commands[i].operand == '\0' && *operand)
                return complain(MISUSED, "/%s takes nothing behind it", commands[i].name);
            return commands[i].run(c, operand);
        }
    return complain(MISUSED, "there is no command '/%.*s'; /help lists them, and // begins a message with a slash",
                    (int)(n < 40 ? n : 40), text);
}

/* -------------------------------------------------------------------------------------------------------------- loop */

static int take_message(struct chat *c, const char *text)
{
    if (text[strspn(text, " \t\n\r")] == '\0')
        return DONE;
    if (text[0] == '/' && text[1] != '/')
        return run_slash(c, text + 1);
    return answer(c, talk_ask(&c->talk, text + (text[0] == '/'), c->thinking));
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
            c->failure = code;
            continue;
        }
        if (code != DONE)
            return code;
        if (!text && c->terminal && interrupted) {
            fputs("\n", stdout);
            if (!hung_up)
                remark(c, "^D or /quit ends, /help explains");
            continue;
        }
        if (!text)
            break;
        code = take_message(c, text);
        free(text);
        if (code == CLOSED || (code == INTERRUPTED && !c->terminal))
            return code;
        if (code != DONE)
            c->failure = code;
    }
    if (interrupted && !c->terminal)
        return INTERRUPTED;
    return c->terminal ? DONE : c->failure;
}

enum { WORLD_IDS = 65530 }; /* a model with fewer that is compiled in is the one that ships, or its like */

static int begin(struct chat *c)
{
    const struct args *const args = c->args;
    c->seed = args->seed_given ? args->seed : random_seed();
    c->thinking = (enum thinking)args->thinking;
    c->terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    c->system = strdup(args->system ? args->system : "");
    if (!c->system)
        return complain(FAILED, "out of memory for the conversation");
    catch_interrupts(c);
    int code = line_open(&c->lines, c->terminal, args->history);
    if (code == DONE)
        code = talk_create(&c->talk, args, &c->engine);
    if (code == DONE)
        code = args->state_in ? talk_load(&c->talk, args->state_in) : talk_start(&c->talk, c->system);
    if (code == DONE && c->terminal)
        remark(c, "%s; /help explains, ^C stops an answer, ^D ends", rwkv7_model_info(c->engine.model)->path);
    if (code == DONE && c->terminal && !args->model && rwkv7_model_info(c->engine.model)->shape.vocab < WORLD_IDS)
        remark(c, "this model was not trained to talk: name one that was with -m, see scripts/get-model.sh");
    return code;
}

int chat_command(const struct args *args)
{
    struct chat c = {.args = args};
    if (args->state_in && (args->prompt_cache || args->system))
        return complain_usage(args->command, "--state-in and --%s exclude each other",
                              args->system ? "system" : "prompt-cache");
    if (args->quiet)
        progress_disable();
    int code = engine_open_runtime(&c.engine, args, args->threads);
    if (code == DONE)
        code = engine_open_model(&c.engine, args);
    if (code == DONE)
        code = engine_open_vocab(&c.engine, args);
    if (code == DONE && args->state_out)
        code = saved_possible(args->state_out, args, &c.engine);
    if (code == DONE)
        code = begin(&c);
    const bool begun = code == DONE; /* else the state is not that of what was said */
    if (begun)
        code = converse(&c);
    if (args->state_out && begun && (code == DONE || code == INTERRUPTED || code == CLOSED)) {
        const int kept = talk_save(&c.talk, args->state_out);
        code = kept == DONE ? code : kept;
    }
    line_close(c.lines);
    free(c.system);
    talk_free(&c.talk);
    engine_close(&c.engine);
    return code;
}
