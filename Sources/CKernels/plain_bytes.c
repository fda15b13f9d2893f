#pragma STDC FP_CONTRACT OFF

// Transposes and passes over bytes, in portable C.

#include "kernels.h"

enum { block = 32 };

// Block by block, so that the lines read and written stay in the nearest cache.
static inline __attribute__((always_inline)) void transpose(
    const uint8_t *from, uint8_t *to, size_t rows, size_t columns, size_t stride,
    size_t spacing, size_t size) {
  for (size_t r = 0; r < rows; r += block) {
    const size_t row_end = smaller(r + block, rows);
    for (size_t c = 0; c < columns; c += block) {
      const size_t column_end = smaller(c + block, columns);
      for (size_t i = r; i < row_end; i++)
        for (size_t j = c; j < column_end; j++)
          memcpy(to + (j * spacing + i) * size, from + (i * stride + j) * size, size);
    }
  }
}

static void plain_transpose_1(const void *source, void *target, size_t rows, size_t columns,
                              size_t stride, size_t spacing) {
  transpose(source, target, rows, columns, stride, spacing, 1);
}

static void plain_transpose_2(const void *source, void *target, size_t rows, size_t columns,
                              size_t stride, size_t spacing) {
  transpose(source, target, rows, columns, stride, spacing, 2);
}

static void plain_transpose_4(const void *source, void *target, size_t rows, size_t columns,
                              size_t stride, size_t spacing) {
  transpose(source, target, rows, columns, stride, spacing, 4);
}

size_t plain_count_differences(const void *a, const void *b, size_t count) {
  const uint8_t *left = a, *right = b;
  size_t differences = 0;
  for (size_t i = 0; i < count; i++) differences += left[i] != right[i];
  return differences;
}

// Four sets of bins, because a run of equal bytes would wait for its own last addition.
static void plain_histogram(const void *bytes, size_t count, uint64_t *bins) {
  const uint8_t *from = bytes;
  uint64_t more[3][256] = {{0}};
  size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    bins[from[i]]++;
    more[0][from[i + 1]]++;
    more[1][from[i + 2]]++;
    more[2][from[i + 3]]++;
  }
  for (; i < count; i++) bins[from[i]]++;
  for (size_t v = 0; v < 256; v++) bins[v] += more[0][v] + more[1][v] + more[2][v];
}

void plain_shift(const void *source, void *target, size_t count, uint8_t addend, uint8_t mask) {
  const uint8_t *from = source;
  uint8_t *to = target;
  for (size_t i = 0; i < count; i++) to[i] = (uint8_t)(from[i] + addend) & mask;
}

static void plain_widen(const void *source, void *target, size_t count, uint16_t addend,
                        uint16_t mask) {
  const uint8_t *from = source;
  uint8_t *to = target;
  for (size_t i = 0; i < count; i++) store_u16(to + 2 * i, (uint16_t)(from[i] + addend) & mask);
}

uint16_t plain_narrow(const void *source, void *target, size_t count, uint16_t subtrahend) {
  const uint8_t *from = source;
  uint8_t *to = target;
  uint16_t seen = 0;
  for (size_t i = 0; i < count; i++) {
    const uint16_t difference = (uint16_t)(load_u16(from + 2 * i) - subtrahend);
    seen |= difference;
    to[i] = (uint8_t)difference;
  }
  return seen;
}

void plain_extract(const void *source, void *target, size_t count, unsigned down, uint8_t mask) {
  const uint8_t *from = source;
  uint8_t *to = target;
  for (size_t i = 0; i < count; i++) to[i] = (uint8_t)(from[i] >> down & mask);
}

// Widens *minimum...*maximum to hold the bytes.
void plain_extremes(const void *bytes, size_t count, uint8_t *minimum, uint8_t *maximum) {
  const uint8_t *from = bytes;
  uint8_t low = *minimum, high = *maximum;
  for (size_t i = 0; i < count; i++) {
    low = from[i] < low ? from[i] : low;
    high = from[i] > high ? from[i] : high;
  }
  *minimum = low;
  *maximum = high;
}

void ck_fill_plain_bytes(ck_kernels *table) {
  table->transpose_1 = plain_transpose_1;
  table->transpose_2 = plain_transpose_2;
  table->transpose_4 = plain_transpose_4;
  table->count_differences = plain_count_differences;
  table->histogram = plain_histogram;
  table->shift = plain_shift;
  table->widen = plain_widen;
  table->narrow = plain_narrow;
  table->extract = plain_extract;
  table->extremes = plain_extremes;
}
