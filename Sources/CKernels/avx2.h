// Shared by the AVX2 files, which all loop over whole vectors and leave the ends to plain C, or
// do the last whole vector of a run again.

#ifndef AVX2_H
#define AVX2_H

#if defined(__x86_64__)

#include <immintrin.h>

#include "kernels.h"

// Without FMA, so that nothing can be fused.
#define AVX2 __attribute__((target("avx2,f16c")))
#define INLINE static inline __attribute__((always_inline)) AVX2

INLINE __m256i load(const void *from) { return _mm256_loadu_si256(from); }

INLINE void store(void *to, __m256i value) { _mm256_storeu_si256(to, value); }

INLINE __m128i load_half(const void *from) { return _mm_loadu_si128(from); }

// Two halves from two addresses, the first in the low lane.
INLINE __m256i load_halves(const void *low, const void *high) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(load_half(low)), load_half(high), 1);
}

INLINE __m256i either(__m256i a, __m256i b) { return _mm256_or_si256(a, b); }

INLINE __m256i both(__m256i a, __m256i b) { return _mm256_and_si256(a, b); }

INLINE __m256i bytes_of(unsigned value) { return _mm256_set1_epi8((char)value); }

// The same 16 bytes in both lanes.
INLINE __m256i twice(__m128i lane) { return _mm256_broadcastsi128_si256(lane); }

#endif
#endif
