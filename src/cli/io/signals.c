/* signals.c - see signals.h. */
#include "cli/io/signals.h"

#include <stddef.h>

volatile sig_atomic_t interrupted, hung_up;

static void on_interrupt(int signal_number)
{
    if (signal_number != SIGINT)
        hung_up = 1;
    interrupted = 1;
}

void interrupt_catch(void)
{
    /*
     * SA_RESETHAND: a second signal has the default action. No SA_RESTART: a read that waits for
     * input is interrupted.
     */
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND}, old;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        sigaction(signals[i], NULL, &old);
        /* Shells ignore signals for background jobs, nohup ignores SIGHUP. */
        if (old.sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
    }
}
