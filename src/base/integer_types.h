/*
 * integer_types.h - the list of the types of integers that weights may be quantized to: one row each, from which everything follows that
 * names or numbers them (kernels/kernels.h and types.h, formats/tensors.h and packed.c, cli/args.h). It is here because those layers
 * do not include each other. docs/ADDING.md says what else a type needs.
 */
#ifndef BASE_INTEGER_TYPES_H
#define BASE_INTEGER_TYPES_H

/*
 * X(NAME, name, bits, s_bits, s_low, s_high): bits of a number and of a sub-block scale (0: the type has none, and s is 1), and the
 * valid sub-block scales. In the order of the types of integers in rwkv7.h, which model.h asserts: new ones go at the end.
 */
#define INTEGER_TYPES(X)     \
    X(Q8, q8, 8, 0, 1, 1)    \
    X(Q4, q4, 4, 8, -15, 15) \
    X(Q6, q6, 6, 2, 1, 4)

/* INTEGER_Q8 and so on: the number of a type in the list. */
#define INTEGER_TYPE(NAME, ...) INTEGER_##NAME,
enum integer_type { INTEGER_TYPES(INTEGER_TYPE) INTEGER_TYPE_COUNT };
#undef INTEGER_TYPE

/*
 * The products of a group are made in 8 bits: s * q must fit for every valid s and every q of so many bits. The sub-block scales of 16
 * rows are packed without gaps (kernels/types.c).
 */
#define INTEGER_TYPE(NAME, name, bits, s_bits, s_low, s_high)                                               \
    _Static_assert((s_high) * (1 << ((bits)-1)) <= 128 && -(s_low) * (1 << ((bits)-1)) <= 127, "s * q");    \
    _Static_assert((s_bits) == 0 || (s_bits) == 1 || (s_bits) == 2 || (s_bits) == 4 || (s_bits) == 8, "s"); \
    _Static_assert((s_bits) == 8 ? (s_low) >= -128 && (s_high) <= 127 : (s_high) - (s_low) < 1 << (s_bits), \
                   "a sub-block scale fits its bits");
INTEGER_TYPES(INTEGER_TYPE)
#undef INTEGER_TYPE

#endif
