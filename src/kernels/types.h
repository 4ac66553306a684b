/*
 * types.h - the table of weight types: one row says all that other code needs to know of a type.
 *
 * Only fast kernels are written for a type by name (quants.h says how they find its numbers); everything else (the reference,
 * loading, converting, printing, checking, tests) asks the table, which is made of the list in base/integer_types.h and of five
 * functions per type. docs/ADDING.md says how to add a type.
 */
#ifndef KERNELS_TYPES_H
#define KERNELS_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

#define QUANT_ROWS 16    /* rows of a tile */
#define QUANT_GROUP 32   /* columns that share a sub-block scale, and a sum of the vector */
#define QUANT_BLOCK 256  /* columns that share a scale */
#define QUANT_PAD 64     /* columns are padded to a multiple of this */
#define QUANT_SECTION 64 /* rows of a column-major matrix are padded to a multiple of this */

/* The integers of 16 rows and 32 columns, in the order in which they are multiplied: [column / 4][row][column % 4]. */
typedef int8_t quant_group[QUANT_GROUP * QUANT_ROWS];
static inline int quant_group_at(int row, int column)
{
    return (column / 4 * QUANT_ROWS + row) * 4 + column % 4;
}

#define QUANT_SCALE_NAN 0x7fc0 /* the scale of a block with a number that no integer stands for */

/* What a type's quantize makes of 16 rows of one block. */
struct quant_block {
    uint16_t scale[QUANT_ROWS];                      /* upper halves of float32 */
    int8_t s[QUANT_BLOCK / QUANT_GROUP][QUANT_ROWS]; /* sub-block scales, where the type has them */
    int8_t q[QUANT_BLOCK][QUANT_ROWS];
};

/* A row. Floats have a name and bits alone. */
struct weight_type {
    const char *name;
    int bits;          /* of a number */
    int s_bits;        /* of a sub-block scale; 0: the type has none */
    int s_low, s_high; /* the valid sub-block scales; s * q fits 8 bits for all of them */

    /* A group of a tile and its integers. */
    void (*unpack_group)(quant_group q, const uint8_t *group);
    void (*pack_group)(uint8_t *group, const quant_group q);
    /* 64 rows of a column; and 16 of them, rows 16 `part` .., whose bytes belong to no other part. */
    void (*unpack_section)(int8_t q[QUANT_SECTION], const uint8_t *section);
    void (*pack_rows)(uint8_t *section, int part, const int8_t q[QUANT_ROWS]);
    /*
     * One block of 16 rows: w [columns][16], finite, columns <= QUANT_BLOCK and a multiple of QUANT_GROUP. Defined to the bit: single
     * float32 operations, sums in the order of the columns.
     */
    void (*quantize)(const struct kernels *k, const float (*w)[QUANT_ROWS], int columns, struct quant_block *out);
};

/* The functions of the types of integers (types.c): unpack_group_q8 and so on. */
#define WEIGHT_TYPE_FUNCTIONS(NAME, name, ...)                                     \
    void unpack_group_##name(quant_group q, const uint8_t *group);                 \
    void pack_group_##name(uint8_t *group, const quant_group q);                   \
    void unpack_section_##name(int8_t q[QUANT_SECTION], const uint8_t *section);   \
    void pack_rows_##name(uint8_t *section, int part, const int8_t q[QUANT_ROWS]); \
    void quantize_##name(const struct kernels *k, const float(*w)[QUANT_ROWS], int columns, struct quant_block *out);
INTEGER_TYPES(WEIGHT_TYPE_FUNCTIONS)
#undef WEIGHT_TYPE_FUNCTIONS

/* In the header, so that kernels, whose type is a constant, find constants in it. */
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
 * The sub-block scales of 16 rows, QUANT_ROWS * s_bits / 8 bytes: in 8 bits as they are, in fewer s - s_low, the first row in the
 * lowest bits. Of a type without any they are 1 and take no bytes.
 */
void quant_unpack_s(enum mat_type type, int8_t s[QUANT_ROWS], const uint8_t *from);
void quant_pack_s(enum mat_type type, uint8_t *to, const int8_t s[QUANT_ROWS]);

/* The type of the matrices that fewer bits would hurt most, whatever the others are. */
#define MAT_FINE MAT_Q8

/* Whether the bytes of a file can hold a sub-block scale that is not valid. */
static inline bool type_has_invalid_s(enum mat_type type)
{
    return weight_types[type].s_high - weight_types[type].s_low + 1 < 1 << weight_types[type].s_bits;
}

#endif
