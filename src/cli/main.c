/*
 * main.c - rwkv7, the program: finds the command and runs it. The commands see nothing of the engine but rwkv7.h, so
 * what they can do, any program that links the library can do.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/inputs.h"
#include "cli/common.h"
#include "cli/io/inputs.h"
#include "cli/io/published.h"

/*
 * A model file is mapped. When it shrinks or its disk fails, reading it raises SIGBUS, and nothing can be saved. Several
 * threads may run into it; the first one speaks.
 */
static void on_bus_error(int signal_number)
{
    static const char message[] = "rwkv7: a file that is in use was cut short, or could not be read\n";
    static atomic_flag said = ATOMIC_FLAG_INIT;
    (void)signal_number;
    if (atomic_flag_test_and_set(&said))
        for (;;)
            pause();
    const ssize_t ignored = write(STDERR_FILENO, message, sizeof message - 1);
    (void)ignored;
    _exit(FAILED);
}

static void set_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_IGN};
    sigemptyset(&action.sa_mask);
    sigaction(SIGPIPE, &action, NULL); /* write() says EPIPE instead */
    sigaction(SIGXFSZ, &action, NULL); /* and EFBIG, so that no temporary file stays */
    action.sa_handler = on_bus_error;
    sigaction(SIGBUS, &action, NULL);
}

/*
 * A file must not get the number of a standard stream that was closed before the program began: messages would go into it. What
 * stands in fails as the closed one would: 0 cannot be read and 1 cannot be written; what is written to 2 is lost.
 */
static void fill_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) == -1)
            open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY); /* the lowest free number: this one */
}

/*
 * What the program needs at most, a quarter of it for the tiles of quantization, with room for the system's libraries; and what systems
 * usually give. A limit below the former (ulimit -s) is raised where that is allowed; else the program would end somewhere without a word.
 */
#define STACK_NEEDED ((rlim_t)256 << 10)
#define STACK_USUAL ((rlim_t)8 << 20)

static int check_stack(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= STACK_NEEDED)
        return DONE;
    const rlim_t allowed = limit.rlim_cur, most = limit.rlim_max;
    limit.rlim_cur = most == RLIM_INFINITY || most > STACK_USUAL ? STACK_USUAL : most;
    if (limit.rlim_cur >= STACK_NEEDED && setrlimit(RLIMIT_STACK, &limit) == 0)
        return DONE;
    return complain(FAILED, "a stack of %llu KiB is too small, %llu are needed: see ulimit -s",
                    (unsigned long long)allowed / 1024, (unsigned long long)STACK_NEEDED / 1024);
}

static int start(const struct args *args)
{
    if (args->verbose && args->config)
        complain(DONE, "options from %s", args->config);
    return args->command->run(args);
}

static int run(int argc, char **argv)
{
    struct args args;
    if (argc < 2) {
        help_print(NULL, stderr);
        return MISUSED;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        help_print(NULL, stdout);
        return DONE;
    }
    const bool version = strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0;
    const struct command *const command = command_find(version ? "version" : argv[1]);
    if (!command)
        return MISUSED;
    int code = args_parse(command, argc - 2, argv + 2, &args);
    if (code == DONE && args.help)
        help_print(command, stdout);
    else if (code == DONE && args.version)
        code = version_command(&args);
    else if (code == DONE && (code = published_locate(&args)) == DONE && (code = inputs_add(&args)) == DONE)
        code = start(&args);
    args_free(&args);
    return code;
}

int main(int argc, char **argv)
{
    fill_standard_streams();
    set_signals();
    inputs_keep();
    json_watch_memory();
    int code = check_stack();
    if (code == DONE)
        code = run(argc, argv);
    if (code == DONE)
        code = out_close();
    else
        out_flush(); /* what came before a failure is shown */
    return code == CLOSED ? DONE : code;
}
