/* foreign.h - hints for users who type options of other programs, such as -ngl of llama.cpp. */
#ifndef CLI_FOREIGN_H
#define CLI_FOREIGN_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Returns what to use instead of an option, such as "-ngl" or "--gpu-layers", given as the first
 * `n` bytes of `spelling`; NULL: not known.
 */
const char *foreign_hint(const char *spelling, size_t n);

#endif
