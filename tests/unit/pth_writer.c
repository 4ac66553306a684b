/* pth_writer.c - see pth_writer.h. */
#include "pth_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bytes {
    char *at;
    size_t size, room;
};

struct entry {
    char name[40];
    const void *data;
    uint64_t size, offset; /* of the local header */
};

static void add(struct bytes *b, const void *more, size_t n)
{
    if (b->size + n > b->room) {
        b->room = 2 * (b->size + n);
        b->at = realloc(b->at, b->room);
        if (!b->at)
            abort();
    }
    memcpy(b->at + b->size, more, n);
    b->size += n;
}

static void add_text(struct bytes *b, const char *text)
{
    add(b, text, strlen(text));
}

/* Appends a number in `size` bytes, little-endian. */
static void add_number(struct bytes *b, uint64_t number, int size)
{
    for (; size > 0; size--, number >>= 8) {
        const char byte = (char)number;
        add(b, &byte, 1);
    }
}

/* --------------------------------------------------------------------------------------- pickle */

static void pickle_text(struct bytes *b, const char *text)
{
    add_text(b, "X");
    add_number(b, strlen(text), 4);
    add_text(b, text);
}

static void pickle_number(struct bytes *b, uint64_t number)
{
    if (number < 1u << 31) {
        add_text(b, "J");
        add_number(b, number, 4);
    } else {
        add_text(b, "\x8a\x08");
        add_number(b, number, 8);
    }
}

static const char *storage_type(enum dtype type)
{
    switch (type) {
    case DT_F32:
        return "ctorch\nFloatStorage\n";
    case DT_F16:
        return "ctorch\nHalfStorage\n";
    case DT_BF16:
        return "ctorch\nBFloat16Storage\n";
    case DT_U8:
        return "ctorch\nByteStorage\n";
    default:
        abort();
    }
}

static void pickle_tensor(struct bytes *b, const struct tensor *t, const char *key)
{
    pickle_text(b, t->name);
    add_text(b, "ctorch._utils\n_rebuild_tensor_v2\n((");
    pickle_text(b, "storage");
    add_text(b, storage_type(t->type));
    pickle_text(b, key);
    pickle_text(b, "cpu");
    pickle_number(b, t->bytes / (dtype_bits(t->type) / 8));
    add_text(b, "tQK");
    add_number(b, 0, 1);
    add_text(b, "(");
    for (int i = 0; i < t->rank; i++)
        pickle_number(b, t->shape[i]);
    add_text(b, "t(");
    for (int i = 0; i < t->rank; i++) {
        uint64_t stride = 1;
        for (int k = i + 1; k < t->rank; k++)
            stride *= t->shape[k];
        pickle_number(b, stride);
    }
    add_text(b, "t\x89"
                "ccollections\nOrderedDict\n)RtR");
}

/* -------------------------------------------------------------------------------------- archive */

#define WIDE 0xffffffffu /* the value is in the ZIP64 field */

static uint64_t narrow(uint64_t value)
{
    return value < WIDE ? value : WIDE;
}

/*
 * Writes the header up to the data, which is aligned to 64 bytes with an extra field "FB", as torch
 * does.
 */
static void local_header(struct bytes *b, const struct entry *e)
{
    const bool wide = e->size >= WIDE;
    const size_t fixed = 30 + strlen(e->name) + (wide ? 20u : 0u) + 4;
    const size_t padding = (size_t)((64 - (e->offset + fixed) % 64) % 64);
    add_text(b, "PK\3\4");
    add_number(b, 0, 14); /* version, flags, method, time, date, checksum */
    add_number(b, narrow(e->size), 4);
    add_number(b, narrow(e->size), 4);
    add_number(b, strlen(e->name), 2);
    add_number(b, (wide ? 20u : 0u) + 4 + padding, 2);
    add_text(b, e->name);
    if (wide) {
        add_number(b, 1 | 16 << 16, 4);
        add_number(b, e->size, 8);
        add_number(b, e->size, 8);
    }
    add_text(b, "FB");
    add_number(b, padding, 2);
    for (size_t i = 0; i < padding; i++)
        add_text(b, "Z");
}

static void central_header(struct bytes *b, const struct entry *e)
{
    const unsigned fields = (e->size >= WIDE ? 16u : 0u) + (e->offset >= WIDE ? 8u : 0u);
    add_text(b, "PK\1\2");
    add_number(b, 0, 8);
    add_number(b, 0, 8);
    add_number(b, narrow(e->size), 4);
    add_number(b, narrow(e->size), 4);
    add_number(b, strlen(e->name), 2);
    add_number(b, fields ? fields + 4 : 0, 2);
    add_number(b, 0, 8);
    add_number(b, 0, 2);
    add_number(b, narrow(e->offset), 4);
    add_text(b, e->name);
    if (fields)
        add_number(b, 1 | fields << 16, 4);
    if (e->size >= WIDE) {
        add_number(b, e->size, 8);
        add_number(b, e->size, 8);
    }
    if (e->offset >= WIDE)
        add_number(b, e->offset, 8);
}

/* Writes the central directory and both end records. */
static void directory(struct bytes *b, const struct entry *entries, size_t count, uint64_t at)
{
    for (size_t i = 0; i < count; i++)
        central_header(b, &entries[i]);
    const uint64_t size = b->size;
    add_text(b, "PK\6\6");
    add_number(b, 44, 8);
    add_number(b, 45 | 45 << 16, 4);
    add_number(b, 0, 8);
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
    add_number(b, count < 0xffff ? count : 0xffff, 2);
    add_number(b, count < 0xffff ? count : 0xffff, 2);
    add_number(b, narrow(size), 4);
    add_number(b, narrow(at), 4);
    add_number(b, 0, 2);
}

static bool write_archive(FILE *f, struct entry *entries, size_t count)
{
    struct bytes b = {0};
    uint64_t at = 0;
    bool fine = true;
    for (size_t i = 0; i < count && fine; i++) {
        struct entry *e = &entries[i];
        e->offset = at;
        b.size = 0;
        local_header(&b, e);
        fine = fwrite(b.at, 1, b.size, f) == b.size &&
               (e->data ? fwrite(e->data, 1, (size_t)e->size, f) == e->size : fseeko(f, (off_t)e->size, SEEK_CUR) == 0);
        at += b.size + e->size;
    }
    b.size = 0;
    directory(&b, entries, count, at);
    fine = fine && fwrite(b.at, 1, b.size, f) == b.size;
    free(b.at);
    return fine;
}

bool pth_write(const char *path, const struct tensor *tensors, size_t count)
{
    struct bytes pickle = {0};
    struct entry *entries = calloc(count + 2, sizeof *entries);
    FILE *f = fopen(path, "wb");
    bool fine = entries && f;
    if (fine) {
        add_text(&pickle, "\x80\x02}(");
        for (size_t i = 0; i < count; i++) {
            struct entry *e = &entries[1 + i];
            snprintf(e->name, sizeof e->name, "archive/data/%zu", i);
            e->data = tensors[i].data;
            e->size = tensors[i].bytes;
            pickle_tensor(&pickle, &tensors[i], e->name + strlen("archive/data/"));
        }
        add_text(&pickle, "u.");
        entries[0] = (struct entry){.name = "archive/data.pkl", .data = pickle.at, .size = pickle.size};
        entries[count + 1] = (struct entry){.name = "archive/version", .data = "3\n", .size = 2};
        fine = write_archive(f, entries, count + 2);
    }
    if (f)
        fine &= fclose(f) == 0;
    free(pickle.at);
    free(entries);
    return fine;
}
