#pragma STDC FP_CONTRACT OFF

// Matrices column by column, sixteen rows at a time.

#if defined(__x86_64__)

#define TARGET __attribute__((target("avx512f,avx512bw")))
#define LANES 16
#include "columns.h"

void ck_fill_avx512_columns(ck_kernels *table) { FILL_COLUMNS(table); }

#endif
