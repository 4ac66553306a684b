/* terminal.c - see terminal.h. */
#include "cli/io/terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { BAR = 24 }; /* columns */

static const double first_after = 0.3, then_every = 0.1; /* seconds */

static bool disabled, shown;
static const char *current; /* `what` of the current progress line */
static double began, drawn;

double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

bool terminal_stderr(void)
{
    const char *const term = getenv("TERM");
    return isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

bool terminal_colours(void)
{
    const char *const no = getenv("NO_COLOR");
    return terminal_stderr() && !(no && *no);
}

void progress_disable(void)
{
    progress_clear();
    disabled = true;
}

static int columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void progress_show(const char *what, double part, double count, const char *unit)
{
    if (disabled || !terminal_stderr())
        return;
    const double now = seconds();
    if (!current || strcmp(current, what) != 0) {
        current = what;
        began = now;
        drawn = now + first_after - then_every;
    }
    if (now < drawn + then_every)
        return;
    drawn = now;

    char line[160];
    const double rate = count / (now - began);
    const int decimals = rate < 99.95;
    if (part >= 0) {
        const int filled = (int)(part * (int)BAR);
        snprintf(line, sizeof line, "%s [%.*s%*s] %3.0f%%  %.*f %s/s", what, filled,
                 "========================", BAR - filled, "", 100 * part, decimals, rate, unit);
    } else {
        snprintf(line, sizeof line, "%s %.0f %s  %.*f %s/s", what, count, unit, decimals, rate, unit);
    }
    /* One column less than the width, because a full line would wrap. */
    fprintf(stderr, "\r\033[K%.*s", columns() - 1, line);
    fflush(stderr);
    shown = true;
}

void progress_text(const char *text)
{
    if (disabled || !terminal_stderr())
        return;
    fprintf(stderr, "\r\033[K%.*s", columns() - 1, text);
    fflush(stderr);
    shown = true;
    current = NULL;
}

void progress_clear(void)
{
    if (shown)
        fputs("\r\033[K", stderr);
    shown = false;
    current = NULL;
}
