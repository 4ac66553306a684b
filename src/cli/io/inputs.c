/* inputs.c - see inputs.h. */
#include "cli/io/inputs.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/inputs.h"
#include "cli/io/lookup.h"
#include "cli/io/messages.h"
#include "cli/options/args.h"
#include "cli/options/parse.h"

static int add(const struct stat *st, const char *name)
{
    struct input_file *file; /* registered until the program ends */
    struct rwkv7_error err;
    return input_add(st, name, &file, &err) == RWKV7_OK ? DONE : report(&err);
}

int inputs_add_file(const char *path)
{
    struct stat st;
    return path && stat(path, &st) == 0 ? add(&st, path) : DONE;
}

static int add_options(const struct command *command, const void *args)
{
    int code = DONE;
    for (const struct option *o = option_table; o->help && code == DONE; o++)
        if (o->name && o->value.kind == INPUT && (o->commands & command->bit))
            code = inputs_add_file(*(const char *const *)args_value(o, args));
    return code;
}

static int add_beside(void *arg, const char *path)
{
    (void)arg;
    return inputs_add_file(path);
}

int inputs_add_model(const char *model)
{
    return model ? model_files(model, add_beside, NULL) : DONE;
}

int inputs_add_open(int fd, const char *name)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? add(&st, name) : DONE;
}

/* Registers the files beside the model of --model; `convert` has none. */
static int add_model(const struct command *command, const void *args)
{
    const struct option *const o = option_find(command, "model", strlen("model"));
    return o ? inputs_add_model(*(const char *const *)args_value(o, args)) : DONE;
}

int inputs_add(const void *args)
{
    const struct common_args *const common = args;
    const struct command *const command = common->command;
    const int files = command->inputs;
    struct stat st;
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
        if (fstat(fd, &st) == 0)
            inputs_output(&st);
    int code = inputs_add_open(STDIN_FILENO, "standard input");
    if (code == DONE)
        code = add_options(command, args);
    if (code == DONE)
        code = add_model(command, args);
    for (size_t i = 0; i < common->operands.count && code == DONE && (files < 0 || i < (size_t)files); i++)
        code = inputs_add_file(common->operands.at[i]);
    return code == DONE ? inputs_add_file(common->config) : code;
}

int inputs_refuse_stdout(void)
{
    struct stat st;
    struct rwkv7_error err;
    return fstat(STDOUT_FILENO, &st) != 0 || input_refuse(&st, "standard output", &err) == RWKV7_OK ? DONE
                                                                                                    : report(&err);
}
