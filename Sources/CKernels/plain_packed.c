#pragma STDC FP_CONTRACT OFF

// Products with packed matrices, one row after the other.

#include <math.h>

#include "kernels.h"

enum { tile_rows = ck_packed_rows };

static unsigned code_at(const ck_packed_tile *tile, size_t row, size_t column) {
  const uint8_t *codes = tile->codes;
  if (tile->bits == 8) return codes[(column / 4 * tile_rows + row) * 4 + column % 4];
  const unsigned byte = codes[(column / 8 * tile_rows + row) * 4 + column % 4];
  return column % 8 < 4 ? byte & 15 : byte >> 4;
}

static float value_at(const ck_packed_tile *tile, size_t row, size_t column) {
  const unsigned code = code_at(tile, row, column);
  return tile->table ? tile->table[code] : (float)((int)code - tile->base);
}

static float zero_at(const ck_packed_tile *tile, size_t parameter) {
  return (tile->zeros ? tile->zeros[parameter] : 0) + tile->zero_shift;
}

static float dot(const ck_packed_tile *tile, size_t row, const float *values, const float *sums) {
  float sum = 0;
  size_t column = 0;
  for (size_t piece = 0; piece < tile->piece_count; piece++) {
    float pairs[4] = {0};
    for (const size_t end = column + tile->pieces[piece].columns; column < end; column++) {
      float *pair = &pairs[column % 8 / 2];
      *pair = fmaf(value_at(tile, row, column), values[column], *pair);
    }
    const size_t parameter = (size_t)tile->pieces[piece].group * tile_rows + row;
    const float products = (pairs[0] + pairs[1]) + (pairs[2] + pairs[3]);
    const float moved = fmaf(-zero_at(tile, parameter), sums[piece], products);
    sum = fmaf(tile->scales[parameter], moved, sum);
    if (tile->added) sum = fmaf(tile->added[parameter], sums[piece], sum);
  }
  return sum * tile->factor;
}

static void packed_dot(const ck_packed_tile *tile, const ck_packed_input *input, float *sums) {
  for (size_t token = 0; token < input->tokens; token++) {
    const float *values = (const float *)input->values + token * input->stride;
    for (size_t row = 0; row < tile_rows; row++) {
      sums[token * tile_rows + row] =
          dot(tile, row, values, input->sums + token * tile->piece_count);
    }
  }
}

static float dot_s8(const ck_packed_tile *tile, size_t row, const int8_t *values,
                    const float *sums, const float *scales) {
  float sum = 0;
  size_t column = 0;
  for (size_t piece = 0; piece < tile->piece_count; piece++) {
    int32_t low = 0, high = 0;
    for (const size_t end = column + tile->pieces[piece].columns; column < end; column++) {
      const unsigned code = code_at(tile, row, column);
      low += (tile->table ? tile->low[code] : (int)code) * values[column];
      if (tile->table) high += tile->high[code] * values[column];
    }
    const size_t parameter = (size_t)tile->pieces[piece].group * tile_rows + row;
    const float whole = tile->table ? fmaf(256, (float)high, (float)low) : (float)low;
    const float moved = fmaf(-zero_at(tile, parameter), sums[piece], whole);
    sum = fmaf(tile->scales[parameter] * scales[piece], moved, sum);
    if (tile->added) sum = fmaf(tile->added[parameter] * scales[piece], sums[piece], sum);
  }
  return sum * tile->factor;
}

static void packed_dot_s8(const ck_packed_tile *tile, const ck_packed_input *input, float *sums) {
  for (size_t token = 0; token < input->tokens; token++) {
    const int8_t *values = (const int8_t *)input->values + token * input->stride;
    const size_t first = token * tile->piece_count;
    for (size_t row = 0; row < tile_rows; row++) {
      sums[token * tile_rows + row] =
          dot_s8(tile, row, values, input->sums + first, input->scales + first);
    }
  }
}

static void packed_row(const ck_packed_tile *tile, size_t row, float *weights) {
  size_t column = 0;
  for (size_t piece = 0; piece < tile->piece_count; piece++) {
    const size_t parameter = (size_t)tile->pieces[piece].group * tile_rows + row;
    const float scale = tile->scales[parameter];
    for (const size_t end = column + tile->pieces[piece].columns; column < end; column++) {
      const float value = value_at(tile, row, column);
      float weight;
      if (tile->added) {
        weight = value * scale;
        weight = weight + tile->added[parameter];
      } else {
        weight = (value - zero_at(tile, parameter)) * scale;
      }
      weights[column] = weight * tile->factor;
    }
  }
}

void ck_fill_plain_packed(ck_kernels *table) {
  table->packed_dot = packed_dot;
  table->packed_dot_s8 = packed_dot_s8;
  table->packed_row = packed_row;
}
