#pragma STDC FP_CONTRACT OFF

// Groups rounded as AWQ does, on any processor.

#define TARGET
#include "awq_groups.h"

void ck_fill_plain_awq(ck_kernels *table) { table->awq_groups = awq_groups; }
