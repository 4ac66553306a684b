/* commands.h - the functions of the commands; each returns an exit code. See options/table.c. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/options/args.h"

struct args;

int run_command(const struct args *args);
int batch_command(const struct args *args);
int chat_command(const struct args *args);
int bench_command(const struct args *args);
int convert_command(const struct args *args);
int eval_command(const struct args *args);
int info_command(const struct args *args);
int tokenize_command(const struct args *args);
int logits_command(const struct args *args);
int completions_command(const struct args *args);
int help_command(const struct args *args);
int pull_command(const struct args *args);
int version_command(const struct args *args);

#endif
