// header.cpp - the public header in C++11, without a warning.
#include <rwkv7.h>

#include <cstdio>

static bool progress(void *, uint64_t, uint64_t)
{
    return true;
}

int main()
{
    struct rwkv7_model_options model_options = RWKV7_OPTIONS(model_options);
    struct rwkv7_sampler_options sampling = RWKV7_OPTIONS(sampling);
    model_options.progress = progress;
    sampling.temperature = RWKV7_ZERO;
    if (model_options.struct_size != sizeof model_options || sampling.struct_size != sizeof sampling)
        return 1;
    if (model_options.weights != RWKV7_WEIGHTS_STORED || model_options.progress_arg)
        return 2;
    rwkv7_runtime *runtime = nullptr;
    rwkv7_error err;
    if (rwkv7_runtime_create(nullptr, &runtime, &err) != RWKV7_OK) {
        std::fprintf(stderr, "%s\n", err.message);
        return 3;
    }
    rwkv7_runtime_close(runtime);
    return rwkv7_version_number() == RWKV7_VERSION_NUMBER ? 0 : 4;
}
