#pragma STDC FP_CONTRACT OFF

// Codes to numbers of two bytes, 32 at a time.

#include "avx512.h"

#if defined(__x86_64__)

INLINE __m512 numbers(__m128i codes) { return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(codes)); }

// A bf16 in the high half of each element: nearest, ties to even.
INLINE __m512i rounded(__m512 values, int has_nan) {
  const __m512i bits = _mm512_castps_si512(values);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i bias = _mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF));
  const __m512i nearest = _mm512_add_epi32(bias, odd);
  if (!has_nan) return nearest;
  const __mmask16 nan = _mm512_cmp_ps_mask(values, values, _CMP_UNORD_Q);
  return _mm512_mask_or_epi32(nearest, nan, bits, _mm512_set1_epi32(0x400000));
}

// s*(q-z), or s*q, rounded, + z.
INLINE __m512 dequantized(int is_added, __m128i codes, __m512 scale, __m512 zero) {
  const __m512 q = numbers(codes);
  return is_added ? _mm512_add_ps(_mm512_mul_ps(scale, q), zero)
                  : _mm512_mul_ps(scale, _mm512_sub_ps(q, zero));
}

// One run of codes with one scale and one zero.
INLINE void run_bf16(int is_added, int has_nan, const uint8_t *from, float scale, float zero,
                     uint8_t *to, size_t count) {
  const __m512 s = _mm512_set1_ps(scale), z = _mm512_set1_ps(zero);
  const __m512i high = _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35,
                                        33, 31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
  for (size_t i = 0; i < count; i += 32) {
    const __mmask32 mask = first_halves(count - i);
    const __m256i codes = _mm256_maskz_loadu_epi8(mask, from + i);
    const __m512i first =
        rounded(dequantized(is_added, _mm256_castsi256_si128(codes), s, z), has_nan);
    const __m512i second =
        rounded(dequantized(is_added, _mm256_extracti128_si256(codes, 1), s, z), has_nan);
    _mm512_mask_storeu_epi16(to + 2 * i, mask, _mm512_permutex2var_epi16(first, high, second));
  }
}

// Finite parameters whose products don't overflow make no NaN.
INLINE int is_tame(float scale, float zero) {
  return __builtin_fabsf(scale) < 0x1p60f && __builtin_fabsf(zero) < 0x1p60f;
}

INLINE void runs_bf16(int is_added, const uint8_t *q, const uint8_t *s, const uint8_t *z,
                      uint8_t *to, size_t count, size_t group) {
  for (size_t i = 0; i < count; s += 4, z += 4) {
    const float scale = load_f32(s), zero = load_f32(z);
    const size_t run = smaller(group, count - i);
    if (is_tame(scale, zero))
      run_bf16(is_added, 0, q + i, scale, zero, to + 2 * i, run);
    else
      run_bf16(is_added, 1, q + i, scale, zero, to + 2 * i, run);
    i += run;
  }
}

AVX512 static void affine_run_bf16(const void *codes, const void *scales, const void *zeros,
                                   void *halves, size_t count, size_t group) {
  runs_bf16(0, codes, scales, zeros, halves, count, group);
}

AVX512 static void added_run_bf16(const void *codes, const void *scales, const void *added,
                                  void *halves, size_t count, size_t group) {
  runs_bf16(1, codes, scales, added, halves, count, group);
}

// Of an index the lowest five bits count; the table is there twice, so that only four do.
AVX512 static void lookup_halves(const void *codes, const void *tables, void *target, size_t count,
                                 size_t group) {
  const uint8_t *from = codes, *table = tables;
  uint8_t *to = target;
  for (size_t start = 0; start < count; table += 32) {
    const size_t end = start + smaller(group, count - start);
    const __m512i values = _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)table));
    for (size_t i = start; i < end; i += 32) {
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
