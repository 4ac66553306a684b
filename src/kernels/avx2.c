/* avx2.c - the tier avx2: all kernels of lanes.h and lanes_quants.h, in ymm registers. */
#include "kernels/lanes_avx2.h"

#include "kernels/dots_avx2.h"

#include "kernels/quads_avx2.h"

#include "kernels/lanes.h"

#include "kernels/lanes_quants.h"

void kernels_init_avx2(struct kernels *k)
{
    lanes_init(k);
    quants_init(k);
}
