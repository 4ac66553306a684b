/*
 * c_numbers.h - parses and prints numbers with a decimal point, whatever locale the program has
 * set.
 *
 * Functions that parse or print numbers with a fraction (strtod, "%g", cJSON) begin with C_NUMBERS,
 * which sets the locale "C" for the calling thread only.
 */
#ifndef BASE_C_NUMBERS_H
#define BASE_C_NUMBERS_H

#include <locale.h>
#include <stdbool.h>
#if defined(__APPLE__)
#include <xlocale.h>
#endif

/*
 * Returns false if there was no memory for the locale "C"; then C_NUMBERS has no effect. Creating a
 * runtime and opening a tokenizer.json check this first, because wrong numbers would be read.
 */
bool c_numbers_work(void);

/* Sets the locale "C"; returns the previous locale, for c_numbers_leave. */
locale_t c_numbers_enter(void);
void c_numbers_leave(const locale_t *before);

/*
 * Put this first in a function or block. The caller's locale is restored when the block ends, on
 * every path.
 */
#define C_NUMBERS __attribute__((cleanup(c_numbers_leave), unused)) const locale_t caller_locale = c_numbers_enter()

#endif
