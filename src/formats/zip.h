/*
 * zip.h - reads the directory of a ZIP archive without compression; each entry is a byte range of
 * the mapped file.
 *
 * The central directory at the end of the file is read, and each entry must agree with its local
 * header. Supported: archives over 4 GiB (ZIP64), sizes after the data (data descriptors), entries
 * in any order. Rejected: compressed and encrypted entries, split archives, bytes before the first
 * entry or after the end record, duplicate names, names that leave their folder, and overlapping
 * entries. Checksums are not verified, because that would read the whole file.
 *
 * The directory is copied before it is parsed, because another process may change a mapped file.
 */
#ifndef FORMATS_ZIP_H
#define FORMATS_ZIP_H

#include "formats/reader.h"

struct zip_entry {
    const char *name; /* [name_size] in the copy of the directory; not NUL-terminated */
    size_t name_size;
    const uint8_t *header; /* its local header */
    const uint8_t *data;   /* [size] */
    size_t size;
};

struct zip {
    struct zip_entry *entries; /* [count], sorted by name (bytes, then length) */
    size_t count;
    char *directory; /* the copy of the central directory */
};

/*
 * Reads the directory. The data of the entries point into the image. *out is empty after an error.
 */
enum rwkv7_status zip_open(const struct file_image *in, struct zip *out);
void zip_close(struct zip *zip); /* harmless on a zeroed struct */

/* Finds an entry by name; NULL if there is none. */
const struct zip_entry *zip_find(const struct zip *zip, const char *name, size_t size);

#endif
