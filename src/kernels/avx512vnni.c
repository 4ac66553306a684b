/* avx512vnni.c - the tier avx512vnni: the kernels of lanes_quants.h, with VNNI in zmm registers. */
#include "kernels/lanes_avx512.h"

#include "kernels/dots_avx512vnni.h"

#include "kernels/quads_avx512.h"

#include "kernels/lanes_quants.h"

void kernels_init_avx512vnni(struct kernels *k)
{
    quants_init(k);
}
