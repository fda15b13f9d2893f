#pragma STDC FP_CONTRACT OFF

// Codes to numbers, numbers to numbers, and what is in them, eight at a time.

#include "avx2.h"

#if defined(__x86_64__)

INLINE __m256 load_floats(const void *from) { return _mm256_loadu_ps(from); }

INLINE void store_floats(void *to, __m256 values) { _mm256_storeu_ps(to, values); }

INLINE __m256 numbers(const uint8_t *codes) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)codes)));
}

AVX2 static void affine_rows(const void *codes, const void *scales, const void *zeros,
                             void *values, size_t rows, size_t columns) {
  const uint8_t *q = codes, *s = scales, *z = zeros;
  uint8_t *to = values;
  for (size_t row = 0; row < rows; row++, q += columns, to += 4 * columns) {
    size_t c = 0;
    for (; c + 8 <= columns; c += 8) {
      const __m256 centred = _mm256_sub_ps(numbers(q + c), load_floats(z + 4 * c));
      store_floats(to + 4 * c, _mm256_mul_ps(load_floats(s + 4 * c), centred));
    }
    for (; c < columns; c++)
      store_f32(to + 4 * c, load_f32(s + 4 * c) * ((float)q[c] - load_f32(z + 4 * c)));
  }
}

AVX2 static void affine_run(const void *codes, const void *scales, const void *zeros,
                            void *values, size_t count, size_t group) {
  const uint8_t *q = codes, *s = scales, *z = zeros;
  uint8_t *to = values;
  for (size_t i = 0; i < count; s += 4, z += 4) {
    const float scale = load_f32(s), zero = load_f32(z);
    const size_t end = i + smaller(group, count - i);
    for (; i + 8 <= end; i += 8) {
      const __m256 centred = _mm256_sub_ps(numbers(q + i), _mm256_set1_ps(zero));
      store_floats(to + 4 * i, _mm256_mul_ps(_mm256_set1_ps(scale), centred));
    }
    for (; i < end; i++) store_f32(to + 4 * i, scale * ((float)q[i] - zero));
  }
}

AVX2 static void added_run(const void *codes, const void *scales, const void *added,
                           void *values, size_t count, size_t group) {
  const uint8_t *q = codes, *s = scales, *m = added;
  uint8_t *to = values;
  for (size_t i = 0; i < count; s += 4, m += 4) {
    const float scale = load_f32(s), addend = load_f32(m);
    const size_t end = i + smaller(group, count - i);
    for (; i + 8 <= end; i += 8) {
      const __m256 product = _mm256_mul_ps(_mm256_set1_ps(scale), numbers(q + i));
      store_floats(to + 4 * i, _mm256_add_ps(product, _mm256_set1_ps(addend)));
    }
    for (; i < end; i++) {
      const float product = scale * (float)q[i];
      store_f32(to + 4 * i, product + addend);
    }
  }
}

AVX2 static void signed_run(const void *codes, const void *scales, float factor, void *values,
                            size_t count, size_t group) {
  const int8_t *q = codes;
  const uint8_t *s = scales;
  uint8_t *to = values;
  const __m256 last = _mm256_set1_ps(factor);
  for (size_t i = 0; i < count; s += 4) {
    const float scale = load_f32(s);
    const size_t end = i + smaller(group, count - i);
    for (; i + 8 <= end; i += 8) {
      const __m256i eight = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)(q + i)));
      const __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(eight), _mm256_set1_ps(scale));
      store_floats(to + 4 * i, _mm256_mul_ps(product, last));
    }
    for (; i < end; i++) {
      const float product = (float)q[i] * scale;
      store_f32(to + 4 * i, product * factor);
    }
  }
}

// Eight values of a table of 16, held in two registers: bit 3 of the code selects the register.
INLINE __m256 picked(__m256 low, __m256 high, const uint8_t *codes) {
  const __m256i index = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)codes));
  const __m256 select = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28));
  return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, index),
                          _mm256_permutevar8x32_ps(high, index), select);
}

AVX2 static void table_run(const void *codes, const void *table, size_t entries,
                           const void *scales, void *values, size_t count, size_t group) {
  const uint8_t *q = codes, *t = table, *s = scales;
  uint8_t *to = values;
  const __m256 low = load_floats(t), high = load_floats(t + 32);
  for (size_t i = 0; i < count; s += 4) {
    const float scale = load_f32(s);
    const size_t end = i + smaller(group, count - i);
    for (; entries == 16 && i + 8 <= end; i += 8)
      store_floats(to + 4 * i, _mm256_mul_ps(picked(low, high, q + i), _mm256_set1_ps(scale)));
    for (; i < end; i++) store_f32(to + 4 * i, load_f32(t + 4 * (q[i] & (entries - 1))) * scale);
  }
}

AVX2 static void multiply(void *values, size_t count, float factor) {
  uint8_t *to = values;
  size_t i = 0;
  for (; i + 8 <= count; i += 8)
    store_floats(to + 4 * i, _mm256_mul_ps(load_floats(to + 4 * i), _mm256_set1_ps(factor)));
  plain_multiply(to + 4 * i, count - i, factor);
}

AVX2 static void f16_to_f32(const void *source, void *target, size_t count) {
  const uint8_t *from = source;
  uint8_t *to = target;
  size_t i = 0;
  for (; i + 8 <= count; i += 8)
    store_floats(to + 4 * i, _mm256_cvtph_ps(load_half(from + 2 * i)));
  plain_f16_to_f32(from + 2 * i, to + 4 * i, count - i);
}

AVX2 static void bf16_to_f32(const void *source, void *target, size_t count) {
  const uint8_t *from = source;
  uint8_t *to = target;
  size_t i = 0;
  for (; i + 8 <= count; i += 8)
    store(to + 4 * i, _mm256_slli_epi32(_mm256_cvtepu16_epi32(load_half(from + 2 * i)), 16));
  plain_bf16_to_f32(from + 2 * i, to + 4 * i, count - i);
}

AVX2 static void f32_to_f16(const void *source, void *target, size_t count) {
  const uint8_t *from = source;
  uint8_t *to = target;
  size_t i = 0;
  for (; i + 8 <= count; i += 8)
    _mm_storeu_si128((void *)(to + 2 * i),
                     _mm256_cvtps_ph(load_floats(from + 4 * i), _MM_FROUND_TO_NEAREST_INT));
  plain_f32_to_f16(from + 4 * i, to + 2 * i, count - i);
}

// Eight bf16 in the low halves of 32-bit elements; without looking for NaN where there can't be one.
INLINE __m256i rounded(int may_be_nan, __m256i bits) {
  const __m256i one = _mm256_set1_epi32(1);
  const __m256i high = _mm256_srli_epi32(bits, 16);
  const __m256i bias = _mm256_add_epi32(both(high, one), _mm256_set1_epi32(0x7FFF));
  const __m256i nearest = _mm256_srli_epi32(_mm256_add_epi32(bits, bias), 16);
  if (!may_be_nan) return nearest;
  const __m256i quiet = either(high, _mm256_set1_epi32(0x40));
  const __m256 value = _mm256_castsi256_ps(bits);
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
  return _mm256_blendv_epi8(nearest, quiet, nan);
}

AVX2 static void f32_to_bf16(const void *source, void *target, size_t count) {
  const uint8_t *from = source;
  uint8_t *to = target;
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m256i pairs = _mm256_packus_epi32(rounded(1, load(from + 4 * i)),
                                              rounded(1, load(from + 4 * i + 32)));
    store(to + 2 * i, _mm256_permute4x64_epi64(pairs, 0xD8));
  }
  plain_f32_to_bf16(from + 4 * i, to + 2 * i, count - i);
}

// s*(q-z), or s*q, rounded, + z.
typedef struct run_rule {
  int is_added, may_be_nan;
  __m256 scale, zero;
} run_rule;

// Eight bf16 in the low halves of 32-bit elements.
INLINE __m256i eight_bf16(run_rule rule, const uint8_t *codes) {
  const __m256 q = numbers(codes);
  const __m256 value = rule.is_added
                           ? _mm256_add_ps(_mm256_mul_ps(rule.scale, q), rule.zero)
                           : _mm256_mul_ps(rule.scale, _mm256_sub_ps(q, rule.zero));
  return rounded(rule.may_be_nan, _mm256_castps_si256(value));
}

INLINE void store_16_bf16(run_rule rule, const uint8_t *codes, uint8_t *to) {
  const __m256i low = eight_bf16(rule, codes), high = eight_bf16(rule, codes + 8);
  store(to, _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xD8));
}

INLINE void run_bf16(run_rule rule, const uint8_t *q, uint8_t *to, size_t count) {
  size_t i = 0;
  for (; i + 16 <= count; i += 16) store_16_bf16(rule, q + i, to + 2 * i);
  if (i == count) return;
  uint8_t rest[16] = {0}, values[32];
  memcpy(rest, q + i, count - i);
  store_16_bf16(rule, rest, values);
  memcpy(to + 2 * i, values, 2 * (count - i));
}

// Whether s*(q-z) of bytes is always exact, with a last bit of 0: whole zero points and scales of at most
// 14 significant bits, such as those stored in 16 bits.
INLINE int makes_exact_products(float scale, float zero) {
  uint32_t bits;
  memcpy(&bits, &scale, 4);
  return scale >= 0x1p-60f && scale < 0x1p60f && (bits & 0x3FF) == 0 && zero >= 0 &&
         zero <= 256 && zero == (float)(int)zero;
}

// Such a product p to bf16: p + 2^16*p is rounded to a multiple of the last bit of 2^16*p, which is
// that of p as a bf16; an even p leaves ties to even, and 2^16*p is taken away exactly. `bytes` are
// those of codes in 16 bits, with 0x4B in their high halves: beside 16 zero bits that is 2^23 + q.
INLINE __m256i exact_bf16(__m256i bytes, __m256i order, __m256 bias, __m256 raised) {
  const __m256 q = _mm256_castsi256_ps(_mm256_shuffle_epi8(bytes, order));
  const __m256 far = _mm256_mul_ps(_mm256_sub_ps(q, bias), raised);
  const __m256 sum = _mm256_mul_ps(far, _mm256_set1_ps(1 + 0x1p-16f));
  return _mm256_castps_si256(_mm256_sub_ps(sum, far));
}

INLINE void exact_run_bf16(float scale, float zero, const uint8_t *q, uint8_t *to, size_t count) {
  const __m256i first = twice(_mm_setr_epi8(0, -1, -1, 1, 4, -1, -1, 5, 8, -1, -1, 9, 12, -1, -1, 13));
  const __m256i second = twice(_mm_setr_epi8(2, -1, -1, 3, 6, -1, -1, 7, 10, -1, -1, 11, 14, -1, -1, 15));
  const __m256i exponent = _mm256_set1_epi16(0x4B00);
  const __m256 bias = _mm256_set1_ps(0x1p23f + zero), raised = _mm256_set1_ps(scale * 0x1p16f);
  for (size_t i = 0; i < count; i += 16) {
    const __m256i bytes = either(_mm256_cvtepu8_epi16(load_half(q + i)), exponent);
    const __m256i even = exact_bf16(bytes, first, bias, raised);
    const __m256i odd = exact_bf16(bytes, second, bias, raised);
    store(to + 2 * i, _mm256_blend_epi16(_mm256_srli_epi32(even, 16), odd, 0xAA));
  }
}

// Parameters far below the greatest number make no NaN.
INLINE void runs_bf16(int is_added, const uint8_t *q, const uint8_t *s, const uint8_t *z,
                      uint8_t *to, size_t count, size_t group) {
  for (size_t i = 0; i < count; s += 4, z += 4) {
    const float scale = load_f32(s), zero = load_f32(z);
    const size_t end = i + smaller(group, count - i);
    if (!is_added && end - i >= 64 && makes_exact_products(scale, zero)) {
      const size_t whole = (end - i) / 16 * 16;
      exact_run_bf16(scale, zero, q + i, to + 2 * i, whole);
      i += whole;
    }
    run_rule rule = {is_added, 0, _mm256_set1_ps(scale), _mm256_set1_ps(zero)};
    if (__builtin_fabsf(scale) < 0x1p60f && __builtin_fabsf(zero) < 0x1p60f) {
      run_bf16(rule, q + i, to + 2 * i, end - i);
    } else {
      rule.may_be_nan = 1;
      run_bf16(rule, q + i, to + 2 * i, end - i);
    }
    i = end;
  }
}

AVX2 static void affine_run_bf16(const void *codes, const void *scales, const void *zeros,
                                 void *halves, size_t count, size_t group) {
  runs_bf16(0, codes, scales, zeros, halves, count, group);
}

AVX2 static void added_run_bf16(const void *codes, const void *scales, const void *added,
                                void *halves, size_t count, size_t group) {
  runs_bf16(1, codes, scales, added, halves, count, group);
}

// The values of one run: the low and the high bytes of a table are looked up apart and interleaved.
INLINE void lookup_run(const uint8_t *from, const uint8_t *table, uint8_t *to, size_t count) {
  const __m128i first = _mm_loadu_si128((const __m128i *)table);
  const __m128i second = _mm_loadu_si128((const __m128i *)(table + 16));
  const __m128i byte = _mm_set1_epi16(0xFF);
  const __m128i low = _mm_packus_epi16(_mm_and_si128(first, byte), _mm_and_si128(second, byte));
  const __m128i high = _mm_packus_epi16(_mm_srli_epi16(first, 8), _mm_srli_epi16(second, 8));
  const __m256i lows = _mm256_broadcastsi128_si256(low), highs = _mm256_broadcastsi128_si256(high);
  const __m256i mask = _mm256_set1_epi8(15);
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    // Quarters 0, 2, 1, 3, so that interleaving within halves leaves them in order.
    const __m256i codes = _mm256_permute4x64_epi64(both(load(from + i), mask), 0xD8);
    const __m256i l = _mm256_shuffle_epi8(lows, codes), h = _mm256_shuffle_epi8(highs, codes);
    store(to + 2 * i, _mm256_unpacklo_epi8(l, h));
    store(to + 2 * i + 32, _mm256_unpackhi_epi8(l, h));
  }
  plain_lookup_halves(from + i, table, to + 2 * i, count - i, SIZE_MAX);
}

AVX2 static void lookup_halves(const void *codes, const void *tables, void *target, size_t count,
                               size_t group) {
  const uint8_t *from = codes;
  const uint8_t *table = tables;
  uint8_t *to = target;
  for (size_t start = 0; start < count; table += 32) {
    const size_t run = smaller(group, count - start);
    lookup_run(from + start, table, to + 2 * start, run);
    start += run;
  }
}

// Keeps the sums of eight lanes in two registers of four.
typedef struct sums {
  __m256d low, high;
} sums;

INLINE void add(sums *to, __m256d low, __m256d high) {
  to->low = _mm256_add_pd(to->low, low);
  to->high = _mm256_add_pd(to->high, high);
}

INLINE uint64_t counted(__m256i negated) {
  uint32_t lanes[8];
  store(lanes, _mm256_sub_epi32(_mm256_setzero_si256(), negated));
  uint64_t sum = 0;
  for (size_t i = 0; i < 8; i++) sum += lanes[i];
  return sum;
}

// Adds a multiple of eight values, few enough for 32-bit counters.
AVX2 static void add_vectors(statistics_lanes *lanes, const uint8_t *values, size_t count) {
  const __m256i infinity = _mm256_set1_epi32(0x7F800000);
  __m256 minimum = load_floats(lanes->minimum), maximum = load_floats(lanes->maximum);
  sums sum = {_mm256_loadu_pd(lanes->sum), _mm256_loadu_pd(lanes->sum + 4)};
  sums squares = {_mm256_loadu_pd(lanes->sum_of_squares),
                  _mm256_loadu_pd(lanes->sum_of_squares + 4)};
  __m256i nans = _mm256_setzero_si256(), infinities = nans, zeros = nans;
  for (size_t i = 0; i < count; i += 8) {
    const __m256 value = load_floats(values + 4 * i);
    const __m256i magnitude = both(_mm256_castps_si256(value), _mm256_set1_epi32(0x7FFFFFFF));
    nans = _mm256_add_epi32(nans, _mm256_cmpgt_epi32(magnitude, infinity));
    infinities = _mm256_add_epi32(infinities, _mm256_cmpeq_epi32(magnitude, infinity));
    zeros = _mm256_add_epi32(zeros, _mm256_cmpeq_epi32(magnitude, _mm256_setzero_si256()));
    // Of a NaN and a number these take the second operand.
    minimum = _mm256_min_ps(value, minimum);
    maximum = _mm256_max_ps(value, maximum);
    const __m256 is_finite = _mm256_castsi256_ps(_mm256_cmpgt_epi32(infinity, magnitude));
    const __m256 finite = _mm256_and_ps(value, is_finite);
    const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(finite));
    const __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(finite, 1));
    add(&sum, low, high);
    add(&squares, _mm256_mul_pd(low, low), _mm256_mul_pd(high, high));
  }
  store_floats(lanes->minimum, minimum);
  store_floats(lanes->maximum, maximum);
  _mm256_storeu_pd(lanes->sum, sum.low);
  _mm256_storeu_pd(lanes->sum + 4, sum.high);
  _mm256_storeu_pd(lanes->sum_of_squares, squares.low);
  _mm256_storeu_pd(lanes->sum_of_squares + 4, squares.high);
  lanes->nan_count += counted(nans);
  lanes->infinite_count += counted(infinities);
  lanes->zero_count += counted(zeros);
}

AVX2 static void statistics(const void *values, size_t count, ck_statistics *result) {
  const uint8_t *from = values;
  const size_t most = (size_t)1 << 30;
  statistics_lanes lanes;
  statistics_begin(&lanes);
  for (; count >= 8;) {
    const size_t part = smaller(count, most) / 8 * 8;
    add_vectors(&lanes, from, part);
    from += 4 * part;
    count -= part;
  }
  statistics_add(&lanes, from, count);
  statistics_end(&lanes, result);
}

void ck_fill_avx2_floats(ck_kernels *table) {
  table->affine_rows = affine_rows;
  table->affine_run = affine_run;
  table->affine_run_bf16 = affine_run_bf16;
  table->added_run = added_run;
  table->added_run_bf16 = added_run_bf16;
  table->signed_run = signed_run;
  table->table_run = table_run;
  table->multiply = multiply;
  table->f16_to_f32 = f16_to_f32;
  table->bf16_to_f32 = bf16_to_f32;
  table->f32_to_f16 = f32_to_f16;
  table->f32_to_bf16 = f32_to_bf16;
  table->lookup_halves = lookup_halves;
  table->statistics = statistics;
}

#endif
