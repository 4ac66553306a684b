/*
 * fuzz.h - common parts of fuzz targets that read files by name: REQUIRE, and files that contain
 * the input. A target is a single-threaded process; libFuzzer's workers are processes, each with
 * its own folder.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rwkv7.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition) ((condition) ? (void)0 : fuzz_broken(#condition, __FILE__, __LINE__))

static inline void fuzz_broken(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    abort();
}

#define FUZZ_FILES 8
static struct {
    char folder[64];
    char paths[FUZZ_FILES][128];
    int descriptors[FUZZ_FILES]; /* -1: the program writes the file */
    int count;
} fuzz_files;

/* Removes the files of the last input, so that little is left after a crash. */
static inline void fuzz_remove_files(void)
{
    for (int i = 0; i < fuzz_files.count; i++)
        unlink(fuzz_files.paths[i]);
    rmdir(fuzz_files.folder);
}

static inline const char *fuzz_folder(void)
{
    if (!*fuzz_files.folder) {
        /* In memory if possible, because files are written and synced for every input. */
        snprintf(fuzz_files.folder, sizeof fuzz_files.folder, "%s/rwkv7-fuzz-XXXXXX",
                 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        if (!mkdtemp(fuzz_files.folder))
            abort();
        atexit(fuzz_remove_files);
    }
    return fuzz_files.folder;
}

/* Returns the place of a file of that name, opened for writing with O_CREAT. */
static inline int fuzz_place(const char *name, int flags)
{
    char path[128];
    int i = 0;
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    while (i < fuzz_files.count && strcmp(fuzz_files.paths[i], path) != 0)
        i++;
    if (i == FUZZ_FILES)
        abort();
    if (i == fuzz_files.count) {
        snprintf(fuzz_files.paths[fuzz_files.count++], sizeof path, "%s", path);
        fuzz_files.descriptors[i] = flags & O_CREAT ? open(path, flags, 0600) : -1;
    }
    return i;
}

/* Returns the path of a file of that name, which the program will write. */
static inline const char *fuzz_path(const char *name)
{
    return fuzz_files.paths[fuzz_place(name, 0)];
}

/*
 * Writes the bytes to a file of that name; returns its path. The file stays open, because opening
 * takes longer than the functions under test.
 */
static inline const char *fuzz_file(const char *name, const uint8_t *data, size_t size)
{
    const int i = fuzz_place(name, O_WRONLY | O_CREAT | O_TRUNC);
    const int fd = fuzz_files.descriptors[i];
    if (fd < 0 || ftruncate(fd, (off_t)size) != 0 || (size > 0 && pwrite(fd, data, size, 0) != (ssize_t)size))
        abort();
    return fuzz_files.paths[i];
}

/* Returns a session of a small random model; both are never freed. */
static inline struct rwkv7_session *fuzz_session(int layers, int channels, int head_size)
{
    static struct rwkv7_runtime *rt;
    static struct rwkv7_model *model;
    const struct rwkv7_runtime_options threads = {.threads = 1};
    const struct rwkv7_random_options options = {.type = RWKV7_F32};
    const struct rwkv7_shape shape = {.vocab = 8,
                                      .layers = layers,
                                      .channels = channels,
                                      .heads = channels / head_size,
                                      .head_size = head_size,
                                      .ffn = 4,
                                      .rank_w = 1,
                                      .rank_a = 1,
                                      .rank_v = 1,
                                      .rank_g = 1};
    struct rwkv7_session *session = NULL;
    REQUIRE(rwkv7_runtime_create(&threads, &rt, NULL) == RWKV7_OK);
    REQUIRE(rwkv7_model_random(rt, &shape, &options, &model, NULL) == RWKV7_OK);
    REQUIRE(rwkv7_session_create(model, &session, NULL) == RWKV7_OK);
    return session;
}

#endif
