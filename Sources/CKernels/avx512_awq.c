#pragma STDC FP_CONTRACT OFF

// Groups rounded as AWQ does, in the vectors of avx512.

#if defined(__x86_64__)

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl")))
#include "awq_groups.h"

void ck_fill_avx512_awq(ck_kernels *table) { table->awq_groups = awq_groups; }

#endif
