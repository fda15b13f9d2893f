#pragma STDC FP_CONTRACT OFF

// Codes to numbers of two bytes, 32 at a time.

#if defined(__x86_64__)

#define TARGET AVX512
#define NORMALS(first, second) rounded(first, second)
#include "affine_bf16.h"

// Of an index the lowest five bits count; the table is there twice, so that only four do.
AVX512 static void lookup_halves(const void *codes, const void *tables, void *target, size_t count,
                                 size_t group) {
  const uint8_t *from = codes, *table = tables;
  uint8_t *to = target;
  for (size_t start = 0; start < count; table += 32) {
    const size_t end = start + smaller(group, count - start);
    const __m512i values = _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)table));
    size_t i = start;
    for (; i + 32 <= end; i += 32) {
      const __m512i index = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const void *)(from + i)));
      _mm512_storeu_si512(to + 2 * i, _mm512_permutexvar_epi16(index, values));
    }
    if (i < end) {
      const __mmask32 mask = first_halves(end - i);
      const __m512i index = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(mask, from + i));
      _mm512_mask_storeu_epi16(to + 2 * i, mask, _mm512_permutexvar_epi16(index, values));
    }
    start = end;
  }
}

void ck_fill_avx512_floats(ck_kernels *table) {
  table->affine_run_bf16 = affine_run_bf16;
  table->added_run_bf16 = added_run_bf16;
  table->lookup_halves = lookup_halves;
}

#endif
