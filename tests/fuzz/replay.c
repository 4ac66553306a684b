/*
 * replay.c - runs a fuzz target without a fuzzer, as part of the normal tests:
 *
 *     fuzz_NAME CORPUS... [-- FOUND...]
 *
 * on all files of the given folders and their subfolders, and, for those before `--`, on two kinds
 * of damaged copies of each: truncated at every length, and with single bytes changed. The damage is
 * seeded, so failures are reproducible; the last lines printed name the input.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CUTS 1500      /* number of lengths tried for longer files */
#define MUTATIONS 1000 /* per file */

static size_t inputs;
static bool damage = true;

static uint64_t random_next(uint64_t *state) /* SplitMix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/*
 * Copies the input to memory of exactly its size, so that a sanitizer detects reads past the end.
 */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    inputs++;
}

static bool replay_file(const char *path)
{
    struct file_map file;
    struct rwkv7_error err;
    uint64_t state = 7;
    if (file_map_open(path, &file, &err) != RWKV7_OK) {
        fprintf(stderr, "%s\n", err.message);
        return false;
    }
    run(file.data, file.size);
    const size_t step = file.size / CUTS + 1;
    for (size_t size = 0; damage && size < file.size; size += step)
        run(file.data, size);
    uint8_t *changed = malloc(file.size ? file.size : 1);
    if (!changed)
        abort();
    if (file.size)
        memcpy(changed, file.data, file.size);
    for (int i = 0; damage && i < MUTATIONS && file.size; i++) {
        const size_t at = (size_t)(random_next(&state) % file.size);
        /* Half of the new bytes are meaningful in text, half arbitrary. */
        static const char telling[] = "{}[]\",:\\/0189-+.eEux \n\t'b";
        const uint64_t r = random_next(&state);
        changed[at] = r & 1 ? (uint8_t)telling[(r >> 1) % (sizeof telling - 1)] : (uint8_t)(r >> 8);
        run(changed, file.size);
        changed[at] = file.data[at];
    }
    free(changed);
    file_map_close(&file);
    return true;
}

static bool replay(const char *path)
{
    char inner[4096];
    const struct dirent *entry;
    bool fine = true;
    if (!path_is_folder(path)) {
        printf("%s\n", path);
        fflush(stdout);
        return replay_file(path);
    }
    DIR *dir = opendir(path);
    if (!dir)
        return false;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        fine &= replay(inner);
    }
    closedir(dir);
    return fine;
}

int main(int argc, char **argv)
{
    bool fine = argc > 1;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--") == 0)
            damage = false;
        else
            fine &= replay(argv[i]);
    printf("%zu inputs\n", inputs);
    return !fine || inputs == 0;
}
