#pragma STDC FP_CONTRACT OFF

// Codes of 4 bits, two in a byte with the first in its high half, 32 at a time. To numbers of 16
// bits a block costs 16 products: its codes then only pick the two bytes of one. So the loops wait
// for memory, and wider vectors would gain nothing.

#include "avx2.h"

#if defined(__x86_64__)

// 16 bytes of codes as 32 codes, one byte each.
INLINE __m256i opened(const uint8_t *from) {
  const __m256i wide = _mm256_cvtepu8_epi16(_mm_loadu_si128((const void *)from));
  const __m256i low = _mm256_and_si256(wide, _mm256_set1_epi16(15));
  return _mm256_or_si256(_mm256_srli_epi16(wide, 4), _mm256_slli_epi16(low, 8));
}

AVX2 static void nibbles_unpack(const void *bytes, void *codes, size_t count) {
  const uint8_t *from = bytes;
  uint8_t *to = codes;
  size_t i = 0;
  for (; i + 32 <= count; i += 32) store(to + i, opened(from + i / 2));
  plain_nibbles_unpack(from + i / 2, to + i, count - i);
}

AVX2 static void nibbles_pack(const void *codes, void *bytes, size_t count) {
  const uint8_t *from = codes;
  uint8_t *to = bytes;
  // 16 · first + second of each pair.
  const __m256i weights = _mm256_set1_epi16(0x0110);
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m256i low = _mm256_and_si256(load(from + i), _mm256_set1_epi8(15));
    const __m256i words = _mm256_maddubs_epi16(weights, low);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi16(words, words), 0x08);
    _mm_storeu_si128((void *)(to + i / 2), _mm256_castsi256_si128(packed));
  }
  plain_nibbles_pack(from + i, to + i / 2, count - i);
}

typedef struct products {
  __m256 low, high;
} products;

INLINE products multiplied(const uint8_t *table, const uint8_t *scale) {
  const __m256 factor = _mm256_set1_ps(load_f32(scale));
  return (products){_mm256_mul_ps(_mm256_loadu_ps((const void *)table), factor),
                    _mm256_mul_ps(_mm256_loadu_ps((const void *)(table + 32)), factor)};
}

INLINE unsigned nibble(const uint8_t *from, size_t i) {
  return i % 2 ? from[i / 2] & 15 : from[i / 2] >> 4;
}

// Products of the first eight bytes of `index`.
INLINE __m256 picked(products of, __m128i index) {
  const __m256i wide = _mm256_cvtepu8_epi32(index);
  const __m256 select = _mm256_castsi256_ps(_mm256_slli_epi32(wide, 28));
  return _mm256_blendv_ps(_mm256_permutevar8x32_ps(of.low, wide),
                          _mm256_permutevar8x32_ps(of.high, wide), select);
}

AVX2 static void nibbles_to_f32(const void *bytes, const void *table, const void *scales,
                                void *values, size_t count, size_t group, size_t skipped) {
  const uint8_t *from = bytes, *s = scales;
  uint8_t *to = values;
  for (size_t i = 0; i < count; s += 4, skipped = 0) {
    const products of = multiplied(table, s);
    const size_t end = i + smaller(group - skipped, count - i);
    for (; i + 32 <= end; i += 32) {
      const __m256i codes = opened(from + i / 2);
      const __m128i first = _mm256_castsi256_si128(codes);
      const __m128i second = _mm256_extracti128_si256(codes, 1);
      _mm256_storeu_ps((void *)(to + 4 * i), picked(of, first));
      _mm256_storeu_ps((void *)(to + 4 * i + 32), picked(of, _mm_srli_si128(first, 8)));
      _mm256_storeu_ps((void *)(to + 4 * i + 64), picked(of, second));
      _mm256_storeu_ps((void *)(to + 4 * i + 96), picked(of, _mm_srli_si128(second, 8)));
    }
    float rest[16];
    _mm256_storeu_ps(rest, of.low);
    _mm256_storeu_ps(rest + 8, of.high);
    for (; i < end; i++) store_f32(to + 4 * i, rest[nibble(from, i)]);
  }
}

// Sixteen numbers of 16 bits in order.
INLINE void fill_halves(const uint8_t *bytes, uint8_t *to, __m256i halves, size_t *start,
                        size_t end) {
  const __m256i mask = _mm256_set1_epi16(0xFF);
  const __m256i low = _mm256_and_si256(halves, mask), high = _mm256_srli_epi16(halves, 8);
  // The low bytes of all sixteen, then the high bytes, each in both lanes.
  const __m256i parts = _mm256_permute4x64_epi64(_mm256_packus_epi16(low, high), 0xD8);
  const __m256i lows = _mm256_permute4x64_epi64(parts, 0x44);
  const __m256i highs = _mm256_permute4x64_epi64(parts, 0xEE);
  size_t i = *start;
  for (; i + 32 <= end; i += 32) {
    const __m256i codes = opened(bytes + i / 2);
    const __m256i l = _mm256_shuffle_epi8(lows, codes), h = _mm256_shuffle_epi8(highs, codes);
    const __m256i a = _mm256_unpacklo_epi8(l, h), b = _mm256_unpackhi_epi8(l, h);
    store(to + 2 * i, _mm256_permute2x128_si256(a, b, 0x20));
    store(to + 2 * i + 32, _mm256_permute2x128_si256(a, b, 0x31));
  }
  uint16_t rest[16];
  store(rest, halves);
  for (; i < end; i++) store_u16(to + 2 * i, rest[nibble(bytes, i)]);
  *start = i;
}

AVX2 static void nibbles_to_f16(const void *bytes, const void *table, const void *scales,
                                void *values, size_t count, size_t group, size_t skipped) {
  const uint8_t *s = scales;
  for (size_t i = 0; i < count; s += 4, skipped = 0) {
    const products of = multiplied(table, s);
    const __m128i low = _mm256_cvtps_ph(of.low, _MM_FROUND_TO_NEAREST_INT);
    const __m128i high = _mm256_cvtps_ph(of.high, _MM_FROUND_TO_NEAREST_INT);
    const size_t end = i + smaller(group - skipped, count - i);
    fill_halves(bytes, values, _mm256_set_m128i(high, low), &i, end);
  }
}

// Eight bf16 in the low halves of 32-bit elements.
INLINE __m256i rounded(__m256 value) {
  const __m256i bits = _mm256_castps_si256(value);
  const __m256i high = _mm256_srli_epi32(bits, 16);
  const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
  const __m256i bias = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF));
  const __m256i nearest = _mm256_srli_epi32(_mm256_add_epi32(bits, bias), 16);
  const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
  return _mm256_blendv_epi8(nearest, quiet, nan);
}

AVX2 static void nibbles_to_bf16(const void *bytes, const void *table, const void *scales,
                                 void *values, size_t count, size_t group, size_t skipped) {
  const uint8_t *s = scales;
  for (size_t i = 0; i < count; s += 4, skipped = 0) {
    const products of = multiplied(table, s);
    const __m256i pairs = _mm256_packus_epi32(rounded(of.low), rounded(of.high));
    const size_t end = i + smaller(group - skipped, count - i);
    fill_halves(bytes, values, _mm256_permute4x64_epi64(pairs, 0xD8), &i, end);
  }
}

void ck_fill_avx2_nibbles(ck_kernels *table) {
  table->nibbles_unpack = nibbles_unpack;
  table->nibbles_pack = nibbles_pack;
  table->nibbles_to_f32 = nibbles_to_f32;
  table->nibbles_to_f16 = nibbles_to_f16;
  table->nibbles_to_bf16 = nibbles_to_bf16;
}

#endif
