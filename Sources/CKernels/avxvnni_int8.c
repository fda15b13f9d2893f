#pragma STDC FP_CONTRACT OFF

// Products of int8 matrices by AVX-VNNI, in vectors of 256 bits.

#include "avx2.h"

#if defined(__x86_64__)

#define TARGET __attribute__((target("avx2,f16c,avxvnni")))
#define TILE_ROWS 6
#define TILE_COLUMNS 16
#include "vnni.h"

// Six rows by two vectors of columns stay in twelve registers; the sums of the columns, which
// would take two more, are made in a pass of their own.
TARGET static void tile(const operand *left, const operand *right, size_t depth, int32_t *sums,
                        size_t stride) {
  __m256i low[TILE_ROWS], high[TILE_ROWS];
  __m256i low_sum = _mm256_setzero_si256(), high_sum = low_sum;
  const __m256i shift = _mm256_set1_epi8((char)0x80);
  for (size_t k = 0; k < depth; k += UNIT) {
    low_sum = _mm256_dpbusd_avx_epi32(low_sum, shift, load(right + k * TILE_COLUMNS));
    high_sum = _mm256_dpbusd_avx_epi32(high_sum, shift, load(right + k * TILE_COLUMNS + 32));
  }
  for (int row = 0; row < TILE_ROWS; row++) {
    low[row] = _mm256_sub_epi32(_mm256_setzero_si256(), low_sum);
    high[row] = _mm256_sub_epi32(_mm256_setzero_si256(), high_sum);
  }
  for (size_t k = 0; k < depth; k += UNIT) {
    const __m256i first = load(right + k * TILE_COLUMNS);
    const __m256i second = load(right + k * TILE_COLUMNS + 32);
#pragma GCC unroll 6
    for (int row = 0; row < TILE_ROWS; row++) {
      const __m256i value = _mm256_set1_epi32((int)load_u32(left + UNIT * row));
      low[row] = _mm256_dpbusd_avx_epi32(low[row], value, first);
      high[row] = _mm256_dpbusd_avx_epi32(high[row], value, second);
    }
    left += UNIT * TILE_ROWS;
  }
  for (int row = 0; row < TILE_ROWS; row++) {
    int32_t *target = sums + (size_t)row * stride;
    store(target, _mm256_add_epi32(load(target), low[row]));
    store(target + 8, _mm256_add_epi32(load(target + 8), high[row]));
  }
}

#include "int8_product.h"

static void int8_product(const void *a, size_t rows, const void *b, size_t columns, size_t depth,
                         int32_t *sums, size_t stride, void *scratch) {
  product(a, rows, b, columns, depth, sums, stride, scratch);
}

void ck_fill_avxvnni_int8(ck_kernels *table) { table->int8_product = int8_product; }

#endif
