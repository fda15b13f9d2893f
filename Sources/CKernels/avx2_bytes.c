#pragma STDC FP_CONTRACT OFF

// Transposes and passes over bytes.

#include "avx2.h"

#if defined(__x86_64__)

// A block is 64 bytes of each of its rows, and as many rows as a row of it has elements, so that
// whole cache lines are read and written. It is copied in and out of these fixed places, because
// matrices with 4096 bytes in a row would have all its lines compete for the same few in the
// cache, and because a block at an edge needs no other treatment then than a shorter copy.
enum { line = 64 };

// Both lanes: elements of `size` bits of two rows, interleaved.
#define INTERLEAVE(size, v, i, j)                              \
  do {                                                         \
    const __m256i low = _mm256_unpacklo_epi##size(v[i], v[j]); \
    v[j] = _mm256_unpackhi_epi##size(v[i], v[j]);              \
    v[i] = low;                                                \
  } while (0)

// 32 rows of 16 bytes -> 16 rows of 32: the low lanes hold rows 0...15, the high ones 16...31.
INLINE void turn_1(const uint8_t *from, uint8_t *to) {
  __m256i v[16];
  for (size_t i = 0; i < 16; i++) v[i] = load_halves(from + i * line, from + (i + 16) * line);
  for (size_t i = 0; i < 16; i += 2) INTERLEAVE(8, v, i, i + 1);
  for (size_t i = 0; i < 16; i += 4) {
    INTERLEAVE(16, v, i, i + 2);
    INTERLEAVE(16, v, i + 1, i + 3);
  }
  for (size_t i = 0; i < 16; i += 8)
    for (size_t j = 0; j < 4; j++) INTERLEAVE(32, v, i + j, i + j + 4);
  for (size_t j = 0; j < 8; j++) INTERLEAVE(64, v, j, j + 8);
  // Each step has set one bit of the column, the highest first.
  static const uint8_t column[16] = {0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15};
  for (size_t i = 0; i < 16; i++) store(to + column[i] * line, v[i]);
}

// 16 rows of 8 elements -> 8 rows of 16.
INLINE void turn_2(const uint8_t *from, uint8_t *to) {
  __m256i v[8];
  for (size_t i = 0; i < 8; i++) v[i] = load_halves(from + i * line, from + (i + 8) * line);
  for (size_t i = 0; i < 8; i += 2) INTERLEAVE(16, v, i, i + 1);
  for (size_t i = 0; i < 8; i += 4) {
    INTERLEAVE(32, v, i, i + 2);
    INTERLEAVE(32, v, i + 1, i + 3);
  }
  for (size_t j = 0; j < 4; j++) INTERLEAVE(64, v, j, j + 4);
  static const uint8_t column[8] = {0, 4, 2, 6, 1, 5, 3, 7};
  for (size_t i = 0; i < 8; i++) store(to + column[i] * line, v[i]);
}

// 8 rows of 4 elements -> 4 rows of 8.
INLINE void turn_4(const uint8_t *from, uint8_t *to) {
  __m256i v[4];
  for (size_t i = 0; i < 4; i++) v[i] = load_halves(from + i * line, from + (i + 4) * line);
  INTERLEAVE(32, v, 0, 1);
  INTERLEAVE(32, v, 2, 3);
  INTERLEAVE(64, v, 0, 2);
  INTERLEAVE(64, v, 1, 3);
  static const uint8_t column[4] = {0, 2, 1, 3};
  for (size_t i = 0; i < 4; i++) store(to + column[i] * line, v[i]);
}

// A whole block: its tiles are 16 bytes wide and 32/size rows high.
INLINE void turn_block(size_t size, const uint8_t *from, uint8_t *to) {
  const size_t tile_rows = 32 / size, tile_columns = 16 / size, side = line / size;
  for (size_t c = 0; c < side; c += tile_columns)
    for (size_t r = 0; r < side; r += tile_rows) {
      const uint8_t *tile = from + r * line + c * size;
      uint8_t *turned = to + c * line + r * size;
      if (size == 1) turn_1(tile, turned);
      if (size == 2) turn_2(tile, turned);
      if (size == 4) turn_4(tile, turned);
    }
}

// `bytes` bytes of each of `rows` rows, mostly a whole line.
INLINE void copy_rows(const uint8_t *from, size_t from_stride, uint8_t *to, size_t to_stride,
                      size_t rows, size_t bytes) {
  if (bytes < line) {
    for (size_t row = 0; row < rows; row++)
      memcpy(to + row * to_stride, from + row * from_stride, bytes);
    return;
  }
  for (size_t row = 0; row < rows; row++, from += from_stride, to += to_stride) {
    const __m256i left = load(from), right = load(from + 32);
    store(to, left);
    store(to + 32, right);
  }
}

INLINE void transpose(size_t size, const uint8_t *from, uint8_t *to, size_t rows, size_t columns,
                      size_t stride, size_t spacing) {
  _Alignas(32) uint8_t block[line * line], turned[line * line];
  const size_t side = line / size;
  memset(block, 0, sizeof block);
  for (size_t r = 0; r < rows; r += side) {
    const size_t height = smaller(side, rows - r);
    // Rows far apart are on pages of their own, where no line is fetched ahead.
    if (stride != columns)
      for (size_t next = r + side; next < smaller(r + 2 * side, rows); next++)
        for (size_t byte = 0; byte < columns * size; byte += line)
          __builtin_prefetch(from + next * stride * size + byte);
    for (size_t c = 0; c < columns; c += side) {
      const size_t width = smaller(side, columns - c);
      copy_rows(from + (r * stride + c) * size, stride * size, block, line, height,
                width * size);
      turn_block(size, block, turned);
      copy_rows(turned, line, to + (c * spacing + r) * size, spacing * size, width, height * size);
    }
  }
}

AVX2 static void transpose_1(const void *source, void *target, size_t rows, size_t columns,
                             size_t stride, size_t spacing) {
  transpose(1, source, target, rows, columns, stride, spacing);
}

AVX2 static void transpose_2(const void *source, void *target, size_t rows, size_t columns,
                             size_t stride, size_t spacing) {
  transpose(2, source, target, rows, columns, stride, spacing);
}

AVX2 static void transpose_4(const void *source, void *target, size_t rows, size_t columns,
                             size_t stride, size_t spacing) {
  transpose(4, source, target, rows, columns, stride, spacing);
}

AVX2 static size_t count_differences(const void *a, const void *b, size_t count) {
  const uint8_t *left = a, *right = b;
  const __m256i zero = _mm256_setzero_si256();
  __m256i equal = zero;
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m256i same = _mm256_cmpeq_epi8(load(left + i), load(right + i));
    equal = _mm256_add_epi64(equal, _mm256_sad_epu8(_mm256_sub_epi8(zero, same), zero));
  }
  uint64_t lanes[4];
  store(lanes, equal);
  const size_t differences = i - (size_t)(lanes[0] + lanes[1] + lanes[2] + lanes[3]);
  return differences + plain_count_differences(left + i, right + i, count - i);
}

AVX2 static void shift(const void *source, void *target, size_t count, uint8_t addend,
                       uint8_t mask) {
  const uint8_t *from = source;
  uint8_t *to = target;
  size_t i = 0;
  for (; i + 32 <= count; i += 32)
    store(to + i, both(_mm256_add_epi8(load(from + i), bytes_of(addend)), bytes_of(mask)));
  plain_shift(from + i, to + i, count - i, addend, mask);
}

AVX2 static uint16_t narrow(const void *source, void *target, size_t count, uint16_t subtrahend) {
  const uint8_t *from = source;
  uint8_t *to = target;
  const __m256i less = _mm256_set1_epi16((short)subtrahend), byte = _mm256_set1_epi16(0xFF);
  __m256i seen = _mm256_setzero_si256();
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m256i low = _mm256_sub_epi16(load(from + 2 * i), less);
    const __m256i high = _mm256_sub_epi16(load(from + 2 * i + 32), less);
    seen = either(seen, either(low, high));
    const __m256i bytes = _mm256_packus_epi16(both(low, byte), both(high, byte));
    store(to + i, _mm256_permute4x64_epi64(bytes, 0xD8));
  }
  uint16_t lanes[16], all = plain_narrow(from + 2 * i, to + i, count - i, subtrahend);
  store(lanes, seen);
  for (size_t lane = 0; lane < 16; lane++) all |= lanes[lane];
  return all;
}

AVX2 static void extract(const void *source, void *target, size_t count, unsigned down,
                         uint8_t mask) {
  const uint8_t *from = source;
  uint8_t *to = target;
  const __m256i kept = bytes_of(0xFFu >> down & mask);
  const __m128i by = _mm_cvtsi32_si128((int)down);
  size_t i = 0;
  for (; i + 32 <= count; i += 32)
    store(to + i, both(_mm256_srl_epi16(load(from + i), by), kept));
  plain_extract(from + i, to + i, count - i, down, mask);
}

AVX2 static void extremes(const void *bytes, size_t count, uint8_t *minimum, uint8_t *maximum) {
  const uint8_t *from = bytes;
  __m256i low = bytes_of(*minimum), high = bytes_of(*maximum);
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    low = _mm256_min_epu8(low, load(from + i));
    high = _mm256_max_epu8(high, load(from + i));
  }
  uint8_t lanes[64];
  store(lanes, low);
  store(lanes + 32, high);
  for (size_t lane = 0; lane < 32; lane++) {
    *minimum = lanes[lane] < *minimum ? lanes[lane] : *minimum;
    *maximum = lanes[lane + 32] > *maximum ? lanes[lane + 32] : *maximum;
  }
  plain_extremes(from + i, count - i, minimum, maximum);
}

void ck_fill_avx2_bytes(ck_kernels *table) {
  table->transpose_1 = transpose_1;
  table->transpose_2 = transpose_2;
  table->transpose_4 = transpose_4;
  table->count_differences = count_differences;
  table->shift = shift;
  table->narrow = narrow;
  table->extract = extract;
  table->extremes = extremes;
}

#endif
