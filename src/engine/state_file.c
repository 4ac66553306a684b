/*
 * state_file.c - saves and loads a session. The state stands for the complete text before it: a few
 * megabytes, whatever the length of the text.
 *
 * Layout, little-endian:
 *     the header below
 *     float32 att_prev [L][C], wkv [L][H][N value][N key] (RWKV-4: [L][3][C]), ffn_prev [L][C]
 *     the note of the program that wrote it, padded with zeroes to a multiple of 8 bytes
 *     the checksum of everything before it
 *
 * The header contains the fingerprint of the model, because a state is valid only with the weights
 * that computed it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/out_file.h"
#include "base/sys.h"
#include "engine/engine.h"

/*
 * Since version 3, the fingerprint covers all weights. Files of earlier versions are rejected,
 * because their fingerprints covered only a few numbers per matrix.
 */
#define STATE_VERSION 3u
#define IN_MEMORY "a state in memory" /* in place of a path */
#define NOTE_MAX (256u << 20)         /* bytes; a million tokens of conversation take about 10 MB */

struct state_header {
    char magic[8]; /* "RWKV7ST" and a NUL */
    uint32_t version;
    uint32_t layers, channels, heads;
    uint64_t tokens; /* number of tokens evaluated */
    struct rwkv7_fingerprint fingerprint;
    uint64_t note_size;
};
_Static_assert(sizeof(struct state_header) == 56,
               "the header is written as it is in memory, so it must have no padding");

static const char magic[8] = "RWKV7ST";

/*
 * Two running sums over 32-bit words, as in Fletcher's checksum. It detects swapped words and runs
 * at memory bandwidth.
 */
static uint64_t checksum(const void *data, size_t n)
{
    const unsigned char *bytes = data;
    uint64_t low = 1, high = 0;
    for (size_t i = 0; i + 4 <= n; i += 4) {
        uint32_t word;
        memcpy(&word, bytes + i, sizeof word);
        low += word;
        high += low;
    }
    return high * 0x9e3779b97f4a7c15u ^ low;
}

/* Returns the offset of the note in a state file of this model. */
static size_t note_offset(const struct rwkv7_model *model)
{
    return sizeof(struct state_header) + state_floats(model) * sizeof(float);
}

/* Returns the size of a state file of this model with such a note; 0 if it is too large. */
static size_t file_size(const struct rwkv7_model *model, uint64_t note_size)
{
    const size_t plain = note_offset(model) + sizeof(uint64_t);
    if (note_size > NOTE_MAX)
        return 0;
    return plain + ((size_t)note_size + 7) / 8 * 8;
}

void rwkv7_bytes_clear(struct rwkv7_bytes *note)
{
    mem_free(note->data);
    *note = (struct rwkv7_bytes){0};
}

/*
 * Writes the state file of a session to memory: *out [*out_size], which the caller frees with
 * mem_free. name: used in messages.
 */
static enum rwkv7_status make_image(const struct rwkv7_session *s, const struct rwkv7_bytes *note, const char *name,
                                    char **out, size_t *out_size, struct rwkv7_error *err)
{
    const struct rwkv7_shape *shape = &s->model->shape;
    const size_t note_size = note ? note->size : 0, size = file_size(s->model, note_size),
                 lc = (size_t)shape->layers * (size_t)shape->channels;
    if (size == 0)
        return fail(err, RWKV7_ERR_USAGE, "%s: expected a note of at most %u bytes, found %zu", name, NOTE_MAX,
                    note_size);
    struct state_header header = {
        .version = STATE_VERSION,
        .layers = (uint32_t)shape->layers,
        .channels = (uint32_t)shape->channels,
        .heads = (uint32_t)shape->heads,
        .tokens = s->tokens,
        .note_size = note_size,
    };
    enum rwkv7_status status = check_no_try(s, "save", err);
    if (status == RWKV7_OK)
        status = rwkv7_model_fingerprint(s->model, &header.fingerprint, err);
    if (status != RWKV7_OK)
        return status;
    char *image = mem_alloc(size, 1);
    if (!image)
        return fail_memory(err, "a saved state");
    memcpy(header.magic, magic, sizeof magic);
    memcpy(image, &header, sizeof header);
    float *att_prev = (float *)(void *)(image + sizeof header);
    float *wkv = att_prev + lc, *ffn_prev = wkv + (size_t)shape->layers * state_middle_floats(s->model);
    rwkv7_session_get_state(s, att_prev, wkv, ffn_prev);
    if (note_size > 0)
        memcpy(image + note_offset(s->model), note->data, note_size);
    const uint64_t sum = checksum(image, size - sizeof sum);
    memcpy(image + size - sizeof sum, &sum, sizeof sum);
    *out = image;
    *out_size = size;
    return RWKV7_OK;
}

enum rwkv7_status rwkv7_session_save(const struct rwkv7_session *s, const char *path, const struct rwkv7_bytes *note,
                                     struct rwkv7_error *err)
{
    struct out_file file = {0};
    char *image = NULL;
    size_t size = 0;
    enum rwkv7_status status = make_image(s, note, path, &image, &size, err);
    if (status == RWKV7_OK)
        status = out_file_open_private(path, &file, err);
    if (status == RWKV7_OK)
        status = out_file_write(&file, image, size, err);
    if (status == RWKV7_OK)
        status = out_file_commit(&file, err);
    out_file_abort(&file);
    mem_free(image);
    return status;
}

enum rwkv7_status rwkv7_session_save_memory(const struct rwkv7_session *s, const struct rwkv7_bytes *note,
                                            struct rwkv7_bytes *image, struct rwkv7_error *err)
{
    char *data = NULL;
    size_t size = 0;
    const enum rwkv7_status status = make_image(s, note, IN_MEMORY, &data, &size, err);
    *image = (struct rwkv7_bytes){data, size};
    return status;
}

/*
 * Replaces the state by that of data [data_size]. The data may change during the call (a mapped
 * file), so the function copies it first and reads only the copy.
 */
static enum rwkv7_status load_image(struct rwkv7_session *s, const char *name, const void *data, size_t data_size,
                                    struct rwkv7_bytes *note, struct rwkv7_error *err)
{
    const struct rwkv7_shape *shape = &s->model->shape;
    const size_t lc = (size_t)shape->layers * (size_t)shape->channels;
    char *image = NULL;
    struct state_header header;
    uint64_t sum;

    if (note)
        *note = (struct rwkv7_bytes){0};
    enum rwkv7_status status = check_no_try(s, "load a state into", err);
    if (status != RWKV7_OK)
        return status;
    if (data_size < sizeof header || memcmp(data, magic, sizeof magic) != 0)
        return fail(err, RWKV7_ERR_STATE, "%s: not an rwkv7 state file", name);
    memcpy(&header, data, sizeof header);
    if (header.version != STATE_VERSION) {
        status = fail(
            err, RWKV7_ERR_STATE, "%s: state file version %u, expected %u: %s", name, header.version, STATE_VERSION,
            header.version < STATE_VERSION ? "its weights are not identified reliably; create it again from its text"
                                           : "it was written by a later version of this program");
        goto done;
    }
    if (header.layers != (uint32_t)shape->layers || header.channels != (uint32_t)shape->channels ||
        header.heads != (uint32_t)shape->heads) {
        status = fail(err, RWKV7_ERR_STATE,
                      "%s: a state of a model with %u layers, %u channels, %u heads; this model has %d, %d, %d", name,
                      header.layers, header.channels, header.heads, shape->layers, shape->channels, shape->heads);
        goto done;
    }
    const size_t size = file_size(s->model, header.note_size);
    if (size == 0) {
        status = fail(err, RWKV7_ERR_STATE, "%s: expected a note of at most %u bytes, found %llu: the file is damaged",
                      name, NOTE_MAX, (unsigned long long)header.note_size);
        goto done;
    }
    if (data_size != size) {
        status =
            fail(err, RWKV7_ERR_STATE, "%s: expected %zu bytes, found %zu: the file is damaged", name, size, data_size);
        goto done;
    }
    if (!(image = mem_string(data, size))) {
        status = fail_memory(err, "a saved state");
        goto done;
    }
    memcpy(&sum, image + size - sizeof sum, sizeof sum);
    if (memcmp(image, &header, sizeof header) != 0 || sum != checksum(image, size - sizeof sum)) {
        status = fail(err, RWKV7_ERR_STATE, "%s: checksum does not match: the file is damaged", name);
        goto done;
    }
    struct rwkv7_fingerprint fingerprint;
    if ((status = rwkv7_model_fingerprint(s->model, &fingerprint, err)) != RWKV7_OK)
        goto done;
    if (memcmp(&header.fingerprint, &fingerprint, sizeof fingerprint) != 0) {
        status = fail(err, RWKV7_ERR_STATE, "%s: a state of other weights than those of %s", name, s->model->path);
        goto done;
    }
    if (note) {
        const struct rwkv7_bytes kept = {mem_string(image + note_offset(s->model), (size_t)header.note_size),
                                         (size_t)header.note_size};
        if (!kept.data) {
            status = fail_memory(err, "the note of a saved state");
            goto done;
        }
        *note = kept;
    }
    const float *att_prev = (const float *)(const void *)(image + sizeof header);
    const float *wkv = att_prev + lc, *ffn_prev = wkv + (size_t)shape->layers * state_middle_floats(s->model);
    rwkv7_session_set_state(s, att_prev, wkv, ffn_prev);
    s->tokens = header.tokens;
done:
    mem_free(image);
    return status;
}

enum rwkv7_status rwkv7_session_load(struct rwkv7_session *s, const char *path, struct rwkv7_bytes *note,
                                     struct rwkv7_error *err)
{
    struct file_map map;
    if (note)
        *note = (struct rwkv7_bytes){0};
    enum rwkv7_status status = file_map_open_replaceable(path, &map, err);
    if (status != RWKV7_OK)
        return status;
    status = load_image(s, path, map.data, map.size, note, err);
    file_map_close(&map);
    return status;
}

enum rwkv7_status rwkv7_session_load_memory(struct rwkv7_session *s, const void *image, size_t size,
                                            struct rwkv7_bytes *note, struct rwkv7_error *err)
{
    return load_image(s, IN_MEMORY, image, size, note, err);
}
