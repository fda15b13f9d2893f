// Codes with a scale and a zero, or a term, for each run of them, to bf16 [count], 32 at a time. The file that
// includes this defines TARGET and NORMALS(first, second), which rounds 32 f32 that are neither
// subnormal nor infinite nor NaN.

#include "avx512.h"

#define LEAF static inline __attribute__((always_inline)) TARGET

// Rounds 32 f32 to nearest, ties to even; NaN becomes quiet.
INLINE __m512i rounded(__m512 first, __m512 second) {
  const __m512i high = _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35,
                                        33, 31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
  const __m512 values[2] = {first, second};
  __m512i halves[2];
  for (int i = 0; i < 2; i++) {
    const __m512i bits = _mm512_castps_si512(values[i]);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i bias = _mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF));
    const __mmask16 nan = _mm512_cmp_ps_mask(values[i], values[i], _CMP_UNORD_Q);
    halves[i] = _mm512_mask_or_epi32(_mm512_add_epi32(bias, odd), nan, bits,
                                     _mm512_set1_epi32(0x400000));
  }
  return _mm512_permutex2var_epi16(halves[0], high, halves[1]);
}

// s*(q-z), or s*q, rounded, + z.
INLINE __m512 dequantized(int is_added, __m128i codes, __m512 s, __m512 z) {
  const __m512 q = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(codes));
  return is_added ? _mm512_add_ps(_mm512_mul_ps(s, q), z) : _mm512_mul_ps(s, _mm512_sub_ps(q, z));
}

// Whether all results are zeros or normal numbers. A sum or a difference is a multiple of the least
// bit of what it is made of; a difference has to stay normal when it is multiplied.
INLINE int makes_normals(int is_added, float scale, float zero) {
  const float s = __builtin_fabsf(scale), z = __builtin_fabsf(zero);
  const float least = is_added ? 0x1p-60f : 0x1p-20f;
  return s >= 0x1p-60f && s < 0x1p60f && (z == 0 || (z >= least && z < 0x1p60f));
}

// Scales and zeros of the first 16 of 32 codes, and of the others.
typedef struct parameters {
  __m512 scale[2], zero[2];
} parameters;

LEAF __m512i halves_of(int is_added, int is_normal, __m256i codes, const parameters *of) {
  const __m128i low = _mm256_castsi256_si128(codes), high = _mm256_extracti128_si256(codes, 1);
  const __m512 first = dequantized(is_added, low, of->scale[0], of->zero[0]);
  const __m512 second = dequantized(is_added, high, of->scale[1], of->zero[1]);
  return is_normal ? NORMALS(first, second) : rounded(first, second);
}

LEAF void part_bf16(int is_added, int is_normal, const uint8_t *q, const parameters *of,
                    uint8_t *to, size_t count) {
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m256i codes = _mm256_loadu_si256((const void *)(q + i));
    _mm512_storeu_si512(to + 2 * i, halves_of(is_added, is_normal, codes, of));
  }
  if (i == count) return;
  const __mmask32 mask = first_halves(count - i);
  const __m256i codes = _mm256_maskz_loadu_epi8(mask, q + i);
  _mm512_mask_storeu_epi16(to + 2 * i, mask, halves_of(is_added, is_normal, codes, of));
}

// One run, or two of 16 codes.
LEAF void run_bf16(int is_added, const uint8_t *q, const uint8_t *s, const uint8_t *z, int runs,
                   uint8_t *to, size_t count) {
  const int other = 4 * (runs - 1);
  const float scale = load_f32(s), zero = load_f32(z);
  const float next_scale = load_f32(s + other), next_zero = load_f32(z + other);
  const parameters of = {{_mm512_set1_ps(scale), _mm512_set1_ps(next_scale)},
                         {_mm512_set1_ps(zero), _mm512_set1_ps(next_zero)}};
  const int is_normal = makes_normals(is_added, scale, zero) &&
                        (runs == 1 || makes_normals(is_added, next_scale, next_zero));
  if (is_normal)
    part_bf16(is_added, 1, q, &of, to, count);
  else
    part_bf16(is_added, 0, q, &of, to, count);
}

LEAF void runs_bf16(int is_added, const uint8_t *q, const uint8_t *s, const uint8_t *z,
                    uint8_t *to, size_t count, size_t group) {
  size_t i = 0;
  for (; group == 16 && i + 32 <= count; i += 32, s += 8, z += 8)
    run_bf16(is_added, q + i, s, z, 2, to + 2 * i, 32);
  for (; i < count; s += 4, z += 4) {
    const size_t run = smaller(group, count - i);
    run_bf16(is_added, q + i, s, z, 1, to + 2 * i, run);
    i += run;
  }
}

TARGET static void affine_run_bf16(const void *codes, const void *scales, const void *zeros,
                                   void *halves, size_t count, size_t group) {
  runs_bf16(0, codes, scales, zeros, halves, count, group);
}

TARGET static void added_run_bf16(const void *codes, const void *scales, const void *added,
                                  void *halves, size_t count, size_t group) {
  runs_bf16(1, codes, scales, added, halves, count, group);
}
