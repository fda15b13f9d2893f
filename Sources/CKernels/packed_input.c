#pragma STDC FP_CONTRACT OFF

// How rows of codes become tiles, and tokens what tiles are multiplied with. Loops over eight lanes
// that compilers turn into vectors.

#include <math.h>

#include "kernels.h"

enum { lanes = 8 };

void ck_packed_store(const uint8_t *codes, size_t columns, unsigned bits, unsigned shift, size_t row,
                     void *tile) {
  uint8_t *words = (uint8_t *)tile + row * 4;
  for (size_t column = 0; column < columns; column += lanes) {
    const uint32_t low = load_u32(codes + column) + shift * 0x01010101u;
    const uint32_t high = load_u32(codes + column + 4) + shift * 0x01010101u;
    if (bits == 4) {
      store_u32(words, (low & 0x0F0F0F0Fu) | (high & 0x0F0F0F0Fu) << 4);
      words += ck_packed_rows * 4;
    } else {
      store_u32(words, low);
      store_u32(words + ck_packed_rows * 4, high);
      words += 2 * ck_packed_rows * 4;
    }
  }
}

static float sum_of(const float *lane) {
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

void ck_packed_sums(const float *values, const ck_packed_piece *pieces, size_t count, float *sums) {
  for (size_t piece = 0; piece < count; piece++) {
    float lane[lanes] = {0};
    for (size_t i = 0; i < pieces[piece].columns; i += lanes) {
      for (int j = 0; j < lanes; j++) lane[j] += values[i + j];
    }
    values += pieces[piece].columns;
    sums[piece] = sum_of(lane);
  }
}

// The largest magnitude of a multiple of eight values; NaN where one is not finite.
static float largest(const float *values, size_t count) {
  float lane[lanes] = {0}, spoilt[lanes] = {0};
  for (size_t i = 0; i < count; i += lanes) {
    for (int j = 0; j < lanes; j++) {
      const float magnitude = fabsf(values[i + j]);
      lane[j] = magnitude > lane[j] ? magnitude : lane[j];
      spoilt[j] += values[i + j] * 0;
    }
  }
  float found = 0;
  for (int j = 0; j < lanes; j++) found = lane[j] > found ? lane[j] : found;
  return found + sum_of(spoilt);
}

// Adding and taking off 1.5 * 2^23 rounds what is at most 127 to a whole number.
static int32_t quantize(const float *values, size_t count, float factor, int8_t *codes) {
  const float turn = 12582912.0f;
  if (factor == 0) memset(codes, 0, count);
  if (factor == 0) return 0;
  int32_t sum = 0;
  for (size_t i = 0; i < count; i++) {
    const float rounded = values[i] * factor + turn;
    const int32_t code = (int32_t)(rounded - turn);
    codes[i] = (int8_t)code;
    sum += code;
  }
  return sum;
}

void ck_packed_quantize(const float *values, const ck_packed_piece *pieces, size_t count, int is_whole,
                        int8_t *codes, float *sums, float *scales) {
  size_t columns = 0;
  for (size_t piece = 0; piece < count; piece++) columns += pieces[piece].columns;
  const float whole = is_whole ? largest(values, columns) : 0;
  for (size_t piece = 0; piece < count; piece++) {
    const size_t size = pieces[piece].columns;
    const float top = is_whole ? whole : largest(values, size);
    // Also where the quotient overflows: such values count as 0.
    const float factor = top >= 0x1p-120f ? 127.0f / top : 0;
    scales[piece] = top >= 0x1p-120f || top != top ? top / 127.0f : 0;
    sums[piece] = (float)quantize(values, size, factor, codes);
    values += size;
    codes += size;
  }
}

uint64_t ck_read_words(const void *bytes, size_t count) {
  enum { line = 64, ahead = 8192 };
  const uint8_t *from = bytes;
  uint64_t lane[lanes] = {0};
  for (size_t i = 0; i + line <= count; i += line) {
    __builtin_prefetch(from + i + ahead);
    uint64_t words[lanes];
    memcpy(words, from + i, line);
    for (int j = 0; j < lanes; j++) lane[j] += words[j];
  }
  uint64_t sum = 0;
  for (int j = 0; j < lanes; j++) sum += lane[j];
  return sum;
}
