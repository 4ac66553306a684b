/*
 * zip.h - the entries of a ZIP archive in which nothing is compressed: each is a piece of the mapped file.
 *
 * Read is the central directory at the end, as the format wants it; every entry of it must agree with the header in
 * front of its data. Archives over 4 GiB (ZIP64), sizes that follow the data (data descriptors) and entries in any order
 * are usual. Compressed and encrypted entries, several disks, anything before the first entry or behind the end record,
 * names that occur twice or lead out of a folder, and entries that share bytes are refused. Checksums are not verified:
 * that would read every byte of the file.
 *
 * The directory is copied before it is read, because a file that is mapped can change meanwhile.
 */
#ifndef FORMATS_ZIP_H
#define FORMATS_ZIP_H

#include "formats/reader.h"

struct zip_entry {
    const char *name; /* [name_size] in the copy of the directory, without a NUL */
    size_t name_size;
    const uint8_t *header; /* where its local header begins */
    const uint8_t *data;   /* [size] */
    size_t size;
};

struct zip {
    struct zip_entry *entries; /* [count], sorted by name (bytes, then length) */
    size_t count;
    char *directory; /* the copy */
};

/* The data of entries lie in the image. *out is empty after an error. */
enum rwkv7_status zip_open(const struct file_image *in, struct zip *out);
void zip_close(struct zip *zip); /* harmless on a zeroed struct */

/* NULL when there is none of that name. */
const struct zip_entry *zip_find(const struct zip *zip, const char *name, size_t size);

#endif
