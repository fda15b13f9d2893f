// What both AVX2 files for packed matrices share. A lane is a row, so that each row's sum has the
// order of the plain loop. BYTE_DOT(sum, codes, bits, input) adds the products of four codes and four
// signed bytes of each lane.

#define HOT static inline __attribute__((always_inline)) TARGET

enum { rows = ck_packed_rows, width = 8, block = rows * 4, ahead = 8192 };

HOT void fetch(const uint8_t *codes) { _mm_prefetch((const char *)codes + ahead, _MM_HINT_T0); }

HOT __m256 zero_of(const ck_packed_tile *tile, size_t parameter) {
  const __m256 zero = tile->zeros ? _mm256_loadu_ps(tile->zeros + parameter) : _mm256_setzero_ps();
  return _mm256_add_ps(zero, _mm256_set1_ps(tile->zero_shift));
}

HOT void finish_s8(const ck_packed_tile *tile, size_t parameter, __m256 whole, float sum,
                   float factor, float *sums) {
  const __m256 all = _mm256_set1_ps(sum);
  const __m256 each = _mm256_set1_ps(factor);
  const __m256 moved = _mm256_fnmadd_ps(zero_of(tile, parameter), all, whole);
  const __m256 scale = _mm256_mul_ps(_mm256_loadu_ps(tile->scales + parameter), each);
  __m256 total = _mm256_fmadd_ps(scale, moved, _mm256_loadu_ps(sums));
  if (tile->added) {
    const __m256 term = _mm256_mul_ps(_mm256_loadu_ps(tile->added + parameter), each);
    total = _mm256_fmadd_ps(term, all, total);
  }
  _mm256_storeu_ps(sums, total);
}

HOT __m256i byte_table(const uint8_t *bytes) { return twice(load_half(bytes)); }

HOT __m256i input_word(const int8_t *values) {
  return _mm256_set1_epi32((int)load_u32((const uint8_t *)values));
}

// `vectors` * 8 rows of one piece times `tokens` tokens, from `first` on.
HOT void dot_s8_piece(const ck_packed_tile *tile, const ck_packed_input *input, size_t piece,
                      int bits, int is_table, const uint8_t *codes, size_t column, size_t first,
                      int tokens, int vectors, size_t row, float *sums) {
  const int8_t *values = (const int8_t *)input->values + first * input->stride + column;
  const size_t stride = input->stride;
  const __m256i nibble = bytes_of(15);
  const __m256i lows = is_table ? byte_table(tile->low) : nibble;
  const __m256i highs = is_table ? byte_table(tile->high) : nibble;
  __m256i low[2][4], high[2][4];
  for (int t = 0; t < tokens; t++) {
    for (int v = 0; v < vectors; v++) low[t][v] = high[t][v] = _mm256_setzero_si256();
  }
  codes += row * 4;
  for (const int8_t *end = values + tile->pieces[piece].columns; values < end; values += 8) {
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
      if (v % 2 == 0) fetch(codes + v * 32);
      __m256i before = load(codes + v * 32), after;
      if (bits == 8) {
        if (v % 2 == 0) fetch(codes + block + v * 32);
        after = load(codes + block + v * 32);
      } else {
        after = both(_mm256_srli_epi32(before, 4), nibble);
        before = both(before, nibble);
      }
#pragma GCC unroll 2
      for (int t = 0; t < tokens; t++) {
        const __m256i x = input_word(values + (size_t)t * stride);
        const __m256i y = input_word(values + (size_t)t * stride + 4);
        if (is_table) {
          low[t][v] = BYTE_DOT(low[t][v], _mm256_shuffle_epi8(lows, before), 8, x);
          high[t][v] = BYTE_DOT(high[t][v], _mm256_shuffle_epi8(highs, before), 8, x);
          low[t][v] = BYTE_DOT(low[t][v], _mm256_shuffle_epi8(lows, after), 8, y);
          high[t][v] = BYTE_DOT(high[t][v], _mm256_shuffle_epi8(highs, after), 8, y);
        } else {
          low[t][v] = BYTE_DOT(low[t][v], before, bits, x);
          high[t][v] = BYTE_DOT(high[t][v], after, bits, y);
        }
      }
    }
    codes += bits == 8 ? 2 * block : block;
  }
  const size_t parameter = (size_t)tile->pieces[piece].group * rows + row;
#pragma GCC unroll 2
  for (int t = 0; t < tokens; t++) {
    const size_t token = first + (size_t)t, run = token * tile->piece_count + piece;
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
      const __m256 whole =
          is_table ? _mm256_fmadd_ps(_mm256_set1_ps(256), _mm256_cvtepi32_ps(high[t][v]),
                                     _mm256_cvtepi32_ps(low[t][v]))
                   : _mm256_cvtepi32_ps(_mm256_add_epi32(low[t][v], high[t][v]));
      finish_s8(tile, parameter + (size_t)v * width, whole, input->sums[run], input->scales[run],
                sums + token * rows + row + (size_t)v * width);
    }
  }
}

// Two tokens at a time.
HOT void dot_s8(const ck_packed_tile *tile, const ck_packed_input *input, int bits, int is_table,
                float *sums) {
  const uint8_t *codes = tile->codes;
  size_t column = 0;
  for (size_t piece = 0; piece < tile->piece_count; piece++) {
    for (size_t first = 0; first < input->tokens; first += 2) {
      for (size_t row = 0; row < rows; row += rows / 2) {
        if (input->tokens - first == 1) {
          if (row) continue;
          if (is_table) {
            dot_s8_piece(tile, input, piece, bits, 1, codes, column, first, 1, 2, 0, sums);
            dot_s8_piece(tile, input, piece, bits, 1, codes, column, first, 1, 2, rows / 2, sums);
          } else {
            dot_s8_piece(tile, input, piece, bits, 0, codes, column, first, 1, 4, 0, sums);
          }
        } else {
          dot_s8_piece(tile, input, piece, bits, is_table, codes, column, first, 2, 2, row, sums);
        }
      }
    }
    column += tile->pieces[piece].columns;
    codes += (size_t)tile->pieces[piece].columns * block / (bits == 8 ? 4 : 8);
  }
}

TARGET static void dot_s8_4(const ck_packed_tile *tile, const ck_packed_input *input,
                            float *sums) {
  dot_s8(tile, input, 4, 0, sums);
}
TARGET static void dot_s8_8(const ck_packed_tile *tile, const ck_packed_input *input,
                            float *sums) {
  dot_s8(tile, input, 8, 0, sums);
}
TARGET static void dot_s8_table(const ck_packed_tile *tile, const ck_packed_input *input,
                                float *sums) {
  dot_s8(tile, input, 4, 1, sums);
}

TARGET static void packed_dot_s8(const ck_packed_tile *tile, const ck_packed_input *input,
                                 float *sums) {
  memset(sums, 0, input->tokens * rows * sizeof *sums);
  if (tile->bits == 8) dot_s8_8(tile, input, sums);
  else if (tile->table) dot_s8_table(tile, input, sums);
  else dot_s8_4(tile, input, sums);
  for (size_t i = 0; i < input->tokens * rows; i++) sums[i] *= tile->factor;
}
