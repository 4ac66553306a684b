/*
 * test_safetensors.c - opening checkpoints: the corpus with its expected messages, files that
 * cannot be committed (large ones, FIFOs), the resulting values, and out of memory at every
 * allocation.
 */
#include "test.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "corpus.h"
#include "formats/safetensors.h"

#define CORPUS TEST_DIR "/corpus/safetensors/"

/* ----------------------------------------------------------------------------- images in memory */

struct image {
    char *bytes;
    size_t size, room;
};

static void append(struct image *m, const void *bytes, size_t n)
{
    if (m->size + n > m->room) {
        m->room = 2 * (m->size + n);
        m->bytes = realloc(m->bytes, m->room);
        if (!m->bytes)
            exit(1);
    }
    memcpy(m->bytes + m->size, bytes, n);
    m->size += n;
}

static void append_text(struct image *m, const char *text)
{
    append(m, text, strlen(text));
}

static struct image image_begin(void)
{
    struct image m = {0};
    append(&m, "\0\0\0\0\0\0\0\0{", 9);
    return m;
}

/* Ends the header and adds `size` bytes of data, each the low byte of its offset. */
static void image_end(struct image *m, size_t size)
{
    append_text(m, "}");
    const uint64_t n = m->size - 8;
    for (int i = 0; i < 8; i++)
        m->bytes[i] = (char)(n >> 8 * i);
    for (size_t i = 0; i < size; i++) {
        const char byte = (char)i;
        append(m, &byte, 1);
    }
}

static void append_tensor(struct image *m, const char *name, size_t begin, size_t end)
{
    char text[160];
    snprintf(text, sizeof text, "%s\"%s\":{\"dtype\":\"U8\",\"shape\":[%zu],\"data_offsets\":[%zu,%zu]}",
             m->size > 9 ? "," : "", name, end - begin, begin, end);
    append_text(m, text);
}

/* Opens and frees the image. Expects a part of the message, or NULL for success. */
static void check_image(struct image *m, const char *expected)
{
    struct tensor_index *index;
    struct rwkv7_error err = {0};
    const enum rwkv7_status status = tensors_open_memory(m->bytes, m->size, "image", &index, &err);
    if (expected) {
        CHECK(status == RWKV7_ERR_MODEL && !index);
        CHECK_MSG(strstr(err.message, expected), "got \"%s\", want \"%s\"", err.message, expected);
    } else {
        CHECK_MSG(status == RWKV7_OK, "%s", err.message);
    }
    tensors_close(index);
    free(m->bytes);
}

/* --------------------------------------------------------------------------------------- corpus */

static void test_corpus(void)
{
    check_corpus(CORPUS, 150);
}

/* ----------------------------------------------------------------------------- resulting values */

static void test_values(void)
{
    struct image m = image_begin();
    append_text(&m, "\"__metadata__\":{\"z\":\"first\",\"a\":\"\\u00e9\"},"
                    "\"m\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[1,13]},"
                    "\"b\":{\"dtype\":\"BOOL\",\"shape\":[],\"data_offsets\":[0,1]},"
                    "\"z\":{\"dtype\":\"I64\",\"shape\":[0,7],\"data_offsets\":[13,13]}");
    image_end(&m, 13);
    const uint8_t *data = (const uint8_t *)m.bytes + m.size - 13;
    struct tensor_index *index;
    struct rwkv7_error err = {0};
    CHECK(tensors_open_memory(m.bytes, m.size, "a name", &index, &err) == RWKV7_OK);
    if (index) {
        CHECK(index->count == 3);
        CHECK_STR(index->tensors[0].name, "b");
        CHECK_STR(index->tensors[1].name, "m");
        CHECK_STR(index->tensors[2].name, "z");
        const struct tensor *t = tensors_find(index, "m");
        CHECK(t == &index->tensors[1]);
        CHECK(t->type == DT_BF16 && t->rank == 2 && t->shape[0] == 2 && t->shape[1] == 3);
        CHECK(t->data == data + 1 && t->bytes == 12);
        CHECK_STR(t->file, "a name");
        t = &index->tensors[0];
        CHECK(t->type == DT_BOOL && t->rank == 0 && t->data == data && t->bytes == 1);
        t = &index->tensors[2];
        CHECK(t->type == DT_I64 && t->rank == 2 && t->shape[0] == 0 && t->data == data + 13 && t->bytes == 0);
        CHECK(!tensors_find(index, "") && !tensors_find(index, "M") && !tensors_find(index, "zz"));
        CHECK(index->metadata_count == 2);
        CHECK_STR(index->metadata[0].key, "z");
        CHECK_STR(index->metadata[0].value, "first");
        CHECK_STR(index->metadata[1].value, "\xc3\xa9");
        CHECK_STR(index->container, "memory");
    }
    tensors_close(index);
    free(m.bytes);
    tensors_close(NULL);
}

/* Opens a folder, its index by path, and the same from inside the folder. */
static void check_sharded(const char *path, const char *second_file)
{
    struct tensor_index *index;
    struct rwkv7_error err = {0};
    CHECK_MSG(tensors_open(path, &index, &err) == RWKV7_OK, "%s: %s", path, err.message);
    if (!index)
        return;
    CHECK(index->count == 2 && index->file_count == 3); /* two shards and the index */
    CHECK_STR(index->container, "safetensors, 2 shards");
    const struct tensor *b = tensors_find(index, "b");
    CHECK(b && b->bytes == 4 && memcmp(b->data, "\0\1\2\3", 4) == 0);
    if (b)
        CHECK_STR(b->file, second_file);
    tensors_close(index);
}

static void test_shards(void)
{
    char home[4096];
    check_sharded(CORPUS "shards_good", CORPUS "shards_good/2.safetensors");
    check_sharded(CORPUS "shards_good/", CORPUS "shards_good/2.safetensors");
    check_sharded(CORPUS "shards_good/m.safetensors.index.json", CORPUS "shards_good/2.safetensors");
    if (getcwd(home, sizeof home) && chdir(CORPUS "shards_good") == 0) {
        check_sharded("m.safetensors.index.json", "2.safetensors");
        check_sharded(".", "./2.safetensors");
        CHECK(chdir(home) == 0);
    }
    struct tensor_index *index;
    CHECK(tensors_open(CORPUS "folder_model", &index, NULL) == RWKV7_OK);
    if (index) {
        CHECK_STR(index->container, "safetensors");
        CHECK_STR(index->tensors[0].file, CORPUS "folder_model/model.safetensors");
    }
    tensors_close(index);
}

static void test_dtypes(void)
{
    static const char *const names[] = {"BOOL", "U8", "BF16", "F4", "C64"};
    static const enum dtype types[] = {DT_BOOL, DT_U8, DT_BF16, DT_F4, DT_C64};
    static const unsigned bits[] = {8, 8, 16, 4, 64};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        CHECK_STR(dtype_name(types[i]), names[i]);
        CHECK(dtype_bits(types[i]) == bits[i]);
    }
    for (int i = 0; i < DT_COUNT; i++)
        CHECK(dtype_name((enum dtype)i) && (dtype_bits((enum dtype)i) > 0) == (i < DT_PACKED));
}

/* ----------------------------------------------------------------------------------------- size */

static void test_many_tensors(void)
{
    enum { COUNT = 100000 }; /* enough for quadratic time to be noticed */
    struct image m = image_begin();
    char name[32];
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "t%zu", i * 7919 % COUNT); /* unsorted */
        append_tensor(&m, name, i, i + 1);
    }
    image_end(&m, COUNT);
    struct tensor_index *index;
    struct rwkv7_error err = {0};
    CHECK_MSG(tensors_open_memory(m.bytes, m.size, "many", &index, &err) == RWKV7_OK, "%s", err.message);
    if (index) {
        size_t right = 0;
        for (size_t i = 0; i < COUNT; i++) {
            snprintf(name, sizeof name, "t%zu", i * 7919 % COUNT);
            const struct tensor *t = tensors_find(index, name);
            right += t && t->bytes == 1 && *t->data == (uint8_t)i;
        }
        CHECK(right == COUNT);
    }
    tensors_close(index);
    free(m.bytes);
}

static void test_refused_fast(void)
{
    struct image m = image_begin();
    char name[32];
    for (int i = 0; i < 100000; i++) {
        snprintf(name, sizeof name, "t%06d", i);
        append_tensor(&m, name, 0, 8);
    }
    image_end(&m, 8);
    check_image(&m, "tensor 't000001': data begins at 0, inside tensor 't000000', which ends at 8");

    m = image_begin(); /* every name twice */
    for (int i = 0; i < 100000; i++)
        append_tensor(&m, i % 2 ? "a" : "b", 0, 0);
    image_end(&m, 0);
    check_image(&m, "duplicate key 'a' in a JSON object");

    m = image_begin(); /* one shape with four million axes */
    append_text(&m, "\"x\":{\"dtype\":\"U8\",\"shape\":[1");
    for (int i = 0; i < 4000000; i++)
        append_text(&m, ",1");
    append_text(&m, "],\"data_offsets\":[0,1]}");
    image_end(&m, 1);
    check_image(&m, "(near 'x'): expected at most 2^21 values");

    m = image_begin();
    append_text(&m, "\"x\":");
    for (int i = 0; i < 1000000; i++)
        append_text(&m, "[{\"x\":");
    image_end(&m, 0);
    check_image(&m, "expected at most 32 levels of nesting");

    m = image_begin(); /* a name of ten megabytes */
    append_text(&m, "\"");
    for (int i = 0; i < 1000000; i++)
        append_text(&m, "0123456789");
    append_text(&m, "\":7");
    image_end(&m, 0);
    check_image(&m, "expected an object, found a number");
}

/* A sparse file whose header claims `length` bytes, all present. */
static void check_large_header(const char *path, uint64_t length, const char *expected)
{
    char start[9];
    for (int i = 0; i < 8; i++)
        start[i] = (char)(length >> 8 * i);
    start[8] = '{';
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL);
    if (!f)
        return;
    CHECK(fwrite(start, 1, sizeof start, f) == sizeof start);
    CHECK(fflush(f) == 0 && ftruncate(fileno(f), (off_t)(length + 8)) == 0);
    fclose(f);
    check_case(path, expected);
    remove(path);
}

/* ---------------------------------------------------------------------------- not regular files */

/* The first and the last character outside the BMP, as pairs of escapes. */
static void test_surrogate_pairs(void)
{
    struct image m = image_begin();
    append_tensor(&m, "\\ud800\\udc00", 0, 1);
    append_tensor(&m, "\\udbff\\udfff", 1, 2);
    image_end(&m, 2);
    check_image(&m, NULL);
}

static void check_text(const char *path, const char *text, const char *expected)
{
    FILE *f = fopen(path, "wb");
    CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
    check_case(path, expected);
    remove(path);
}

/* A folder that cannot be read, here because no more descriptors are allowed. */
static void test_unreadable_folder(const char *folder)
{
    struct rlimit before, none;
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    const int next = open("/dev/null", O_RDONLY);
    CHECK(next >= 0 && close(next) == 0);
    none.rlim_cur = (rlim_t)next;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    check_case(folder, "Too many open files");
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

static void test_files(void)
{
    char folder[] = "/tmp/rwkv7-test-XXXXXX", path[256], longer[256];
    CHECK(mkdtemp(folder) != NULL);

    snprintf(path, sizeof path, "%s/missing.safetensors", folder);
    check_case(path, "missing.safetensors: No such file");
    check_case("", "No such file");
    check_case(folder, "in this folder, found nothing");
    test_unreadable_folder(folder);
    snprintf(path, sizeof path, "%s/missing.safetensors.index.json", folder);
    check_case(path, "No such file");

    snprintf(path, sizeof path, "%s/large.safetensors", folder);
    check_large_header(path, 200u << 20,
                       "expected a safetensors header of at most 100000000 bytes, found a length of 209715200");
    check_large_header(path, 90000000, "expected a header that ends with '}' and spaces, found '?'");

    snprintf(path, sizeof path, "%s/text", folder);
    check_text(path, "1 'a' 1\n", "a vocabulary, not a model");
    check_text(path, "12 \"a\" 1\n", "a vocabulary, not a model");
    check_text(path, "65535 b'\\x00' 1\n", "a vocabulary, not a model");
    check_text(path, "12 apples\n", "found plain text: '12 apples?'");
    check_text(path, "1 b", "found plain text");

    snprintf(path, sizeof path, "%s/pipe", folder);
    CHECK(mkfifo(path, 0600) == 0);
    check_case(path, "expected a regular file, found a pipe");
    remove(path);
    check_case("/dev/null", "expected a regular file, found a character device");

    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    CHECK(mkdir(path, 0700) == 0); /* a folder of that name inside the folder */
    check_case(folder, "expected a regular file, found a folder");
    rmdir(path);

    FILE *f = fopen(path, "wb");
    CHECK(f && fclose(f) == 0);
    check_case(folder, "model.safetensors: expected a checkpoint, found an empty file");
    CHECK(chmod(path, 0) == 0);
    if (geteuid() == 0)
        SKIP("a file without permission to read: root may read it");
    else
        check_case(path, "Permission denied");
    remove(path);

    /* Of a long path the end is shown, and the message is complete. */
    snprintf(longer, sizeof longer, "%s/%0180d", folder, 7);
    CHECK(mkdir(longer, 0700) == 0);
    check_case(longer, "00000007: expected model.safetensors or another checkpoint (.safetensors, .st, "
                       "pytorch_model.bin, .pth, .gguf) in this folder, found nothing");
    rmdir(longer);
    CHECK(rmdir(folder) == 0);
}

static void test_long_message(void)
{
    struct image m = image_begin();
    char path[400], name[400];
    struct tensor_index *index;
    struct rwkv7_error err = {0};
    memset(path, 'p', sizeof path);
    memset(name, 'n', sizeof name);
    path[sizeof path - 1] = name[sizeof name - 1] = '\0';
    append_text(&m, "\"");
    append_text(&m, name);
    append_text(&m, "\":{\"dtype\":\"Unknown\",\"shape\":[],\"data_offsets\":[0,0]}");
    image_end(&m, 0);
    CHECK(tensors_open_memory(m.bytes, m.size, path, &index, &err) == RWKV7_ERR_MODEL);
    CHECK_MSG(strstr(err.message, "dtype: unknown type 'Unknown'"), "%s", err.message);
    free(m.bytes);
}

/* -------------------------------------------------------------------------------- out of memory */

static long cjson_countdown = -1, cjson_blocks;

static void *counting_malloc(size_t size)
{
    if (cjson_countdown >= 0 && cjson_countdown-- == 0)
        return NULL;
    cjson_blocks++;
    return malloc(size);
}

static void counting_free(void *p)
{
    cjson_blocks -= p != NULL;
    free(p);
}

/*
 * Makes each allocation of an open fail in turn, until one succeeds. The sanitizer build finds
 * leaks.
 */
static void check_memory(const char *path, bool in_cjson, long at_least)
{
    for (long n = 0; n < 1000; n++) {
        struct tensor_index *index;
        struct rwkv7_error err = {0};
        if (in_cjson)
            cjson_countdown = n;
        else
            mem_fail_after(n);
        const enum rwkv7_status status = tensors_open(path, &index, &err);
        cjson_countdown = -1;
        mem_fail_after(-1);
        CHECK(cjson_blocks == 0);
        if (status == RWKV7_OK) {
            CHECK_MSG(n >= at_least, "%s: only %ld allocations", path, n);
            tensors_close(index);
            return;
        }
        CHECK_MSG(status == RWKV7_ERR_MEMORY && !index, "%s, allocation %ld: %s", path, n, err.message);
    }
    CHECK_MSG(false, "%s: still out of memory", path);
}

static void test_out_of_memory(void)
{
    check_memory(CORPUS "ok_metadata.safetensors", false, 8);
    check_memory(CORPUS "shards_good", false, 16);
    cJSON_Hooks hooks = {counting_malloc, counting_free};
    cJSON_InitHooks(&hooks);
    check_memory(CORPUS "ok_metadata.safetensors", true, 10);
    check_memory(CORPUS "shards_good", true, 20);
    cJSON_InitHooks(NULL);

    struct tensor_index *index;
    struct image m = image_begin();
    append_tensor(&m, "x", 0, 4);
    image_end(&m, 4);
    enum rwkv7_status status = RWKV7_ERR_MEMORY;
    long n = 0;
    for (; n < 100 && status == RWKV7_ERR_MEMORY; n++) {
        mem_fail_after(n);
        status = tensors_open_memory(m.bytes, m.size, "image", &index, NULL);
        mem_fail_after(-1);
        CHECK((status == RWKV7_OK) == (index != NULL));
        tensors_close(index);
    }
    CHECK(status == RWKV7_OK && n > 5);
    free(m.bytes);
}

int main(void)
{
    RUN(test_corpus);
    RUN(test_values);
    RUN(test_shards);
    RUN(test_dtypes);
    RUN(test_many_tensors);
    RUN(test_refused_fast);
    RUN(test_surrogate_pairs);
    RUN(test_files);
    RUN(test_long_message);
    RUN(test_out_of_memory);
    return test_end();
}
