/*
 * commands.h - the functions of the commands; see options/table.c.
 *
 * Each takes the struct of its arguments, such as struct run_args for run_command (command_args.h),
 * and returns an exit code.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

int run_command(const void *command_args);
int batch_command(const void *command_args);
int chat_command(const void *command_args);
int serve_command(const void *args);
int bench_command(const void *command_args);
int convert_command(const void *command_args);
int eval_command(const void *command_args);
int info_command(const void *command_args);
int tokenize_command(const void *command_args);
int logits_command(const void *command_args);
int completions_command(const void *command_args);
int help_command(const void *command_args);
int pull_command(const void *command_args);
int version_command(const void *command_args);

#endif
