/* inputs.c - see inputs.h. */
#include "cli/io/inputs.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/inputs.h"
#include "cli/io/lookup.h"
#include "cli/io/messages.h"
#include "cli/options/args.h"

static int add(const struct stat *st, const char *name)
{
    struct input_file *file; /* registered until the program ends */
    struct rwkv7_error err;
    return input_add(st, name, &file, &err) == RWKV7_OK ? DONE : report(&err);
}

static int add_path(const char *path)
{
    struct stat st;
    return path && stat(path, &st) == 0 ? add(&st, path) : DONE;
}

static int add_options(const struct args *args)
{
    int code = DONE;
    for (const struct option *o = option_table; o->help && code == DONE; o++)
        if (o->name && o->value.kind == INPUT && (o->commands & args->command->bit))
            code = add_path(*(const char *const *)((const char *)args + o->value.at));
    return code;
}

static int add_beside(void *arg, const char *path)
{
    (void)arg;
    return add_path(path);
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

int inputs_add(const struct args *args)
{
    const int files = args->command->inputs;
    struct stat st;
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
        if (fstat(fd, &st) == 0)
            inputs_output(&st);
    int code = inputs_add_open(STDIN_FILENO, "standard input");
    if (code == DONE)
        code = add_options(args);
    if (code == DONE)
        code = inputs_add_model(args->model);
    for (size_t i = 0; i < args->operands.count && code == DONE && (files < 0 || i < (size_t)files); i++)
        code = add_path(args->operands.at[i]);
    if (code == DONE)
        code = add_path(args->config);
    if (code == DONE && args->ids && args->ids[0] == '@')
        code = add_path(args->ids + 1);
    return code;
}

int inputs_refuse_stdout(void)
{
    struct stat st;
    struct rwkv7_error err;
    return fstat(STDOUT_FILENO, &st) != 0 || input_refuse(&st, "standard output", &err) == RWKV7_OK ? DONE
                                                                                                    : report(&err);
}
