/* table.h - growing arrays and hashes, for the tables of regex.c and automaton_store.c. */
#ifndef MATCHER_TABLE_H
#define MATCHER_TABLE_H

#include <stddef.h>
#include <stdint.h>

/* Adds x to the hash h. */
static inline uint32_t table_mix(uint32_t h, uint32_t x)
{
    h = (h ^ x) * 0x9e3779b1u;
    return h ^ h >> 15;
}

enum table_status { TABLE_OK, TABLE_LIMIT, TABLE_MEMORY };
/*
 * Makes room for `wanted` elements of `size` bytes in *table [*room], at least doubling it.
 * TABLE_LIMIT: more than `limit`; TABLE_MEMORY: out of memory. On failure, the table is unchanged.
 */
enum table_status table_reserve(void **table, uint32_t *room, uint32_t wanted, uint32_t limit, size_t size);

#endif
