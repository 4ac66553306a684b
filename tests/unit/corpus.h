/*
 * corpus.h - tests a folder of small checkpoints, most of them invalid, against its cases.tsv. Each
 * line is FILE<TAB>EXPECTED, where EXPECTED is "ok" or a part of the error message. Each line has a
 * file and each file has a line.
 */
#ifndef CORPUS_H
#define CORPUS_H

#include <dirent.h>

#include "formats/tensors.h"
#include "test.h"

/* Opens a file with and without an error record. */
static inline void check_case(const char *path, const char *expected)
{
    struct tensor_index *index;
    struct rwkv7_error err = {0};
    const enum rwkv7_status status = tensors_open(path, &index, &err);
    if (strcmp(expected, "ok") == 0) {
        CHECK_MSG(status == RWKV7_OK && index, "%s: %s", path, err.message);
    } else {
        CHECK_MSG(status != RWKV7_OK && !index, "%s: accepted", path);
        CHECK_MSG(strstr(err.message, expected), "%s: got \"%s\", want \"%s\"", path, err.message, expected);
        CHECK_MSG(status == err.status, "%s", path);
        CHECK(tensors_open(path, &index, NULL) == status);
    }
    tensors_close(index);
}

/* `folder` ends with '/'. */
static inline void check_corpus(const char *folder, size_t at_least)
{
    char line[1024], path[4096];
    size_t cases = 0, files = 0;
    snprintf(path, sizeof path, "%scases.tsv", folder);
    FILE *table = fopen(path, "r");
    CHECK_MSG(table != NULL, "%s", path);
    if (!table)
        return;
    while (fgets(line, sizeof line, table)) {
        char *expected = strchr(line, '\t');
        CHECK(expected != NULL);
        if (!expected)
            break;
        *expected++ = '\0';
        expected[strcspn(expected, "\n")] = '\0';
        snprintf(path, sizeof path, "%s%s", folder, line);
        check_case(path, expected);
        cases++;
    }
    fclose(table);
    DIR *dir = opendir(folder);
    for (const struct dirent *e; dir && (e = readdir(dir)) != NULL;)
        files += e->d_name[0] != '.' && strcmp(e->d_name, "cases.tsv") != 0;
    if (dir)
        closedir(dir);
    CHECK_MSG(cases == files, "%zu lines in cases.tsv, %zu files", cases, files);
    CHECK(cases >= at_least);
}

#endif
