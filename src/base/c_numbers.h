/*
 * c_numbers.h - numbers as text with a decimal point, whatever locale the program has set.
 *
 * Functions that parse or print numbers with a fraction (strtod, "%g", cJSON) begin with C_NUMBERS. It sets the locale "C" for the
 * calling thread alone.
 */
#ifndef BASE_C_NUMBERS_H
#define BASE_C_NUMBERS_H

#include <locale.h>
#include <stdbool.h>
#if defined(__APPLE__)
#include <xlocale.h>
#endif

/*
 * False: there was no memory for the locale "C", and C_NUMBERS changes nothing. Who reads numbers from files asks first, and fails: a runtime
 * when it is created, and a tokenizer when it is opened.
 */
bool c_numbers_work(void);

/* The locale of the thread before, for c_numbers_leave. */
locale_t c_numbers_enter(void);
void c_numbers_leave(const locale_t *before);

/* First statement of a function, or a statement of its own: until the block ends, however it does. */
#define C_NUMBERS __attribute__((cleanup(c_numbers_leave), unused)) const locale_t caller_locale = c_numbers_enter()

#endif
