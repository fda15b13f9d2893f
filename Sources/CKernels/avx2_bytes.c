#pragma STDC FP_CONTRACT OFF

// Transposes and passes over bytes.

#include "avx2.h"

#if defined(__x86_64__)

// Both lanes: rows of elements of 1, 2, 4 or 8 bytes, every pair interleaved.
#define INTERLEAVE(size, v, i, j)                                                     \
  do {                                                                                \
    const __m256i low = _mm256_unpacklo_epi##size(v[i], v[j]);                        \
    v[j] = _mm256_unpackhi_epi##size(v[i], v[j]);                                     \
    v[i] = low;                                                                       \
  } while (0)

// Rows 0...15 in the low lanes, 16...31 in the high ones -> columns 0...15 of 32 rows.
INLINE void turn_bytes(const uint8_t *from, uint8_t *to, size_t rows, size_t columns) {
  __m256i v[16];
  for (size_t i = 0; i < 16; i++)
    v[i] = load_halves(from + i * columns, from + (i + 16) * columns);
  for (size_t i = 0; i < 16; i += 2) INTERLEAVE(8, v, i, i + 1);
  for (size_t i = 0; i < 16; i += 4) {
    INTERLEAVE(16, v, i, i + 2);
    INTERLEAVE(16, v, i + 1, i + 3);
  }
  for (size_t i = 0; i < 16; i += 8)
    for (size_t j = 0; j < 4; j++) INTERLEAVE(32, v, i + j, i + j + 4);
  for (size_t j = 0; j < 8; j++) INTERLEAVE(64, v, j, j + 8);
  // Each step wrote one more bit of the column number: v[8a+4b+2c+d] is column d,c,b,a from low.
  static const uint8_t column[16] = {0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15};
  for (size_t i = 0; i < 16; i++) store(to + column[i] * rows, v[i]);
}

// The same for 16 rows of 8 elements of two bytes.
INLINE void turn_halves(const uint8_t *from, uint8_t *to, size_t rows, size_t columns) {
  __m256i v[8];
  for (size_t i = 0; i < 8; i++)
    v[i] = load_halves(from + i * columns * 2, from + (i + 8) * columns * 2);
  for (size_t i = 0; i < 8; i += 2) INTERLEAVE(16, v, i, i + 1);
  for (size_t i = 0; i < 8; i += 4) {
    INTERLEAVE(32, v, i, i + 2);
    INTERLEAVE(32, v, i + 1, i + 3);
  }
  for (size_t j = 0; j < 4; j++) INTERLEAVE(64, v, j, j + 4);
  static const uint8_t column[8] = {0, 4, 2, 6, 1, 5, 3, 7};
  for (size_t i = 0; i < 8; i++) store(to + column[i] * rows * 2, v[i]);
}

// And for 8 rows of 4 elements of four bytes, twice, so that 8 columns are used.
INLINE void turn_words(const uint8_t *from, uint8_t *to, size_t rows, size_t columns) {
  for (size_t half = 0; half < 2; half++, from += 16, to += 4 * rows * 4) {
    __m256i v[4];
    for (size_t i = 0; i < 4; i++)
      v[i] = load_halves(from + i * columns * 4, from + (i + 4) * columns * 4);
    INTERLEAVE(32, v, 0, 1);
    INTERLEAVE(32, v, 2, 3);
    INTERLEAVE(64, v, 0, 2);
    INTERLEAVE(64, v, 1, 3);
    static const uint8_t column[4] = {0, 2, 1, 3};
    for (size_t i = 0; i < 4; i++) store(to + column[i] * rows * 4, v[i]);
  }
}

// Blocks of one cache line each way; tiles at the edges overlap their neighbours.
#define TRANSPOSE(name, turn, size, tile_rows, tile_columns, plain)                             \
  AVX2 static void name(const void *source, void *target, size_t rows, size_t columns) {        \
    if (rows < tile_rows || columns < tile_columns) {                                           \
      plain(source, target, rows, columns);                                                     \
      return;                                                                                   \
    }                                                                                           \
    const uint8_t *from = source;                                                               \
    uint8_t *to = target;                                                                       \
    const size_t block = 64 / size;                                                             \
    for (size_t r = 0; r < rows; r += block)                                                    \
      for (size_t c = 0; c < columns; c += block)                                               \
        for (size_t x = c; x < smaller(c + block, columns); x += tile_columns)                  \
          for (size_t y = r; y < smaller(r + block, rows); y += tile_rows) {                    \
            const size_t row = smaller(y, rows - tile_rows);                                    \
            const size_t column = smaller(x, columns - tile_columns);                           \
            turn(from + (row * columns + column) * size, to + (column * rows + row) * size,     \
                 rows, columns);                                                                \
          }                                                                                     \
  }

TRANSPOSE(transpose_1, turn_bytes, 1, 32, 16, plain_transpose_1)
TRANSPOSE(transpose_2, turn_halves, 2, 16, 8, plain_transpose_2)
TRANSPOSE(transpose_4, turn_words, 4, 8, 8, plain_transpose_4)

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
  plain_extremes(lanes, 64, minimum, maximum);
  plain_extremes(from + i, count - i, minimum, maximum);
}

void ck_fill_avx2_bytes(ck_kernels *table) {
  table->transpose_1 = transpose_1;
  table->transpose_2 = transpose_2;
  table->transpose_4 = transpose_4;
  table->count_differences = count_differences;
  table->shift = shift;
  table->extremes = extremes;
}

#endif
