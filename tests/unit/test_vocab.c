/*
 * test_vocab.c - vocabularies that are accepted, token by token, and those that are rejected, with
 * their exact messages. tests/corpus/make_vocab_corpus.py generates the files and the expected
 * results.
 */
#include <dirent.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/sys.h"
#include "rwkv7.h"
#include "test.h"
#include "text/vocab.h"

#define CORPUS TEST_DIR "/corpus/vocab/"

/* Writes the tokens as "ok ID=HEX ID=HEX ..." */
static void describe(const struct rwkv7_tokenizer *t, char *out, size_t room)
{
    size_t at = (size_t)snprintf(out, room, "ok");
    for (uint32_t id = 0; id < rwkv7_tokenizer_size(t); id++) {
        size_t n;
        const uint8_t *const bytes = rwkv7_tokenizer_bytes(t, id, &n);
        if (n > 0)
            at += (size_t)snprintf(out + at, room - at, " %u=", id);
        for (size_t i = 0; i < n; i++)
            at += (size_t)snprintf(out + at, room - at, "%02x", bytes[i]);
    }
}

static void check_case(const char *file, const char *expected)
{
    char path[8192], got[4096];
    struct file_map map;
    struct rwkv7_tokenizer *t = NULL;
    struct rwkv7_error err = {0};

    snprintf(path, sizeof path, "%s%s", CORPUS, file);
    CHECK_MSG(file_map_open(path, &map, &err) == RWKV7_OK, "%s", err.message);
    const enum rwkv7_status status = rwkv7_tokenizer_open_memory((const char *)map.data, map.size, "V", &t, &err);
    CHECK_MSG(status == (t ? RWKV7_OK : RWKV7_ERR_VOCAB) && status == err.status, "%s: status %d", file, status);
    if (t)
        describe(t, got, sizeof got);
    CHECK_MSG(strcmp(t ? got : err.message, expected) == 0, "%s: got \"%s\", want \"%s\"", file, t ? got : err.message,
              expected);
    rwkv7_tokenizer_close(t);
    file_map_close(&map);
}

static void test_corpus(void)
{
    static char line[4096];
    int cases = 0, files = 0;
    FILE *const table = fopen(CORPUS "cases.tsv", "r");
    CHECK(table != NULL);
    while (table && fgets(line, sizeof line, table)) {
        char *const expected = strchr(line, '\t');
        CHECK(expected != NULL);
        if (!expected)
            break;
        line[strcspn(line, "\n")] = '\0';
        *expected = '\0';
        check_case(line, expected + 1);
        cases++;
    }
    if (table)
        fclose(table);
    DIR *const dir = opendir(CORPUS);
    for (const struct dirent *e; dir && (e = readdir(dir)) != NULL;)
        files += e->d_name[0] != '.' && strcmp(e->d_name, "cases.tsv") != 0;
    if (dir)
        closedir(dir);
    CHECK_MSG(cases == files && cases > 70, "%d lines in cases.tsv, %d files", cases, files);
}

static void test_paths(void)
{
    struct rwkv7_tokenizer *t = NULL;
    struct rwkv7_error err = {0};
    CHECK(rwkv7_tokenizer_open(CORPUS "ok_one.txt", &t, &err) == RWKV7_OK && t);
    rwkv7_tokenizer_close(t);
    CHECK(rwkv7_tokenizer_open(CORPUS "cr_only.txt", &t, &err) == RWKV7_ERR_VOCAB && !t);
    CHECK(strstr(err.message, "/corpus/vocab/cr_only.txt:1: expected") != NULL);
    CHECK(rwkv7_tokenizer_open(CORPUS "missing.txt", &t, &err) == RWKV7_ERR_IO && !t);
    CHECK(strstr(err.message, "/corpus/vocab/missing.txt") != NULL);
    CHECK(rwkv7_tokenizer_open(CORPUS, &t, &err) == RWKV7_ERR_IO && !t);
    CHECK(rwkv7_tokenizer_open(CORPUS "missing.txt", &t, NULL) == RWKV7_ERR_IO);
    rwkv7_tokenizer_close(NULL);
}

static void test_too_large(void)
{
    struct rwkv7_tokenizer *t = NULL;
    struct rwkv7_error err = {0};
    const size_t size = VOCAB_MAX_FILE + 1;
    char *const text = malloc(size);
    if (!text)
        abort();
    memset(text, 'x', size);
    CHECK(rwkv7_tokenizer_open_memory(text, size, "V", &t, &err) == RWKV7_ERR_VOCAB && !t);
    CHECK_STR(err.message, "V: expected a vocabulary of at most 16777216 bytes, found 16777217");

    /* Long tokens that share only their beginning: one cell of the tree per byte. */
    size_t at = 0;
    for (uint32_t id = 0; id < 16000; id++)
        at += (size_t)snprintf(text + at, size - at, "%u '%08x%0*d' 700\n", id, id * 0x9e3779b1u, 692, 0);
    CHECK(rwkv7_tokenizer_open_memory(text, at, "V", &t, &err) == RWKV7_ERR_VOCAB && !t);
    CHECK_STR(err.message, "V: the vocabulary is too large, its tree needs more than 8388608 cells");
    free(text);
}

static void test_out_of_memory(void)
{
    static const char text[] = "1 'a' 1\n2 'ab' 2\n3 'cd' 2\n2000 'abcd' 4\n";
    bool done = false;
    for (long at = 0; at < 100 && !done; at++) {
        struct rwkv7_tokenizer *t = NULL;
        struct rwkv7_error err = {0};
        mem_fail_after(at);
        const enum rwkv7_status status = rwkv7_tokenizer_open_memory(text, sizeof text - 1, "V", &t, &err);
        mem_fail_after(-1);
        done = status == RWKV7_OK;
        CHECK(done == (t != NULL));
        CHECK(done || (status == RWKV7_ERR_MEMORY && strncmp(err.message, "out of memory", 13) == 0));
        rwkv7_tokenizer_close(t);
    }
    CHECK(done);
}

int main(void)
{
    RUN(test_corpus);
    RUN(test_paths);
    RUN(test_too_large);
    RUN(test_out_of_memory);
    return test_end();
}
