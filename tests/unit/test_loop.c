/*
 * test_loop.c - the token loop: once a session has its buffers, neither a token nor a prompt
 * allocates memory, and on one thread neither makes a system call. To check the latter, a child
 * evaluates in a process that the kernel kills at its first system call (Linux, seccomp).
 */
#include <stdlib.h>

#include "base/mem.h"
#include "engine/engine.h"
#include "test.h"

#ifdef __linux__
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

enum { VOCAB = 70, PROMPT = 40, TOKENS = 20, NOT_THERE = 9 };

static const struct rwkv7_shape shape = {.vocab = VOCAB,
                                         .layers = 2,
                                         .channels = 128,
                                         .heads = 2,
                                         .head_size = 64,
                                         .ffn = 512,
                                         .rank_w = 8,
                                         .rank_a = 8,
                                         .rank_v = 8,
                                         .rank_g = 16};

/* Every type, row-major and column-major. */
enum { KINDS = 2 * MAT_TYPES };

static bool evaluate(struct rwkv7_session *s)
{
    static uint32_t prompt[PROMPT];
    static float logits[VOCAB];
    for (uint32_t i = 0; i < PROMPT; i++)
        prompt[i] = i % VOCAB;
    if (rwkv7_session_eval(s, prompt, PROMPT, RWKV7_LOGITS_LAST, logits, NULL) != RWKV7_OK)
        return false;
    for (uint32_t i = 0; i < TOKENS; i++)
        if (rwkv7_session_eval(s, &i, 1, RWKV7_LOGITS_LAST, logits, NULL) != RWKV7_OK)
            return false;
    return true;
}

/* Calls `check` with a session of each kind of model, whose buffers are allocated. */
static void with_sessions(int threads, void (*check)(struct rwkv7_session *s, int kind))
{
    const struct rwkv7_runtime_options options = {.threads = threads};
    struct rwkv7_runtime *rt = NULL;
    CHECK(rwkv7_runtime_create(&options, &rt, NULL) == RWKV7_OK);
    rt->alone_bytes = 0; /* makes all threads work, although the models are small */
    for (int i = 0; i < KINDS; i++) {
        const struct rwkv7_random_options random = {
            .type = (enum rwkv7_type)(i / 2), .sparse = i % 2 ? RWKV7_SPARSE_ON : RWKV7_SPARSE_OFF, .seed = 3};
        struct rwkv7_model *model = NULL;
        struct rwkv7_session *session = NULL;
        CHECK(rwkv7_model_random(rt, &shape, &random, &model, NULL) == RWKV7_OK);
        CHECK(rwkv7_session_create(model, &session, NULL) == RWKV7_OK);
        CHECK(evaluate(session));
        check(session, i);
        rwkv7_session_close(session);
        rwkv7_model_close(model);
    }
    rwkv7_runtime_close(rt);
}

static void check_allocation(struct rwkv7_session *s, int kind)
{
    mem_fail_after(0);
    CHECK_MSG(evaluate(s), "kind %d allocated", kind);
    void *const next = mem_alloc(1, 1);
    CHECK_MSG(!next, "kind %d: an allocation failed unnoticed", kind);
    mem_fail_after(-1);
    mem_free(next);
}

static void test_allocates_nothing(void)
{
    with_sessions(1, check_allocation);
    with_sessions(3, check_allocation);
}

#ifdef __linux__
/* Forbids all system calls but exit; returns false if seccomp is not available. */
static bool forbid_calls(void)
{
    struct sock_filter rules[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                                  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
                                  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
                                  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL)};
    const struct sock_fprog program = {sizeof rules / sizeof rules[0], rules};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

static void check_calls(struct rwkv7_session *s, int kind)
{
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        if (!forbid_calls())
            _exit(NOT_THERE);
        syscall(SYS_exit_group, evaluate(s) ? 0 : 1); /* _exit would make a sanitizer look for leaks */
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_THERE)
        SKIP("system calls of kind %d: no seccomp here", kind);
    else
        CHECK_MSG(WIFEXITED(status) && WEXITSTATUS(status) == 0, "kind %d: status %d", kind, status);
}
#endif

static void test_calls_nothing(void)
{
#ifdef __linux__
    with_sessions(1, check_calls);
#else
    SKIP("system calls: seen on Linux only");
#endif
}

int main(void)
{
    RUN(test_allocates_nothing);
    RUN(test_calls_nothing);
    return test_end();
}
