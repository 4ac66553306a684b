/* tuned.c - see tuned.h. */
#include "cli/commands/tuned.h"

#include "cli/commands/state_files.h"
#include "cli/io/messages.h"

int tuned_check(const struct common_args *common, const struct tuned_args *args, const struct saved_args *saved)
{
    if (!args->state && args->state_order != RWKV7_STATE_AS_STATED)
        return complain_usage(common->command, "--state-order needs --state FILE");
    if (args->state && saved && (saved->state_in || saved->prompt_cache))
        return complain_usage(common->command, "--state and --%s exclude each other",
                              saved->state_in ? "state-in" : "prompt-cache");
    return DONE;
}

int tuned_start(const struct tuned_args *args, bool hint, const struct rwkv7_model *model,
                struct rwkv7_session *session)
{
    struct rwkv7_error err;
    if (!args->state) {
        if (hint && rwkv7_model_info(model)->tuned_state)
            complain(DONE, "the model file holds a tuned state; use --state %s to start from it",
                     rwkv7_model_info(model)->path);
        return DONE;
    }
    if (rwkv7_session_load_tuned(session, args->state, (enum rwkv7_state_order)args->state_order, &err) == RWKV7_OK)
        return DONE;
    if (err.status == RWKV7_ERR_USAGE)
        return complain(MISUSED, "%s with --state-order", err.message);
    return state_report(&err, args->state, true);
}
