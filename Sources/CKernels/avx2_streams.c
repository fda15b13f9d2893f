#pragma STDC FP_CONTRACT OFF

// Bit streams and interleaved words, 32 codes at a time.

#include "avx2.h"

#if defined(__x86_64__)

// Each lane takes 16 codes, 2*bits bytes. A code lies within two neighbouring bytes: shuffles
// bring the pairs of the even and of the odd codes into 16-bit elements, a multiplication moves
// each code to the top of its element, and a shift down leaves it alone.
INLINE void unpack_any(unsigned bits, const uint8_t *from, uint8_t *to, size_t count) {
  uint8_t even_pair[16], odd_pair[16];
  uint16_t even_shift[8], odd_shift[8];
  for (unsigned i = 0; i < 8; i++) {
    const unsigned even = 2 * i * bits, odd = even + bits;
    even_pair[2 * i] = (uint8_t)(even / 8);
    even_pair[2 * i + 1] = (uint8_t)(even / 8 + 1);
    odd_pair[2 * i] = (uint8_t)(odd / 8);
    odd_pair[2 * i + 1] = (uint8_t)(odd / 8 + 1);
    even_shift[i] = (uint16_t)(1u << (16 - bits - even % 8));
    odd_shift[i] = (uint16_t)(1u << (16 - bits - odd % 8));
  }
  const __m256i even_bytes = twice(load_half(even_pair)), odd_bytes = twice(load_half(odd_pair));
  const __m256i even_factor = twice(load_half(even_shift));
  const __m256i odd_factor = twice(load_half(odd_shift));
  const __m256i high_bytes = _mm256_set1_epi16((short)0xFF00);
  const size_t bytes = (count * bits + 7) / 8;
  size_t i = 0;
  for (size_t at = 0; at + 2 * bits + 16 <= bytes; at += 4 * bits, i += 32) {
    const __m256i stream = load_halves(from + at, from + at + 2 * bits);
    __m256i even = _mm256_mullo_epi16(_mm256_shuffle_epi8(stream, even_bytes), even_factor);
    __m256i odd = _mm256_mullo_epi16(_mm256_shuffle_epi8(stream, odd_bytes), odd_factor);
    even = _mm256_srli_epi16(even, (int)(16 - bits));
    odd = both(_mm256_srli_epi16(odd, (int)(8 - bits)), high_bytes);
    store(to + i, either(even, odd));
  }
  plain_stream_unpack(bits, from + i / 8 * bits, to + i, count - i);
}

INLINE void unpack_1(const uint8_t *from, uint8_t *to, size_t count) {
  const __m256i byte = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202,
                                          0x0303030303030303);
  const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201);
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m256i stream = _mm256_set1_epi32((int)load_u32(from + i / 8));
    const __m256i found = both(_mm256_shuffle_epi8(stream, byte), bit);
    store(to + i, both(_mm256_cmpeq_epi8(found, bit), bytes_of(1)));
  }
  plain_stream_unpack(1, from + i / 8, to + i, count - i);
}

INLINE void unpack_2(const uint8_t *from, uint8_t *to, size_t count) {
  const __m256i mask = bytes_of(3);
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    __m256i wide = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)(from + i / 4)));
    wide = either(wide, _mm256_slli_epi32(wide, 12));
    store(to + i, both(either(wide, _mm256_slli_epi32(wide, 6)), mask));
  }
  plain_stream_unpack(2, from + i / 4, to + i, count - i);
}

INLINE void unpack_4(const uint8_t *from, uint8_t *to, size_t count) {
  const __m256i mask = bytes_of(15);
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m256i wide = _mm256_cvtepu8_epi16(load_half(from + i / 2));
    store(to + i, both(either(wide, _mm256_slli_epi16(wide, 4)), mask));
  }
  plain_stream_unpack(4, from + i / 2, to + i, count - i);
}

AVX2 static void stream_unpack(unsigned bits, const void *words, void *codes, size_t count) {
  switch (bits) {
    case 1: unpack_1(words, codes, count); break;
    case 2: unpack_2(words, codes, count); break;
    case 3: unpack_any(3, words, codes, count); break;
    case 4: unpack_4(words, codes, count); break;
    case 5: unpack_any(5, words, codes, count); break;
    case 6: unpack_any(6, words, codes, count); break;
    case 7: unpack_any(7, words, codes, count); break;
    default: memcpy(codes, words, count);
  }
}

// Multiplications join neighbours, low code first: two codes in 16 bits, four in 32. A shift up
// of every low half brings eight together, and a shuffle closes the gaps between them.
INLINE void pack_any(unsigned bits, const uint8_t *from, uint8_t *to, size_t count) {
  const __m256i mask = bytes_of((1u << bits) - 1);
  const __m256i pair = _mm256_set1_epi16((short)(1 | 1u << (8 + bits)));
  const __m256i quad = _mm256_set1_epi32((int)(1 | 1u << (16 + 2 * bits)));
  const __m256i up = _mm256_set1_epi64x(32 - 4 * bits);
  uint8_t order[16];
  for (unsigned i = 0; i < 16; i++)
    order[i] = i < bits ? (uint8_t)i : i < 2 * bits ? (uint8_t)(i - bits + 8) : 0x80;
  const __m256i close = twice(load_half(order));
  const size_t bytes = (count * bits + 7) / 8;
  size_t i = 0;
  // Stores are 16 bytes wide, the next ones overwrite their unused ends.
  for (size_t at = 0; at + 2 * bits + 16 <= bytes; at += 4 * bits, i += 32) {
    __m256i codes = both(load(from + i), mask);
    codes = _mm256_maddubs_epi16(pair, codes);
    codes = _mm256_madd_epi16(codes, quad);
    codes = _mm256_srli_epi64(_mm256_sllv_epi32(codes, up), (int)(32 - 4 * bits));
    codes = _mm256_shuffle_epi8(codes, close);
    _mm_storeu_si128((void *)(to + at), _mm256_castsi256_si128(codes));
    _mm_storeu_si128((void *)(to + at + 2 * bits), _mm256_extracti128_si256(codes, 1));
  }
  plain_stream_pack(bits, from + i, to + i / 8 * bits, count - i);
}

INLINE void pack_1(const uint8_t *from, uint8_t *to, size_t count) {
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m256i top = _mm256_slli_epi16(load(from + i), 7);
    store_u32(to + i / 8, (uint32_t)_mm256_movemask_epi8(top));
  }
  plain_stream_pack(1, from + i, to + i / 8, count - i);
}

INLINE __m256i pairs_of_2(const uint8_t *from) {
  return _mm256_maddubs_epi16(both(load(from), bytes_of(3)), _mm256_set1_epi16(0x0401));
}

INLINE void pack_2(const uint8_t *from, uint8_t *to, size_t count) {
  const __m256i quad = _mm256_set1_epi16(0x1001);
  size_t i = 0;
  for (; i + 128 <= count; i += 128) {
    __m256i low = _mm256_packus_epi16(pairs_of_2(from + i), pairs_of_2(from + i + 32));
    __m256i high = _mm256_packus_epi16(pairs_of_2(from + i + 64), pairs_of_2(from + i + 96));
    low = _mm256_maddubs_epi16(low, quad);
    high = _mm256_maddubs_epi16(high, quad);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    store(to + i / 4, _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order));
  }
  plain_stream_pack(2, from + i, to + i / 4, count - i);
}

INLINE __m256i pairs_of_4(const uint8_t *from) {
  return _mm256_maddubs_epi16(both(load(from), bytes_of(15)), _mm256_set1_epi16(0x1001));
}

INLINE void pack_4(const uint8_t *from, uint8_t *to, size_t count) {
  size_t i = 0;
  for (; i + 64 <= count; i += 64) {
    const __m256i bytes = _mm256_packus_epi16(pairs_of_4(from + i), pairs_of_4(from + i + 32));
    store(to + i / 2, _mm256_permute4x64_epi64(bytes, 0xD8));
  }
  plain_stream_pack(4, from + i, to + i / 2, count - i);
}

AVX2 static void stream_pack(unsigned bits, const void *codes, void *words, size_t count) {
  switch (bits) {
    case 1: pack_1(codes, words, count); break;
    case 2: pack_2(codes, words, count); break;
    case 3: pack_any(3, codes, words, count); break;
    case 4: pack_4(codes, words, count); break;
    case 5: pack_any(5, codes, words, count); break;
    case 6: pack_any(6, codes, words, count); break;
    case 7: pack_any(7, codes, words, count); break;
    default: memcpy(words, codes, count);
  }
}

// The middle bytes of every word change places, so that low and high nibbles alternate in pairs.
INLINE __m256i middle_swapped(__m256i words) {
  const __m128i order = _mm_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
  return _mm256_shuffle_epi8(words, twice(order));
}

AVX2 static void interleaved_unpack(const void *words, void *codes, size_t count) {
  const uint8_t *from = words;
  uint8_t *to = codes;
  const __m256i mask = bytes_of(15);
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256i spread = _mm256_permute4x64_epi64(load(from + 4 * i), 0xD8);
    const __m256i nibbles = middle_swapped(spread);
    const __m256i low = both(nibbles, mask);
    const __m256i high = both(_mm256_srli_epi16(nibbles, 4), mask);
    store(to + 8 * i, _mm256_unpacklo_epi16(low, high));
    store(to + 8 * i + 32, _mm256_unpackhi_epi16(low, high));
  }
  plain_interleaved_unpack(from + 4 * i, to + 8 * i, count - i);
}

// Nibble pairs (0,2) (4,6) (1,3) (5,7) of every eight codes, in 16 bits each.
INLINE __m256i interleaved_pairs(const uint8_t *from) {
  const __m128i order = _mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15);
  const __m256i codes = _mm256_shuffle_epi8(both(load(from), bytes_of(15)), twice(order));
  return _mm256_maddubs_epi16(codes, _mm256_set1_epi16(0x1001));
}

AVX2 static void interleaved_pack(const void *codes, void *words, size_t count) {
  const uint8_t *from = codes;
  uint8_t *to = words;
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256i low = interleaved_pairs(from + 8 * i);
    const __m256i high = interleaved_pairs(from + 8 * i + 32);
    store(to + 4 * i, _mm256_permute4x64_epi64(_mm256_packus_epi16(low, high), 0xD8));
  }
  plain_interleaved_pack(from + 8 * i, to + 4 * i, count - i);
}

// 64 codes of each of four rows, which lie row after row.
AVX2 static void quads_unpack(const void *words, void *codes, size_t quads, size_t columns) {
  const __m128i order = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
  const __m256i bytes = twice(order), mask = bytes_of(15);
  const uint8_t *from = words;
  uint8_t *to = codes;
  for (size_t quad = 0; quad < quads; quad++, to += 4 * columns)
    for (size_t block = 0; block < columns; block += 64)
      for (size_t row = 0; row < 4; row++, from += 32) {
        const __m256i nibbles = _mm256_shuffle_epi8(load(from), bytes);
        const __m256i low = both(nibbles, mask);
        const __m256i high = both(_mm256_srli_epi16(nibbles, 4), mask);
        const __m256i first = _mm256_unpacklo_epi64(low, high);
        const __m256i second = _mm256_unpackhi_epi64(low, high);
        store(to + row * columns + block, _mm256_permute2x128_si256(first, second, 0x20));
        store(to + row * columns + block + 32, _mm256_permute2x128_si256(first, second, 0x31));
      }
}

AVX2 static void quads_pack(const void *codes, void *words, size_t quads, size_t columns) {
  const __m128i order = _mm_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
  const __m256i bytes = twice(order), mask = bytes_of(15);
  const uint8_t *from = codes;
  uint8_t *to = words;
  for (size_t quad = 0; quad < quads; quad++, from += 4 * columns)
    for (size_t block = 0; block < columns; block += 64)
      for (size_t row = 0; row < 4; row++, to += 32) {
        const __m256i left = both(load(from + row * columns + block), mask);
        const __m256i right = both(load(from + row * columns + block + 32), mask);
        const __m256i first = _mm256_permute2x128_si256(left, right, 0x20);
        const __m256i second = _mm256_permute2x128_si256(left, right, 0x31);
        const __m256i low = _mm256_unpacklo_epi64(first, second);
        const __m256i high = _mm256_slli_epi16(_mm256_unpackhi_epi64(first, second), 4);
        store(to, _mm256_shuffle_epi8(either(low, high), bytes));
      }
}

void ck_fill_avx2_streams(ck_kernels *table) {
  table->stream_unpack = stream_unpack;
  table->stream_pack = stream_pack;
  table->interleaved_unpack = interleaved_unpack;
  table->interleaved_pack = interleaved_pack;
  table->quads_unpack = quads_unpack;
  table->quads_pack = quads_pack;
}

#endif
