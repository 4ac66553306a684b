/*
 * types.h - the table of weight types; one row describes one type.
 *
 * Only the fast kernels are written per type (the formats are in quants.h). All other code uses
 * this table: the reference kernels, loading, converting, printing, checking, tests. The table is
 * generated from the list in base/integer_types.h and five functions per type. docs/ADDING.md
 * explains how to add a type.
 */
#ifndef KERNELS_TYPES_H
#define KERNELS_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

#define QUANT_ROWS 16    /* rows of a tile */
#define QUANT_GROUP 32   /* columns that share a sub-block scale and a sum of the vector */
#define QUANT_BLOCK 256  /* columns that share a scale */
#define QUANT_PAD 64     /* columns are padded to a multiple of this */
#define QUANT_SECTION 64 /* rows of a column-major matrix are padded to a multiple of this */

/*
 * The integers of 16 rows and 32 columns, in the order of multiplication: [column / 4][row][column
 * % 4].
 */
typedef int8_t quant_group[QUANT_GROUP * QUANT_ROWS];
static inline int quant_group_at(int row, int column)
{
    return (column / 4 * QUANT_ROWS + row) * 4 + column % 4;
}

#define QUANT_SCALE_NAN 0x7fc0 /* of a block with a NaN, an infinity or an overflow */

/* The result of quantizing one block of 16 rows. */
struct quant_block {
    uint16_t scale[QUANT_ROWS];                      /* bfloat16 */
    int8_t s[QUANT_BLOCK / QUANT_GROUP][QUANT_ROWS]; /* sub-block scales, if the type has them */
    int8_t q[QUANT_ROWS][QUANT_BLOCK];
};

/* A row of the table. The floating-point types have only name and bits. */
struct weight_type {
    const char *name;
    int bits;          /* per weight */
    int s_bits;        /* per sub-block scale; 0: the type has none */
    int s_low, s_high; /* valid range of s; s * q fits 8 bits for all of it */

    /* Convert one group of a tile (quants.h) to and from integers. */
    void (*unpack_group)(quant_group q, const uint8_t *group);
    void (*pack_group)(uint8_t *group, const quant_group q);
    /*
     * Column-major: unpack_section converts 64 rows of a column to integers; pack_rows packs 16 of
     * them, rows 16 * part onwards. No two parts share a byte.
     */
    void (*unpack_section)(int8_t q[QUANT_SECTION], const uint8_t *section);
    void (*pack_rows)(uint8_t *section, int part, const int8_t q[QUANT_ROWS]);
    /*
     * Quantizes one block of 16 rows. Row r begins at w[r * stride], and peaks[r] is its largest
     * magnitude; all elements are finite. columns is a multiple of QUANT_GROUP, at most
     * QUANT_BLOCK. The result is defined to the bit: single float32 operations, sums in the order
     * of the columns.
     */
    void (*quantize)(const struct kernels *k, const float *w, size_t stride, int columns, const float peaks[QUANT_ROWS],
                     struct quant_block *out);
};

/* Declares the functions of each quantized type (types.c): unpack_group_q8 and so on. */
#define WEIGHT_TYPE_FUNCTIONS(NAME, name, ...)                                                \
    void unpack_group_##name(quant_group q, const uint8_t *group);                            \
    void pack_group_##name(uint8_t *group, const quant_group q);                              \
    void unpack_section_##name(int8_t q[QUANT_SECTION], const uint8_t *section);              \
    void pack_rows_##name(uint8_t *section, int part, const int8_t q[QUANT_ROWS]);            \
    void quantize_##name(const struct kernels *k, const float *w, size_t stride, int columns, \
                         const float peaks[QUANT_ROWS], struct quant_block *out);
INTEGER_TYPES(WEIGHT_TYPE_FUNCTIONS)
#undef WEIGHT_TYPE_FUNCTIONS

/* The table is in the header so that kernels, whose type is a constant, get constants from it. */
#define WEIGHT_TYPE(NAME, name, ...)                                                                                  \
    [MAT_##NAME] = {                                                                                                  \
        #name,          __VA_ARGS__, unpack_group_##name, pack_group_##name, unpack_section_##name, pack_rows_##name, \
        quantize_##name},
static const struct weight_type weight_types[MAT_TYPES] = {
    [MAT_F32] = {.name = "f32", .bits = 32},
    [MAT_F16] = {.name = "f16", .bits = 16},
    [MAT_BF16] = {.name = "bf16", .bits = 16},
    INTEGER_TYPES(WEIGHT_TYPE) /* [MAT_Q8] = {"q8", ...}, ... */
};
#undef WEIGHT_TYPE

/*
 * Unpack and pack the sub-block scales of 16 rows: QUANT_ROWS * s_bits / 8 bytes. With 8 bits, s is
 * stored as it is; with fewer, as s - s_low, the first row in the lowest bits. If the type has
 * none, s is 1.
 */
void quant_unpack_s(enum mat_type type, int8_t s[QUANT_ROWS], const uint8_t *from);
void quant_pack_s(enum mat_type type, uint8_t *to, const int8_t s[QUANT_ROWS]);

/*
 * The type of the matrices that are most sensitive to quantization, whatever the type of the
 * others.
 */
#define MAT_FINE MAT_Q8

/* Returns whether a file of this type can contain an invalid sub-block scale. */
static inline bool type_has_invalid_s(enum mat_type type)
{
    return weight_types[type].s_high - weight_types[type].s_low + 1 < 1 << weight_types[type].s_bits;
}

#endif
