/* foreign.h - options of other programs that people type by habit, and what to use here instead. */
#ifndef CLI_FOREIGN_H
#define CLI_FOREIGN_H

#include <stdbool.h>
#include <stddef.h>

/* What to use instead of an option that is spelled "-ngl" or "--gpu-layers", of which `n` bytes count; NULL: not known. */
const char *foreign_hint(const char *spelling, size_t n);

#endif
