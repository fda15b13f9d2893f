#pragma STDC FP_CONTRACT OFF

// Bit streams, 64 codes at a time.

#include "avx512.h"

#if defined(__x86_64__)

// Eight codes fill `bits` whole bytes: those go to an element of 64 bits, of which each code is
// shifted into a byte of its own.
INLINE void unpack(unsigned bits, const uint8_t *from, uint8_t *to, size_t count) {
  uint8_t places[64], shifts[64];
  for (unsigned i = 0; i < 64; i++) {
    places[i] = (uint8_t)(i / 8 * bits + i % 8);
    shifts[i] = (uint8_t)(i % 8 * bits);
  }
  const __m512i place = _mm512_loadu_si512(places), shift = _mm512_loadu_si512(shifts);
  const __m512i mask = _mm512_set1_epi8((char)((1u << bits) - 1));
  const size_t bytes = (count * bits + 7) / 8;
  size_t i = 0;
  // As long as 64 bytes may be read, of which `8 * bits` are needed.
  for (size_t at = 0; at + 64 <= bytes && i + 64 <= count; at += 8 * bits, i += 64) {
    const __m512i eights = _mm512_permutexvar_epi8(place, _mm512_loadu_si512(from + at));
    const __m512i unpacked = _mm512_multishift_epi64_epi8(shift, eights);
    _mm512_storeu_si512(to + i, _mm512_and_si512(unpacked, mask));
  }
  for (from += i / 8 * bits; i < count; i += 64, from += 8 * bits) {
    const size_t codes = smaller(64, count - i);
    const __mmask64 held = first_bytes((codes * bits + 7) / 8);
    const __m512i eights = _mm512_permutexvar_epi8(place, _mm512_maskz_loadu_epi8(held, from));
    const __m512i unpacked = _mm512_multishift_epi64_epi8(shift, eights);
    _mm512_mask_storeu_epi8(to + i, first_bytes(codes), _mm512_and_si512(unpacked, mask));
  }
}

AVX512 static void stream_unpack(unsigned bits, const void *words, void *codes, size_t count) {
  switch (bits) {
    case 1: unpack(1, words, codes, count); break;
    case 2: unpack(2, words, codes, count); break;
    case 3: unpack(3, words, codes, count); break;
    case 4: unpack(4, words, codes, count); break;
    case 5: unpack(5, words, codes, count); break;
    case 6: unpack(6, words, codes, count); break;
    case 7: unpack(7, words, codes, count); break;
    default: memcpy(codes, words, count);
  }
}

void ck_fill_avx512_streams(ck_kernels *table) { table->stream_unpack = stream_unpack; }

#endif
