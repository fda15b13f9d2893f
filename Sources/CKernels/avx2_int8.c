#pragma STDC FP_CONTRACT OFF

// Products of int8 matrices by pairs of 16-bit numbers: `madd` multiplies them exactly, where the
// 8-bit multiplication would saturate.

#include "avx2.h"

#if defined(__x86_64__)

#define TARGET AVX2
#define TILE_ROWS 6
#define TILE_COLUMNS 16
#define UNIT 2
#define PACK_LEFT pack_left
#define PACK_RIGHT pack_right
#define TILE tile

typedef int16_t operand;

// Eight vectors of eight 32-bit lanes, turned.
INLINE void turn(__m256i v[8]) {
  __m256i p[8], q[8];
  for (int i = 0; i < 4; i++) {
    p[2 * i] = _mm256_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
    p[2 * i + 1] = _mm256_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
  }
  for (int i = 0; i < 2; i++) {
    q[4 * i] = _mm256_unpacklo_epi64(p[4 * i], p[4 * i + 2]);
    q[4 * i + 1] = _mm256_unpackhi_epi64(p[4 * i], p[4 * i + 2]);
    q[4 * i + 2] = _mm256_unpacklo_epi64(p[4 * i + 1], p[4 * i + 3]);
    q[4 * i + 3] = _mm256_unpackhi_epi64(p[4 * i + 1], p[4 * i + 3]);
  }
  for (int i = 0; i < 4; i++) {
    v[i] = _mm256_permute2x128_si256(q[i], q[i + 4], 0x20);
    v[i + 4] = _mm256_permute2x128_si256(q[i], q[i + 4], 0x31);
  }
}

// Up to eight rows of 16 depths, missing rows as zeros, as eight vectors: one for each pair.
INLINE void pairs_of(const int8_t *from, size_t rows, size_t stride, __m256i v[8]) {
  for (size_t row = 0; row < 8; row++) {
    v[row] = row < rows ? _mm256_cvtepi8_epi16(load_half(from + row * stride))
                        : _mm256_setzero_si256();
  }
  turn(v);
}

// The depths behind the last 16, and a panel's own zeros.
INLINE void pack_end(const int8_t *from, size_t rows, size_t stride, size_t start, size_t depth,
                     size_t panel, operand *to) {
  for (size_t k = start; k < depth; k += 2) {
    for (size_t row = 0; row < panel; row++) {
      const int8_t *pair = from + row * stride + k;
      to[k * panel + row * 2] = row < rows ? pair[0] : 0;
      to[k * panel + row * 2 + 1] = row < rows && k + 1 < depth ? pair[1] : 0;
    }
  }
}

AVX2 static void pack_left(const int8_t *from, size_t rows, size_t stride, size_t depth,
                           operand *to) {
  const size_t whole = depth / 16 * 16;
  for (size_t k = 0; k < whole; k += 16) {
    __m256i v[8];
    pairs_of(from + k, rows, stride, v);
    // Each store writes two lanes too many, which the next one writes again.
    for (size_t i = 0; i < 8; i++) store(to + (k + 2 * i) * TILE_ROWS, v[i]);
  }
  pack_end(from, rows, stride, whole, depth, TILE_ROWS, to);
}

AVX2 static void pack_right(const int8_t *from, size_t rows, size_t stride, size_t depth,
                            operand *to) {
  const size_t whole = depth / 16 * 16;
  const size_t first = smaller(rows, 8);
  for (size_t k = 0; k < whole; k += 16) {
    __m256i low[8], high[8];
    pairs_of(from + k, first, stride, low);
    pairs_of(from + 8 * stride + k, rows - first, stride, high);
    for (size_t i = 0; i < 8; i++) {
      store(to + (k + 2 * i) * TILE_COLUMNS, low[i]);
      store(to + (k + 2 * i) * TILE_COLUMNS + 16, high[i]);
    }
  }
  pack_end(from, rows, stride, whole, depth, TILE_COLUMNS, to);
}

INLINE __m256i pair(const operand *from) {
  int32_t both;
  memcpy(&both, from, 4);
  return _mm256_set1_epi32(both);
}

// Six rows by two vectors of columns stay in twelve registers.
AVX2 static void tile(const operand *left, const operand *right, size_t depth, int32_t *sums,
                      size_t stride) {
  __m256i low[TILE_ROWS], high[TILE_ROWS];
  for (int row = 0; row < TILE_ROWS; row++) low[row] = high[row] = _mm256_setzero_si256();
  for (size_t k = 0; k < depth; k += 2) {
    const __m256i first = load(right);
    const __m256i second = load(right + 16);
#pragma GCC unroll 6
    for (int row = 0; row < TILE_ROWS; row++) {
      const __m256i value = pair(left + 2 * row);
      low[row] = _mm256_add_epi32(low[row], _mm256_madd_epi16(value, first));
      high[row] = _mm256_add_epi32(high[row], _mm256_madd_epi16(value, second));
    }
    left += 2 * TILE_ROWS;
    right += 2 * TILE_COLUMNS;
  }
  for (int row = 0; row < TILE_ROWS; row++) {
    int32_t *target = sums + (size_t)row * stride;
    store(target, _mm256_add_epi32(load(target), low[row]));
    store(target + 8, _mm256_add_epi32(load(target + 8), high[row]));
  }
}

#include "int8_product.h"

INLINE int32_t sum_of(__m256i v) {
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4E));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xB1));
  return _mm_cvtsi128_si32(sum);
}

INLINE __m256i products(const int8_t *a, const int8_t *b) {
  return _mm256_madd_epi16(_mm256_cvtepi8_epi16(load_half(a)), _mm256_cvtepi8_epi16(load_half(b)));
}

AVX2 static int32_t dot(const int8_t *a, const int8_t *b, size_t depth) {
  __m256i even = _mm256_setzero_si256(), odd = even;
  size_t k = 0;
  for (; k + 32 <= depth; k += 32) {
    even = _mm256_add_epi32(even, products(a + k, b + k));
    odd = _mm256_add_epi32(odd, products(a + k + 16, b + k + 16));
  }
  uint32_t sum = (uint32_t)sum_of(_mm256_add_epi32(even, odd));
  for (; k < depth; k++) sum += (uint32_t)(a[k] * b[k]);
  return (int32_t)sum;
}

// A few rows are done sooner than the columns could be packed.
AVX2 static void int8_product(const void *a, size_t rows, const void *b, size_t columns,
                              size_t depth, int32_t *sums, size_t stride, void *scratch) {
  if (rows > 3) return product(a, rows, b, columns, depth, sums, stride, scratch);
  for (size_t column = 0; column < columns; column++) {
    for (size_t row = 0; row < rows; row++) {
      sums[row * stride + column] =
          dot((const int8_t *)a + row * depth, (const int8_t *)b + column * depth, depth);
    }
  }
}

void ck_fill_avx2_int8(ck_kernels *table) { table->int8_product = int8_product; }

#endif
