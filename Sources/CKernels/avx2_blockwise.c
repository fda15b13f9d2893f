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

// Without their signs f16 and bf16 are in the order of their patterns too.
INLINE uint32_t largest_half(const uint8_t *halves, size_t count) {
  const __m256i magnitude = _mm256_set1_epi16(0x7FFF);
  __m256i first = _mm256_setzero_si256(), second = first;
  for (size_t i = 0; i < count; i += 32) {
    first = _mm256_max_epu16(first, both(load(halves + 2 * i), magnitude));
    second = _mm256_max_epu16(second, both(load(halves + 2 * i + 32), magnitude));
  }
  const __m256i most = _mm256_max_epu16(first, second);
  const __m128i eight =
      _mm_max_epu16(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
  // The least of the complements is found in one go.
  const __m128i least = _mm_minpos_epu16(_mm_xor_si128(eight, _mm_set1_epi16(-1)));
  return ~(uint32_t)_mm_cvtsi128_si32(least) & 0xFFFF;
}

INLINE size_t half_absmax(const uint8_t *from, int is_brain, size_t count, size_t block,
                          uint8_t *to) {
  const uint32_t infinity = is_brain ? 0x7F80 : 0x7C00;
  size_t wrong = 0;
  for (size_t i = 0; i < count; i += block, to += 4) {
    const size_t part = smaller(block, count - i);
    const uint32_t bits = part % 32 == 0 ? largest_half(from + 2 * i, part) : infinity;
    if (bits < infinity) {
      store_f32(to, is_brain ? _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128((int)(bits << 16))))
                             : _cvtsh_ss((uint16_t)bits));
      continue;
    }
    int is_finite;
    store_f32(to, plain_half_absmax(from + 2 * i, is_brain, part, &is_finite));
    wrong += !is_finite;
  }
  return wrong;
}

AVX2 static size_t half_block_absmax(const void *halves, int is_brain, size_t count, size_t block,
                                     void *absmax) {
  return is_brain ? half_absmax(halves, 1, count, block, absmax)
                  : half_absmax(halves, 0, count, block, absmax);
}

typedef struct tree {
  __m256 root, lower, upper, quad, leaves;
  __m256i codes;
} tree;

INLINE tree planted(const nibble_rule *rule) {
  const float *t = rule->thresholds;
  tree made;
  made.root = _mm256_set1_ps(t[7]);
  made.lower = _mm256_set1_ps(t[3]);
  made.upper = _mm256_set1_ps(t[11]);
  made.quad = _mm256_setr_ps(t[1], t[5], t[9], t[13], t[1], t[5], t[9], t[13]);
  made.leaves = _mm256_setr_ps(t[0], t[2], t[4], t[6], t[8], t[10], t[12], t[14]);
  made.codes = twice(load_half(rule->codes));
  return made;
}

// Twice the rank, and one more where x is above.
INLINE __m256i down(__m256i rank, __m256 x, __m256 limit) {
  const __m256i above = _mm256_castps_si256(_mm256_cmp_ps(x, limit, _CMP_GT_OQ));
  return _mm256_sub_epi32(_mm256_add_epi32(rank, rank), above);
}

INLINE __m256i ranks(const tree *rule, __m256 x) {
  const __m256 above = _mm256_cmp_ps(x, rule->root, _CMP_GT_OQ);
  const __m256i one = _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_castps_si256(above));
  const __m256i two = down(one, x, _mm256_blendv_ps(rule->lower, rule->upper, above));
  const __m256i three = down(two, x, _mm256_permutevar_ps(rule->quad, two));
  return down(three, x, _mm256_permutevar8x32_ps(rule->leaves, three));
}

// 32 bytes from the low ends of 32 elements in order.
INLINE __m256i joined(__m256i a, __m256i b, __m256i c, __m256i d) {
  const __m256i bytes =
      _mm256_packus_epi16(_mm256_packus_epi32(a, b), _mm256_packus_epi32(c, d));
  return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

// Codes of 32 products in 16 bytes; `strange` collects where one is NaN.
INLINE void pack_32(const tree *rule, const __m256 x[4], uint8_t *packed, __m256 *strange) {
  __m256i rank[4];
  for (size_t i = 0; i < 4; i++) rank[i] = ranks(rule, x[i]);
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
    for (size_t j = 0; j < whole; j += 32) {
      __m256 x[4];
      for (size_t k = 0; k < 4; k++)
        x[k] = _mm256_mul_ps(floats(from + 4 * (i + j + 8 * k)), _mm256_set1_ps(factor));
      pack_32(&fast, x, to + (i + j) / 2, &strange);
    }
    const size_t done = _mm256_testz_ps(strange, strange) ? whole : 0;
    if (done < part)
      plain_nibbles(&known, factor, from + 4 * (i + done), to + (i + done) / 2, part - done);
  }
}

INLINE __m256 widened(const uint8_t *halves, int is_brain) {
  const __m128i eight = load_half(halves);
  return is_brain ? _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(eight), 16))
                  : _mm256_cvtph_ps(eight);
}

INLINE void half_nibbles(const uint8_t *from, int is_brain, const uint8_t *most, const void *rule,
                         uint8_t *to, size_t count, size_t block) {
  const nibble_rule known = load_rule(rule);
  const tree fast = planted(&known);
  for (size_t i = 0; i < count; i += block, most += 4) {
    const size_t part = smaller(block, count - i), whole = part / 32 * 32;
    const float factor = block_factor(load_f32(most), known.floor);
    __m256 strange = _mm256_setzero_ps();
    for (size_t j = 0; j < whole; j += 32) {
      __m256 x[4];
      for (size_t k = 0; k < 4; k++)
        x[k] = _mm256_mul_ps(widened(from + 2 * (i + j + 8 * k), is_brain), _mm256_set1_ps(factor));
      pack_32(&fast, x, to + (i + j) / 2, &strange);
    }
    const size_t done = _mm256_testz_ps(strange, strange) ? whole : 0;
    if (done < part)
      plain_half_nibbles(&known, factor, from + 2 * (i + done), is_brain, to + (i + done) / 2,
                         part - done);
  }
}

AVX2 static void half_block_nibbles(const void *halves, int is_brain, const void *absmax,
                                    const void *rule, void *packed, size_t count, size_t block) {
  if (is_brain)
    half_nibbles(halves, 1, absmax, rule, packed, count, block);
  else
    half_nibbles(halves, 0, absmax, rule, packed, count, block);
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

// Entries of a table of bytes, read as the words they are in so that nothing behind it is.
INLINE __m256i looked_up(const uint8_t *table, __m256 x) {
  const __m256 known = _mm256_cmp_ps(x, x, _CMP_ORD_Q), one = _mm256_set1_ps(1);
  const __m256 held = _mm256_max_ps(_mm256_min_ps(_mm256_and_ps(x, known), one),
                                    _mm256_set1_ps(-1));
  const __m256 half = _mm256_mul_ps(_mm256_add_ps(held, one), _mm256_set1_ps(0.5f));
  const __m256 place = _mm256_add_ps(_mm256_mul_ps(half, _mm256_set1_ps(65535)),
                                     _mm256_set1_ps(0.5f));
  const __m256i index = _mm256_cvttps_epi32(place);
  const __m256i words = _mm256_i32gather_epi32((const int *)table, _mm256_srli_epi32(index, 2), 4);
  const __m256i shift = _mm256_slli_epi32(both(index, _mm256_set1_epi32(3)), 3);
  const __m256i bytes = both(_mm256_srlv_epi32(words, shift), _mm256_set1_epi32(255));
  return both(bytes, _mm256_castps_si256(known));
}

// Codes by a table of thresholds, or by one of codes.
INLINE void byte_codes(const uint8_t *from, const uint8_t *most, const uint8_t *table,
                       int is_lookup, uint8_t *to, size_t count, size_t block) {
  for (size_t i = 0; i < count; most += 4) {
    const float factor = block_factor(load_f32(most), 0);
    const size_t end = i + smaller(block, count - i);
    for (; i + 32 <= end; i += 32) {
      __m256i code[4];
      for (size_t j = 0; j < 4; j++) {
        const __m256 x = _mm256_mul_ps(floats(from + 4 * i + 32 * j), _mm256_set1_ps(factor));
        code[j] = is_lookup ? looked_up(table, x) : byte_ranks(table, x);
      }
      store(to + i, joined(code[0], code[1], code[2], code[3]));
    }
    plain_byte_codes(factor, from + 4 * i, table, is_lookup, to + i, end - i);
    i = end;
  }
}

AVX2 static void block_bytes(const void *values, const void *absmax, const void *thresholds,
                             void *codes, size_t count, size_t block) {
  byte_codes(values, absmax, thresholds, 0, codes, count, block);
}

AVX2 static void block_lookup(const void *values, const void *absmax, const void *table,
                              void *codes, size_t count, size_t block) {
  byte_codes(values, absmax, table, 1, codes, count, block);
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
  table->half_block_absmax = half_block_absmax;
  table->half_block_nibbles = half_block_nibbles;
  table->block_bytes = block_bytes;
  table->block_lookup = block_lookup;
  table->f16_absmax = f16_absmax;
  table->f16_to_s8 = f16_to_s8;
}

#endif
