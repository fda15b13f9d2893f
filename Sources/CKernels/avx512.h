// Shared by the AVX-512 files: their vectors end in masks, so that they need no plain ends.

#ifndef AVX512_H
#define AVX512_H

#if defined(__x86_64__)

#include <immintrin.h>

#include "kernels.h"

// Without FMA, so that nothing can be fused.
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi")))
#define INLINE static inline __attribute__((always_inline)) AVX512

// A mask of the first `count` of 64 elements, all of them from 64 on.
INLINE __mmask64 first_bytes(size_t count) {
  return count < 64 ? ((__mmask64)1 << count) - 1 : ~(__mmask64)0;
}

// Of 32 elements.
INLINE __mmask32 first_halves(size_t count) {
  return count < 32 ? ((__mmask32)1 << count) - 1 : ~(__mmask32)0;
}

#endif
#endif
