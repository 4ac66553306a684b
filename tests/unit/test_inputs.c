/* test_inputs.c - input files are not overwritten (base/inputs.h). */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/inputs.h"
#include "base/out_file.h"
#include "base/sys.h"
#include "test.h"

static char folder[] = "/tmp/rwkv7-test-XXXXXX";

/* No output may replace a mapped file, under any name. Closed files and states may be replaced. */
static void test_inputs(void)
{
    struct file_map map, again;
    struct out_file out;
    struct rwkv7_error err;
    char path[80], link_to[80], hard[80], descriptor[32];
    snprintf(path, sizeof path, "%s/read", folder);
    snprintf(link_to, sizeof link_to, "%s/link", folder);
    snprintf(hard, sizeof hard, "%s/hard", folder);
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && write(fd, "text", 4) == 4 && symlink(path, link_to) == 0 && link(path, hard) == 0);
    snprintf(descriptor, sizeof descriptor, "/dev/fd/%d", fd);
    const char *const names[] = {path, link_to, hard, descriptor};

    CHECK(file_map_open(path, &map, &err) == RWKV7_OK && file_map_open(hard, &again, &err) == RWKV7_OK);
    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
            CHECK(out_file_open(names[k], &out, &err) == RWKV7_ERR_USAGE && !out.held && !out.path);
            CHECK(strncmp(err.message, names[k], strlen(names[k])) == 0 && strstr(err.message, "read as ") &&
                  strstr(err.message, path));
            CHECK(out_file_open_private(names[k], &out, NULL) == RWKV7_ERR_USAGE);
        }
        file_map_close(i == 0 ? &map : &again); /* closing the first of two mappings does not unregister the file */
    }
    CHECK(file_map_open_replaceable(path, &map, &err) == RWKV7_OK);
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        CHECK(out_file_open(names[k], &out, &err) == RWKV7_OK);
        out_file_abort(&out);
    }
    file_map_close(&map);
    unlink(link_to);
    unlink(hard);
    unlink(path);
    close(fd);

    struct stat st;
    struct input_file *file;
    CHECK(stat("/dev/null", &st) == 0 && input_add(&st, "/dev/null", &file, &err) == RWKV7_OK && !file);
    CHECK(out_file_open("/dev/null", &out, &err) == RWKV7_OK);
    out_file_abort(&out);
}

/* After inputs_keep a file that was read once stays an input. */
static void test_keep(void)
{
    struct file_map map;
    struct out_file out;
    struct input_file *file;
    struct stat st;
    char path[80];
    snprintf(path, sizeof path, "%s/kept", folder);
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && fstat(fd, &st) == 0);
    inputs_keep();
    CHECK(file_map_open(path, &map, NULL) == RWKV7_OK);
    file_map_close(&map);
    CHECK(out_file_open(path, &out, NULL) == RWKV7_ERR_USAGE);
    CHECK(input_add(&st, path, &file, NULL) == RWKV7_OK && file);
    input_remove(file);
    CHECK(out_file_open(path, &out, NULL) == RWKV7_ERR_USAGE);
    input_remove(file);
    CHECK(out_file_open(path, &out, NULL) == RWKV7_OK);
    out_file_abort(&out);
    close(fd);
    unlink(path);
}

static atomic_bool ended;

/* Changes the list in a loop, so that the list is locked during nearly every fork(). */
static void *change_list(void *arg)
{
    (void)arg;
    struct stat st = {.st_mode = S_IFREG, .st_dev = 1};
    while (!atomic_load(&ended)) {
        struct input_file *files[16] = {0};
        for (int i = 0; i < 16; i++) {
            st.st_ino = (ino_t)(1000 + i);
            if (input_add(&st, "of the parent", &files[i], NULL) != RWKV7_OK)
                break;
        }
        for (int i = 0; i < 16; i++)
            input_remove(files[i]);
    }
    return NULL;
}

/* In a child: the parent's files are still inputs, and files can be added and removed. */
static bool child_uses_list(void)
{
    struct rwkv7_error err;
    struct stat st = {.st_mode = S_IFREG, .st_dev = 2, .st_ino = 1};
    struct input_file *file = NULL;
    bool works = input_refuse(&st, "out", &err) == RWKV7_ERR_USAGE;
    st.st_ino = 2;
    works = works && input_refuse(&st, "out", &err) == RWKV7_OK &&
            input_add(&st, "of the child", &file, &err) == RWKV7_OK &&
            input_refuse(&st, "out", &err) == RWKV7_ERR_USAGE;
    input_remove(file);
    return works && input_refuse(&st, "out", &err) == RWKV7_OK;
}

/* A child of fork() can use the list even if another thread of the parent had locked it. */
static void test_fork(void)
{
    enum { CHILDREN = 100, PATIENCE = 60 }; /* seconds, for a child that hangs */
    struct stat st = {.st_mode = S_IFREG, .st_dev = 2, .st_ino = 1};
    struct input_file *file;
    pthread_t thread;
    CHECK(input_add(&st, "before", &file, NULL) == RWKV7_OK);
    CHECK(pthread_create(&thread, NULL, change_list, NULL) == 0);
    int well = 0, status;
    for (int i = 0; i < CHILDREN && well == i; i++) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(PATIENCE);
            _exit(!child_uses_list());
        }
        well += child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    CHECK(well == CHILDREN);
    atomic_store(&ended, true);
    pthread_join(thread, NULL);
    input_remove(file);
}

int main(void)
{
    if (!mkdtemp(folder))
        return 1;
    RUN(test_inputs);
    RUN(test_fork);
    RUN(test_keep);
    rmdir(folder);
    return test_end();
}
