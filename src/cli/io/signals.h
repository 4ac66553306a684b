/* signals.h - interruption by ^C, SIGTERM and SIGHUP. */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

#include <signal.h>

/*
 * From now on ^C, SIGTERM and SIGHUP only set `interrupted`, unless they were ignored at the start,
 * so that temporary files are removed and states are saved. A second signal kills the process.
 */
void interrupt_catch(void);
extern volatile sig_atomic_t interrupted, hung_up; /* hung_up: not by ^C */

#endif
