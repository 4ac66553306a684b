/* avx2.c - the kernels of lanes.h in the registers of lanes_avx2.h. */
#include "kernels/lanes_avx2.h"

#include "kernels/lanes.h"
