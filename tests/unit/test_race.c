/*
 * test_race.c - files that another process rewrites while they are opened. A mapping shows every
 * change at once, so a length that is read twice may differ. A thread alternates between two
 * versions of a file as fast as it can; the result must be one of the versions or an error with a
 * message. AddressSanitizer detects the rest. The number of attempts is fixed.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "formats/tensors.h"
#include "test.h"

enum { ATTEMPTS = 300 };

static char path[] = "/tmp/rwkv7-race-XXXXXX";

struct bytes {
    char *at;
    size_t size, room;
};

static void add_bytes(struct bytes *b, const void *bytes, size_t size)
{
    while (b->size + size > b->room) {
        b->room = b->room ? 2 * b->room : 4096;
        b->at = realloc(b->at, b->room);
        if (!b->at)
            abort();
    }
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

/* A thread that swaps `size` bytes at `offset` of the file. */
struct writer {
    const char *versions[2];
    size_t offset, size;
    atomic_bool stop;
};

static void *write_versions(void *arg)
{
    struct writer *w = arg;
    const int fd = open(path, O_WRONLY);
    for (int i = 0; fd >= 0 && !w->stop; i ^= 1)
        if (pwrite(fd, w->versions[i], w->size, (off_t)w->offset) < 0)
            break;
    if (fd >= 0)
        close(fd);
    return NULL;
}

/* Reads once; returns false if the result is wrong. */
typedef bool attempt_fn(void *arg, const char *file, bool *accepted);

static void race(const char *what, const struct bytes *file, struct writer *w, attempt_fn *attempt, void *arg)
{
    pthread_t thread;
    size_t attempts = 0, accepted = 0, wrong = 0;
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(file->at, 1, file->size, f) == file->size);
    if (f)
        fclose(f);
    w->stop = false;
    if (pthread_create(&thread, NULL, write_versions, w) != 0) {
        CHECK_MSG(false, "%s: no thread", what);
        return;
    }
    for (; attempts < ATTEMPTS; attempts++) {
        bool fine = false;
        wrong += !attempt(arg, path, &fine);
        accepted += fine;
    }
    w->stop = true;
    pthread_join(thread, NULL);
    printf("     %s: %zu attempts, %zu accepted\n", what, attempts, accepted);
    CHECK_MSG(wrong == 0, "%s: %zu of %zu attempts read what was never written", what, wrong, attempts);
}

static bool open_tensors(void *arg, const char *file, bool *accepted)
{
    struct tensor_index *index = NULL;
    struct rwkv7_error err = {0};
    (void)arg;
    *accepted = tensors_open(file, &index, &err) == RWKV7_OK;
    const bool fine = *accepted ? index != NULL : !index && err.message[0];
    tensors_close(index);
    return fine;
}

/* ---------------------------------------------------------------------------------- checkpoints */

/* Alternates the lowest bytes of two numbers at `offset` of the file. */
static void race_numbers(const char *what, struct bytes *file, size_t offset, uint64_t a, uint64_t b, int size)
{
    struct bytes x = {0}, y = {0};
    add_number(&x, a, size);
    add_number(&y, b, size);
    struct writer w = {.versions = {x.at, y.at}, .offset = offset, .size = (size_t)size};
    race(what, file, &w, open_tensors, NULL);
    free(x.at);
    free(y.at);
    free(file->at);
}

/* A ZIP archive with one entry, a/data.pkl. */
static struct bytes archive(const struct bytes *pickle)
{
    static const char name[] = "a/data.pkl";
    struct bytes b = {0};
    add_text(&b, "PK\3\4");
    add_number(&b, 0, 14);
    add_number(&b, pickle->size, 4);
    add_number(&b, pickle->size, 4);
    add_number(&b, strlen(name), 4);
    add_text(&b, name);
    add_bytes(&b, pickle->at, pickle->size);
    const size_t at = b.size;
    add_text(&b, "PK\1\2");
    add_number(&b, 0, 16);
    add_number(&b, pickle->size, 4);
    add_number(&b, pickle->size, 4);
    add_number(&b, strlen(name), 4);
    add_number(&b, 0, 14);
    add_text(&b, name);
    const size_t size = b.size - at;
    add_text(&b, "PK\5\6");
    add_number(&b, 0, 4);
    add_number(&b, 1, 2);
    add_number(&b, 1, 2);
    add_number(&b, size, 4);
    add_number(&b, at, 4);
    add_number(&b, 0, 2);
    return b;
}

/*
 * One string, or an empty one and as many opcodes as it had bytes: the opcodes counted must be
 * those executed.
 */
static void test_pickle(void)
{
    enum { OPCODES = 100000, HEADER = 40 };
    struct bytes pickle = {0};
    add_text(&pickle, "\x80\2X");
    add_number(&pickle, OPCODES, 4);
    for (int i = 0; i < OPCODES; i++)
        add_text(&pickle, "N");
    add_text(&pickle, ".");
    struct bytes file = archive(&pickle);
    free(pickle.at);
    race_numbers("pickle", &file, HEADER + 3, OPCODES, 0, 4);
}

/* The length of a name in the central directory, and of the entry. */
static void test_zip(void)
{
    struct bytes pickle = {0};
    add_text(&pickle, "\x80\2}.");
    struct bytes file = archive(&pickle);
    const size_t central = 40 + pickle.size;
    struct bytes same = {0};
    add_bytes(&same, file.at, file.size);
    free(pickle.at);
    race_numbers("zip, a name", &file, central + 28, 10, 0xffff, 2);
    race_numbers("zip, a size", &same, central + 20, 4, 0xffffffff, 4);
}

/* Spaces after the '{', which are scanned from the end. */
static void test_safetensors(void)
{
    enum { SPACES = 200000 };
    struct bytes file = {0};
    add_number(&file, SPACES + 2, 8);
    add_text(&file, "{}");
    for (int i = 0; i < SPACES; i++)
        add_text(&file, " ");
    race_numbers("safetensors", &file, 8, '{' | '}' << 8, ' ' | ' ' << 8, 2);
}

/* The length of the first of many tokens, which are scanned twice. */
static void test_gguf(void)
{
    enum { TOKENS = 20000 };
    struct bytes file = {0};
    add_text(&file, "GGUF");
    add_number(&file, 3, 4);
    add_number(&file, 0, 8);
    add_number(&file, 2, 8);
    add_number(&file, 20, 8);
    add_text(&file, "tokenizer.ggml.model");
    add_number(&file, 8, 4);
    add_number(&file, 4, 8);
    add_text(&file, "rwkv");
    add_number(&file, 21, 8);
    add_text(&file, "tokenizer.ggml.tokens");
    add_number(&file, 9, 4);
    add_number(&file, 8, 4);
    add_number(&file, TOKENS, 8);
    const size_t last = file.size + (TOKENS - 1) * 9;
    for (int i = 0; i < TOKENS; i++) {
        add_number(&file, 1, 8);
        add_text(&file, "a");
    }
    race_numbers("gguf", &file, last, 1, (uint64_t)1 << 40, 8);
}

static bool open_vocab(void *arg, const char *file, bool *accepted)
{
    struct rwkv7_tokenizer *t = NULL;
    struct rwkv7_error err = {0};
    (void)arg;
    *accepted = rwkv7_tokenizer_open(file, &t, &err) == RWKV7_OK;
    const bool fine = *accepted ? t != NULL : !t && err.message[0];
    rwkv7_tokenizer_close(t);
    return fine;
}

/* A literal with and without its closing quote. */
static void test_vocab(void)
{
    struct bytes file = {0};
    char line[64];
    for (int i = 1; i < 500; i++) {
        snprintf(line, sizeof line, "%d '%03d--------' 11\n", i, i);
        add_text(&file, line);
    }
    snprintf(line, sizeof line, "500 '500-----' 8\n501 '501-----' 8\n");
    const size_t offset = file.size + strlen("500 '500-----");
    add_text(&file, line);
    struct writer w = {.versions = {"' 8\n501 '", "-- 8 501 "}, .offset = offset, .size = 9};
    race("vocabulary", &file, &w, open_vocab, NULL);
    free(file.at);
}

/* --------------------------------------------------------------------------------------- states */

struct states {
    struct rwkv7_session *session;
    float *state[2], *found; /* [floats]: those of the two versions, and the one found */
    size_t att, wkv, floats;
};

static void get_state(const struct states *s, float *to)
{
    rwkv7_session_get_state(s->session, to, to + s->att, to + s->att + s->wkv);
}

static bool load_state(void *arg, const char *file, bool *accepted)
{
    struct states *s = arg;
    struct rwkv7_error err = {0};
    *accepted = rwkv7_session_load(s->session, file, NULL, &err) == RWKV7_OK;
    if (!*accepted)
        return err.message[0];
    get_state(s, s->found);
    return memcmp(s->found, s->state[0], s->floats * sizeof(float)) == 0 ||
           memcmp(s->found, s->state[1], s->floats * sizeof(float)) == 0;
}

static struct bytes read_file(void)
{
    char piece[4096];
    struct bytes b = {0};
    FILE *f = fopen(path, "rb");
    for (size_t n; f && (n = fread(piece, 1, sizeof piece, f)) > 0;)
        add_bytes(&b, piece, n);
    if (f)
        fclose(f);
    return b;
}

/*
 * Alternates two states of a model; a loaded one must be one of them, since its checksum was right.
 */
static void test_state(void)
{
    const struct rwkv7_shape shape = {.vocab = 16,
                                      .layers = 8,
                                      .channels = 256,
                                      .heads = 4,
                                      .head_size = 64,
                                      .ffn = 16,
                                      .rank_w = 4,
                                      .rank_a = 4,
                                      .rank_v = 4,
                                      .rank_g = 4};
    const struct rwkv7_random_options options = {.type = RWKV7_BF16};
    const struct rwkv7_runtime_options threads = {.threads = 1};
    struct rwkv7_runtime *rt = NULL;
    struct rwkv7_model *model = NULL;
    struct states s = {.att = 8 * 256, .wkv = 8 * 256 * 64, .floats = 8 * 256 * (2 + 64)};
    struct bytes files[2];
    if (rwkv7_runtime_create(&threads, &rt, NULL) != RWKV7_OK ||
        rwkv7_model_random(rt, &shape, &options, &model, NULL) != RWKV7_OK ||
        rwkv7_session_create(model, &s.session, NULL) != RWKV7_OK)
        exit(1);
    s.found = malloc(s.floats * sizeof(float));
    for (uint32_t i = 0; i < 2; i++) {
        float logits[16];
        s.state[i] = malloc(s.floats * sizeof(float));
        if (!s.state[i] || !s.found)
            exit(1);
        CHECK(rwkv7_session_eval(s.session, (const uint32_t[]){3 + i}, 1, RWKV7_LOGITS_LAST, logits, NULL) == RWKV7_OK);
        CHECK(rwkv7_session_save(s.session, path, NULL, NULL) == RWKV7_OK);
        get_state(&s, s.state[i]);
        files[i] = read_file();
    }
    struct writer w = {.versions = {files[0].at, files[1].at}, .size = files[0].size};
    CHECK(files[0].size == files[1].size && memcmp(files[0].at, files[1].at, files[0].size) != 0);
    race("state", &files[0], &w, load_state, &s);
    for (int i = 0; i < 2; i++) {
        free(files[i].at);
        free(s.state[i]);
    }
    free(s.found);
    rwkv7_session_close(s.session);
    rwkv7_model_close(model);
    rwkv7_runtime_close(rt);
}

int main(void)
{
    const int fd = mkstemp(path);
    if (fd < 0 || close(fd) != 0)
        return 1;
    RUN(test_pickle);
    RUN(test_zip);
    RUN(test_safetensors);
    RUN(test_gguf);
    RUN(test_vocab);
    RUN(test_state);
    unlink(path);
    return test_end();
}
