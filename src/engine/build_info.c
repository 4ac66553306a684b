/*
 * build_info.c - what --version says: the version, how the library was built, the libraries it runs on.
 *
 * The libraries are asked at run time, since the ones loaded may be newer than the ones compiled against. OpenBLAS is not loaded
 * for this: see gemm_blas.c.
 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <utf8proc.h>

#include "build_config.h"
#include "rwkv7.h"

const char *rwkv7_version(void)
{
    return BUILD_VERSION;
}

int rwkv7_version_number(void)
{
    return RWKV7_VERSION_NUMBER;
}

const char *rwkv7_build_info(int index)
{
    static _Thread_local char line[256];

    switch (index) {
    case 0:
        return "built for " BUILD_TARGET " by " BUILD_COMPILER ", " BUILD_TYPE;
    case 1:
        return "OpenBLAS: opened for --math blas, " BUILD_OPENBLAS;
    case 2:
        snprintf(line, sizeof line, "cJSON %s", cJSON_Version());
        return line;
    case 3:
        snprintf(line, sizeof line, "utf8proc %s", utf8proc_version());
        return line;
    default:
        return NULL;
    }
}
