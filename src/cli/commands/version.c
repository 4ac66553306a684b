/* version.c - `rwkv7 version`: prints version, kernels, threads and build configuration. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands/commands.h"
#include "cli/commands/engine.h"
#include "cli/io/line.h"
#include "cli/io/messages.h"
#ifdef HAVE_MICROHTTPD
#include "server/server.h"
#endif

int version_command(const void *args)
{
    const struct machine_args machine = {.cpu = getenv("RWKV7_CPU")};
    struct engine e = {0};
    (void)args;
    const int code = engine_open_runtime(&e, &machine);
    if (code != DONE)
        return code;
    printf("rwkv7 %s\n", rwkv7_version());
    printf("kernels: %s (here: %s), threads: %d\n", rwkv7_runtime_cpu(e.runtime), rwkv7_runtime_cpus(),
           rwkv7_runtime_threads(e.runtime));
    for (int i = 0; rwkv7_build_info(i); i++)
        printf("%s\n", rwkv7_build_info(i));
    printf("editing: %s\n", line_editing());
#ifdef HAVE_MICROHTTPD
    printf("server: libmicrohttpd %s\n", server_library_version());
#else
    printf("server: none\n");
#endif
    engine_close(&e);
    return DONE;
}
