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

static int locate(struct common_args *common, const char **model)
{
    const char *const file = *model ? file_of(*model) : NULL;
    struct rwkv7_error err;
    if (!file || access(*model, F_OK) == 0 || errno != ENOENT)
        return DONE;
    char *const path = malloc(PATH_ROOM);
    if (!path || !args_own(common, path))
        return complain_memory();
    const enum rwkv7_status status = user_file_find(file, path, &err);
    if (status != RWKV7_OK)
        return report(&err);
    if (!*path)
        return complain(REJECTED, "model '%s' is not downloaded; run rwkv7 pull %s", *model, *model);
    *model = path;
    return DONE;
}

int published_locate(void *args)
{
    static const char *const names[] = {"model", "against"}; /* options that name a model */
    struct common_args *const common = args;
    int code = DONE;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && code == DONE; i++) {
        const struct option *const o = option_find(common->command, names[i], strlen(names[i]));
        if (o)
            code = locate(common, args_field(o, args));
    }
    if (code == DONE && strcmp(common->command->name, "convert") == 0 && common->operands.count > 0) {
        code = locate(common, &common->operands.at[0]);
        common->operand = common->operands.at[0];
    }
    return code;
}
