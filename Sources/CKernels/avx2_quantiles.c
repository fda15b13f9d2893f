#pragma STDC FP_CONTRACT OFF

// The keys of eight values at a time; the counting is one by one.

#include <math.h>

#include "avx2.h"

#if defined(__x86_64__)

enum { group = 32 };

// Keys that grow with the values, NaN as the largest.
INLINE __m256i keys_of(__m256i bits) {
  const __m256i negative = _mm256_srai_epi32(bits, 31);
  const __m256i flip = either(negative, _mm256_set1_epi32((int)0x80000000));
  const __m256 value = _mm256_castsi256_ps(bits);
  const __m256 nan = _mm256_cmp_ps(value, value, _CMP_UNORD_Q);
  return either(_mm256_xor_si256(bits, flip), _mm256_castps_si256(nan));
}

INLINE void keys_of_group(const uint8_t *from, uint32_t keys[group]) {
  for (int i = 0; i < group; i += 8) store(keys + i, keys_of(load(from + 4 * i)));
}

INLINE void high_keys_of_group(const uint8_t *from, uint32_t keys[group]) {
  for (int i = 0; i < group; i += 8) {
    store(keys + i, _mm256_srli_epi32(keys_of(load(from + 4 * i)), 16));
  }
}

AVX2 static void key_histogram(const void *values, size_t count, uint32_t *bins) {
  const uint8_t *from = values;
  size_t i = 0;
  uint32_t keys[group];
  for (; i + group <= count; i += group) {
    high_keys_of_group(from + 4 * i, keys);
#pragma GCC unroll 32
    for (int j = 0; j < group; j++) bins[keys[j]]++;
  }
  plain_key_histogram(from + 4 * i, count - i, bins);
}

AVX2 static void key_histogram_within(const void *values, size_t count, const uint16_t *slots,
                                      uint32_t *bins) {
  const uint8_t *from = values;
  size_t i = 0;
  uint32_t keys[group];
  for (; i + group <= count; i += group) {
    keys_of_group(from + 4 * i, keys);
#pragma GCC unroll 32
    for (int j = 0; j < group; j++) {
      const uint32_t key = keys[j];
      bins[slots[key >> 16] * 256u + (key >> 8 & 255)]++;
    }
  }
  plain_key_histogram_within(from + 4 * i, count - i, slots, bins);
}

AVX2 static void key_histogram_last(const void *values, size_t count, const uint16_t *slots,
                                    const uint16_t *inner, uint32_t *bins) {
  const uint8_t *from = values;
  size_t i = 0;
  uint32_t keys[group];
  for (; i + group <= count; i += group) {
    keys_of_group(from + 4 * i, keys);
#pragma GCC unroll 32
    for (int j = 0; j < group; j++) {
      const uint32_t key = keys[j];
      const uint32_t slot = inner[slots[key >> 16] * 256u + (key >> 8 & 255)];
      if (__builtin_expect(slot != 0xFFFF, 0)) bins[slot * 256u + (key & 255)]++;
    }
  }
  plain_key_histogram_last(from + 4 * i, count - i, slots, inner, bins);
}

INLINE size_t next_eight(size_t i, size_t count) {
  return i + 8 < count && i + 16 > count ? count - 8 : i + 8;
}

AVX2 static void block_quantiles(const void *values, size_t count, const uint32_t *ranks,
                                 size_t rank_count, float *found, uint32_t *scratch) {
  const uint8_t *from = values;
  if (count < 8) return plain_block_quantiles(values, count, ranks, rank_count, found, scratch);
  __m256 least = _mm256_set1_ps(INFINITY), most = _mm256_set1_ps(-INFINITY);
  // The last eight may be some of those before once more. With a NaN the second operand is kept.
  for (size_t i = 0; i < count; i = next_eight(i, count)) {
    const __m256 next = _mm256_loadu_ps((const float *)(from + 4 * i));
    least = _mm256_min_ps(next, least);
    most = _mm256_max_ps(next, most);
  }
  float lows[8], highs[8];
  _mm256_storeu_ps(lows, least);
  _mm256_storeu_ps(highs, most);
  float low = lows[0], high = highs[0];
  for (int i = 1; i < 8; i++) {
    low = lows[i] < low ? lows[i] : low;
    high = highs[i] > high ? highs[i] : high;
  }
  uint32_t *keys = scratch;
  uint16_t *bins = (uint16_t *)(scratch + count);
  const __m256 first = _mm256_set1_ps(low), scale = _mm256_set1_ps(bin_scale(low, high));
  const int is_one = bin_scale(low, high) == 0;
  const __m256 end = _mm256_set1_ps(quantile_bins - 1);
  for (size_t i = 0; i < count; i = next_eight(i, count)) {
    const __m256i bits = load(from + 4 * i);
    const __m256 place = _mm256_mul_ps(_mm256_sub_ps(_mm256_castsi256_ps(bits), first), scale);
    const __m256i bin = is_one ? _mm256_setzero_si256() : _mm256_cvttps_epi32(_mm256_min_ps(place, end));
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(bin, bin), 0x08);
    store(keys + i, keys_of(bits));
    _mm_storeu_si128((__m128i *)(bins + i), _mm256_castsi256_si128(packed));
  }
  quantiles_from_bins(keys, bins, count, ranks, rank_count, found, scratch + 2 * count);
}

void ck_fill_avx2_quantiles(ck_kernels *table) {
  table->key_histogram = key_histogram;
  table->key_histogram_within = key_histogram_within;
  table->key_histogram_last = key_histogram_last;
  table->block_quantiles = block_quantiles;
}

#endif
