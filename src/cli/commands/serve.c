/* serve.c - `rwkv7 serve`: opens the model and runs the server of src/server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands/commands.h"
#include "cli/commands/engine.h"
#include "cli/commands/template.h"
#include "cli/commands/tuned.h"
#include "cli/io/input.h"
#include "cli/io/messages.h"
#include "cli/io/output.h"
#include "cli/io/signals.h"
#include "cli/io/terminal.h"
#include "cli/options/args.h"
#include "cli/options/request_options.h"

#ifdef HAVE_MICROHTTPD
#include "server/server.h"

struct serve {
    const struct serve_args *args;
    struct engine engine;
    const struct chat_template *template;
    struct chat_template file_template;
    struct rwkv7_session *start;
    struct prompt_cache cache;
    char *key_text;    /* the file of --api-key-file; `keys` points into it */
    const char **keys; /* [key_count] */
    size_t key_count;
};

static bool should_stop(void *arg)
{
    (void)arg;
    return interrupted;
}

static void print_ready(void *arg, const char *address)
{
    const struct serve *const s = arg;
    if (s->args->print.quiet || !err_begin_line())
        return;
    fprintf(stderr, "rwkv7: serving ");
    print_plain(stderr, rwkv7_model_info(s->engine.model)->path);
    fprintf(stderr, " at %s\n", address);
    fflush(stderr);
}

/* Called by any thread: unlike complain(), it reads nothing that a signal handler writes. */
static void print_line(void *arg, const char *line)
{
    char text[600];
    (void)arg;
    snprintf(text, sizeof text, "rwkv7: %s", line);
    rwkv7_text_plain(text); /* the path comes from the network */
    fprintf(stderr, "%s\n", text);
}

enum { KEY_FILE_BYTES = 1 << 16 };

/* Reads --api-key-file; the text ends with a NUL. */
static int read_key_file(struct serve *s)
{
    const char *const path = s->args->key_file;
    struct input in;
    size_t size = 0, got = 1;
    int code = input_open(&in, path);
    if (code != DONE)
        return code;
    s->key_text = calloc(KEY_FILE_BYTES + 1, 1);
    if (!s->key_text)
        code = complain(FAILED, "out of memory for the keys");
    while (code == DONE && got > 0 && size < KEY_FILE_BYTES) {
        code = input_read(&in, s->key_text + size, KEY_FILE_BYTES - size, &got);
        size += got;
    }
    input_close(&in);
    if (code == DONE && (got > 0 || strlen(s->key_text) != size))
        code = complain(REJECTED, "%s: expected lines of text, at most %d bytes", path, KEY_FILE_BYTES);
    return code;
}

/* Adds the lines of --api-key-file that are not empty. */
static int add_file_keys(struct serve *s)
{
    size_t lines = 1;
    const int code = read_key_file(s);
    if (code != DONE)
        return code;
    for (const char *at = s->key_text; *at; at++)
        lines += *at == '\n' || *at == '\r';
    const char **const grown = realloc(s->keys, (s->key_count + lines) * sizeof *grown);
    if (!grown)
        return complain(FAILED, "out of memory for the keys");
    s->keys = grown;
    const size_t before = s->key_count;
    for (char *line = s->key_text; line;) {
        char *const end = strpbrk(line, "\r\n");
        if (end)
            *end = '\0';
        if (*line)
            s->keys[s->key_count++] = line;
        line = end ? end + 1 : NULL;
    }
    return s->key_count > before ? DONE : complain(REJECTED, "%s: expected a key, found none", s->args->key_file);
}

static int collect_keys(struct serve *s)
{
    const struct text_list *const given = &s->args->keys;
    s->keys = calloc(given->count + 1, sizeof *s->keys);
    if (!s->keys)
        return complain(FAILED, "out of memory for the keys");
    for (size_t i = 0; i < given->count; i++) {
        if (!*given->at[i])
            return complain_usage(s->args->common.command, "--api-key needs a key that is not empty");
        s->keys[s->key_count++] = given->at[i];
    }
    return s->args->key_file ? add_file_keys(s) : DONE;
}

static int open_all(struct serve *s)
{
    const struct serve_args *const args = s->args;
    const char *why = "";
    struct rwkv7_error err;
    int code = tuned_check(&args->common, &args->tuned, &args->saved);
    if (code == DONE)
        code = collect_keys(s);
    if (code == DONE)
        code = engine_open_runtime(&s->engine, &args->machine);
    if (code == DONE)
        code = engine_open_model(&s->engine, &args->model);
    if (code == DONE)
        code = engine_open_vocab(&s->engine, &args->model);
    if (code == DONE)
        code = template_choose(&args->common, &args->template, s->engine.model, &s->file_template, &s->template, &why);
    if (code == DONE)
        code = template_check_thinking(s->template, (enum thinking)args->template.thinking);
    if (code == DONE && rwkv7_session_create(s->engine.model, &s->start, &err) != RWKV7_OK)
        code = report(&err);
    if (code == DONE)
        code = tuned_start(&args->tuned, !args->print.quiet, s->engine.model, s->start);
    if (code == DONE && args->print.verbose) {
        engine_report(&s->engine);
        template_report(s->template, why);
    }
    return code;
}

static int run_server(struct serve *s)
{
    const struct serve_args *const args = s->args;
    const bool cached = prompt_cache_option(&s->cache, &args->saved, args->machine.math);
    s->cache.warn = print_line;
    const struct server_options options = {
        .host = args->host,
        .port = args->port,
        .keys = s->keys,
        .key_count = s->key_count,
        .cors = args->cors,
        .parallel = (size_t)args->parallel,
        .queue = (size_t)args->queue,
        .max_connections = args->max_connections,
        .max_body = (uint64_t)args->max_body << 20,
        .max_prompt = (uint64_t)args->max_prompt,
        .max_tokens = (uint64_t)args->max_tokens,
        .cache = (uint64_t)args->cache << 20,
        .state_ram = (uint64_t)args->state_ram << 20,
        .state_dir = args->state_dir,
        .grace = args->grace,
        .metrics = !args->no_metrics,
        .page = !args->no_page,
        .strict_model = args->strict_model,
        .bos = bos_option(&args->bos),
        .thinking = (enum thinking)args->template.thinking,
        .name = args->name,
        .template = s->template,
        .runtime = s->engine.runtime,
        .math = (enum rwkv7_math)args->machine.math,
        .model = s->engine.model,
        .tokenizer = s->engine.tokenizer,
        .start = s->start,
        .start_is_tuned = args->tuned.state != NULL,
        .prompt_cache = cached ? &s->cache : NULL,
        .should_stop = should_stop,
        .ready = print_ready,
        .warn = print_line,
        .log = args->print.verbose ? print_line : NULL,
        .arg = s,
    };
    struct rwkv7_error err;
    if (s->key_count == 0 && !server_is_local(args->host) && err_begin_line())
        fprintf(stderr, "rwkv7: warning: anyone who can reach this computer can use the server; set --api-key-file\n");
    return server_run(&options, &err) == RWKV7_OK ? DONE : report(&err);
}

int serve_command(const void *command_args)
{
    struct serve s = {.args = command_args};
    if (s.args->print.verbose)
        args_report_config(&s.args->common);
    if (s.args->print.quiet)
        progress_disable();
    interrupt_catch();
    int code = open_all(&s);
    if (code == DONE)
        code = run_server(&s);
    rwkv7_session_close(s.start);
    chat_template_free(&s.file_template);
    engine_close(&s.engine);
    free(s.keys);
    free(s.key_text);
    return code;
}
#else
int serve_command(const void *command_args)
{
    (void)command_args;
    return complain(FAILED, "serve: this program was built without libmicrohttpd; install it and build again");
}
#endif
