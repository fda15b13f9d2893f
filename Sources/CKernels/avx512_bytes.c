#pragma STDC FP_CONTRACT OFF

// Transposes of bytes and words in tiles of whole cache lines.

#include "avx512.h"

#if defined(__x86_64__)

enum { line = 64 };

// 16x16 elements of 32 bits.
INLINE void turn_words(const __m512i rows[16], __m512i columns[16]) {
  __m512i a[16], b[16];
  for (int i = 0; i < 16; i += 2) {
    a[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    a[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  // Element j of a lane of b[4i + j] is column 4·lane + j of rows 4i … 4i + 3.
  for (int i = 0; i < 16; i += 4)
    for (int j = 0; j < 2; j++) {
      b[i + 2 * j] = _mm512_unpacklo_epi64(a[i + j], a[i + j + 2]);
      b[i + 2 * j + 1] = _mm512_unpackhi_epi64(a[i + j], a[i + j + 2]);
    }
  for (int j = 0; j < 4; j++) {
    const __m512i even_low = _mm512_shuffle_i32x4(b[j], b[4 + j], 0x88);
    const __m512i odd_low = _mm512_shuffle_i32x4(b[j], b[4 + j], 0xDD);
    const __m512i even_high = _mm512_shuffle_i32x4(b[8 + j], b[12 + j], 0x88);
    const __m512i odd_high = _mm512_shuffle_i32x4(b[8 + j], b[12 + j], 0xDD);
    columns[j] = _mm512_shuffle_i32x4(even_low, even_high, 0x88);
    columns[4 + j] = _mm512_shuffle_i32x4(odd_low, odd_high, 0x88);
    columns[8 + j] = _mm512_shuffle_i32x4(even_low, even_high, 0xDD);
    columns[12 + j] = _mm512_shuffle_i32x4(odd_low, odd_high, 0xDD);
  }
}

// `width` bytes of `height` of `count` rows; the rest are zeros.
INLINE void load_rows(const uint8_t *from, size_t stride, size_t height, size_t width, int count,
                      __m512i *rows) {
  if (height == (size_t)count && width == line) {
    for (int i = 0; i < count; i++) rows[i] = _mm512_loadu_si512(from + (size_t)i * stride);
    return;
  }
  for (int i = 0; i < count; i++)
    rows[i] = (size_t)i < height
                  ? _mm512_maskz_loadu_epi8(first_bytes(width), from + (size_t)i * stride)
                  : _mm512_setzero_si512();
}

INLINE void store_row(uint8_t *to, size_t width, __m512i row) {
  if (width == line)
    _mm512_storeu_si512(to, row);
  else
    _mm512_mask_storeu_epi8(to, first_bytes(width), row);
}

// Up to 16 rows of up to 16 words.
INLINE void turn_tile_4(const uint8_t *from, size_t from_stride, uint8_t *to, size_t to_stride,
                        size_t height, size_t width) {
  __m512i rows[16], columns[16];
  load_rows(from, from_stride, height, 4 * width, 16, rows);
  turn_words(rows, columns);
  for (size_t i = 0; i < width; i++) store_row(to + i * to_stride, 4 * height, columns[i]);
}

// Up to 64 rows of up to 64 bytes: bytes of four rows become words, which are turned.
INLINE void turn_tile_1(const uint8_t *from, size_t from_stride, uint8_t *to, size_t to_stride,
                        size_t height, size_t width) {
  __m512i words[4][16], columns[16];
  for (size_t i = 0; i < 16; i++) {
    __m512i rows[4];
    const size_t left = height > 4 * i ? height - 4 * i : 0;
    load_rows(from + 4 * i * from_stride, from_stride, smaller(left, 4), width, 4, rows);
    const __m512i a = _mm512_unpacklo_epi8(rows[0], rows[1]);
    const __m512i b = _mm512_unpackhi_epi8(rows[0], rows[1]);
    const __m512i c = _mm512_unpacklo_epi8(rows[2], rows[3]);
    const __m512i d = _mm512_unpackhi_epi8(rows[2], rows[3]);
    words[0][i] = _mm512_unpacklo_epi16(a, c);
    words[1][i] = _mm512_unpackhi_epi16(a, c);
    words[2][i] = _mm512_unpacklo_epi16(b, d);
    words[3][i] = _mm512_unpackhi_epi16(b, d);
  }
  // Word 4·lane + i of part j is column 16·lane + 4·j + i.
  for (size_t j = 0; j < 4; j++) {
    turn_words(words[j], columns);
    for (size_t i = 0; i < 16; i++) {
      const size_t column = i / 4 * 16 + 4 * j + i % 4;
      if (column < width) store_row(to + column * to_stride, height, columns[i]);
    }
  }
}

// One tile, whole or at an edge.
INLINE void turn_tile(size_t size, const uint8_t *from, size_t from_stride, uint8_t *to,
                      size_t to_stride, size_t height, size_t width) {
  const int is_whole = height == line / size && width == line / size;
  if (size == 4 && is_whole) turn_tile_4(from, from_stride, to, to_stride, 16, 16);
  if (size == 4 && !is_whole) turn_tile_4(from, from_stride, to, to_stride, height, width);
  if (size == 1 && is_whole) turn_tile_1(from, from_stride, to, to_stride, 64, 64);
  if (size == 1 && !is_whole) turn_tile_1(from, from_stride, to, to_stride, height, width);
}

// 64 rows at a time, so that several lines of a target row follow each other: target rows are often
// 4096 bytes apart, and then all compete for the same places in the cache.
INLINE void transpose(size_t size, const uint8_t *from, uint8_t *to, size_t rows, size_t columns,
                      size_t stride, size_t spacing) {
  const size_t side = line / size;
  for (size_t start = 0; start < rows; start += 64) {
    const size_t end = smaller(start + 64, rows);
    // Rows far apart are on pages of their own, where no line is fetched ahead.
    if (stride != columns)
      for (size_t next = end; next < smaller(end + 64, rows); next++)
        for (size_t byte = 0; byte < columns * size; byte += line)
          __builtin_prefetch(from + next * stride * size + byte);
    for (size_t c = 0; c < columns; c += side)
      for (size_t r = start; r < end; r += side)
        turn_tile(size, from + (r * stride + c) * size, stride * size,
                  to + (c * spacing + r) * size, spacing * size, smaller(side, end - r),
                  smaller(side, columns - c));
  }
}

AVX512 static void transpose_1(const void *source, void *target, size_t rows, size_t columns,
                               size_t stride, size_t spacing) {
  transpose(1, source, target, rows, columns, stride, spacing);
}

AVX512 static void transpose_4(const void *source, void *target, size_t rows, size_t columns,
                               size_t stride, size_t spacing) {
  transpose(4, source, target, rows, columns, stride, spacing);
}

AVX512 static void extract(const void *source, void *target, size_t count, unsigned down,
                           uint8_t mask) {
  const uint8_t *from = source;
  uint8_t *to = target;
  const __m512i kept = _mm512_set1_epi8((char)(0xFFu >> down & mask));
  const __m128i by = _mm_cvtsi32_si128((int)down);
  size_t i = 0;
  for (; i + 64 <= count; i += 64)
    _mm512_storeu_si512(
        to + i, _mm512_and_si512(_mm512_srl_epi16(_mm512_loadu_si512(from + i), by), kept));
  plain_extract(from + i, to + i, count - i, down, mask);
}

void ck_fill_avx512_bytes(ck_kernels *table) {
  table->transpose_1 = transpose_1;
  table->transpose_4 = transpose_4;
  table->extract = extract;
}

#endif
