#pragma STDC FP_CONTRACT OFF

// Numbers to codes by the largest of their block, eight at a time. The thresholds of four bits are a
// tree in registers: three levels of it are looked up by the rank so far.

#include "avx2.h"

#if defined(__x86_64__)

static const uint32_t infinity_bits = 0x7F800000;

INLINE __m256 floats(const void *from) { return _mm256_loadu_ps(from); }

// The largest of eight signed numbers.
INLINE uint32_t largest(__m256i lanes) {
  const __m128i four =
      _mm_max_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
  const __m128i two = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4E));
  return (uint32_t)_mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32(two, 0xB1)));
}

// As patterns magnitudes are in the order of their values, and NaN is above infinity.
INLINE uint32_t largest_pattern(const uint8_t *values, size_t count) {
  const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF);
  __m256i first = _mm256_setzero_si256(), second = first;
  for (size_t i = 0; i < count; i += 16) {
    first = _mm256_max_epi32(first, both(load(values + 4 * i), magnitude));
    second = _mm256_max_epi32(second, both(load(values + 4 * i + 32), magnitude));
  }
  return largest(_mm256_max_epi32(first, second));
}

AVX2 static size_t block_absmax(const void *values, size_t count, size_t block, void *absmax) {
  const uint8_t *from = values;
  uint8_t *to = absmax;
  size_t wrong = 0;
  for (size_t i = 0; i < count; i += block, to += 4) {
    const size_t part = smaller(block, count - i);
    const uint32_t bits = part % 16 == 0 ? largest_pattern(from + 4 * i, part) : infinity_bits;
    if (bits < infinity_bits) {
      store_u32(to, bits);
      continue;
    }
    int is_finite;
    store_f32(to, plain_absmax(from + 4 * i, part, &is_finite));
    wrong += !is_finite;
  }
  return wrong;
}

typedef struct tree {
  __m256 root, pair, quad, leaves;
  __m256i codes;
} tree;

INLINE tree planted(const nibble_rule *rule) {
  const float *t = rule->thresholds;
  tree made;
  made.root = _mm256_set1_ps(t[7]);
  made.pair = _mm256_setr_ps(t[3], t[11], 0, 0, 0, 0, 0, 0);
  made.quad = _mm256_setr_ps(t[1], t[5], t[9], t[13], 0, 0, 0, 0);
  made.leaves = _mm256_setr_ps(t[0], t[2], t[4], t[6], t[8], t[10], t[12], t[14]);
  made.codes = twice(load_half(rule->codes));
  return made;
}

// Twice the rank, and one more where x is above.
INLINE __m256i down(__m256i rank, __m256 x, __m256 thresholds) {
  const __m256 limit = _mm256_permutevar8x32_ps(thresholds, rank);
  const __m256i above = _mm256_castps_si256(_mm256_cmp_ps(x, limit, _CMP_GT_OQ));
  return _mm256_sub_epi32(_mm256_add_epi32(rank, rank), above);
}

INLINE __m256i ranks(const tree *rule, __m256 x) {
  const __m256i above = _mm256_castps_si256(_mm256_cmp_ps(x, rule->root, _CMP_GT_OQ));
  const __m256i first = _mm256_sub_epi32(_mm256_setzero_si256(), above);
  return down(down(down(first, x, rule->pair), x, rule->quad), x, rule->leaves);
}

// 32 bytes from the low ends of 32 elements in order.
INLINE __m256i joined(__m256i a, __m256i b, __m256i c, __m256i d) {
  const __m256i bytes =
      _mm256_packus_epi16(_mm256_packus_epi32(a, b), _mm256_packus_epi32(c, d));
  return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

// Codes of 32 values in 16 bytes; `strange` collects where the product is NaN.
INLINE void pack_32(const tree *rule, __m256 factor, const uint8_t *values, uint8_t *packed,
                    __m256 *strange) {
  __m256 x[4];
  __m256i rank[4];
  for (size_t i = 0; i < 4; i++) {
    x[i] = _mm256_mul_ps(floats(values + 32 * i), factor);
    rank[i] = ranks(rule, x[i]);
  }
  // One of a pair compares unordered where either is NaN.
  const __m256 first = _mm256_cmp_ps(x[0], x[1], _CMP_UNORD_Q);
  const __m256 second = _mm256_cmp_ps(x[2], x[3], _CMP_UNORD_Q);
  *strange = _mm256_or_ps(*strange, _mm256_or_ps(first, second));
  const __m256i codes =
      _mm256_shuffle_epi8(rule->codes, joined(rank[0], rank[1], rank[2], rank[3]));
  const __m256i pairs = _mm256_maddubs_epi16(codes, _mm256_set1_epi16(0x0110));
  const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packus_epi16(pairs, pairs), 0x08);
  _mm_storeu_si128((void *)packed, _mm256_castsi256_si128(bytes));
}

AVX2 static void block_nibbles(const void *values, const void *absmax, const void *rule,
                               void *packed, size_t count, size_t block) {
  const uint8_t *from = values, *most = absmax;
  uint8_t *to = packed;
  const nibble_rule known = load_rule(rule);
  const tree fast = planted(&known);
  for (size_t i = 0; i < count; i += block, most += 4) {
    const size_t part = smaller(block, count - i), whole = part / 32 * 32;
    const float factor = block_factor(load_f32(most), known.floor);
    __m256 strange = _mm256_setzero_ps();
    for (size_t j = 0; j < whole; j += 32)
      pack_32(&fast, _mm256_set1_ps(factor), from + 4 * (i + j), to + (i + j) / 2, &strange);
    const size_t done = _mm256_testz_ps(strange, strange) ? whole : 0;
    plain_nibbles(&known, factor, from + 4 * (i + done), to + (i + done) / 2, part - done);
  }
}

INLINE __m256i byte_ranks(const uint8_t *thresholds, __m256 x) {
  __m256i rank = _mm256_setzero_si256();
  for (int step = 128; step > 0; step /= 2) {
    const __m256i at = _mm256_add_epi32(rank, _mm256_set1_epi32(step - 1));
    const __m256 limit = _mm256_i32gather_ps((const float *)thresholds, at, 4);
    const __m256i above = _mm256_castps_si256(_mm256_cmp_ps(x, limit, _CMP_GT_OQ));
    rank = _mm256_add_epi32(rank, both(above, _mm256_set1_epi32(step)));
  }
  return rank;
}

AVX2 static void block_bytes(const void *values, const void *absmax, const void *thresholds,
                             void *codes, size_t count, size_t block) {
  const uint8_t *from = values, *most = absmax;
  uint8_t *to = codes;
  for (size_t i = 0; i < count; most += 4) {
    const float factor = block_factor(load_f32(most), 0);
    const size_t end = i + smaller(block, count - i);
    for (; i + 32 <= end; i += 32) {
      __m256i rank[4];
      for (size_t j = 0; j < 4; j++)
        rank[j] = byte_ranks(thresholds, _mm256_mul_ps(floats(from + 4 * i + 32 * j),
                                                       _mm256_set1_ps(factor)));
      store(to + i, joined(rank[0], rank[1], rank[2], rank[3]));
    }
    for (; i < end; i++) to[i] = plain_byte(thresholds, load_f32(from + 4 * i) * factor);
  }
}

AVX2 static uint16_t f16_absmax(const void *values, size_t count) {
  const uint8_t *from = values;
  const __m256i magnitude = _mm256_set1_epi16(0x7FFF);
  __m256i most = _mm256_setzero_si256();
  size_t i = 0;
  for (; i + 16 <= count; i += 16)
    most = _mm256_max_epu16(most, both(load(from + 2 * i), magnitude));
  uint16_t lanes[16];
  store(lanes, most);
  const uint16_t vectors = plain_f16_absmax(lanes, 16);
  const uint16_t rest = plain_f16_absmax(from + 2 * i, count - i);
  return vectors > rest ? vectors : rest;
}

// Eight numbers as signed words: nearest, ties to even.
INLINE __m256i scaled(const uint8_t *halves, __m256 factor) {
  const __m256 x = _mm256_mul_ps(_mm256_cvtph_ps(load_half(halves)), factor);
  const __m256 known = _mm256_and_ps(x, _mm256_cmp_ps(x, x, _CMP_ORD_Q));
  const __m256 limit = _mm256_set1_ps(127), lower = _mm256_set1_ps(-127);
  return _mm256_cvtps_epi32(_mm256_max_ps(_mm256_min_ps(known, limit), lower));
}

AVX2 static void f16_to_s8(const void *values, void *codes, size_t count, float factor) {
  const uint8_t *from = values;
  uint8_t *to = codes;
  const __m256 all = _mm256_set1_ps(factor);
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const uint8_t *at = from + 2 * i;
    const __m256i low = _mm256_packs_epi32(scaled(at, all), scaled(at + 16, all));
    const __m256i high = _mm256_packs_epi32(scaled(at + 32, all), scaled(at + 48, all));
    const __m256i bytes = _mm256_packs_epi16(low, high);
    store(to + i, _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
  }
  plain_f16_to_s8(from + 2 * i, to + i, count - i, factor);
}

void ck_fill_avx2_blockwise(ck_kernels *table) {
  table->block_absmax = block_absmax;
  table->block_nibbles = block_nibbles;
  table->block_bytes = block_bytes;
  table->f16_absmax = f16_absmax;
  table->f16_to_s8 = f16_to_s8;
}

#endif
