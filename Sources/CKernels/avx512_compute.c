#pragma STDC FP_CONTRACT OFF

// The loops of models with AVX-512.

#if defined(__x86_64__)

#define TARGET __attribute__((target("avx512f,avx512bw")))
#define FILL ck_fill_avx512_compute

#include "compute_loops.h"

#endif
