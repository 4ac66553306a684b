/* neon.c - the kernels of lanes.h in the registers of lanes_neon.h. */
#include "kernels/lanes_neon.h"

#include "kernels/lanes.h"
