/* avx512.c - the kernels of lanes.h in the registers of lanes_avx512.h. */
#include "kernels/lanes_avx512.h"

#include "kernels/lanes.h"
