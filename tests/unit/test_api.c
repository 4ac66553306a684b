/* test_api.c - what the public header promises to programs of other versions: versions, names, sizes of structs. */
#include <stdio.h>
#include <string.h>

#include "build_config.h"
#include "rwkv7.h"
#include "test.h"

/* The header, the library and CMake's project() agree. */
static void test_version(void)
{
    char text[64];
    snprintf(text, sizeof text, "%d.%d.%d", RWKV7_VERSION_MAJOR, RWKV7_VERSION_MINOR, RWKV7_VERSION_PATCH);
    CHECK_STR(rwkv7_version(), text);
    CHECK_STR(BUILD_VERSION, text);
    CHECK(rwkv7_version_number() == RWKV7_VERSION_NUMBER);
    CHECK(RWKV7_VERSION_MINOR < 1000 && RWKV7_VERSION_PATCH < 1000);
}

/* Every status has a name of its own. */
static void test_status_names(void)
{
    for (int a = RWKV7_OK; a <= RWKV7_ERR_STOPPED; a++) {
        CHECK(strcmp(rwkv7_status_name((enum rwkv7_status)a), "unknown") != 0);
        for (int b = RWKV7_OK; b < a; b++)
            CHECK(strcmp(rwkv7_status_name((enum rwkv7_status)a), rwkv7_status_name((enum rwkv7_status)b)) != 0);
    }
    CHECK_STR(rwkv7_status_name((enum rwkv7_status)(RWKV7_ERR_STOPPED + 1)), "unknown");
    CHECK_STR(rwkv7_status_name((enum rwkv7_status) - 1), "unknown");
}

int main(void)
{
    RUN(test_version);
    RUN(test_status_names);
    return test_end();
}
