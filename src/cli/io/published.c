/* published.c - see published.h. */
#include "cli/io/published.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cli/io/lookup.h"
#include "cli/io/messages.h"
#include "cli/options/args.h"
#include "cli/options/parse.h"

/* PUBLISHED_NAMES, PUBLISHED_MODELS; generated from scripts/models.txt */
#include "published_models.h"

const char published_names[] = PUBLISHED_NAMES;

static const struct {
    const char *name, *file;
} models[] = {PUBLISHED_MODELS};

static const char *file_of(const char *name)
{
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++)
        if (strcasecmp(models[i].name, name) == 0)
            return models[i].file;
    return NULL;
}

bool published_is(const char *name)
{
    return file_of(name) != NULL;
}

static int locate(struct args *args, const char **model)
{
    const char *const file = *model ? file_of(*model) : NULL;
    struct rwkv7_error err;
    if (!file || access(*model, F_OK) == 0 || errno != ENOENT)
        return DONE;
    char *const path = malloc(PATH_ROOM);
    if (!path || !args_own(args, path))
        return complain_memory();
    const enum rwkv7_status status = user_file_find(file, path, &err);
    if (status != RWKV7_OK)
        return report(&err);
    if (!*path)
        return complain(REJECTED, "model '%s' is not downloaded; run rwkv7 pull %s", *model, *model);
    *model = path;
    return DONE;
}

int published_locate(struct args *args)
{
    int code = locate(args, &args->model);
    if (code == DONE)
        code = locate(args, &args->against);
    if (code == DONE && strcmp(args->command->name, "convert") == 0 && args->operands.count > 0) {
        code = locate(args, &args->operands.at[0]);
        args->operand = args->operands.at[0];
    }
    return code;
}
