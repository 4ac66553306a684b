/*
 * main.c - the program rwkv7: finds the command and runs it. Commands use the engine through
 * rwkv7.h only, so any program that links the library can do the same.
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
#include "base/json_tree.h"
#include "cli/commands/commands.h"
#include "cli/io/inputs.h"
#include "cli/io/messages.h"
#include "cli/io/output.h"
#include "cli/io/published.h"
#include "cli/options/args.h"

/*
 * Handles SIGBUS: a mapped model file was truncated, or its disk failed. Several threads may get
 * here; the first one prints the message and ends the process.
 */
static void on_bus_error(int signal_number)
{
    static const char message[] = "rwkv7: a mapped file was truncated, or could not be read\n";
    static atomic_flag reported = ATOMIC_FLAG_INIT;
    (void)signal_number;
    if (atomic_flag_test_and_set(&reported))
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
    sigaction(SIGPIPE, &action, NULL); /* write() returns EPIPE instead */
    sigaction(SIGXFSZ, &action, NULL); /* write() returns EFBIG, and temporary files are removed */
    action.sa_handler = on_bus_error;
    sigaction(SIGBUS, &action, NULL);
}

/*
 * Replaces standard streams that were closed before the program began. Otherwise a file could get
 * their number, and messages would be written into it. The replacements fail as closed streams do:
 * 0 cannot be read, 1 cannot be written; output to 2 is lost.
 */
static void fill_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) == -1)
            open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY); /* gets number fd */
}

/*
 * STACK_NEEDED: the most stack that the program uses (a quarter is for the tiles of quantization),
 * plus a reserve for system libraries. STACK_USUAL: the usual limit. A limit (ulimit -s) below
 * STACK_NEEDED is raised to STACK_USUAL if possible, because the program would otherwise crash
 * without a message.
 */
#define STACK_NEEDED ((rlim_t)256 << 10)
#define STACK_USUAL ((rlim_t)8 << 20)

static int check_stack(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= STACK_NEEDED)
        return DONE;
    const rlim_t allowed = limit.rlim_cur, maximum = limit.rlim_max;
    limit.rlim_cur = maximum == RLIM_INFINITY || maximum > STACK_USUAL ? STACK_USUAL : maximum;
    if (limit.rlim_cur >= STACK_NEEDED && setrlimit(RLIMIT_STACK, &limit) == 0)
        return DONE;
    return complain(FAILED, "stack limit: expected at least %llu KiB, found %llu; raise it with ulimit -s",
                    (unsigned long long)STACK_NEEDED / 1024, (unsigned long long)allowed / 1024);
}

/* Parses the arguments of a command, argv, into its struct `args`, and runs it. */
static int run_command_of(const struct command *command, int argc, char **argv, void *args)
{
    const struct common_args *const common = args;
    int code = args_parse(command, argc, argv, args);
    if (code == DONE && common->help)
        help_print(command, stdout);
    else if (code == DONE && common->version)
        code = version_command(args);
    else if (code == DONE && (code = published_locate(args)) == DONE && (code = inputs_add(args)) == DONE)
        code = command->run(args);
    args_free(args);
    return code;
}

static int run(int argc, char **argv)
{
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
    void *const args = calloc(1, command->size);
    const int code = args ? run_command_of(command, argc - 2, argv + 2, args)
                          : complain(FAILED, "out of memory for the command line");
    free(args);
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
        out_flush(); /* print the output before the failure */
    return code == CLOSED ? DONE : code;
}
