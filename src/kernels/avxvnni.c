/* avxvnni.c - the tier avxvnni: the kernels of lanes_quants.h, with VNNI in ymm registers. */
#include "kernels/lanes_avx2.h"

#include "kernels/dots_avxvnni.h"

#include "kernels/quads_avx2.h"

#include "kernels/lanes_quants.h"

void kernels_init_avxvnni(struct kernels *k)
{
    quants_init(k);
}
