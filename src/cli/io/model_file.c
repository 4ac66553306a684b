/* model_file.c - see model_file.h. */
#include "cli/io/model_file.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Checks for a safetensors header: 8 bytes with the size of the JSON object that follows. */
static bool is_safetensors(const unsigned char *begin, size_t size, uint64_t file_size)
{
    uint64_t header = 0;
    if (size < 9 || begin[8] != '{')
        return false;
    for (int i = 7; i >= 0; i--)
        header = header << 8 | begin[i];
    return header >= 2 && header <= file_size - 8;
}

/*
 * Checks for a ZIP file whose first member is NAME/data.pkl. Bytes 26 and 27 are the length of its
 * name, which begins at byte 30.
 */
static bool is_pytorch(const unsigned char *begin, size_t size)
{
    static const char member[] = "/data.pkl";
    const size_t n = sizeof member - 1;
    if (size < 30 || memcmp(begin, "PK\3\4", 4) != 0)
        return false;
    const size_t name_end = 30 + (begin[26] | (size_t)begin[27] << 8);
    return name_end >= 30 + n && name_end <= size && memcmp(begin + name_end - n, member, n) == 0;
}

bool is_model_file(const char *path)
{
    unsigned char begin[512];
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    const ssize_t got = read(fd, begin, sizeof begin);
    close(fd);
    const size_t size = got > 0 ? (size_t)got : 0;
    return (size >= 4 && memcmp(begin, "GGUF", 4) == 0) || is_safetensors(begin, size, (uint64_t)st.st_size) ||
           is_pytorch(begin, size);
}
