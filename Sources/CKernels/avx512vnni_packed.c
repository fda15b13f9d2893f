#pragma STDC FP_CONTRACT OFF

// Products with packed matrices in vectors of 16 rows: AVX-512 for f32 tokens, VNNI for signed bytes.
// A lane is a row, so that each row's sum has the order of the plain loop.

#include "avx2.h"

#if defined(__x86_64__)

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vnni,f16c,fma")))
#define HOT static inline __attribute__((always_inline)) TARGET

enum { rows = ck_packed_rows, half = 16, block = rows * 4, ahead = 8192 };

HOT void fetch(const uint8_t *codes) { _mm_prefetch((const char *)codes + ahead, _MM_HINT_T0); }

// Values of packed codes of 4 bits.
HOT __m512 value_table(const ck_packed_tile *tile) {
  if (tile->table) return _mm512_loadu_ps(tile->table);
  const __m512i codes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return _mm512_cvtepi32_ps(_mm512_sub_epi32(codes, _mm512_set1_epi32(tile->base)));
}

HOT __m512 zero_of(const ck_packed_tile *tile, size_t parameter) {
  const __m512 zero =
      tile->zeros ? _mm512_loadu_ps(tile->zeros + parameter) : _mm512_setzero_ps();
  return _mm512_add_ps(zero, _mm512_set1_ps(tile->zero_shift));
}

// The values of column `shift`/8 (and, of 4 bits, of 4 more) of each word.
HOT __m512 values_of(__m512i words, int bits, int shift, __m512 table, __m512i base) {
  const __m512i moved = _mm512_srli_epi32(words, (unsigned)shift);
  // A permutation takes the low four bits of each index.
  if (bits == 4) return _mm512_permutexvar_ps(moved, table);
  const __m512i code = _mm512_and_si512(moved, _mm512_set1_epi32(255));
  return _mm512_cvtepi32_ps(_mm512_sub_epi32(code, base));
}

// Adds one piece of one token to its sums of 16 rows.
HOT void finish(const ck_packed_tile *tile, size_t parameter, __m512 products, float sum,
                float *sums) {
  const __m512 scale = _mm512_loadu_ps(tile->scales + parameter);
  const __m512 all = _mm512_set1_ps(sum);
  const __m512 moved = _mm512_fnmadd_ps(zero_of(tile, parameter), all, products);
  __m512 total = _mm512_fmadd_ps(scale, moved, _mm512_loadu_ps(sums));
  if (tile->added) total = _mm512_fmadd_ps(_mm512_loadu_ps(tile->added + parameter), all, total);
  _mm512_storeu_ps(sums, total);
}

// Sums of 16 rows times one token, each of two columns of every eight.
typedef struct pairs {
  __m512 sum[4];
} pairs;

// `vectors` * 16 rows of one piece times `tokens` tokens, from `first` on.
HOT void dot_piece(const ck_packed_tile *tile, const ck_packed_input *input, size_t piece, int bits,
                   const uint8_t *codes, size_t column, size_t first, int tokens, int vectors,
                   size_t row, float *sums) {
  const float *values = (const float *)input->values + first * input->stride + column;
  const size_t stride = input->stride;
  const __m512 table = bits == 4 ? value_table(tile) : _mm512_setzero_ps();
  const __m512i base = _mm512_set1_epi32(tile->base);
  pairs all[4][2];
  for (int t = 0; t < tokens; t++) {
    for (int v = 0; v < vectors; v++) {
      for (int i = 0; i < 4; i++) all[t][v].sum[i] = _mm512_setzero_ps();
    }
  }
  codes += row * 4;
  for (const float *end = values + tile->pieces[piece].columns; values < end; values += 8) {
    __m512i words[2], more[2];
    for (int v = 0; v < vectors; v++) {
      fetch(codes + v * 64);
      words[v] = _mm512_loadu_si512(codes + v * 64);
      if (bits == 8) {
        fetch(codes + block + v * 64);
        more[v] = _mm512_loadu_si512(codes + block + v * 64);
      } else {
        more[v] = _mm512_srli_epi32(words[v], 4);
      }
    }
    codes += bits == 8 ? 2 * block : block;
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
#pragma GCC unroll 2
      for (int v = 0; v < vectors; v++) {
        const __m512 low = values_of(words[v], bits, i * 8, table, base);
        const __m512 high = values_of(more[v], bits, i * 8, table, base);
#pragma GCC unroll 4
        for (int t = 0; t < tokens; t++) {
          const float *x = values + (size_t)t * stride + i;
          __m512 *sum = all[t][v].sum;
          sum[i / 2] = _mm512_fmadd_ps(low, _mm512_set1_ps(x[0]), sum[i / 2]);
          sum[i / 2 + 2] = _mm512_fmadd_ps(high, _mm512_set1_ps(x[4]), sum[i / 2 + 2]);
        }
      }
    }
  }
  const size_t parameter = (size_t)tile->pieces[piece].group * rows + row;
#pragma GCC unroll 4
  for (int t = 0; t < tokens; t++) {
    const float sum = input->sums[(first + (size_t)t) * tile->piece_count + piece];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
      const __m512 *part = all[t][v].sum;
      const __m512 products =
          _mm512_add_ps(_mm512_add_ps(part[0], part[1]), _mm512_add_ps(part[2], part[3]));
      finish(tile, parameter + (size_t)v * half, products, sum,
             sums + (first + (size_t)t) * rows + row + (size_t)v * half);
    }
  }
}

// Two bytes of a code's number from a table of sixteen.
HOT __m512i pick(__m512i table, __m512i codes) { return _mm512_shuffle_epi8(table, codes); }

HOT __m512i byte_table(const uint8_t *bytes) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)bytes));
}

HOT __m512i input_word(const int8_t *values) {
  return _mm512_set1_epi32((int)load_u32((const uint8_t *)values));
}

HOT void dot_s8(const ck_packed_tile *tile, const ck_packed_input *input, int bits, int is_table,
                int tokens, int vectors, size_t row, float *sums) {
  const uint8_t *codes = (const uint8_t *)tile->codes + row * 4;
  const int8_t *values = input->values;
  const size_t stride = input->stride;
  const __m512i nibble = _mm512_set1_epi8(15);
  const __m512i lows = is_table ? byte_table(tile->low) : nibble;
  const __m512i highs = is_table ? byte_table(tile->high) : nibble;
  for (size_t piece = 0; piece < tile->piece_count; piece++) {
    __m512i low[8][2], high[8][2];
    for (int t = 0; t < tokens; t++) {
      for (int v = 0; v < vectors; v++) low[t][v] = high[t][v] = _mm512_setzero_si512();
    }
    for (const int8_t *end = values + tile->pieces[piece].columns; values < end; values += 8) {
#pragma GCC unroll 2
      for (int v = 0; v < vectors; v++) {
        fetch(codes + v * 64);
        __m512i first = _mm512_loadu_si512(codes + v * 64), second;
        if (bits == 8) {
          fetch(codes + block + v * 64);
          second = _mm512_loadu_si512(codes + block + v * 64);
        } else {
          second = _mm512_and_si512(_mm512_srli_epi32(first, 4), nibble);
          first = _mm512_and_si512(first, nibble);
        }
#pragma GCC unroll 8
        for (int t = 0; t < tokens; t++) {
          const __m512i x = input_word(values + (size_t)t * stride);
          const __m512i y = input_word(values + (size_t)t * stride + 4);
          if (is_table) {
            low[t][v] = _mm512_dpbusd_epi32(low[t][v], pick(lows, first), x);
            high[t][v] = _mm512_dpbusd_epi32(high[t][v], pick(highs, first), x);
            low[t][v] = _mm512_dpbusd_epi32(low[t][v], pick(lows, second), y);
            high[t][v] = _mm512_dpbusd_epi32(high[t][v], pick(highs, second), y);
          } else {
            low[t][v] = _mm512_dpbusd_epi32(low[t][v], first, x);
            high[t][v] = _mm512_dpbusd_epi32(high[t][v], second, y);
          }
        }
      }
      codes += bits == 8 ? 2 * block : block;
    }
    const size_t parameter = (size_t)tile->pieces[piece].group * rows + row;
#pragma GCC unroll 8
    for (int t = 0; t < tokens; t++) {
      const size_t run = (size_t)t * tile->piece_count + piece;
      const __m512 factor = _mm512_set1_ps(input->scales[run]);
      const __m512 all = _mm512_set1_ps(input->sums[run]);
#pragma GCC unroll 2
      for (int v = 0; v < vectors; v++) {
        const size_t p = parameter + (size_t)v * half;
        float *target = sums + (size_t)t * rows + row + (size_t)v * half;
        const __m512 whole =
            is_table ? _mm512_fmadd_ps(_mm512_set1_ps(256), _mm512_cvtepi32_ps(high[t][v]),
                                       _mm512_cvtepi32_ps(low[t][v]))
                     : _mm512_cvtepi32_ps(_mm512_add_epi32(low[t][v], high[t][v]));
        const __m512 moved = _mm512_fnmadd_ps(zero_of(tile, p), all, whole);
        const __m512 scale = _mm512_mul_ps(_mm512_loadu_ps(tile->scales + p), factor);
        __m512 total = _mm512_fmadd_ps(scale, moved, _mm512_loadu_ps(target));
        if (tile->added) {
          const __m512 term = _mm512_mul_ps(_mm512_loadu_ps(tile->added + p), factor);
          total = _mm512_fmadd_ps(term, all, total);
        }
        _mm512_storeu_ps(target, total);
      }
    }
  }
}

// One or two tokens take all 32 rows at once; more take them in halves, which leaves registers for
// their sums.
#define EACH_COUNT(CALL) \
  switch (input->tokens) { \
    case 1: CALL(1, 2, 0); break; \
    case 2: CALL(2, 2, 0); break; \
    case 3: CALL(3, 2, 0); break; \
    case 4: CALL(4, 2, 0); break; \
    case 5: CALL(5, 1, 0); CALL(5, 1, half); break; \
    case 6: CALL(6, 1, 0); CALL(6, 1, half); break; \
    case 7: CALL(7, 1, 0); CALL(7, 1, half); break; \
    case 8: CALL(8, 1, 0); CALL(8, 1, half); break; \
  }

TARGET static void scale_sums(const ck_packed_tile *tile, size_t tokens, float *sums) {
  for (size_t i = 0; i < tokens * rows; i++) sums[i] *= tile->factor;
}

// Four tokens at a time, and both halves of the rows at once where registers suffice.
HOT void dot(const ck_packed_tile *tile, const ck_packed_input *input, int bits, float *sums) {
  const uint8_t *codes = tile->codes;
  size_t column = 0;
  for (size_t piece = 0; piece < tile->piece_count; piece++) {
    for (size_t first = 0; first < input->tokens; first += 4) {
#define PIECE(tokens, vectors, row) \
  dot_piece(tile, input, piece, bits, codes, column, first, tokens, vectors, row, sums)
      switch (input->tokens - first) {
        case 1: PIECE(1, 2, 0); break;
        case 2: PIECE(2, 2, 0); break;
        case 3: PIECE(3, 1, 0); PIECE(3, 1, half); break;
        default: PIECE(4, 1, 0); PIECE(4, 1, half); break;
      }
    }
    column += tile->pieces[piece].columns;
    codes += (size_t)tile->pieces[piece].columns * block / (bits == 8 ? 4 : 8);
  }
}

TARGET static void dot_4(const ck_packed_tile *tile, const ck_packed_input *input, float *sums) {
  dot(tile, input, 4, sums);
}
TARGET static void dot_8(const ck_packed_tile *tile, const ck_packed_input *input, float *sums) {
  dot(tile, input, 8, sums);
}

#define S4(tokens, vectors, row) dot_s8(tile, input, 4, 0, tokens, vectors, row, sums)
#define S8(tokens, vectors, row) dot_s8(tile, input, 8, 0, tokens, vectors, row, sums)
#define STABLE(tokens, vectors, row) dot_s8(tile, input, 4, 1, tokens, vectors, row, sums)
TARGET static void dot_s8_4(const ck_packed_tile *tile, const ck_packed_input *input,
                            float *sums) {
  EACH_COUNT(S4)
}
TARGET static void dot_s8_8(const ck_packed_tile *tile, const ck_packed_input *input,
                            float *sums) {
  EACH_COUNT(S8)
}
TARGET static void dot_s8_table(const ck_packed_tile *tile, const ck_packed_input *input,
                                float *sums) {
  EACH_COUNT(STABLE)
}

TARGET static void packed_dot(const ck_packed_tile *tile, const ck_packed_input *input,
                              float *sums) {
  memset(sums, 0, input->tokens * rows * sizeof *sums);
  if (tile->bits == 4) dot_4(tile, input, sums);
  else dot_8(tile, input, sums);
  scale_sums(tile, input->tokens, sums);
}

TARGET static void packed_dot_s8(const ck_packed_tile *tile, const ck_packed_input *input,
                                 float *sums) {
  memset(sums, 0, input->tokens * rows * sizeof *sums);
  if (tile->bits == 8) dot_s8_8(tile, input, sums);
  else if (tile->table) dot_s8_table(tile, input, sums);
  else dot_s8_4(tile, input, sums);
  scale_sums(tile, input->tokens, sums);
}

// Sixteen columns of one row from the words at `codes`.
HOT __m512i codes_of(const uint8_t *codes, int bits) {
  if (bits == 4) {
    const __m512i words =
        _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_set1_epi32((int)load_u32(codes))),
                           _mm256_set1_epi32((int)load_u32(codes + block)), 1);
    const __m512i places =
        _mm512_setr_epi32(0, 8, 16, 24, 4, 12, 20, 28, 0, 8, 16, 24, 4, 12, 20, 28);
    return _mm512_srlv_epi32(words, places);
  }
  const __m128i bytes =
      _mm_setr_epi32((int)load_u32(codes), (int)load_u32(codes + block),
                     (int)load_u32(codes + 2 * block), (int)load_u32(codes + 3 * block));
  return _mm512_cvtepu8_epi32(bytes);
}

// The weights of one row; `columns` is a multiple of 8.
HOT void row_of(const ck_packed_tile *tile, int bits, int is_added, size_t row, float *weights) {
  const uint8_t *codes = (const uint8_t *)tile->codes + row * 4;
  const __m512 table = value_table(tile);
  const __m512i base = _mm512_set1_epi32(tile->base);
  const __m512 factor = _mm512_set1_ps(tile->factor);
  for (size_t piece = 0; piece < tile->piece_count; piece++) {
    const size_t columns = tile->pieces[piece].columns;
    const size_t parameter = (size_t)tile->pieces[piece].group * rows + row;
    const __m512 scale = _mm512_set1_ps(tile->scales[parameter]);
    const float zero = (tile->zeros ? tile->zeros[parameter] : 0) + tile->zero_shift;
    const __m512 offset = _mm512_set1_ps(is_added ? tile->added[parameter] : zero);
    for (size_t column = 0; column < columns; column += 16) {
      const int is_whole = columns - column >= 16;
      __m512i found;
      if (is_whole) {
        found = codes_of(codes, bits);
      } else {
        // The last block stands in for the one after it.
        uint8_t last[4 * block];
        memcpy(last, codes, 4);
        if (bits == 8) memcpy(last + block, codes + block, 4);
        memcpy(last + (bits == 8 ? 2 * block : block), codes, 4);
        if (bits == 8) memcpy(last + 3 * block, codes + block, 4);
        found = codes_of(last, bits);
      }
      const __m512 value = bits == 4 ? _mm512_permutexvar_ps(found, table)
                                     : _mm512_cvtepi32_ps(_mm512_sub_epi32(found, base));
      __m512 weight = is_added ? _mm512_add_ps(_mm512_mul_ps(value, scale), offset)
                               : _mm512_mul_ps(_mm512_sub_ps(value, offset), scale);
      weight = _mm512_mul_ps(weight, factor);
      _mm512_mask_storeu_ps(weights, is_whole ? 0xFFFF : 0x00FF, weight);
      const size_t count = is_whole ? 16 : 8;
      weights += count;
      codes += count * block / (bits == 4 ? 8 : 4);
    }
  }
}

TARGET static void packed_row(const ck_packed_tile *tile, size_t row, float *weights) {
  if (tile->bits == 4 && !tile->added) row_of(tile, 4, 0, row, weights);
  else if (tile->bits == 4) row_of(tile, 4, 1, row, weights);
  else if (!tile->added) row_of(tile, 8, 0, row, weights);
  else row_of(tile, 8, 1, row, weights);
}

void ck_fill_avx512vnni_packed(ck_kernels *table) {
  table->packed_dot = packed_dot;
  table->packed_dot_s8 = packed_dot_s8;
  table->packed_row = packed_row;
}

#endif
