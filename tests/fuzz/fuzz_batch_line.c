/*
 * fuzz_batch_line.c - any bytes as a line for `rwkv7 batch`: either an object whose options are within
 * the limits of the command line, or a message of plain text. Runs under libFuzzer and, over the corpus, under replay.c.
 */
#include "fuzz.h"

#include "cli/commands/json_line.h"
#include "cli/commands/overrides.h"
#include "cli/io/messages.h"
#include "cli/options/args.h"

static void check_options(struct request_args *args)
{
    for (const struct option *o = option_table; o->help; o++) {
        const void *const field = option_field(o, request_parts, args);
        if (!o->name || !field)
            continue;
        if (o->value.kind == WHOLE)
            REQUIRE(*(const int *)field >= o->value.least && *(const int *)field <= o->value.most);
        if (o->value.kind == REAL) /* a limit is a double, and what is stored is not */
            REQUIRE(*(const float *)field >= (float)o->value.least && *(const float *)field <= (float)o->value.most);
    }
    for (size_t i = 0; i < args->stops.count; i++)
        REQUIRE(args->stops.at[i][0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const others[] = {"id", "prompt", NULL};
    static char *const arguments[] = {"--no-config", NULL};
    static struct batch_args usual;
    char why[256] = "";
    if (!usual.common.command)
        REQUIRE(args_parse(command_find("batch"), 1, (char **)arguments, &usual) == DONE);
    struct request_args args = usual.request;
    char *const line = malloc(size + 1); /* as getline gives it */
    REQUIRE(line);
    memcpy(line, data, size);
    line[size] = '\0';
    cJSON *const json = json_line_parse(line, size, "id", why);
    bool fine = why[0] == '\0';
    REQUIRE(!fine || cJSON_IsObject(json));
    if (fine) {
        fine = overrides_apply(&args, json, others, why);
        REQUIRE(fine || why[0]);
    }
    if (fine)
        check_options(&args);
    else
        REQUIRE(memchr(why, '\0', sizeof why) && why[0]);
    if (args.stops.at != usual.request.stops.at)
        free((void *)args.stops.at);
    cJSON_Delete(json);
    free(line);
    return 0;
}
