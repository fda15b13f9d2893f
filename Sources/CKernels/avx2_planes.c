#pragma STDC FP_CONTRACT OFF

// Planes of bytes and pairs of small codes with AVX2.

#include "avx2.h"

#if defined(__x86_64__)

// The quarters of two packed vectors in the order of their elements.
INLINE __m256i in_order(__m256i packed) { return _mm256_permute4x64_epi64(packed, 0xD8); }

AVX2 static void split_2(const void *source, void *low, void *high, size_t count, unsigned turn) {
  const uint8_t *from = source;
  uint8_t *l = low, *h = high;
  const __m256i mask = _mm256_set1_epi16(0xFF);
  const __m128i left = _mm_cvtsi32_si128((int)turn), right = _mm_cvtsi32_si128(turn ? 15 : 16);
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    __m256i a = load(from + 2 * i), b = load(from + 2 * i + 32);
    a = either(_mm256_sll_epi16(a, left), _mm256_srl_epi16(a, right));
    b = either(_mm256_sll_epi16(b, left), _mm256_srl_epi16(b, right));
    store(l + i, in_order(_mm256_packus_epi16(both(a, mask), both(b, mask))));
    store(h + i, in_order(_mm256_packus_epi16(_mm256_srli_epi16(a, 8), _mm256_srli_epi16(b, 8))));
  }
  plain_split_2(from + 2 * i, l + i, h + i, count - i, turn);
}

AVX2 static void merge_2(const void *low, const void *high, void *target, size_t count,
                         unsigned turn) {
  const uint8_t *l = low, *h = high;
  uint8_t *to = target;
  const __m128i right = _mm_cvtsi32_si128((int)turn), left = _mm_cvtsi32_si128(turn ? 15 : 16);
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m256i x = in_order(load(l + i)), y = in_order(load(h + i));
    const __m256i a = _mm256_unpacklo_epi8(x, y), b = _mm256_unpackhi_epi8(x, y);
    store(to + 2 * i, either(_mm256_srl_epi16(a, right), _mm256_sll_epi16(a, left)));
    store(to + 2 * i + 32, either(_mm256_srl_epi16(b, right), _mm256_sll_epi16(b, left)));
  }
  plain_merge_2(l + i, h + i, to + 2 * i, count - i, turn);
}

// Eight elements, byte j of all of them in quarter j; and back.
INLINE __m256i bytes_apart(__m256i v) {
  const __m128i by_byte = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m256i halves = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  return _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(v, twice(by_byte)), halves);
}

INLINE __m256i bytes_together(__m256i v) {
  const __m128i by_element = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m256i halves = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
  return _mm256_shuffle_epi8(_mm256_permutevar8x32_epi32(v, halves), twice(by_element));
}

// A square of four by four quarters, turned.
#define TURN_QUARTERS(v)                                                                    \
  do {                                                                                      \
    const __m256i p = _mm256_unpacklo_epi64(v[0], v[1]), q = _mm256_unpackhi_epi64(v[0], v[1]); \
    const __m256i r = _mm256_unpacklo_epi64(v[2], v[3]), s = _mm256_unpackhi_epi64(v[2], v[3]); \
    v[0] = _mm256_permute2x128_si256(p, r, 0x20);                                           \
    v[1] = _mm256_permute2x128_si256(q, s, 0x20);                                           \
    v[2] = _mm256_permute2x128_si256(p, r, 0x31);                                           \
    v[3] = _mm256_permute2x128_si256(q, s, 0x31);                                           \
  } while (0)

AVX2 static void split_4(const void *source, void *planes, size_t stride, size_t count,
                         unsigned turn) {
  const uint8_t *from = source;
  uint8_t *to = planes;
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    __m256i v[4];
    for (size_t j = 0; j < 4; j++) {
      const __m256i x = load(from + 4 * i + 32 * j);
      v[j] = bytes_apart(turn ? either(_mm256_slli_epi32(x, 1), _mm256_srli_epi32(x, 31)) : x);
    }
    TURN_QUARTERS(v);
    for (size_t j = 0; j < 4; j++) store(to + j * stride + i, v[j]);
  }
  plain_split_4(from + 4 * i, to + i, stride, count - i, turn);
}

AVX2 static void merge_4(const void *planes, size_t stride, void *target, size_t count,
                         unsigned turn) {
  const uint8_t *from = planes;
  uint8_t *to = target;
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    __m256i v[4];
    for (size_t j = 0; j < 4; j++) v[j] = load(from + j * stride + i);
    TURN_QUARTERS(v);
    for (size_t j = 0; j < 4; j++) {
      const __m256i y = bytes_together(v[j]);
      store(to + 4 * i + 32 * j,
            turn ? either(_mm256_srli_epi32(y, 1), _mm256_slli_epi32(y, 31)) : y);
    }
  }
  plain_merge_4(from + i, stride, to + 4 * i, count - i, turn);
}

AVX2 static void pair(const void *codes, void *pairs, size_t count) {
  const uint8_t *from = codes;
  uint8_t *to = pairs;
  const __m256i code = bytes_of(7), byte = _mm256_set1_epi16(0xFF);
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m256i a = both(load(from + 2 * i), code), b = both(load(from + 2 * i + 32), code);
    const __m256i x = both(either(a, _mm256_srli_epi16(a, 5)), byte);
    const __m256i y = both(either(b, _mm256_srli_epi16(b, 5)), byte);
    store(to + i, in_order(_mm256_packus_epi16(x, y)));
  }
  plain_pair(from + 2 * i, to + i, count - i);
}

AVX2 static void unpair(const void *pairs, void *codes, size_t count) {
  const uint8_t *from = pairs;
  uint8_t *to = codes;
  const __m256i code = bytes_of(7);
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m256i x = in_order(load(from + i));
    const __m256i low = both(x, code), high = both(_mm256_srli_epi16(x, 3), code);
    store(to + 2 * i, _mm256_unpacklo_epi8(low, high));
    store(to + 2 * i + 32, _mm256_unpackhi_epi8(low, high));
  }
  plain_unpair(from + i, to + 2 * i, count - i);
}

void ck_fill_avx2_planes(ck_kernels *table) {
  table->split_2 = split_2;
  table->merge_2 = merge_2;
  table->split_4 = split_4;
  table->merge_4 = merge_4;
  table->pair = pair;
  table->unpair = unpair;
}

#endif
