/*
 * sys.h - what differs between operating systems: clock, file mapping, memory. Processors are in cpus.h.
 */
#ifndef BASE_SYS_H
#define BASE_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

/* Monotonic time in seconds. */
double sys_seconds(void);

/* A read-only private mapping of a regular file. */
struct file_map {
    const uint8_t *data; /* [size]; NULL when size is 0 */
    size_t size;
    struct input_file *input; /* what keeps outputs away from it; NULL: nothing does */
};

/*
 * Maps a whole file, which is an input (base/inputs.h) until it is closed. A folder, a FIFO, a device, a file that cannot be opened:
 * RWKV7_ERR_IO that names it and says what it is.
 */
enum rwkv7_status file_map_open(const char *path, struct file_map *out, struct rwkv7_error *err);
/* The same for a state, which is copied at once: others may replace it at any time, by a whole one. */
enum rwkv7_status file_map_open_replaceable(const char *path, struct file_map *out, struct rwkv7_error *err);
void file_map_close(struct file_map *map);
/* The pages of [data, data + size) will not be needed soon: they leave the resident memory, and stay in the page cache. */
void file_map_release(const void *data, size_t size);
/* All of this part will be read now: the system should begin, where it is not in memory. Advice, no more. */
void file_map_wanted(const void *data, size_t size);
/* Little will be read of this part, here and there: the system need not read ahead. Advice, no more. */
void file_map_sparse(const void *data, size_t size);

bool path_is_folder(const char *path);
bool path_exists(const char *path);
bool path_is_named(const char *path); /* the same, or a link to nothing */

/* Memory of the machine in bytes; 0 when unknown. */
uint64_t sys_physical_memory(void);
/* The largest resident memory of this process so far, in bytes, mapped file pages included; 0 when unknown. */
uint64_t sys_peak_memory(void);
/* Asks for the tile registers of AMX, which Linux gives to a process on request; false when it may not use them. */
bool sys_allow_tiles(void);
/* Keeps the pages of [data, data + size) resident, bringing them in first; false, with errno, when that is not allowed. */
bool sys_lock(const void *data, size_t size);
/* Whether a limit on the address space of this process (ulimit -v) leaves room for `size` more bytes. */
bool sys_address_space(size_t size);
/* Address space of `size` bytes that is backed lazily, with huge pages advised; NULL when out of memory. */
void *sys_pages_alloc(size_t size);
void sys_pages_free(void *p, size_t size);

#endif
