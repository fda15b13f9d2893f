#pragma STDC FP_CONTRACT OFF

// Codes to bf16 where the processor rounds to it.

#if defined(__x86_64__)

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi,avx512bf16")))
#define NORMALS(first, second) (__m512i)_mm512_cvtne2ps_pbh(second, first)
#include "affine_bf16.h"

void ck_fill_avx512bf16_floats(ck_kernels *table) {
  table->affine_run_bf16 = affine_run_bf16;
  table->added_run_bf16 = added_run_bf16;
}

#endif
