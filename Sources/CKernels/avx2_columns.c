#pragma STDC FP_CONTRACT OFF

// Matrices column by column, eight rows at a time.

#if defined(__x86_64__)

// Without FMA, so that nothing can be fused.
#define TARGET __attribute__((target("avx2")))
#define LANES 8
#include "columns.h"

void ck_fill_avx2_columns(ck_kernels *table) { FILL_COLUMNS(table); }

#endif
