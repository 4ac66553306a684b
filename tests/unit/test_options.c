/*
 * test_options.c - the tables of commands and options agree: every option of a command has a field in
 * the struct of that command, and no field belongs to two options.
 */
#include <stdlib.h>

#include "cli/options/args.h"
#include "cli/options/parse.h"
#include "test.h"

static size_t field_size(enum kind kind)
{
    switch (kind) {
    case FLAG:
        return sizeof(bool);
    case NAME:
    case INPUT:
    case TEXT:
    case SHAPE:
        return sizeof(const char *);
    case CHOICE:
    case WHOLE:
        return sizeof(int);
    case REAL:
        return sizeof(float);
    case TEXTS:
        return sizeof(struct text_list);
    case COUNTS:
        return sizeof(struct count_list);
    case SEED:
        return sizeof(struct seed_option);
    case BANS:
    case BIASES:
        return sizeof(struct bias_list);
    }
    return 0;
}

/* The fields of a command's options must not overlap. */
static void check_command(const struct command *command, char *args, const struct option **owners)
{
    ((struct common_args *)(void *)args)->command = command;
    for (size_t i = 0; i < command->size; i++)
        owners[i] = NULL;
    for (const struct option *o = option_table; o->help; o++) {
        if (!option_is_of(o, command))
            continue;
        const char *const field = args_field(o, args);
        CHECK_MSG(field, "%s --%s: its group is not in the command's list of parts", command->name, o->name);
        if (!field)
            continue;
        const size_t at = (size_t)(field - args), size = field_size(o->value.kind);
        CHECK_MSG(at + size <= command->size, "%s --%s", command->name, o->name);
        for (size_t i = at; i < at + size && i < command->size; i++) {
            const struct option *const owner = owners[i];
            /* --ban and --bias append to the same list */
            CHECK_MSG(!owner || (owner->value.kind == BANS && o->value.kind == BIASES), "%s --%s is stored in --%s",
                      command->name, o->name, owner ? owner->name : "");
            owners[i] = o;
        }
    }
}

static void test_fields(void)
{
    for (const struct command *c = command_table; c->name; c++) {
        char *const args = calloc(1, c->size);
        const struct option **const owners = calloc(c->size, sizeof *owners);
        CHECK(args && owners);
        if (args && owners)
            check_command(c, args, owners);
        free(owners);
        free(args);
    }
}

/* An option whose value may be given as the operand belongs to the command and takes a string. */
static void test_operands(void)
{
    for (const struct command *c = command_table; c->name; c++) {
        const struct option *const o = c->operand_as ? option_find(c, c->operand_as, strlen(c->operand_as)) : NULL;
        CHECK_MSG(!c->operand_as || (o && (o->value.kind == TEXT || o->value.kind == INPUT)), "%s", c->name);
    }
}

int main(void)
{
    RUN(test_fields);
    RUN(test_operands);
    return test_end();
}
