/*
 * amx_tiles.h - how the eight tile registers of AMX are used, by all who use them.
 *
 * A product is [vectors][rows] = [vectors][columns] x [columns][rows], in registers 2 x 2: 0 to 3 are the sums, of which 0 and 1
 * belong to the first 16 vectors; 4 and 5 are vectors; 6 and 7 are rows, several columns of 16 rows in each line.
 */
#ifndef KERNELS_AMX_TILES_H
#define KERNELS_AMX_TILES_H

#include <immintrin.h>
#include <stdint.h>

#define AMX_LINES 16 /* of 64 bytes in a tile */

/* The shapes of the registers, for tiles of 1 <= `vectors` <= 16. They end with _tile_release. */
static inline void amx_configure(int vectors)
{
    struct {
        uint8_t palette, start_line, reserved[14];
        uint16_t line_bytes[16];
        uint8_t lines[16];
    } config = {.palette = 1};
    _Static_assert(sizeof config == 64, "the layout that LDTILECFG reads");
    for (int i = 0; i < 8; i++) {
        config.line_bytes[i] = 64;
        config.lines[i] = (uint8_t)(i < 6 ? vectors : AMX_LINES);
    }
    /* The intrinsic of gcc 12 says that it reads 8 bytes, so the others might not be written before. */
    __asm__ volatile("" : "+m"(config));
    _tile_loadconfig(&config);
}

/* What was written to memory before will be seen by tile loads: gcc 12 does not say that they read memory at all. */
static inline void amx_written(void)
{
    __asm__ volatile("" ::: "memory");
}

#endif
