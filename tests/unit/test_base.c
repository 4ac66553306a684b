/* test_base.c - threads, memory, messages, mapped and atomically written files. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/out_file.h"
#include "base/plain.h"
#include "base/pool.h"
#include "base/sys.h"
#include "engine/engine.h"
#include "test.h"

static char folder[] = "/tmp/rwkv7-test-base-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* ------------------------------------------------------------------------------------------------------------ threads */

enum { PHASES = 200, UNITS = 1000 };

struct phases {
    atomic_int units[PHASES];  /* how many units of a phase were done */
    atomic_int places[PHASES]; /* the sum of their numbers */
    atomic_int late;           /* threads that saw a phase unfinished after its barrier */
};

static void phase_worker(void *arg, struct pool *pool, int rank)
{
    struct phases *p = arg;
    for (int phase = 0; phase < PHASES; phase++) {
        int begin, end;
        while (phase % 2 ? pool_share(pool, rank, UNITS, 7, &begin, &end) : pool_take(pool, UNITS, 7, &begin, &end)) {
            p->units[phase] += end - begin;
            p->places[phase] += (begin + end - 1) * (end - begin) / 2;
        }
        pool_barrier(pool);
        if (p->units[phase] != UNITS)
            p->late++;
        pool_barrier(pool);
    }
}

static void test_pool(void)
{
    for (int threads = 1; threads <= 5; threads++) {
        struct pool *pool = NULL;
        CHECK(pool_create(threads, &pool, NULL) == RWKV7_OK);
        for (int round = 0; round < 3; round++) {
            struct phases p = {0};
            pool_run(pool, phase_worker, &p);
            CHECK_MSG(p.late == 0, "%d threads", threads);
            for (int phase = 0; phase < PHASES; phase++)
                CHECK(p.units[phase] == UNITS && p.places[phase] == UNITS * (UNITS - 1) / 2);
        }
        pool_destroy(pool);
    }
}

/* Long pauses between jobs: the threads have gone to sleep and must wake. */
static void test_pool_sleeps(void)
{
    struct pool *pool = NULL;
    CHECK(pool_create(3, &pool, NULL) == RWKV7_OK);
    for (int round = 0; round < 3; round++) {
        struct phases p = {0};
        usleep(20000);
        pool_run(pool, phase_worker, &p);
        CHECK(p.late == 0);
    }
    pool_destroy(pool);
}

/* Which signals helpers take: only those that they raise themselves. */
static void check_signals(void *arg, struct pool *pool, int rank)
{
    sigset_t blocked;
    (void)pool;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    if (rank == 1)
        *(bool *)arg = sigismember(&blocked, SIGINT) && sigismember(&blocked, SIGTERM) &&
                       sigismember(&blocked, SIGALRM) && !sigismember(&blocked, SIGBUS) &&
                       !sigismember(&blocked, SIGSEGV) && !sigismember(&blocked, SIGFPE) &&
                       !sigismember(&blocked, SIGILL);
}

static void test_pool_signals(void)
{
    struct pool *pool = NULL;
    bool right = false;
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    CHECK(pool_create(2, &pool, NULL) == RWKV7_OK);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    CHECK(sigismember(&before, SIGINT) == sigismember(&after, SIGINT)); /* the caller's own are as they were */
    pool_run(pool, check_signals, &right);
    CHECK(right);
    pool_destroy(pool);
}

/* Whether a forked child can start threads; says it where not. */
static bool can_fork(void)
{
    if (getenv("QEMU_CPU")) { /* as .ci/run sets it */
        SKIP("qemu-user ends a forked child that starts threads");
        return false;
    }
#ifdef __SANITIZE_THREAD__ /* of gcc, which the stage uses */
    SKIP("ThreadSanitizer ends a forked child that starts threads");
    return false;
#else
    return true;
#endif
}

/* In a child of fork() there are no helpers: it starts its own instead of waiting for those of its parent. */
static void test_pool_fork(void)
{
    if (!can_fork())
        return;
    for (int threads = 1; threads <= 3; threads++) {
        struct pool *pool = NULL;
        struct phases p = {0};
        int status = -1;
        CHECK(pool_create(threads, &pool, NULL) == RWKV7_OK);
        pool_run(pool, phase_worker, &p);
        fflush(stdout);
        const pid_t child = fork();
        if (child == 0) {
            struct phases own = {0};
            alarm(60); /* ends a child that hangs */
            pool_run(pool, phase_worker, &own);
            const bool first = own.late == 0 && own.units[PHASES - 1] == UNITS;
            own = (struct phases){0};
            pool_run(pool, phase_worker, &own);
            pool_destroy(pool);
            _exit(!first || own.late > 0 || own.units[PHASES - 1] != UNITS);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
        /* One that runs nothing does not wait for them either. */
        const pid_t idle = fork();
        if (idle == 0) {
            alarm(60);
            pool_destroy(pool);
            _exit(0);
        }
        CHECK(idle > 0 && waitpid(idle, &status, 0) == idle && status == 0);
        p = (struct phases){0};
        pool_run(pool, phase_worker, &p);
        CHECK(p.late == 0 && p.units[PHASES - 1] == UNITS);
        pool_destroy(pool);
    }
}

/* The same for a model: the child computes what the parent does. */
static void test_model_fork(void)
{
    if (!can_fork())
        return;
    const struct rwkv7_shape shape = {.vocab = 64,
                                      .layers = 2,
                                      .channels = 64,
                                      .heads = 2,
                                      .head_size = 32,
                                      .ffn = 128,
                                      .rank_w = 8,
                                      .rank_a = 8,
                                      .rank_v = 8,
                                      .rank_g = 8};
    const struct rwkv7_random_options options = {.type = RWKV7_F32};
    const struct rwkv7_runtime_options threads = {.threads = 2};
    static const uint32_t tokens[] = {1, 2, 3};
    float logits[2][64];
    struct rwkv7_runtime *rt = NULL;
    struct rwkv7_model *model = NULL;
    struct rwkv7_session *s = NULL;
    int status = -1;
    CHECK(rwkv7_runtime_create(&threads, &rt, NULL) == RWKV7_OK);
    CHECK(rwkv7_model_random(rt, &shape, &options, &model, NULL) == RWKV7_OK);
    if (!model || rwkv7_session_create(model, &s, NULL) != RWKV7_OK)
        exit(1);
    CHECK(rwkv7_session_eval(s, tokens, 3, RWKV7_LOGITS_LAST, logits[0], NULL) == RWKV7_OK);
    rwkv7_session_reset(s);
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        alarm(60);
        const bool fine = rwkv7_session_eval(s, tokens, 3, RWKV7_LOGITS_LAST, logits[1], NULL) == RWKV7_OK &&
                          memcmp(logits[0], logits[1], sizeof logits[0]) == 0;
        rwkv7_session_close(s);
        rwkv7_model_close(model);
        rwkv7_runtime_close(rt);
        _exit(!fine);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    rwkv7_session_close(s);
    rwkv7_model_close(model);
    rwkv7_runtime_close(rt);
}

/*
 * A process with several threads forks while one of them evaluates, so that locks are held and helpers are at work. The threads of the
 * child, all at once, are the first to use what was opened before: an evaluation each, and the opening of a model.
 */
struct forked {
    struct rwkv7_runtime *rt;
    struct rwkv7_session *s;
    const float *expected; /* [64]; NULL: opens a model */
    pthread_barrier_t *together;
    bool right;
};
static const uint32_t forked_tokens[] = {1, 2, 3};
static const struct rwkv7_shape forked_shape = {.vocab = 64,
                                                .layers = 2,
                                                .channels = 64,
                                                .heads = 2,
                                                .head_size = 32,
                                                .ffn = 128,
                                                .rank_w = 8,
                                                .rank_a = 8,
                                                .rank_v = 8,
                                                .rank_g = 8};
static const struct rwkv7_random_options forked_options = {.type = RWKV7_F32};

static void *use_in_child(void *arg)
{
    struct forked *f = arg;
    float logits[64];
    struct rwkv7_model *model = NULL;
    pthread_barrier_wait(f->together);
    if (f->expected) {
        f->right = rwkv7_session_eval(f->s, forked_tokens, 3, RWKV7_LOGITS_LAST, logits, NULL) == RWKV7_OK &&
                   memcmp(logits, f->expected, sizeof logits) == 0;
    } else {
        f->right = rwkv7_model_random(f->rt, &forked_shape, &forked_options, &model, NULL) == RWKV7_OK;
        rwkv7_model_close(model);
    }
    return NULL;
}

struct evaluator {
    struct rwkv7_session *s;
    atomic_bool stop, begun;
};

static void *evaluate_until_stopped(void *arg)
{
    struct evaluator *e = arg;
    while (!e->stop) {
        rwkv7_session_eval(e->s, forked_tokens, 3, RWKV7_LOGITS_NONE, NULL, NULL);
        e->begun = true;
    }
    return NULL;
}

enum { FORKS = 30, IN_CHILD = 3 };

static int child_of_many_threads(struct rwkv7_runtime *rt, struct rwkv7_session *const *sessions, const float *expected)
{
    struct forked f[IN_CHILD];
    pthread_t threads[IN_CHILD];
    pthread_barrier_t together;
    int wrong = 0;
    alarm(60); /* ends a child that hangs */
    pthread_barrier_init(&together, NULL, IN_CHILD);
    for (int i = 0; i < IN_CHILD; i++) {
        f[i] = (struct forked){rt, sessions[i], i == 0 ? NULL : expected, &together, false};
        if (pthread_create(&threads[i], NULL, use_in_child, &f[i]) != 0)
            return 1;
    }
    for (int i = 0; i < IN_CHILD; i++) {
        pthread_join(threads[i], NULL);
        wrong += !f[i].right;
    }
    return wrong;
}

static void test_fork_of_many_threads(void)
{
    if (!can_fork())
        return;
    const struct rwkv7_runtime_options options = {.threads = 3};
    struct rwkv7_runtime *rt = NULL;
    struct rwkv7_model *model = NULL;
    struct rwkv7_session *s[IN_CHILD + 1] = {NULL};
    float expected[64];
    CHECK(rwkv7_runtime_create(&options, &rt, NULL) == RWKV7_OK);
    rt->alone_bytes = 0; /* all threads, however small the model is */
    CHECK(rwkv7_model_random(rt, &forked_shape, &forked_options, &model, NULL) == RWKV7_OK);
    for (int i = 0; i <= IN_CHILD; i++)
        CHECK(rwkv7_session_create(model, &s[i], NULL) == RWKV7_OK);
    CHECK(rwkv7_session_eval(s[0], forked_tokens, 3, RWKV7_LOGITS_LAST, expected, NULL) == RWKV7_OK);
    struct evaluator e = {.s = s[IN_CHILD]};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, evaluate_until_stopped, &e) == 0);
    while (!e.begun)
        sched_yield();
    fflush(stdout);
    for (int i = 0; i < FORKS; i++) {
        int status = -1;
        const pid_t child = fork();
        if (child == 0)
            _exit(child_of_many_threads(rt, s, expected));
        CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
        if (status != 0)
            break;
    }
    e.stop = true;
    pthread_join(thread, NULL);
    for (int i = 0; i <= IN_CHILD; i++)
        rwkv7_session_close(s[i]);
    rwkv7_model_close(model);
    rwkv7_runtime_close(rt);
}

static void test_pool_errors(void)
{
    struct pool *pool = NULL;
    struct rwkv7_error err;
    CHECK(pool_create(0, &pool, &err) == RWKV7_ERR_USAGE && !pool);
    CHECK(strstr(err.message, "found 0") != NULL);
    CHECK(pool_create(100000, &pool, &err) == RWKV7_ERR_USAGE && !pool);
    for (long at = 0; at < 20; at++) {
        mem_fail_after(at);
        const enum rwkv7_status status = pool_create(3, &pool, &err);
        mem_fail_after(-1);
        CHECK(status == RWKV7_OK || status == RWKV7_ERR_MEMORY);
        if (status == RWKV7_OK)
            pool_destroy(pool);
    }
    struct rwkv7_runtime *rt = NULL;
    CHECK(rwkv7_runtime_create(&(struct rwkv7_runtime_options){.threads = -1}, &rt, &err) == RWKV7_ERR_USAGE && !rt);
    CHECK_STR(err.message, "threads: expected 1 to 1024, found -1");
}

/* ------------------------------------------------------------------------------------------------------------- memory */

static void test_sizes(void)
{
    size_t n = 0;
    CHECK(size_mul(1 << 20, 1 << 20, &n) && n == (size_t)1 << 40);
    CHECK(!size_mul(SIZE_MAX / 2, 3, &n));
    CHECK(size_mul(SIZE_MAX, 0, &n) && n == 0);
    CHECK(size_add(1, 2, &n) && n == 3);
    CHECK(!size_add(SIZE_MAX, 1, &n));
    CHECK(mem_alloc(SIZE_MAX / 2, 3) == NULL);
    CHECK(mem_alloc(SIZE_MAX - 10, 1) == NULL);
    CHECK(mem_alloc(SIZE_MAX - 100, 1) == NULL); /* rounded up, it would wrap around to nothing */
    void *nothing = mem_alloc(0, 8);
    CHECK(nothing != NULL);
    mem_free(nothing);
    unsigned char *p = mem_alloc(100, 3);
    CHECK((uintptr_t)p % MEM_ALIGN == 0);
    int sum = 0;
    for (int i = 0; i < 300; i++)
        sum += p[i];
    CHECK(sum == 0);
    memset(p, 1, 300);
    p = mem_grow(p, 100, 200, 3);
    sum = 0;
    for (int i = 0; i < 600; i++)
        sum += p[i];
    CHECK(sum == 300);
    mem_free(p);
    char *s = mem_string("abcdef", 3);
    CHECK_STR(s, "abc");
    mem_free(s);
}

/* Text of files, as a terminal may get it. */
static void test_plain_text(void)
{
    static const char *const cases[][2] = {
        {"plain \xc3\xa9 \xe4\xb8\xad", "plain \xc3\xa9 \xe4\xb8\xad"},
        {"\x1b[31m\r\n", "?[31m??"},
        {"\xc2\x9b"
         "31m",
         "??31m"},
        {"\xff", "?"},
        {"gpj.\xe2\x80\xae"
         "exe",
         "gpj.???exe"}, /* U+202E: the rest from right to left */
        {"\xe2\x81\xa6\xe2\x81\xa9", "??????"},
        {"\xe2\x80\x8e\xd8\x9c", "?????"},
        {"\xe2\x80\xa8\xe2\x80\xa9", "??????"},
        {"\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x94\xac",
         "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x94\xac"}, /* a joiner stays */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "%s", cases[i][0]);
        rwkv7_text_plain(text);
        CHECK_STR(text, cases[i][1]);
    }
}

/* The same as escapes, one character at a time, as far as it is there. */
static void test_plain_character(void)
{
    static const struct {
        const char *text;
        size_t size, length; /* length: when more bytes may follow */
        const char *escape;
    } cases[] = {
        {"ab", 2, 1, ""},
        {"\0", 1, 1, "\\x00"},
        {"\x1b[", 2, 1, "\\x1b"},
        {"\x7f", 1, 1, "\\x7f"},
        {"\n", 1, 1, "\\n"},
        {"\xc3\xa9x", 3, 2, ""},
        {"\xc2\x9b", 2, 2, "\\u009b"},
        {"\xe2\x80\xae", 3, 3, "\\u202e"},
        {"\xf0\x9f\x91\xa9", 4, 4, ""},
        {"\xf0\x9f\x91", 3, 0, ""},
        {"\xe2\x82", 2, 0, ""},
        {"\xc2", 1, 0, ""},
        {"\xe2\x82x", 3, 1, "\\xe2"}, /* will never be a character */
        {"\xc0\x9b", 2, 1, "\\xc0"},
        {"\x9b", 1, 1, "\\x9b"},
        {"\xff", 1, 1, "\\xff"},
        {"\xed\xa0\x80", 3, 1, "\\xed"}, /* half of a surrogate pair */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char escape[PLAIN_ESCAPE], torn[PLAIN_ESCAPE];
        CHECK(plain_character(cases[i].text, cases[i].size, false, escape) == cases[i].length);
        CHECK_STR(escape, cases[i].escape);
        snprintf(torn, sizeof torn, "\\x%02x", (unsigned)(unsigned char)cases[i].text[0]);
        const size_t rest = plain_character(cases[i].text, cases[i].size, true, escape);
        CHECK(rest == (cases[i].length > 0 ? cases[i].length : 1));
        CHECK_STR(escape, cases[i].length > 0 ? cases[i].escape : torn);
    }
}

static void test_messages(void)
{
    struct rwkv7_error err;
    CHECK(fail(&err, RWKV7_ERR_MODEL, "%s: bad\n\x1b[31m", "file") == RWKV7_ERR_MODEL);
    CHECK_STR(err.message, "file: bad??[31m");
    fail(&err, RWKV7_ERR_MODEL, "next line \xc2\x85, accent \xc3\xa9");
    CHECK_STR(err.message, "next line ??, accent \xc3\xa9");
    fail(&err, RWKV7_ERR_MODEL,
         "escape \x9b"
         "31m, \xc2\x9b"
         "31m, torn \xe2\x82, too long \xc0\x9b");
    CHECK_STR(err.message, "escape ?31m, ??31m, torn ??, too long ??");
    fail_where(&err, "%s:%d: ", "fi\xc2\x9cle", 3);
    CHECK_STR(err.message, "fi??le:3: escape ?31m, ??31m, torn ??, too long ??");
    CHECK(err.status == RWKV7_ERR_MODEL);
    fail_where(NULL, "nobody listens");
    CHECK(fail(NULL, RWKV7_ERR_IO, "nobody listens") == RWKV7_ERR_IO);
    char longer[1000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    memcpy(longer + 253, "\xe2\x82\xac", 3); /* a character across the cut */
    fail(&err, RWKV7_ERR_IO, "%s", longer);
    CHECK(strlen(err.message) == 253 && err.message[252] == 'x');
    fail_where(&err, "before: ");
    CHECK(strlen(err.message) == 255 && strncmp(err.message, "before: xxx", 11) == 0);

    /* A path before ": " gives way, from its beginning, at the border of a character. */
    longer[253] = '\0';
    memcpy(longer + 38, "\xe2\x82\xac", 3);
    fail(&err, RWKV7_ERR_MODEL, "%s: %s", longer, "tensor 'emb.weight': expected 2 axes");
    CHECK_MSG(strlen(err.message) == 253 && strncmp(err.message, "...xxx", 6) == 0, "%s", err.message);
    CHECK(strstr(err.message, "xxx: tensor 'emb.weight': expected 2 axes"));
    fail(&err, RWKV7_ERR_MODEL, "line");
    fail_where(&err, "%s:7: ", longer);
    CHECK(strncmp(err.message, "...", 3) == 0 && strstr(err.message, "xxx:7: line"));
    errno = ENOENT;
    fail_errno(&err, "%s", longer);
    CHECK(strstr(err.message, "xxx: No such file"));
    fail(&err, RWKV7_ERR_MODEL, "%s: %s", longer, longer); /* both are too long: 40 bytes of the path stay */
    CHECK(strlen(err.message) == 255 && strncmp(err.message + 43, ": xxx", 5) == 0);
}

/* -------------------------------------------------------------------------------------------------------------- files */

static void test_mapping(void)
{
    struct file_map map;
    struct rwkv7_error err;
    CHECK(file_map_open(in_folder("absent"), &map, &err) == RWKV7_ERR_IO);
    CHECK(strstr(err.message, "No such file") != NULL && strstr(err.message, "absent") != NULL);
    CHECK(file_map_open(folder, &map, &err) == RWKV7_ERR_IO);
    CHECK(strstr(err.message, "found a folder") != NULL);
    CHECK(file_map_open("/dev/null", &map, &err) == RWKV7_ERR_IO);
    CHECK(strstr(err.message, "found a character device") != NULL);
    const char *fifo = in_folder("fifo");
    CHECK(mkfifo(fifo, 0600) == 0);
    CHECK(file_map_open(fifo, &map, &err) == RWKV7_ERR_IO); /* and does not wait for a writer */
    CHECK(strstr(err.message, "found a pipe") != NULL);
    unlink(fifo);

    const char *empty = in_folder("empty");
    fclose(fopen(empty, "wb"));
    CHECK(file_map_open(empty, &map, &err) == RWKV7_OK && map.size == 0);
    file_map_close(&map);
    unlink(empty);
}

static int entries(void)
{
    char command[300];
    int n = -1;
    snprintf(command, sizeof command, "ls -A %s | wc -l", folder);
    FILE *f = popen(command, "r");
    if (!f || fscanf(f, "%d", &n) != 1)
        n = -1;
    if (f)
        pclose(f);
    return n;
}

static void check_content(const char *path, const char *want)
{
    char got[64] = "";
    FILE *f = fopen(path, "rb");
    CHECK(f != NULL);
    if (!f)
        return;
    const size_t n = fread(got, 1, sizeof got - 1, f);
    got[n] = '\0';
    fclose(f);
    CHECK_STR(got, want);
}

/* Instead of the one of libc: counts the folders that are synced, or fails for them. */
static int folders_synced, folder_error;

int fsync(int fd)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        folders_synced++;
        if (folder_error != 0) {
            errno = folder_error;
            return -1;
        }
    }
    return (int)syscall(SYS_fsync, fd);
}

/* A new name is as good as lost until its folder is on the disk. */
static void test_folder_synced(void)
{
    static const struct {
        int error;
        enum rwkv7_status status;
    } cases[] = {{0, RWKV7_OK}, {EINVAL, RWKV7_OK}, {EIO, RWKV7_ERR_IO}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct out_file out;
        struct rwkv7_error err = {0};
        folders_synced = 0;
        folder_error = cases[i].error;
        CHECK(out_file_open(in_folder("synced"), &out, &err) == RWKV7_OK);
        CHECK(out_file_write(&out, "x", 1, &err) == RWKV7_OK && folders_synced == 0);
        CHECK_MSG(out_file_commit(&out, &err) == cases[i].status, "%s", err.message);
        CHECK(folders_synced == 1 && access(in_folder("synced"), R_OK) == 0);
        CHECK((strstr(err.message, "its folder cannot be synced") != NULL) == (cases[i].status != RWKV7_OK));
        unlink(in_folder("synced"));
    }
    folder_error = 0;
}

static void test_atomic_files(void)
{
    struct out_file out;
    struct rwkv7_error err;
    char path[256];
    snprintf(path, sizeof path, "%s", in_folder("result"));

    CHECK(out_file_open(path, &out, &err) == RWKV7_OK);
    CHECK(out_file_write(&out, "first", strlen("first"), &err) == RWKV7_OK);
    CHECK(!path_exists(path));
    CHECK(out_file_commit(&out, &err) == RWKV7_OK);
    check_content(path, "first");

    CHECK(chmod(path, 0640) == 0);
    CHECK(out_file_open(path, &out, &err) == RWKV7_OK);
    CHECK(out_file_write(&out, "second", strlen("second"), &err) == RWKV7_OK);
    check_content(path, "first");
    out_file_abort(&out);
    check_content(path, "first");
    CHECK(entries() == 1);

    CHECK(out_file_open(path, &out, &err) == RWKV7_OK);
    CHECK(out_file_write(&out, "third", strlen("third"), &err) == RWKV7_OK);
    CHECK(out_file_commit(&out, &err) == RWKV7_OK);
    check_content(path, "third");
    struct stat st;
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0640);
    CHECK(entries() == 1);
    unlink(path);

    /* A symbolic link stays; what it leads to is replaced. One that leads to nothing is refused. */
    char link[256];
    snprintf(link, sizeof link, "%s", in_folder("link"));
    CHECK(symlink("result", link) == 0);
    CHECK(out_file_open(link, &out, &err) == RWKV7_ERR_IO);
    fclose(fopen(path, "wb"));
    CHECK(out_file_open(link, &out, &err) == RWKV7_OK);
    CHECK(out_file_write(&out, "fourth", strlen("fourth"), &err) == RWKV7_OK);
    CHECK(out_file_commit(&out, &err) == RWKV7_OK);
    CHECK(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
    CHECK(lstat(path, &st) == 0 && S_ISREG(st.st_mode));
    check_content(path, "fourth");
    CHECK(entries() == 2);
    unlink(link);

    /* An open descriptor by name: written where it stands, not replaced. */
    FILE *const f = fopen(path, "wb");
    char name[32];
    fputs("before ", f);
    fflush(f);
    snprintf(name, sizeof name, "/dev/fd/%d", fileno(f));
    CHECK(out_file_open(name, &out, &err) == RWKV7_OK);
    CHECK(out_file_write(&out, "after", strlen("after"), &err) == RWKV7_OK);
    CHECK(out_file_commit(&out, &err) == RWKV7_OK);
    fclose(f);
    check_content(path, "before after");
    unlink(path);

    /* Permissions: of a new file as the umask says; without special bits; and the umask is as it was. */
    const mode_t mask = umask(027);
    CHECK(out_file_open(path, &out, &err) == RWKV7_OK);
    CHECK(out_file_commit(&out, &err) == RWKV7_OK);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0640);
    CHECK(chmod(path, 04755) == 0);
    CHECK(out_file_open(path, &out, &err) == RWKV7_OK);
    CHECK(out_file_commit(&out, &err) == RWKV7_OK);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0755);
    CHECK(umask(mask) == 027);
    if (geteuid() != 0) {
        CHECK(chmod(path, 0444) == 0);
        CHECK(out_file_open(path, &out, &err) == RWKV7_ERR_IO);
    }
    unlink(path);
    CHECK(entries() == 0);

    CHECK(out_file_open("", &out, &err) == RWKV7_ERR_IO);
    CHECK(out_file_open(in_folder("no/such/place"), &out, &err) == RWKV7_ERR_IO);
    CHECK(out_file_open(folder, &out, &err) == RWKV7_ERR_IO);
    CHECK(strstr(err.message, "directory") != NULL);
    if (path_exists("/dev/full")) {
        CHECK(out_file_open("/dev/full", &out, &err) == RWKV7_OK);
        CHECK(out_file_write(&out, "no room", strlen("no room"), &err) == RWKV7_OK);
        CHECK(out_file_commit(&out, &err) == RWKV7_ERR_IO);
        CHECK(strstr(err.message, "No space left") != NULL);
    } else {
        SKIP("a full disk: this system has no /dev/full");
    }
}

int main(void)
{
    if (!mkdtemp(folder))
        return 1;
    RUN(test_pool);
    RUN(test_pool_sleeps);
    RUN(test_pool_signals);
    RUN(test_pool_fork);
    RUN(test_model_fork);
    RUN(test_fork_of_many_threads);
    RUN(test_pool_errors);
    RUN(test_sizes);
    RUN(test_plain_text);
    RUN(test_plain_character);
    RUN(test_messages);
    RUN(test_mapping);
    RUN(test_folder_synced);
    RUN(test_atomic_files);
    rmdir(folder);
    return test_end();
}
