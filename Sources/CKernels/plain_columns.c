#pragma STDC FP_CONTRACT OFF

// Matrices column by column, in vectors that the compiler takes apart where there are none.

#define TARGET
#define LANES 4
#include "columns.h"

void ck_fill_plain_columns(ck_kernels *table) { FILL_COLUMNS(table); }
