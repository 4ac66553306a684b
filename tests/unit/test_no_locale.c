/*
 * test_no_locale.c - creating a runtime or a tokenizer fails if the locale "C" cannot be created,
 * because numbers would otherwise be read and written in the program's locale. The test replaces
 * newlocale(), since glibc's needs no memory for "C" and never fails.
 */
#include <locale.h>
#if defined(__APPLE__)
#include <xlocale.h>
#endif

#include "base/c_numbers.h"
#include "rwkv7.h"
#include "test.h"

locale_t newlocale(int mask, const char *name, locale_t base)
{
    (void)mask;
    (void)name;
    (void)base;
    return (locale_t)0;
}

static void test_no_locale(void)
{
    struct rwkv7_runtime *rt = NULL;
    struct rwkv7_error err = {0};
    CHECK(!c_numbers_work());
    CHECK(rwkv7_runtime_create(NULL, &rt, &err) == RWKV7_ERR_MEMORY && !rt);
    CHECK_STR(err.message, "out of memory for the locale in which numbers are read");
}

static void test_no_locale_for_tokenizer(void)
{
    static const char text[] = "{\"version\": \"1.0\"}";
    struct rwkv7_tokenizer *tokenizer = NULL;
    struct rwkv7_error err = {0};
    CHECK(rwkv7_tokenizer_open_memory(text, sizeof text - 1, "tokenizer.json", &tokenizer, &err) == RWKV7_ERR_MEMORY);
    CHECK(!tokenizer);
    CHECK_STR(err.message, "out of memory for the locale in which numbers are read");
}

int main(void)
{
    RUN(test_no_locale);
    RUN(test_no_locale_for_tokenizer);
    return test_end();
}
