/*
 * build_info.c - the text of --version: version, build options, and the versions of the libraries.
 *
 * The versions are queried at run time, because the loaded libraries may be newer than those that
 * this file was compiled with. OpenBLAS is not loaded only to ask for its version; gemm_blas.c
 * explains why.
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
