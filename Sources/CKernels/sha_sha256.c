#pragma STDC FP_CONTRACT OFF

// The compression function of SHA-256 on the SHA extensions of x86.

#include "kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define SHA __attribute__((target("sha,sse4.1,ssse3")))
#define INLINE static inline __attribute__((always_inline)) SHA

INLINE __m128i load(const void *from) { return _mm_loadu_si128(from); }

INLINE void store(void *to, __m128i value) { _mm_storeu_si128(to, value); }

// The processor wants the words in this order, the first in the highest place.
typedef struct state_pair {
  __m128i abef, cdgh;
} state_pair;

INLINE state_pair load_state(const uint32_t *state) {
  const __m128i badc = _mm_shuffle_epi32(load(state), 0xB1);
  const __m128i hgfe = _mm_shuffle_epi32(load(state + 4), 0x1B);
  return (state_pair){_mm_alignr_epi8(badc, hgfe, 8), _mm_blend_epi16(hgfe, badc, 0xF0)};
}

INLINE void store_state(uint32_t *state, state_pair pair) {
  const __m128i feba = _mm_shuffle_epi32(pair.abef, 0x1B);
  const __m128i dchg = _mm_shuffle_epi32(pair.cdgh, 0xB1);
  store(state, _mm_blend_epi16(feba, dchg, 0xF0));
  store(state + 4, _mm_alignr_epi8(dchg, feba, 8));
}

// Rounds i ... i+3 with four words of the schedule.
INLINE void four_rounds(state_pair *pair, __m128i words, size_t i) {
  const __m128i sum = _mm_add_epi32(words, load(sha256_constants + i));
  pair->cdgh = _mm_sha256rnds2_epu32(pair->cdgh, pair->abef, sum);
  pair->abef = _mm_sha256rnds2_epu32(pair->abef, pair->cdgh, _mm_shuffle_epi32(sum, 0x0E));
}

// The four words that follow those of a, b, c and d.
INLINE __m128i next_words(__m128i a, __m128i b, __m128i c, __m128i d) {
  const __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(a, b), _mm_alignr_epi8(d, c, 4));
  return _mm_sha256msg2_epu32(sum, d);
}

SHA static void sha_sha256(uint32_t *state, const void *blocks, size_t count) {
  const __m128i big_endian = _mm_set_epi64x(0x0C0D0E0F08090A0BLL, 0x0405060700010203LL);
  const uint8_t *from = blocks;
  state_pair pair = load_state(state);
  for (; count > 0; count--, from += 64) {
    const state_pair before = pair;
    __m128i w[4];
#pragma clang loop unroll(full)
    for (size_t i = 0; i < 4; i++) w[i] = _mm_shuffle_epi8(load(from + 16 * i), big_endian);
#pragma clang loop unroll(full)
    for (size_t i = 0; i < 16; i++) {
      four_rounds(&pair, w[i % 4], 4 * i);
      if (i < 12) w[i % 4] = next_words(w[i % 4], w[(i + 1) % 4], w[(i + 2) % 4], w[(i + 3) % 4]);
    }
    pair.abef = _mm_add_epi32(pair.abef, before.abef);
    pair.cdgh = _mm_add_epi32(pair.cdgh, before.cdgh);
  }
  store_state(state, pair);
}

void ck_fill_sha_sha256(ck_kernels *table) { table->sha256 = sha_sha256; }

#endif
