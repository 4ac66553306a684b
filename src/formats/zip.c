/* zip.c - see zip.h. */
#include "formats/zip.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/little.h"
#include "formats/snippet.h"

/*
 * Signatures ("PK" and two bytes) and fixed sizes of the records, without variable fields
 * (APPNOTE.TXT 4.3).
 */
#define LOCAL_HEADER 0x04034b50u
#define LOCAL_SIZE 30u
#define CENTRAL_HEADER 0x02014b50u
#define CENTRAL_SIZE 46u
#define END_RECORD 0x06054b50u
#define END_SIZE 22u
#define END64_RECORD 0x06064b50u
#define END64_SIZE 56u
#define LOCATOR 0x07064b50u
#define LOCATOR_SIZE 20u

#define MAX_COMMENT 65535u
#define MAX_DIRECTORY (64u << 20) /* bytes; a checkpoint needs about 70 per tensor */
#define FLAG_ENCRYPTED 0x0001u
#define FLAG_DESCRIPTOR 0x0008u /* the sizes are after the data, not in the local header */
#define EXTRA_ZIP64 0x0001u
#define IN_ZIP64 0xffffffffu /* marks a 32-bit field whose value is in a 64-bit field elsewhere */

struct directory {
    size_t begin, size; /* byte range of the image */
    uint64_t count;     /* entries */
};

/* The fields of an entry in the central directory. */
struct central {
    unsigned flags, method;
    uint64_t packed, size, offset;
};

/* ----------------------------------------------------------------------------------- end record */

/* Finds the end record. Only its own comment may follow it, up to the end of the file. */
static bool find_end(const struct file_image *in, size_t *out)
{
    for (size_t comment = 0; comment <= MAX_COMMENT && comment + END_SIZE <= in->size; comment++) {
        const uint8_t *end = in->bytes + in->size - END_SIZE - comment;
        if (little32(end) == END_RECORD && little16(end + 20) == comment) {
            *out = (size_t)(end - in->bytes);
            return true;
        }
    }
    return false;
}

/*
 * Whether a field of the end record agrees with its 64-bit counterpart: it has the same value, or
 * the mark that refers to it.
 */
static bool agree(uint64_t narrow, uint64_t mark, uint64_t wide)
{
    return narrow == mark || narrow == wide;
}

static enum rwkv7_status read_end(const struct file_image *in, struct directory *out)
{
    size_t at = 0;
    if (!find_end(in, &at))
        return refuse(
            in,
            "expected the end record of a ZIP archive (.pth), found none: the file is truncated or has trailing bytes");
    uint8_t copy[END64_SIZE]; /* of the end record, then of the ZIP64 end record */
    const uint8_t *end = memcpy(copy, in->bytes + at, END_SIZE);
    uint64_t disk = little16(end + 4), start_disk = little16(end + 6), disk_entries = little16(end + 8),
             count = little16(end + 10), size = little32(end + 12), begin = little32(end + 16);

    if (at >= LOCATOR_SIZE && little32(in->bytes + at - LOCATOR_SIZE) == LOCATOR) {
        const uint8_t *locator = in->bytes + at - LOCATOR_SIZE;
        const uint64_t at64 = little64(locator + 8);
        if (at < LOCATOR_SIZE + END64_SIZE || at64 > at - LOCATOR_SIZE - END64_SIZE ||
            little32(in->bytes + at64) != END64_RECORD ||
            little64(in->bytes + at64 + 4) != at - LOCATOR_SIZE - at64 - 12)
            return refuse(in, "ZIP: expected a ZIP64 end record at byte %llu, found none", (unsigned long long)at64);
        end = memcpy(copy, in->bytes + (size_t)at64, END64_SIZE);
        if (!agree(disk_entries, 0xffff, little64(end + 24)) || !agree(count, 0xffff, little64(end + 32)) ||
            !agree(size, IN_ZIP64, little64(end + 40)) || !agree(begin, IN_ZIP64, little64(end + 48)))
            return refuse(in, "ZIP: the end record and the ZIP64 end record contradict each other");
        at = (size_t)at64;
        disk = little32(end + 16);
        start_disk = little32(end + 20);
        disk_entries = little64(end + 24);
        count = little64(end + 32);
        size = little64(end + 40);
        begin = little64(end + 48);
    }
    if (disk != 0 || start_disk != 0 || disk_entries != count)
        return refuse(in, "found one part of a split ZIP archive; join the parts first");
    if (begin > at || size != at - begin)
        return refuse(in,
                      "ZIP: expected a central directory of %llu bytes at %llu, directly before its end record at %zu",
                      (unsigned long long)size, (unsigned long long)begin, at);
    if (count > size / CENTRAL_SIZE)
        return refuse(in, "ZIP: %llu entries do not fit in a central directory of %llu bytes",
                      (unsigned long long)count, (unsigned long long)size);
    if (size > MAX_DIRECTORY)
        return refuse(in, "ZIP: expected a central directory of at most %u bytes, found %llu", MAX_DIRECTORY,
                      (unsigned long long)size);
    *out = (struct directory){.begin = (size_t)begin, .size = (size_t)size, .count = count};
    return RWKV7_OK;
}

/* -------------------------------------------------------------------------------------- entries */

static enum rwkv7_status refuse_entry(const struct file_image *in, const struct zip_entry *e, const char *what)
{
    return refuse(in, "ZIP entry '%s': %s", snippet_text(e->name, e->name_size, 64).text, what);
}

/*
 * Replaces the fields marked with IN_ZIP64 by the values of the ZIP64 extra field, which contains
 * them in this order. Returns false if one is missing.
 */
static bool read_zip64(const uint8_t *extra, size_t size, struct central *c)
{
    uint64_t *const fields[] = {&c->size, &c->packed, &c->offset};
    const uint8_t *values = NULL;
    size_t left = 0;
    while (size >= 4 && !values) {
        const size_t n = little16(extra + 2);
        if (n > size - 4)
            return false;
        if (little16(extra) == EXTRA_ZIP64) {
            values = extra + 4;
            left = n;
        }
        extra += 4 + n;
        size -= 4 + n;
    }
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (*fields[i] != IN_ZIP64)
            continue;
        if (left < 8)
            return false;
        *fields[i] = little64(values);
        values += 8;
        left -= 8;
    }
    return true;
}

/*
 * Whether a name is a relative path that stays in its folder: a/b, but not /a, ../a, a/../b, a\b.
 */
static bool is_inside(const char *name, size_t size)
{
    size_t step = 0; /* bytes since the last '/' */
    if (size == 0 || name[0] == '/')
        return false;
    for (size_t i = 0; i <= size; i++) {
        if (i < size && (name[i] == '\\' || name[i] == '\0'))
            return false;
        if (i < size && name[i] != '/') {
            step++;
            continue;
        }
        if (step == 2 && memcmp(name + i - 2, "..", 2) == 0)
            return false;
        step = 0;
    }
    return true;
}

/* Finds the data of an entry. The local header must agree with the central directory. */
static enum rwkv7_status read_local(const struct file_image *in, const struct directory *d, const struct central *c,
                                    struct zip_entry *e)
{
    if (d->begin < LOCAL_SIZE || c->offset > d->begin - LOCAL_SIZE)
        return refuse_entry(in, e, "its header is outside the archive");
    uint8_t local[LOCAL_SIZE];
    const uint8_t *const header = in->bytes + (size_t)c->offset;
    memcpy(local, header, sizeof local);
    if (little32(local) != LOCAL_HEADER)
        return refuse_entry(in, e, "expected a local header at its offset, found none");
    const size_t name = little16(local + 26), skip = LOCAL_SIZE + name + little16(local + 28);
    const size_t room = d->begin - (size_t)c->offset;
    if (skip > room || c->size > room - skip)
        return refuse_entry(in, e, "its data exceed the archive");
    const uint64_t packed = little32(local + 18), size = little32(local + 22);
    const bool sized = agree(packed, IN_ZIP64, c->size) && agree(size, IN_ZIP64, c->size);
    const bool later = (little16(local + 6) & FLAG_DESCRIPTOR) != 0 && packed == 0 && size == 0;
    if (little16(local + 8) != c->method || name != e->name_size || memcmp(header + LOCAL_SIZE, e->name, name) != 0 ||
        !(sized || later))
        return refuse_entry(in, e, "its header and the central directory contradict each other");
    e->header = header;
    e->data = header + skip;
    e->size = (size_t)c->size;
    return RWKV7_OK;
}

/* Reads the entry at offset `begin` of the copied directory; *used is the size of the entry. */
static enum rwkv7_status read_entry(const struct file_image *in, const struct directory *d, const char *copy,
                                    size_t begin, struct zip_entry *e, size_t *used)
{
    const uint8_t *const at = (const uint8_t *)copy + begin;
    const size_t left = d->size - begin;
    if (left < CENTRAL_SIZE || little32(at) != CENTRAL_HEADER)
        return refuse(in, "ZIP: the central directory is damaged at byte %zu", d->begin + begin);
    const size_t name = little16(at + 28), extra = little16(at + 30), comment = little16(at + 32);
    if (name + extra + comment > left - CENTRAL_SIZE)
        return refuse(in, "ZIP: the central directory is damaged at byte %zu", d->begin + begin);
    *used = CENTRAL_SIZE + name + extra + comment;
    e->name = (const char *)at + CENTRAL_SIZE;
    e->name_size = name;
    struct central c = {.flags = little16(at + 8),
                        .method = little16(at + 10),
                        .packed = little32(at + 20),
                        .size = little32(at + 24),
                        .offset = little32(at + 42)};
    if (!is_inside(e->name, name))
        return refuse_entry(in, e, "expected a relative path without '..'");
    if (!read_zip64(at + CENTRAL_SIZE + name, extra, &c))
        return refuse_entry(in, e, "its ZIP64 sizes are damaged");
    if (c.flags & FLAG_ENCRYPTED)
        return refuse_entry(in, e, "encrypted entries are not supported");
    if (c.method != 0)
        return refuse_entry(
            in, e, "compressed entries are not supported; unpack the archive and store it again with `zip -0 -r`");
    if (c.packed != c.size)
        return refuse_entry(in, e, "stored entry with two different sizes");
    return read_local(in, d, &c, e);
}

static int compare_places(const void *a, const void *b)
{
    const struct zip_entry *x = a, *y = b;
    return (x->header > y->header) - (x->header < y->header);
}

static int compare_names(const void *a, const void *b)
{
    const struct zip_entry *x = a, *y = b;
    const size_t n = x->name_size < y->name_size ? x->name_size : y->name_size;
    const int order = memcmp(x->name, y->name, n);
    return order ? order : (x->name_size > y->name_size) - (x->name_size < y->name_size);
}

static enum rwkv7_status check_entries(const struct file_image *in, struct zip *zip)
{
    struct zip_entry *e = zip->entries;
    qsort(e, zip->count, sizeof *e, compare_places);
    if (zip->count > 0 && e[0].header != in->bytes)
        return refuse(in, "ZIP: expected the first entry at byte 0, found it at byte %zu",
                      (size_t)(e[0].header - in->bytes));
    for (size_t i = 1; i < zip->count; i++)
        if (e[i].header < e[i - 1].data + e[i - 1].size)
            return refuse_entry(in, &e[i], "begins inside another entry");
    qsort(e, zip->count, sizeof *e, compare_names);
    for (size_t i = 1; i < zip->count; i++)
        if (compare_names(&e[i - 1], &e[i]) == 0)
            return refuse_entry(in, &e[i], "duplicate name");
    return RWKV7_OK;
}

enum rwkv7_status zip_open(const struct file_image *in, struct zip *out)
{
    struct directory d = {0};
    size_t at = 0, used = 0;

    memset(out, 0, sizeof *out);
    enum rwkv7_status status = read_end(in, &d);
    if (status != RWKV7_OK)
        return status;
    out->entries = mem_alloc((size_t)d.count, sizeof *out->entries);
    out->directory = mem_string((const char *)in->bytes + d.begin, d.size);
    if (!out->entries || !out->directory)
        status = fail_memory(in->err, "the entries of an archive");
    for (; out->count < d.count && status == RWKV7_OK; at += used, used = 0)
        status = read_entry(in, &d, out->directory, at, &out->entries[out->count++], &used);
    if (status == RWKV7_OK && at != d.size)
        status = refuse(in, "ZIP: expected %zu entries in the central directory, found more", out->count);
    if (status == RWKV7_OK)
        status = check_entries(in, out);
    if (status != RWKV7_OK)
        zip_close(out);
    return status;
}

void zip_close(struct zip *zip)
{
    mem_free(zip->entries);
    mem_free(zip->directory);
    memset(zip, 0, sizeof *zip);
}

const struct zip_entry *zip_find(const struct zip *zip, const char *name, size_t size)
{
    const struct zip_entry key = {.name = name, .name_size = size};
    return zip->count ? bsearch(&key, zip->entries, zip->count, sizeof key, compare_names) : NULL;
}
