#pragma STDC FP_CONTRACT OFF

// Products of int8 matrices by AVX-512 VNNI.

#include "avx2.h"

#if defined(__x86_64__)

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vnni")))
#define TILE_ROWS 12
#define TILE_COLUMNS 32
#include "vnni.h"

// Twelve rows by two vectors of columns stay in 24 of 32 registers.
TARGET static void tile(const operand *left, const operand *right, size_t depth, int32_t *sums,
                        size_t stride) {
  __m512i low[TILE_ROWS], high[TILE_ROWS];
  __m512i low_sum = _mm512_setzero_si512(), high_sum = low_sum;
  const __m512i shift = _mm512_set1_epi8((char)0x80);
  for (int row = 0; row < TILE_ROWS; row++) low[row] = high[row] = _mm512_setzero_si512();
  for (size_t k = 0; k < depth; k += UNIT) {
    const __m512i first = _mm512_loadu_si512(right);
    const __m512i second = _mm512_loadu_si512(right + 64);
    low_sum = _mm512_dpbusd_epi32(low_sum, shift, first);
    high_sum = _mm512_dpbusd_epi32(high_sum, shift, second);
#pragma GCC unroll 12
    for (int row = 0; row < TILE_ROWS; row++) {
      const __m512i value = _mm512_set1_epi32((int)load_u32(left + UNIT * row));
      low[row] = _mm512_dpbusd_epi32(low[row], value, first);
      high[row] = _mm512_dpbusd_epi32(high[row], value, second);
    }
    left += UNIT * TILE_ROWS;
    right += UNIT * TILE_COLUMNS;
  }
  for (int row = 0; row < TILE_ROWS; row++) {
    int32_t *target = sums + (size_t)row * stride;
    const __m512i a = _mm512_sub_epi32(low[row], low_sum);
    const __m512i b = _mm512_sub_epi32(high[row], high_sum);
    _mm512_storeu_si512(target, _mm512_add_epi32(_mm512_loadu_si512(target), a));
    _mm512_storeu_si512(target + 16, _mm512_add_epi32(_mm512_loadu_si512(target + 16), b));
  }
}

#include "int8_product.h"

static void int8_product(const void *a, size_t rows, const void *b, size_t columns, size_t depth,
                         int32_t *sums, size_t stride, void *scratch) {
  product(a, rows, b, columns, depth, sums, stride, scratch);
}

void ck_fill_avx512vnni_int8(ck_kernels *table) { table->int8_product = int8_product; }

#endif
