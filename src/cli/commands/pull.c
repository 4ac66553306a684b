/*
 * pull.c - `rwkv7 pull`: replaces this process by get-model.sh, which is installed with the program
 * and downloads with curl or wget.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands/commands.h"
#include "cli/io/installed.h"
#include "cli/io/messages.h"
#include "cli/io/published.h"
#include "cli/options/args.h"

#define SCRIPT "get-model.sh"

/*
 * Finds the script: RWKV7_PULL, or the installed one. If there is none, returns the path where it
 * was configured to be, for the message.
 */
static void find_script(char script[PATH_ROOM])
{
    const char *const named = getenv("RWKV7_PULL");
    char folder[PATH_ROOM];
    if (named && *named) {
        snprintf(script, PATH_ROOM, "%s", named);
        return;
    }
    for (size_t i = 0; installed_folder(i, folder); i++) {
        const int n = snprintf(script, PATH_ROOM, "%s/" SCRIPT, folder);
        if (n > 0 && n < PATH_ROOM && access(script, F_OK) == 0)
            return;
    }
    snprintf(script, PATH_ROOM, "%s", RWKV7_DATA_DIR "/" SCRIPT);
}

int pull_command(const void *command_args)
{
    const struct pull_args *const args = command_args;
    char script[PATH_ROOM];
    struct stat st;
    const char *const what = args->list ? "--list" : args->common.operand;
    if (args->list && args->common.operand)
        return complain_usage(args->common.command, "--list lists all models; it takes no name");
    if (!what)
        return complain_usage(args->common.command, "no model given: expected one of %s", published_names);
    if (!args->list && !published_is(what))
        return complain_usage(args->common.command, "pull needs one of %s, not '%s'", published_names, what);
    find_script(script);
    /* Some shells take a folder for an empty script. */
    if (stat(script, &st) == 0 && S_ISDIR(st.st_mode))
        return complain(FAILED, "cannot read %s: %s; it is installed with the program", script, strerror(EISDIR));
    if (access(script, R_OK) != 0)
        return complain(FAILED, "cannot read %s: %s; it is installed with the program", script, strerror(errno));
    /* Ignored signals would stay ignored in the script and its programs. */
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    execl("/bin/sh", "sh", script, what, (char *)NULL);
    return complain(FAILED, "cannot start /bin/sh: %s", strerror(errno));
}
