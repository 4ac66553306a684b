/* tuned.c - see tuned.h. */
#include "cli/commands/tuned.h"

#include "cli/commands/state_files.h"
#include "cli/io/messages.h"
#include "cli/options/args.h"

int tuned_start(const struct args *args, const struct rwkv7_model *model, struct rwkv7_session *session)
{
    struct rwkv7_error err;
    if (!args->state) {
        if (args->state_order != RWKV7_STATE_AS_STATED)
            return complain_usage(args->command, "--state-order needs --state FILE");
        if (rwkv7_model_info(model)->tuned_state && !args->state_in && !args->quiet)
            complain(DONE, "the model file holds a tuned state; use --state %s to start from it",
                     rwkv7_model_info(model)->path);
        return DONE;
    }
    if (args->state_in || args->prompt_cache)
        return complain_usage(args->command, "--state and --%s exclude each other",
                              args->state_in ? "state-in" : "prompt-cache");
    if (rwkv7_session_load_tuned(session, args->state, (enum rwkv7_state_order)args->state_order, &err) == RWKV7_OK)
        return DONE;
    if (err.status == RWKV7_ERR_USAGE)
        return complain(MISUSED, "%s with --state-order", err.message);
    return state_report(&err, args->state, true);
}
