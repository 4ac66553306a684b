/*
 * integer_types.h - the list of integer types that weights may be quantized to. Each type is one
 * row. Everything that names or numbers the types is generated from this list (kernels/kernels.h
 * and types.h, formats/tensors.h and packed.c, src/cli). The list is in base because these layers
 * do not include each other. docs/ADDING.md lists what else a new type needs.
 */
#ifndef BASE_INTEGER_TYPES_H
#define BASE_INTEGER_TYPES_H

/*
 * X(NAME, name, bits, s_bits, s_low, s_high): bits of a number, bits of a sub-block scale (0: the
 * type has none, and s is 1), and the valid range of sub-block scales. The order is that of the
 * integer types in rwkv7.h; weights/model.h asserts this. New types go at the end.
 */
#define INTEGER_TYPES(X)     \
    X(Q8, q8, 8, 0, 1, 1)    \
    X(Q4, q4, 4, 8, -15, 15) \
    X(Q6, q6, 6, 2, 1, 4)

/* INTEGER_Q8 and so on: the index of a type in the list. */
#define INTEGER_TYPE(NAME, ...) INTEGER_##NAME,
enum integer_type { INTEGER_TYPES(INTEGER_TYPE) INTEGER_TYPE_COUNT };
#undef INTEGER_TYPE

/*
 * Kernels compute the products of a group in 8 bits: s * q must fit for every valid s and every q
 * of `bits` bits. The sub-block scales of 16 rows are packed without gaps (kernels/types.c).
 */
#define INTEGER_TYPE(NAME, name, bits, s_bits, s_low, s_high)                                               \
    _Static_assert((s_high) * (1 << ((bits)-1)) <= 128 && -(s_low) * (1 << ((bits)-1)) <= 127, "s * q");    \
    _Static_assert((s_bits) == 0 || (s_bits) == 1 || (s_bits) == 2 || (s_bits) == 4 || (s_bits) == 8, "s"); \
    _Static_assert((s_bits) == 8 ? (s_low) >= -128 && (s_high) <= 127 : (s_high) - (s_low) < 1 << (s_bits), \
                   "the range of a sub-block scale must fit its bits");
INTEGER_TYPES(INTEGER_TYPE)
#undef INTEGER_TYPE

#endif
