/* neon.c - the tier neon: all kernels of lanes.h and lanes_quants.h, in q registers. */
#include "kernels/lanes_neon.h"

#include "kernels/dots_neon.h"

#include "kernels/lanes.h"

#include "kernels/lanes_quants.h"

void kernels_init_neon(struct kernels *k)
{
    lanes_init(k);
    quants_init(k);
}
