/* sys.h - operating system functions: clock, file mapping, memory. Processors are in cpus.h. */
#ifndef BASE_SYS_H
#define BASE_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

/* Returns the monotonic time in seconds. */
double sys_seconds(void);

/* A read-only private mapping of a regular file. */
struct file_map {
    const uint8_t *data; /* [size]; NULL when size is 0 */
    size_t size;
    struct input_file
        *input; /* registration that protects the file from being overwritten (base/inputs.h); NULL: none */
};

/*
 * Maps a whole file. The file is registered as an input (base/inputs.h) until it is closed.
 * RWKV7_ERR_IO for a folder, FIFO or device and for a file that cannot be opened; the message names
 * the kind.
 */
enum rwkv7_status file_map_open(const char *path, struct file_map *out, struct rwkv7_error *err);
/*
 * The same for a state file, without registering it as an input: the caller copies the contents
 * immediately, so this or another process may replace the file (by renaming) at any time.
 */
enum rwkv7_status file_map_open_replaceable(const char *path, struct file_map *out, struct rwkv7_error *err);
void file_map_close(struct file_map *map);
/*
 * Removes the pages inside [data, data + size) from the resident memory; they stay in the page
 * cache.
 */
void file_map_release(const void *data, size_t size);
/* Advises the system to start reading the range, which will be needed soon. */
void file_map_wanted(const void *data, size_t size);
/*
 * Advises the system not to read ahead, because only scattered parts of the range will be needed.
 */
void file_map_sparse(const void *data, size_t size);

bool path_is_folder(const char *path);
bool path_exists(const char *path);
bool path_is_named(const char *path); /* Whether the path exists, including a dangling link. */

/* Returns the physical memory in bytes; 0 if unknown. */
uint64_t sys_physical_memory(void);
/*
 * Returns the peak resident memory of this process in bytes, including mapped file pages; 0 if
 * unknown.
 */
uint64_t sys_peak_memory(void);
/*
 * Requests the AMX tile registers, which Linux grants per process; returns false if they are not
 * available.
 */
bool sys_allow_tiles(void);
/*
 * Locks the pages of [data, data + size) in memory, reading them first; returns false and sets
 * errno on failure.
 */
bool sys_lock(const void *data, size_t size);
/* Whether the limit on the address space of this process (ulimit -v) allows `size` more bytes. */
bool sys_address_space(size_t size);
/*
 * Allocates address space whose pages are backed when they are first used, with huge pages advised;
 * NULL when out of memory.
 */
void *sys_pages_alloc(size_t size);
void sys_pages_free(void *p, size_t size);

#endif
