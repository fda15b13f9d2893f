#pragma STDC FP_CONTRACT OFF

// Products with packed matrices in vectors of 8 rows, on processors that fuse multiplications and additions.

#include "avx2.h"

#if defined(__x86_64__)

#define TARGET __attribute__((target("avx2,f16c,fma")))
#define BYTE_DOT(sum, codes, bits, input) byte_dot(sum, codes, bits, input)

// Pairs of products of codes below 16 fit 16 bits; codes of 8 bits are taken in two halves.
static inline __attribute__((always_inline)) TARGET __m256i byte_dot(__m256i sum, __m256i codes,
                                                                     int bits, __m256i input) {
  const __m256i one = _mm256_set1_epi16(1), sixteen = _mm256_set1_epi16(16);
  const __m256i nibble = bytes_of(15);
  if (bits == 4) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(codes, input), one));
  }
  const __m256i high = both(_mm256_srli_epi32(codes, 4), nibble);
  const __m256i low = _mm256_maddubs_epi16(both(codes, nibble), input);
  sum = _mm256_add_epi32(sum, _mm256_madd_epi16(low, one));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(high, input), sixteen));
}

#include "packed_avx2.h"

// A table of sixteen values in two vectors.
typedef struct values {
  __m256 low, high;
  __m256i base;
} values;

HOT values load_values(const ck_packed_tile *tile) {
  const values none = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_set1_epi32(tile->base)};
  if (!tile->table) return none;
  const values found = {_mm256_loadu_ps(tile->table), _mm256_loadu_ps(tile->table + 8), none.base};
  return found;
}

// The value of each lane's lowest byte (of 4 bits, the lowest half of it).
HOT __m256 value_of(__m256i moved, int bits, int is_table, values values) {
  if (is_table) {
    // Permutations take three bits of an index; the fourth chooses between them.
    const __m256 low = _mm256_permutevar8x32_ps(values.low, moved);
    const __m256 high = _mm256_permutevar8x32_ps(values.high, moved);
    return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(moved, 28)));
  }
  const __m256i code = both(moved, _mm256_set1_epi32(bits == 4 ? 15 : 255));
  return _mm256_cvtepi32_ps(_mm256_sub_epi32(code, values.base));
}

// Codes without a table in two's complement, with 0 for the middle of their range.
HOT __m256i centred(const void *codes, int bits, int is_table) {
  const __m256i words = load(codes);
  return is_table ? words : _mm256_xor_si256(words, bytes_of(bits == 4 ? 0x88 : 0x80));
}

// The value of byte `place` of centred words (of 4 bits, of its lower half).
HOT __m256 centred_value(__m256i words, int place, int bits, int is_table, values values) {
  if (is_table) return value_of(_mm256_srli_epi32(words, place * 8), bits, 1, values);
  const __m256i up = _mm256_slli_epi32(words, 32 - bits - place * 8);
  return _mm256_cvtepi32_ps(_mm256_srai_epi32(up, 32 - bits));
}

HOT void finish(const ck_packed_tile *tile, size_t parameter, __m256 products, float sum,
                float *sums) {
  const __m256 all = _mm256_set1_ps(sum);
  const __m256 scale = _mm256_loadu_ps(tile->scales + parameter);
  const __m256 moved = _mm256_fnmadd_ps(zero_of(tile, parameter), all, products);
  __m256 total = _mm256_fmadd_ps(scale, moved, _mm256_loadu_ps(sums));
  if (tile->added) total = _mm256_fmadd_ps(_mm256_loadu_ps(tile->added + parameter), all, total);
  _mm256_storeu_ps(sums, total);
}

// Sums of 8 rows times one token, each of two columns of every eight.
typedef struct pairs {
  __m256 sum[4];
} pairs;

// `vectors` * 8 rows of one piece times `tokens` tokens, from `first` on; two in all.
HOT void dot_piece(const ck_packed_tile *tile, const ck_packed_input *input, size_t piece, int bits,
                   int is_table, const uint8_t *codes, size_t column, size_t first, int tokens,
                   int vectors, size_t row, float *sums) {
  const float *inputs = (const float *)input->values + first * input->stride + column;
  const size_t stride = input->stride;
  const values values = load_values(tile);
  pairs all[2][2];
  for (int t = 0; t < tokens; t++) {
    for (int v = 0; v < vectors; v++) {
      for (int i = 0; i < 4; i++) all[t][v].sum[i] = _mm256_setzero_ps();
    }
  }
  codes += row * 4;
  for (const float *end = inputs + tile->pieces[piece].columns; inputs < end; inputs += 8) {
    fetch(codes);
    if (bits == 8) fetch(codes + block);
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
      const __m256i words = centred(codes + v * 32, bits, is_table);
      const __m256i more = bits == 8 ? centred(codes + block + v * 32, 8, 0)
                                     : _mm256_srli_epi32(words, 4);
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) {
        const __m256 low = centred_value(words, i, bits, is_table, values);
        const __m256 high = centred_value(more, i, bits, is_table, values);
#pragma GCC unroll 2
        for (int t = 0; t < tokens; t++) {
          const float *x = inputs + (size_t)t * stride + i;
          __m256 *sum = all[t][v].sum;
          sum[i / 2] = _mm256_fmadd_ps(low, _mm256_set1_ps(x[0]), sum[i / 2]);
          sum[i / 2 + 2] = _mm256_fmadd_ps(high, _mm256_set1_ps(x[4]), sum[i / 2 + 2]);
        }
      }
    }
    codes += bits == 8 ? 2 * block : block;
  }
  const size_t parameter = (size_t)tile->pieces[piece].group * rows + row;
#pragma GCC unroll 2
  for (int t = 0; t < tokens; t++) {
    const size_t token = first + (size_t)t;
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
      const __m256 *part = all[t][v].sum;
      const __m256 products =
          _mm256_add_ps(_mm256_add_ps(part[0], part[1]), _mm256_add_ps(part[2], part[3]));
      finish(tile, parameter + (size_t)v * width, products,
             input->sums[token * tile->piece_count + piece],
             sums + token * rows + row + (size_t)v * width);
    }
  }
}

// One token with two vectors of rows, or two with one.
HOT void dot(const ck_packed_tile *tile, const ck_packed_input *input, int bits, int is_table,
             float *sums) {
  const uint8_t *codes = tile->codes;
  size_t column = 0;
  for (size_t piece = 0; piece < tile->piece_count; piece++) {
    for (size_t first = 0; first < input->tokens; first += 2) {
      if (input->tokens - first == 1) {
        for (size_t row = 0; row < rows; row += 2 * width) {
          dot_piece(tile, input, piece, bits, is_table, codes, column, first, 1, 2, row, sums);
        }
      } else {
        for (size_t row = 0; row < rows; row += width) {
          dot_piece(tile, input, piece, bits, is_table, codes, column, first, 2, 1, row, sums);
        }
      }
    }
    column += tile->pieces[piece].columns;
    codes += (size_t)tile->pieces[piece].columns * block / (bits == 8 ? 4 : 8);
  }
}

TARGET static void packed_dot(const ck_packed_tile *tile, const ck_packed_input *input,
                              float *sums) {
  memset(sums, 0, input->tokens * rows * sizeof *sums);
  if (tile->bits == 8) dot(tile, input, 8, 0, sums);
  else if (tile->table) dot(tile, input, 4, 1, sums);
  else dot(tile, input, 4, 0, sums);
  for (size_t i = 0; i < input->tokens * rows; i++) sums[i] *= tile->factor;
}

// Eight columns of one row from the words at `codes`.
HOT __m256i codes_of(const uint8_t *codes, int bits) {
  if (bits == 4) {
    const __m256i places = _mm256_setr_epi32(0, 8, 16, 24, 4, 12, 20, 28);
    return _mm256_srlv_epi32(_mm256_set1_epi32((int)load_u32(codes)), places);
  }
  const uint64_t bytes = load_u32(codes) | (uint64_t)load_u32(codes + block) << 32;
  return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)bytes));
}

HOT void row_of(const ck_packed_tile *tile, int bits, int is_table, size_t row, float *weights) {
  const uint8_t *codes = (const uint8_t *)tile->codes + row * 4;
  const values values = load_values(tile);
  const __m256 factor = _mm256_set1_ps(tile->factor);
  for (size_t piece = 0; piece < tile->piece_count; piece++) {
    const size_t parameter = (size_t)tile->pieces[piece].group * rows + row;
    const __m256 scale = _mm256_set1_ps(tile->scales[parameter]);
    const float zero = (tile->zeros ? tile->zeros[parameter] : 0) + tile->zero_shift;
    const __m256 offset = _mm256_set1_ps(tile->added ? tile->added[parameter] : zero);
    for (size_t column = 0; column < tile->pieces[piece].columns; column += 8) {
      const __m256 value = value_of(codes_of(codes, bits), bits, is_table, values);
      const __m256 weight = tile->added
                                ? _mm256_add_ps(_mm256_mul_ps(value, scale), offset)
                                : _mm256_mul_ps(_mm256_sub_ps(value, offset), scale);
      _mm256_storeu_ps(weights, _mm256_mul_ps(weight, factor));
      weights += 8;
      codes += bits == 8 ? 2 * block : block;
    }
  }
}

TARGET static void packed_row(const ck_packed_tile *tile, size_t row, float *weights) {
  if (tile->bits == 8) row_of(tile, 8, 0, row, weights);
  else if (tile->table) row_of(tile, 4, 1, row, weights);
  else row_of(tile, 4, 0, row, weights);
}

void ck_fill_avx2_packed(ck_kernels *table) {
  table->packed_dot = packed_dot;
  table->packed_dot_s8 = packed_dot_s8;
  table->packed_row = packed_row;
}

#endif
