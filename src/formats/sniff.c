/* sniff.c - see sniff.h. */
#include "formats/sniff.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <utf8proc.h>

#include "formats/snippet.h"

/* Known formats that start with fixed bytes. */
static const struct magic {
    const char *bytes;
    size_t length;
    const char *found;
} magics[] = {
    {"fmgg", 4, "a ggml file of rwkv.cpp, which is not supported"}, /* "ggmf" in little-endian order */
    {"lmgg", 4, "a ggml file, which is not supported"},
    {"tjgg", 4, "a ggml file, which is not supported"},
    {"algg", 4, "a ggml adapter, which is not supported"},
    {"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 14,
     "a PyTorch checkpoint in the format used before 2020; load and save it again with a current PyTorch"},
    {"\x80\x02", 2, "a bare Python pickle, not a .pth archive"},
    {"\x80\x03", 2, "a bare Python pickle, not a .pth archive"},
    {"\x80\x04", 2, "a bare Python pickle, not a .pth archive"},
    {"\x80\x05", 2, "a bare Python pickle, not a .pth archive"},
    {"PK\5\6", 4, "an empty ZIP archive"},
    {"\x1f\x8b", 2, "a gzip archive; unpack it first"},
    {"\x28\xb5\x2f\xfd", 4, "a zstd archive; unpack it first"},
    {"\xfd\x37zXZ\0", 6, "an xz archive; unpack it first"},
    {"BZh", 3, "a bzip2 archive; unpack it first"},
    {"7z\xbc\xaf\x27\x1c", 6, "a 7-Zip archive; unpack it first"},
    {"\x93NUMPY", 6, "a NumPy array (.npy), which is not supported"},
    {"\x89HDF\r\n\x1a\n", 8, "an HDF5 file, which is not supported"},
    {"RWKV7ST", 8, "a saved state, not a model"},
    {"\177ELF", 4, "a program, not a model"},
    {"%PDF-", 5, "a PDF document, not a model"},
    {"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16, "zeros, probably an incomplete download"},
};

static bool starts_with(const uint8_t *data, size_t size, const char *bytes, size_t length)
{
    return size >= length && memcmp(data, bytes, length) == 0;
}

static const char *find_magic(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++)
        if (starts_with(data, size, magics[i].bytes, magics[i].length))
            return magics[i].found;
    return NULL;
}

/*
 * Whether the file is a Git LFS pointer, which Git checks out instead of a large file if its LFS
 * extension is not installed. It has three lines: `version URL`, `oid sha256:...`, `size N`.
 * *stands_for is N.
 */
static bool is_lfs_pointer(const uint8_t *data, size_t size, unsigned long long *stands_for)
{
    static const char version[] = "version https://git-lfs.github.com/spec/";
    char text[512];
    if (!starts_with(data, size, version, sizeof version - 1))
        return false;
    snprintf(text, sizeof text, "%.*s", (int)(size < sizeof text ? size : sizeof text - 1), (const char *)data);
    const char *line = strstr(text, "\nsize ");
    *stands_for = line ? strtoull(line + strlen("\nsize "), NULL, 10) : 0;
    return true;
}

/* Whether the first 512 bytes are UTF-8 without control characters. */
static bool is_text(const uint8_t *data, size_t size)
{
    const size_t looked = size < 512 ? size : 512;
    size_t at = 0;
    while (at < looked) {
        utf8proc_int32_t c;
        const utf8proc_ssize_t n = utf8proc_iterate(data + at, (utf8proc_ssize_t)(size - at), &c);
        if (n <= 0 || (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f)
            return false;
        at += (size_t)n;
    }
    return size > 0;
}

/* Whether the text starts like the first line of a vocabulary: `ID 'literal' LENGTH`. */
static bool is_vocabulary(const uint8_t *data, size_t size)
{
    size_t at = 0;
    while (at < size && data[at] >= '0' && data[at] <= '9')
        at++;
    if (at == 0 || at == size || data[at++] != ' ')
        return false;
    if (at < size && data[at] == 'b')
        at++;
    return at < size && (data[at] == '\'' || data[at] == '"');
}

static bool is_html(const uint8_t *text, size_t size)
{
    static const char *const starts[] = {"<!doctype", "<html", "<?xml", "<head", "<body", "<error"};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
        if (size >= strlen(starts[i]) && strncasecmp((const char *)text, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

static const char *find_text(const uint8_t *data, size_t size)
{
    if (!is_text(data, size))
        return NULL;
    if (starts_with(data, size, "\xef\xbb\xbf", 3)) {
        data += 3;
        size -= 3;
    }
    while (size > 0 && (*data == ' ' || *data == '\t' || *data == '\r' || *data == '\n')) {
        data++;
        size--;
    }
    if (is_html(data, size))
        return "a web page, probably an error or login page of the download site";
    if (size > 0 && (*data == '{' || *data == '['))
        return "JSON text; give the folder, the .safetensors file, or the *.safetensors.index.json";
    if (is_vocabulary(data, size))
        return "a vocabulary, not a model";
    return "";
}

enum rwkv7_status sniff(const uint8_t *data, size_t size, const char *file, struct rwkv7_error *err)
{
    const struct snippet path = snippet_path(file);
    unsigned long long stands_for;
    const char *found;

    if (size == 0)
        return fail(err, RWKV7_ERR_MODEL, "%s: expected a checkpoint, found an empty file", path.text);
    if (is_lfs_pointer(data, size, &stands_for))
        return fail(
            err, RWKV7_ERR_MODEL,
            "%s: expected a checkpoint, found a Git LFS pointer to a file of %llu bytes; fetch it with `git lfs pull`",
            path.text, stands_for);
    if ((found = find_magic(data, size)) == NULL)
        found = find_text(data, size);
    if (!found)
        return RWKV7_OK;
    if (*found)
        return fail(err, RWKV7_ERR_MODEL, "%s: expected a checkpoint, found %s", path.text, found);
    return fail(err, RWKV7_ERR_MODEL, "%s: expected a checkpoint, found plain text: '%s'", path.text,
                snippet_text(data, size, 48).text);
}
