/* c_numbers.c - see c_numbers.h. */
#include "base/c_numbers.h"

#include <pthread.h>

/* Created once and never freed. NULL: out of memory; see c_numbers_work. */
static locale_t c_locale;

static void make(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

bool c_numbers_work(void)
{
    pthread_once(&once, make);
    return c_locale != (locale_t)0;
}

locale_t c_numbers_enter(void)
{
    pthread_once(&once, make);
    return uselocale(c_locale); /* with NULL, uselocale changes nothing */
}

void c_numbers_leave(const locale_t *before)
{
    uselocale(*before);
}
