#pragma STDC FP_CONTRACT OFF

// Groups rounded as AWQ does, in the vectors of avx2.

#if defined(__x86_64__)

#define TARGET __attribute__((target("avx2")))
#include "awq_groups.h"

void ck_fill_avx2_awq(ck_kernels *table) { table->awq_groups = awq_groups; }

#endif
