/* avx512.c - the tier avx512: all kernels of lanes.h and lanes_quants.h, in zmm registers. */
#include "kernels/lanes_avx512.h"

#include "kernels/dots_avx512.h"

#include "kernels/quads_avx512.h"

#include "kernels/lanes.h"

#include "kernels/lanes_quants.h"

void kernels_init_avx512(struct kernels *k)
{
    lanes_init(k);
    quants_init(k);
}
