/* names.c - a program with functions that are named like internal functions of the library. */
#include <rwkv7.h>
#include <string.h>

int fail(void);
int zip_open(void);
int mem_alloc(void);
int pool_run(void);
int note(void);

int fail(void)
{
    return 1;
}
int zip_open(void)
{
    return 2;
}
int mem_alloc(void)
{
    return 3;
}
int pool_run(void)
{
    return 4;
}
int note(void)
{
    return 5;
}

int main(void)
{
    const struct rwkv7_runtime_options options = {.struct_size = sizeof options, .cpu = "none"};
    struct rwkv7_runtime *runtime;
    struct rwkv7_error err = {RWKV7_OK, ""};
    if (fail() + zip_open() + mem_alloc() + pool_run() + note() != 15)
        return 1;
    if (rwkv7_runtime_create(&options, &runtime, &err) != RWKV7_ERR_USAGE || !strstr(err.message, "none"))
        return 2;
    if (rwkv7_runtime_create(NULL, &runtime, &err) != RWKV7_OK)
        return 3;
    rwkv7_runtime_close(runtime);
    return 0;
}
