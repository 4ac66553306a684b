/* dotprod.c - the tier dotprod: the kernels of lanes_quants.h, with the dot product of Arm. */
#include "kernels/lanes_neon.h"

#include "kernels/dots_dotprod.h"

#include "kernels/lanes_quants.h"

void kernels_init_dotprod(struct kernels *k)
{
    quants_init(k);
}
