#pragma STDC FP_CONTRACT OFF

// The loops of models with AVX2.

#if defined(__x86_64__)

#define TARGET __attribute__((target("avx2,f16c")))
#define FILL ck_fill_avx2_compute

#include "compute_loops.h"

#endif
