/*
 * test_sparse.c - sparse files of 5 GiB: sizes and counts beyond 32 bits in every format, each
 * rejected at once with its message, or read correctly. The fuzzers see only small files. Each case
 * writes a few bytes and reads a few pages.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "formats/tensors.h"
#include "pth_writer.h"
#include "test.h"

#define HUGE ((uint64_t)5 << 30)

static char folder[] = "/tmp/rwkv7-sparse-XXXXXX";
static char path[128];
static struct rwkv7_runtime *rt;

static const char *name_file(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* A byte string under construction: text, and numbers of `size` bytes, little-endian. */
struct bytes {
    char at[4096];
    size_t size;
};

static void add_bytes(struct bytes *b, const void *bytes, size_t size)
{
    if (b->size + size > sizeof b->at)
        abort();
    memcpy(b->at + b->size, bytes, size);
    b->size += size;
}

static void add_text(struct bytes *b, const char *text)
{
    add_bytes(b, text, strlen(text));
}

static void add_number(struct bytes *b, uint64_t number, int size)
{
    for (int i = 0; i < size; i++)
        add_bytes(b, &(char){(char)(i < 8 ? number >> 8 * i : 0)}, 1);
}

/* Writes a file of `size` bytes with these bytes at its beginning and end and a hole between. */
static bool write_sparse(const char *name, const struct bytes *begin, const struct bytes *end, uint64_t size)
{
    const int fd = open(name_file(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    bool fine = fd >= 0 && ftruncate(fd, (off_t)size) == 0;
    fine = fine && pwrite(fd, begin->at, begin->size, 0) == (ssize_t)begin->size;
    if (end)
        fine = fine && pwrite(fd, end->at, end->size, (off_t)(size - end->size)) == (ssize_t)end->size;
    if (fd >= 0)
        close(fd);
    CHECK_MSG(fine, "%s", path);
    return fine;
}

/* Whether the file system supports sparse files of 5 GiB. */
static bool has_holes(void)
{
    struct rlimit limit;
    struct stat st;
    if (sizeof(size_t) < 8 || (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < HUGE + (1 << 20))) {
        SKIP("files of 5 GiB: not allowed here");
        return false;
    }
    const int fd = open(name_file("holes"), O_WRONLY | O_CREAT, 0600);
    const bool fine = fd >= 0 && ftruncate(fd, (off_t)HUGE) == 0 && pwrite(fd, "x", 1, (off_t)HUGE - 1) == 1 &&
                      fstat(fd, &st) == 0 && (uint64_t)st.st_blocks * 512 < HUGE / 2;
    if (fd >= 0)
        close(fd);
    unlink(path);
    if (!fine)
        SKIP("files of 5 GiB: the file system of /tmp keeps no holes");
    return fine;
}

static struct tensor_index *open_here(const char *name)
{
    struct tensor_index *index = NULL;
    struct rwkv7_error err = {0};
    CHECK_MSG(tensors_open(name_file(name), &index, &err) == RWKV7_OK, "%s", err.message);
    return index;
}

static void refused(const char *name, const char *want)
{
    struct tensor_index *index = NULL;
    struct rwkv7_error err = {0};
    CHECK_MSG(tensors_open(name_file(name), &index, &err) == RWKV7_ERR_MODEL, "%s: %s", path, err.message);
    CHECK_MSG(strstr(err.message, want), "%s: got \"%s\", want \"%s\"", path, err.message, want);
    tensors_close(index);
    unlink(path);
}

static void test_safetensors(void)
{
    struct bytes b = {0};
    add_number(&b, (uint64_t)1 << 40, 8);
    add_text(&b, "{");
    if (write_sparse("header.st", &b, NULL, HUGE))
        refused("header.st",
                "expected a safetensors header of at most 100000000 bytes, found a length of 1099511627776");
    b.size = 0;
    add_number(&b, 100000000, 8);
    add_text(&b, "{\"x\":");
    if (write_sparse("longest.st", &b, NULL, HUGE))
        refused("longest.st", "expected a header that ends with '}' and spaces, found '");

    static const char json[] = "{\"__metadata__\":{\"rwkv7.layout\":\"1\"},\"%s\":{\"dtype\":\"U8\",\"shape\":[%llu],"
                               "\"data_offsets\":[0,%llu]}}";
    static const char *const names[] = {"x", "rwkv7.vocab"};
    for (int i = 0; i < 2; i++) {
        char text[256];
        const int n = snprintf(text, sizeof text, json, names[i], (unsigned long long)HUGE, (unsigned long long)HUGE);
        b.size = 0;
        add_number(&b, (uint64_t)n, 8);
        add_text(&b, text);
        if (!write_sparse("data.st", &b, NULL, b.size + HUGE))
            continue;
        if (i == 1) {
            refused("data.st", "expected a vocabulary of at most 16777216 bytes, found 5368709120");
            continue;
        }
        struct tensor_index *index = open_here("data.st");
        CHECK(index && index->count == 1 && index->tensors->bytes == HUGE && index->tensors->data[HUGE - 1] == 0);
        tensors_close(index);
    }
    b.size = 0;
    add_text(&b, "{\"weight_map\":{\"x\":\"data.st\"}}");
    if (write_sparse("x.safetensors.index.json", &b, NULL, HUGE))
        refused("x.safetensors.index.json", "expected an index of at most 100000000 bytes, found 5368709120");
}

enum { U8 = 0, STRING = 8, ARRAY = 9, U64 = 10 };

static struct bytes gguf(uint64_t tensors, uint64_t pairs)
{
    struct bytes b = {0};
    add_text(&b, "GGUF");
    add_number(&b, 3, 4);
    add_number(&b, tensors, 8);
    add_number(&b, pairs, 8);
    return b;
}

static void add_key(struct bytes *b, const char *key, uint32_t type)
{
    add_number(b, strlen(key), 8);
    add_text(b, key);
    add_number(b, type, 4);
}

static void test_gguf(void)
{
    struct bytes b = gguf((uint64_t)1 << 40, 0);
    if (write_sparse("counts.gguf", &b, NULL, HUGE))
        refused("counts.gguf",
                "truncated GGUF file: 1099511627776 tensors and 0 metadata entries need more than 5368709120 bytes");
    b = gguf(0, 1);
    add_number(&b, 0xffffffff, 8);
    if (write_sparse("key.gguf", &b, NULL, HUGE))
        refused("key.gguf", "'????????????????????????????????????????????????...': expected UTF-8 text without NUL");
    b = gguf(0, 1);
    add_key(&b, "text", STRING);
    add_number(&b, HUGE - 100, 8);
    if (write_sparse("text.gguf", &b, NULL, HUGE))
        refused("text.gguf", "'????????????????????????????????????????????????...': expected UTF-8 text without NUL");
    b = gguf(1, 0);
    add_number(&b, 0xffffffff, 8);
    if (write_sparse("name.gguf", &b, NULL, HUGE))
        refused("name.gguf", "'????????????????????????????????????????????????...': expected UTF-8 text without NUL");

    /* Strings of length 0 are zero bytes, so the hole contains many. */
    static const char *const keys[] = {"list", "tokenizer.ggml.tokens"};
    for (int i = 0; i < 2; i++) {
        b = gguf(0, 2);
        add_key(&b, "tokenizer.ggml.model", STRING);
        add_number(&b, 4, 8);
        add_text(&b, "rwkv");
        add_key(&b, keys[i], ARRAY);
        add_number(&b, STRING, 4);
        add_number(&b, 600000000, 8);
        if (write_sparse("strings.gguf", &b, NULL, HUGE))
            refused("strings.gguf", "expected at most 4194304 strings, found 600000000");
    }
    b.size -= 8;
    add_number(&b, 2000000, 8);
    if (write_sparse("tokens.gguf", &b, NULL, b.size + 16000000))
        refused("tokens.gguf", "expected at most 1048576 tokens in 67108864 bytes, found 2000000 in 16000000");

    b = gguf(1, 1);
    add_key(&b, "bytes", ARRAY);
    add_number(&b, U64, 4);
    add_number(&b, (uint64_t)1 << 61, 8);
    if (write_sparse("numbers.gguf", &b, NULL, HUGE))
        refused("numbers.gguf", "metadata 'bytes' is an array of 2305843009213693952, more than 5368709120 bytes");
    b = gguf(1, 0);
    add_number(&b, 1, 8);
    add_text(&b, "x");
    add_number(&b, 2, 4);
    add_number(&b, HUGE / 8, 8); /* [2][HUGE / 8] of F32 */
    add_number(&b, 2, 8);
    add_number(&b, 0, 4);
    add_number(&b, 0, 8);
    if (write_sparse("data.gguf", &b, NULL, (b.size + 31) / 32 * 32 + HUGE)) {
        struct tensor_index *index = open_here("data.gguf");
        CHECK(index && index->count == 1 && index->tensors->bytes == HUGE && index->tensors->data[HUGE - 1] == 0);
        tensors_close(index);
        unlink(path);
    }
}

#define WIDE 0xffffffffu

static void add_zip64(struct bytes *b, uint64_t size)
{
    add_number(b, 1 | 16 << 16, 4);
    add_number(b, size, 8);
    add_number(b, size, 8);
}

static void add_end(struct bytes *b, uint64_t count, uint64_t size, uint64_t at)
{
    add_text(b, "PK\6\6");
    add_number(b, 44, 8);
    add_number(b, 0, 12);
    add_number(b, count, 8);
    add_number(b, count, 8);
    add_number(b, size, 8);
    add_number(b, at, 8);
    add_text(b, "PK\6\7");
    add_number(b, 0, 4);
    add_number(b, at + size, 8);
    add_number(b, 1, 4);
    add_text(b, "PK\5\6");
    add_number(b, 0, 4);
    add_number(b, WIDE, 4);
    add_number(b, WIDE, 4);
    add_number(b, WIDE, 4);
    add_number(b, 0, 2);
}

/*
 * Writes a pickle of `size` bytes that begins with these bytes; the rest is a hole that ends with
 * 's' and '.'.
 */
static bool write_pickle(const char *name, const struct bytes *pickle, uint64_t size)
{
    static const char entry[] = "a/data.pkl";
    struct bytes b = {0}, end = {0};
    add_text(&b, "PK\3\4");
    add_number(&b, 0, 14);
    add_number(&b, WIDE, 4);
    add_number(&b, WIDE, 4);
    add_number(&b, strlen(entry), 2);
    add_number(&b, 20, 2);
    add_text(&b, entry);
    add_zip64(&b, size);
    const uint64_t at = b.size + size;
    add_bytes(&b, pickle->at, pickle->size);
    add_text(&end, "s.PK\1\2");
    add_number(&end, 0, 16);
    add_number(&end, WIDE, 4);
    add_number(&end, WIDE, 4);
    add_number(&end, strlen(entry), 2);
    add_number(&end, 20, 2);
    add_number(&end, 0, 14);
    add_text(&end, entry);
    add_zip64(&end, size);
    const uint64_t directory = end.size - 2;
    add_end(&end, 1, directory, at);
    return write_sparse(name, &b, &end, at + end.size - 2);
}

static void test_pth(void)
{
    /* A name of 0xffffffff bytes: with a NUL its length is 2^32. */
    struct bytes b = {0};
    add_text(&b, "\x80\2}X");
    add_number(&b, WIDE, 4);
    if (write_pickle("name.pth", &b, HUGE))
        refused("name.pth", "expected a pickle of at most 67108864 bytes, found 5368709120");
    /* The largest allowed pickle, one string. */
    b.size = 0;
    add_text(&b, "\x80\2}X");
    add_number(&b, (64u << 20) - 10, 4);
    if (write_pickle("string.pth", &b, 64u << 20))
        refused("string.pth", "pickle, byte 67108862: SETITEM: too few values on the stack");

    struct bytes begin = {0}, end = {0};
    add_text(&begin, "PK\3\4");
    add_end(&end, 70000000, HUGE, 100);
    if (write_sparse("directory.pth", &begin, &end, 100 + HUGE + end.size))
        refused("directory.pth", "expected a central directory of at most 67108864 bytes, found 5368709120");
}

static void test_vocab(void)
{
    struct rwkv7_tokenizer *t = NULL;
    struct rwkv7_error err = {0};
    struct bytes b = {0};
    for (int i = 1; i < 400; i++) { /* no NUL at the beginning, which would identify binary data */
        char line[32];
        snprintf(line, sizeof line, "%d '%03d' 3\n", i, i);
        if (b.size + strlen(line) < sizeof b.at)
            add_text(&b, line);
    }
    while (b.size < sizeof b.at)
        add_text(&b, "\n");
    if (!write_sparse("vocab.txt", &b, NULL, HUGE))
        return;
    CHECK(rwkv7_tokenizer_open(path, &t, &err) == RWKV7_ERR_VOCAB && !t);
    CHECK_MSG(strstr(err.message, "expected a vocabulary of at most 16777216 bytes, found 5368709120"), "%s",
              err.message);
    unlink(path);
}

/* State files and tuned states of a small model. */
static void test_states(void)
{
    const struct rwkv7_shape shape = {.vocab = 16,
                                      .layers = 1,
                                      .channels = 16,
                                      .heads = 1,
                                      .head_size = 16,
                                      .ffn = 16,
                                      .rank_w = 4,
                                      .rank_a = 4,
                                      .rank_v = 4,
                                      .rank_g = 4};
    const struct rwkv7_random_options options = {.type = RWKV7_F32};
    static const uint64_t notes[] = {UINT64_MAX, UINT64_MAX - 7, HUGE, (uint64_t)1 << 32, (256u << 20) + 1};
    struct rwkv7_model *model = NULL;
    struct rwkv7_session *s = NULL;
    struct rwkv7_bytes note;
    struct rwkv7_error err = {0};
    struct bytes b = {0};
    struct stat st;
    CHECK(rwkv7_model_random(rt, &shape, &options, &model, &err) == RWKV7_OK);
    if (!model || rwkv7_session_create(model, &s, NULL) != RWKV7_OK)
        exit(1);
    CHECK(rwkv7_session_save(s, name_file("small.state"), NULL, &err) == RWKV7_OK && stat(path, &st) == 0);
    const int fd = open(path, O_RDONLY);
    CHECK(fd >= 0 && read(fd, b.at, 56) == 56);
    if (fd >= 0)
        close(fd);
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++) {
        b.size = 48;
        add_number(&b, notes[i], 8);
        const uint64_t size = notes[i] > 2 * HUGE ? HUGE : (uint64_t)st.st_size + (notes[i] + 7) / 8 * 8;
        if (!write_sparse("huge.state", &b, NULL, size))
            continue;
        CHECK(rwkv7_session_load(s, path, &note, &err) == RWKV7_ERR_STATE && !note.data);
        CHECK_MSG(strstr(err.message, "expected a note of at most 268435456 bytes, found"), "%s", err.message);
    }
    unlink(path);
    const struct tensor tuned = {
        .name = "blocks.0.att.time_state", .type = DT_F32, .rank = 3, .shape = {HUGE / 1024, 16, 16}, .bytes = HUGE};
    CHECK(pth_write(name_file("tuned.pth"), &tuned, 1));
    CHECK(rwkv7_session_load_tuned(s, path, RWKV7_STATE_VALUE_KEY, &err) == RWKV7_ERR_STATE);
    CHECK_MSG(strstr(err.message, "expected shape [1,16,16], found [5242880,16,16]"), "%s", err.message);
    unlink(path);
    unlink(name_file("small.state"));
    rwkv7_session_close(s);
    rwkv7_model_close(model);
}

int main(void)
{
    const struct rwkv7_runtime_options threads = {.threads = 1};
    if (!mkdtemp(folder) || rwkv7_runtime_create(&threads, &rt, NULL) != RWKV7_OK)
        return 1;
    CHECK(true); /* keeps the count of checks above 0 if the rest is skipped */
    if (has_holes()) {
        RUN(test_safetensors);
        RUN(test_gguf);
        RUN(test_pth);
        RUN(test_vocab);
        RUN(test_states);
    }
    unlink(name_file("data.st"));
    rmdir(folder);
    rwkv7_runtime_close(rt);
    return test_end();
}
