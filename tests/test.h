/*
 * test.h - the test framework. A test program calls its test functions through RUN and ends with
 * `return test_end();`. A failed CHECK prints file, line and expression, and the test continues. The
 * exit code is 1 if a check failed or if there was none.
 */
#ifndef TEST_H
#define TEST_H

#include <stdio.h>
#include <string.h>

static int test_checks, test_failures;

#define CHECK(cond)                                                                  \
    do {                                                                             \
        test_checks++;                                                               \
        if (!(cond)) {                                                               \
            test_failures++;                                                         \
            fprintf(stderr, "%s:%d: CHECK failed: %s\n", __FILE__, __LINE__, #cond); \
        }                                                                            \
    } while (0)

/* CHECK with an explanation, printf-style. */
#define CHECK_MSG(cond, ...)                                                         \
    do {                                                                             \
        test_checks++;                                                               \
        if (!(cond)) {                                                               \
            test_failures++;                                                         \
            fprintf(stderr, "%s:%d: CHECK failed: %s: ", __FILE__, __LINE__, #cond); \
            fprintf(stderr, __VA_ARGS__);                                            \
            fputc('\n', stderr);                                                     \
        }                                                                            \
    } while (0)

#define CHECK_STR(got, want)                                                         \
    do {                                                                             \
        const char *got_ = (got), *want_ = (want);                                   \
        CHECK_MSG(strcmp(got_, want_) == 0, "got \"%s\", want \"%s\"", got_, want_); \
    } while (0)

#define RUN(test)                                                             \
    do {                                                                      \
        const int before_ = test_failures;                                    \
        test();                                                               \
        printf("%s %s\n", test_failures == before_ ? "ok  " : "FAIL", #test); \
        fflush(stdout);                                                       \
    } while (0)

/* Says why something could not be checked here; shown in the log and counted by nobody. */
#define SKIP(...) (printf("skip "), printf(__VA_ARGS__), printf("\n"))

static inline int test_end(void)
{
    printf("%d checks, %d failed\n", test_checks, test_failures);
    return test_failures > 0 || test_checks == 0;
}

#endif
