/* template.h - --template and --think: the chat template of chat and serve. */
#ifndef CLI_TEMPLATE_H
#define CLI_TEMPLATE_H

#include "cli/options/command_args.h"
#include "generate/chat_template.h"

/*
 * Chooses the template: that of --template (a name or a file), else the model's. file: receives a
 * template read from a file; free it with chat_template_free. *why: the reason for the choice. Both
 * functions return exit codes.
 */
int template_choose(const struct common_args *common, const struct template_args *args, struct rwkv7_model *model,
                    struct chat_template *file, const struct chat_template **out, const char **why);
/* Rejects a --think value that the template does not support. */
int template_check_thinking(const struct chat_template *t, enum thinking thinking);
/* --verbose: prints the name of the template and why it was chosen. */
void template_report(const struct chat_template *t, const char *why);

#endif
