/* template.c - see template.h. */
#include "cli/commands/template.h"

#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "cli/io/messages.h"
#include "cli/io/template_file.h"

/* Returns whether `text` contains `words` after trimming `words`. */
static bool has_words(const char *text, const char *words)
{
    char trimmed[128];
    size_t n = strlen(words);
    const size_t first = strspn(words, " \n");
    while (n > first && strchr(" \n", words[n - 1]))
        n--;
    return n - first < sizeof trimmed &&
           snprintf(trimmed, sizeof trimmed, "%.*s", (int)(n - first), words + first) > 0 && strstr(text, trimmed);
}

/*
 * Rejects a checkpoint whose own chat template contradicts the chosen one. llama.cpp stores a name
 * for RWKV's template. Hugging Face stores a Jinja program, which is not executed: it must contain
 * the role names of the user and of the model.
 */
static int check_template(const struct rwkv7_model *model, const struct chat_template *t)
{
    const struct rwkv7_model_info *const info = rwkv7_model_info(model);
    const char *const stated = info->chat_template;
    if (!stated || strcmp(stated, "rwkv-world") == 0 || (has_words(stated, t->user) && has_words(stated, t->answer)))
        return DONE;
    return complain(REJECTED,
                    "%s: chat template: expected the role names of '%s', found '%.60s'; choose one with --template",
                    info->path, t->name, stated);
}

int template_choose(const struct common_args *common, const struct template_args *args, struct rwkv7_model *model,
                    struct chat_template *file, const struct chat_template **out, const char **why)
{
    const char *const name = args->template;
    *why = "--template";
    *out = name ? chat_template_named(name) : chat_template_choose(model, why);
    if (!*out) {
        if (!path_exists(name)) {
            char names[128] = "";
            for (size_t i = 0; chat_template_at(i); i++)
                snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i > 0 ? ", " : "",
                         chat_template_at(i)->name);
            return complain_usage(common->command, "--template needs one of %s, or a file, not '%s'", names, name);
        }
        const int code = template_file_read(name, file);
        if (code != DONE)
            return code;
        *out = file;
    }
    return name ? DONE : check_template(model, *out);
}

int template_check_thinking(const struct chat_template *t, enum thinking thinking)
{
    if (thinking != THINK_OFF && !t->thinks)
        return complain(MISUSED, "the template '%s' does not support thinking; use --template g1", t->name);
    return DONE;
}

void template_report(const struct chat_template *t, const char *why)
{
    fprintf(stderr, "template ");
    print_plain(stderr, t->name);
    fprintf(stderr, " (by %s)\n", why);
}
