/*
 * amx_tiles.h - how the AMX kernels use the eight tile registers.
 *
 * A product is [vectors][rows] = [vectors][columns] x [columns][rows], in 2 x 2 tiles. Registers 0
 * to 3 hold the sums (0 and 1 for the first 16 vectors), 4 and 5 the vectors, 6 and 7 the rows. A
 * line of a row tile holds several columns of 16 rows.
 */
#ifndef KERNELS_AMX_TILES_H
#define KERNELS_AMX_TILES_H

#include <immintrin.h>
#include <stdint.h>

#define AMX_LINES 16 /* per tile, of 64 bytes each */

/*
 * Sets the shapes of the registers for tiles of 1 to 16 vectors. The caller must end with
 * _tile_release.
 */
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
    /* gcc 12 declares that the intrinsic reads only 8 bytes, so it could drop the other stores. */
    __asm__ volatile("" : "+m"(config));
    _tile_loadconfig(&config);
}

/*
 * Makes earlier stores visible to tile loads: gcc 12 does not declare that tile loads read memory.
 */
static inline void amx_written(void)
{
    __asm__ volatile("" ::: "memory");
}

#endif
