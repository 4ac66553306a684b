/*
 * float_env.h - the floating-point environment of the calling thread: rounding mode, flushing of
 * denormals, exception masks.
 *
 * Results are defined for round-to-nearest with denormals (kernels/kernels.h). A program that uses
 * the library may have changed the environment of its threads. So the library computes in the
 * default environment and then restores the caller's, including its exception flags:
 *
 *     Public functions that compute with floats, or parse or print them, begin with DEFAULT_FLOAT_ENV.
 *     pool_run does the same; helper threads set it once when they start (pool.c).
 *
 * Callbacks of the program are called in the default environment.
 */
#ifndef BASE_FLOAT_ENV_H
#define BASE_FLOAT_ENV_H

#include <stdint.h>

#if defined(__x86_64__)

/*
 * mxcsr controls SSE, which computes float and double. The x87 words are saved because glibc's
 * strtod and printf use the rounding mode of the control word, and because computations with long
 * double set flags in the status word.
 */
struct float_env {
    uint32_t mxcsr;
    uint16_t x87, x87_status;
};
#define FLOAT_ENV_MXCSR 0x1f80u /* all exceptions masked, none flagged, round to nearest, no FTZ, no DAZ */
#define FLOAT_ENV_X87 0x037fu   /* all exceptions masked, round to nearest, 64-bit significand */
#define FLOAT_ENV_X87_FLAGS 0x3fu

static inline struct float_env float_env_get(void)
{
    struct float_env env;
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1\n\tfnstsw %2"
                     : "=m"(env.mxcsr), "=m"(env.x87), "=m"(env.x87_status)
                     :
                     : "memory");
    return env;
}
static inline void float_env_set(const struct float_env *env)
{
    struct {
        uint32_t control, status, others[5];
    } all; /* layout of fnstenv; the status word can be written only by loading all of it */
    uint16_t status;
    __asm__ volatile("fnstsw %0" : "=m"(status) : : "memory");
    if (((status ^ env->x87_status) & FLOAT_ENV_X87_FLAGS) != 0) { /* rare: some computation used x87 */
        __asm__ volatile("fnstenv %0" : "=m"(all) : : "memory");
        all.status = (all.status & ~FLOAT_ENV_X87_FLAGS) | (env->x87_status & FLOAT_ENV_X87_FLAGS);
        __asm__ volatile("fldenv %0" : : "m"(all) : "memory");
    }
    __asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(env->mxcsr), "m"(env->x87) : "memory");
}
/* Does not clear the x87 flags: nothing reads them before float_env_set restores the caller's. */
static inline void float_env_set_default(void)
{
    const struct float_env env = {FLOAT_ENV_MXCSR, FLOAT_ENV_X87, 0};
    __asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(env.mxcsr), "m"(env.x87) : "memory");
}

#elif defined(__aarch64__)

struct float_env {
    uint64_t fpcr, fpsr; /* control register, and exception flags */
};

static inline struct float_env float_env_get(void)
{
    struct float_env env;
    __asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(env.fpcr), "=r"(env.fpsr) : : "memory");
    return env;
}
static inline void float_env_set(const struct float_env *env)
{
    __asm__ volatile("msr fpcr, %0\n\tmsr fpsr, %1" : : "r"(env->fpcr), "r"(env->fpsr) : "memory");
}
static inline void float_env_set_default(void)
{
    const struct float_env env = {0, 0}; /* round to nearest, no flushing, no traps */
    float_env_set(&env);
}

#else

#include <fenv.h>

struct float_env {
    fenv_t env;
};

static inline struct float_env float_env_get(void)
{
    struct float_env env;
    fegetenv(&env.env);
    return env;
}
static inline void float_env_set(const struct float_env *env)
{
    fesetenv(&env->env);
}
static inline void float_env_set_default(void)
{
    fesetenv(FE_DFL_ENV);
}

#endif

/* Sets the default environment; returns the previous one, for float_env_set. */
static inline struct float_env float_env_enter(void)
{
    const struct float_env env = float_env_get();
    float_env_set_default();
    return env;
}

/*
 * Put this first in a function: the default environment applies until it returns, on every path;
 * then the caller's is restored.
 */
#define DEFAULT_FLOAT_ENV \
    __attribute__((cleanup(float_env_set), unused)) const struct float_env caller_env = float_env_enter()

#endif
