#pragma STDC FP_CONTRACT OFF

// Products of packed matrices and signed bytes by AVX-VNNI, in vectors of 256 bits.

#include "avx2.h"

#if defined(__x86_64__)

#define TARGET __attribute__((target("avx2,f16c,fma,avxvnni")))
#define BYTE_DOT(sum, codes, bits, input) _mm256_dpbusd_avx_epi32(sum, codes, input)
#include "packed_avx2.h"

void ck_fill_avxvnni_packed(ck_kernels *table) { table->packed_dot_s8 = packed_dot_s8; }

#endif
