// Leaf loops in C, one table of them for each instruction set level.
//
// Every function takes pointers and counts, allocates nothing, accepts unaligned pointers and any
// count, and reads and writes only the bytes its arguments describe. Words and numbers are
// little-endian. All levels give the same bytes; only the payload of a NaN that arithmetic made is
// left open. Source and destination do not overlap, except where equality is allowed.

#ifndef CKERNELS_H
#define CKERNELS_H

#include <stddef.h>
#include <stdint.h>

// What one pass over f32 values found. The sums are of finite values, in f64: value i goes to
// lane i % 8, each lane in the order of i, then (((0+4) + (2+6)) + ((1+5) + (3+7))).
typedef struct ck_statistics {
  float minimum;  // of all but NaN, a zero as +0; +Inf if there is none
  float maximum;  // likewise; -Inf if there is none
  double sum;
  double sum_of_squares;
  uint64_t nan_count;
  uint64_t infinite_count;
  uint64_t zero_count;
} ck_statistics;

// How a group of columns becomes codes 0...top, value = scale*(code - zero).
typedef struct ck_range_rule {
  float top;
  float zero;            // the zero point of symmetric ranges
  int is_symmetric;
  int mirrors;           // symmetric ranges reach as far below 0 where no value is below it
  int tries_neighbours;  // the search tries both whole numbers around an ideal zero point
  float norm;            // of the errors that a search sums
  unsigned grid;         // step i of a search shrinks the range to 1 - i/grid
  unsigned steps;        // 0: no search
} ck_range_rule;

enum { ck_range_steps = 128, ck_feedback_columns = 128 };

// A block of at most ck_feedback_columns columns to be rounded one after the other, each one's error
// made up for by the columns behind it (GPTQ).
typedef struct ck_feedback {
  const float *values;    // [columns][stride], of which `rows` in each
  const float *original;  // the same before any error was moved
  size_t columns, rows, stride;
  const float *factor;  // the block's square of the upper triangular factor, rows factor_stride apart
  const float *drift;   // what a column's own value adds to later ones, likewise; NULL: nothing
  size_t factor_stride;
  const float *scales, *zeros;  // [groups][parameter_stride]
  size_t parameter_stride;
  const uint32_t *groups;  // [columns], which row of scales and zeros
  float top;
  uint8_t *codes;  // [columns][stride]
  float *errors;   // [columns][stride], error / factor's diagonal
  float *seen;     // [columns][stride], each column as it was rounded; only with `drift`
  float *loss;     // [rows], sum of errors squared
  float *squares;  // [rows], sum of (original - rounded)^2
} ck_feedback;

// A run of columns of one group, a multiple of 8 and at most 512 of them.
typedef struct ck_packed_piece {
  uint32_t columns;
  uint32_t group;
} ck_packed_piece;

enum { ck_packed_rows = 32, ck_packed_tokens = 8 };

// 32 rows of a packed matrix. Word i of block b of `codes` belongs to row i. Of 4 bits the blocks are of
// eight columns: byte j of a word has column j in its low half and column 4 + j in its high half. Of
// 8 bits the blocks are of four columns, a byte each. Pieces follow each other without gaps.
//
// The value v of a code q is table[q] (4 bits alone) or, without a table, q - base, where f32 products
// take 8 (of 8 bits: 128) for base.
typedef struct ck_packed_tile {
  const void *codes;
  unsigned bits;
  int base;
  const float *table;
  // Values of a table as whole numbers: 256*high[q] + low[q].
  const uint8_t *low, *high;
  const float *scales;  // [groups][32]
  const float *zeros;   // likewise, or NULL: zeros
  float zero_shift;     // added to every zero
  const float *added;   // [groups][32], or NULL
  float factor;
  const ck_packed_piece *pieces;
  size_t piece_count;
} ck_packed_tile;

// What a tile is multiplied with, up to 8 tokens.
typedef struct ck_packed_input {
  const void *values;   // f32 or s8 [tokens][stride], the columns of all pieces
  size_t stride;
  const float *sums;    // of the values of each piece, [tokens][pieces]
  const float *scales;  // of s8 values, likewise
  size_t tokens;
} ck_packed_input;

typedef enum ck_float_kind { ck_f32, ck_f16, ck_bf16 } ck_float_kind;

typedef enum ck_activation {
  ck_relu,
  ck_silu,
  ck_gelu,
  ck_gelu_tanh,
  ck_quick_gelu
} ck_activation;

// How AWQ rounds a group: codes 0...top, value = scale*(code - zero).
typedef struct ck_awq_rule {
  float top, half;    // 2^bits - 1 and 2^(bits-1)
  int is_symmetric;   // zero = half, scale = the largest magnitude / (half - 1)
  int rounds_to_f16;  // scales are rounded before codes are chosen
} ck_awq_rule;

typedef struct ck_kernels {
  const char *name;

  // output[t][r] = sum over columns of weights[r] * input[t], f32: column i goes to sum i % 32, each
  // in order of i; sum i and 16 + i are added, then lanes as in `statistics`. Strides count numbers.
  void (*dot_rows)(ck_float_kind kind, const void *weights, size_t rows, size_t row_stride,
                   size_t columns, const float *input, size_t input_stride, size_t tokens,
                   float *output, size_t output_stride);
  // sums [width] times `kept`, plus factors [count] times rows [count][row_stride], in order of rows.
  void (*weigh_rows)(const float *factors, const float *rows, size_t count, size_t row_stride,
                     size_t width, float kept, float *sums);
  // f(values) in place, times `up` where it is not NULL; off by some 3e-7 of the largest of |x| and 1.
  void (*gate)(ck_activation kind, float *values, const float *up, size_t count);
  // cap * tanh(x / cap) in place.
  void (*softcap)(float *values, size_t count, float cap);
  // Scores become e^(score - largest), where `largest` is of all scores so far; `sum` is that of all
  // powers so far. Returns what earlier powers are to be multiplied with.
  float (*softmax_step)(float *scores, size_t count, float *largest, float *sum);
  // (x - mean) / sqrt(mean square + epsilon) * weight + bias, weight and bias or NULL; without centring the
  // mean is 0. Sums are of f64. The output may be the values.
  void (*normalize_row)(int is_centred, const float *values, size_t width, float epsilon,
                        const float *weight, const float *bias, float *output);
  // Pairs (i, i + pairs) of each head, turned.
  void (*rotate_heads)(float *values, size_t heads, size_t head_size, const float *cosines,
                       const float *sines, size_t pairs);
  // target += source * factor.
  void (*add_scaled)(const float *source, float factor, float *target, size_t count);

  // Code i is in bits [bits*i, bits*i+bits) of one stream. Packing takes the low bits of each code
  // and writes ceil(count*bits/8) bytes, the last one filled up with zeros.
  void (*stream_unpack)(unsigned bits, const void *words, void *codes, size_t count);
  void (*stream_pack)(unsigned bits, const void *codes, void *words, size_t count);

  // words [rows][columns] <-> codes [rows*32/bits][columns]: each column is such a stream, down
  // the rows, so rows is a multiple of 3 for 3 and 6 bits, of 5 for 5 and of 7 for 7.
  void (*rows_unpack)(unsigned bits, const void *words, void *codes, size_t rows, size_t columns);
  void (*rows_pack)(unsigned bits, const void *codes, void *words, size_t rows, size_t columns);

  // words [count] <-> codes [8*count], 4 bits: nibble i of a word is code {0,2,4,6,1,3,5,7}[i].
  void (*interleaved_unpack)(const void *words, void *codes, size_t count);
  void (*interleaved_pack)(const void *codes, void *words, size_t count);

  // 16-bit words [quads][columns] <-> codes [4*quads][columns], 4 bits, columns a multiple of 64:
  // 64 columns of four rows are 64 words, 16 for each row; of every 32 columns, which are eight
  // words, nibble i of word j is code 8*i + j.
  void (*quads_unpack)(const void *words, void *codes, size_t quads, size_t columns);
  void (*quads_pack)(const void *codes, void *words, size_t quads, size_t columns);

  // source [rows][columns], `stride` elements from row to row -> target [columns][rows], `spacing`
  // elements from row to row, elements of 1, 2 and 4 bytes.
  void (*transpose_1)(const void *source, void *target, size_t rows, size_t columns, size_t stride,
                      size_t spacing);
  void (*transpose_2)(const void *source, void *target, size_t rows, size_t columns, size_t stride,
                      size_t spacing);
  void (*transpose_4)(const void *source, void *target, size_t rows, size_t columns, size_t stride,
                      size_t spacing);

  // codes [rows][columns], scales and zeros f32 [columns] -> s*(q-z), f32 [rows][columns].
  void (*affine_rows)(const void *codes, const void *scales, const void *zeros, void *values,
                      size_t rows, size_t columns);
  // codes [count], scales and zeros f32 [ceil(count/group)] -> s*(q-z), f32 [count].
  void (*affine_run)(const void *codes, const void *scales, const void *zeros, void *values,
                     size_t count, size_t group);
  // affine_run, each number rounded once more to bf16 [count].
  void (*affine_run_bf16)(const void *codes, const void *scales, const void *zeros, void *halves,
                          size_t count, size_t group);
  // affine_run with an added term: s*q rounded, then +m rounded.
  void (*added_run)(const void *codes, const void *scales, const void *added, void *values,
                    size_t count, size_t group);
  // added_run, each number rounded once more to bf16 [count].
  void (*added_run_bf16)(const void *codes, const void *scales, const void *added, void *halves,
                         size_t count, size_t group);
  // table f32 [entries], 16 or 256; codes are taken modulo entries -> table[q]*s, f32 [count].
  void (*table_run)(const void *codes, const void *table, size_t entries, const void *scales,
                    void *values, size_t count, size_t group);
  // codes s8 [count], scales f32 [ceil(count/group)] -> (q*s)*factor, f32 [count].
  void (*signed_run)(const void *codes, const void *scales, float factor, void *values,
                     size_t count, size_t group);

  // Codes of 4 bits, two in a byte with the first in its high half. Packing takes their low bits and
  // writes ceil(count/2) bytes, the last half that is not used as 0.
  void (*nibbles_unpack)(const void *bytes, void *codes, size_t count);
  void (*nibbles_pack)(const void *codes, void *bytes, size_t count);
  // The same codes as numbers [count]: table[q]*s, rounded to f32 and then to the type. table f32
  // [16]; scales f32, one for each `group` codes, of the first of which `skipped` < group lie before
  // the bytes. group and skipped are even.
  void (*nibbles_to_f32)(const void *bytes, const void *table, const void *scales, void *values,
                         size_t count, size_t group, size_t skipped);
  void (*nibbles_to_f16)(const void *bytes, const void *table, const void *scales, void *values,
                         size_t count, size_t group, size_t skipped);
  void (*nibbles_to_bf16)(const void *bytes, const void *table, const void *scales, void *values,
                          size_t count, size_t group, size_t skipped);

  // Each f32 value times a factor, in place.
  void (*multiply)(void *values, size_t count, float factor);

  // NaN keeps its sign and the high bits of its payload and becomes quiet (bf16 to f32: untouched).
  void (*f16_to_f32)(const void *source, void *target, size_t count);
  void (*bf16_to_f32)(const void *source, void *target, size_t count);
  void (*f32_to_f16)(const void *source, void *target, size_t count);   // nearest, ties to even
  void (*f32_to_bf16)(const void *source, void *target, size_t count);  // nearest, ties to even
  void (*u16_to_f32)(const void *source, void *target, size_t count);
  // table of 4-byte values [256] -> table[byte] [count], bits untouched.
  void (*lookup)(const void *bytes, const void *table, void *target, size_t count);

  // codes [count] below 16, tables of 16 two-byte values [ceil(count/group)][16] -> each code's value
  // in the table of its run, two bytes each [count].
  void (*lookup_halves)(const void *codes, const void *tables, void *target, size_t count,
                        size_t group);

  size_t (*count_differences)(const void *a, const void *b, size_t count);
  void (*histogram)(const void *bytes, size_t count, uint64_t *bins);  // adds to bins [256]
  // (byte + addend) & mask; source may be target.
  void (*shift)(const void *source, void *target, size_t count, uint8_t addend, uint8_t mask);
  // (byte + addend) & mask as 16 bits [count].
  void (*widen)(const void *source, void *target, size_t count, uint16_t addend, uint16_t mask);
  // The low bytes of 16-bit elements less `subtrahend` [count]; returns every bit that is set in a
  // difference.
  uint16_t (*narrow)(const void *source, void *target, size_t count, uint16_t subtrahend);
  // (byte >> down) & mask, down in 0...7.
  void (*extract)(const void *source, void *target, size_t count, unsigned down, uint8_t mask);
  void (*extremes)(const void *bytes, size_t count, uint8_t *minimum, uint8_t *maximum);

  // Takes `count` blocks of 64 bytes into a state of SHA-256: eight words, the first one first.
  void (*sha256)(uint32_t *state, const void *blocks, size_t count);

  // Elements [count] <-> planes of their bytes, the lowest first. `turn` is 0 or 1: elements are
  // rotated left by that many bits before they are taken apart, and back after. Planes of 4-byte
  // elements begin `stride` bytes after each other.
  void (*split_2)(const void *source, void *low, void *high, size_t count, unsigned turn);
  void (*merge_2)(const void *low, const void *high, void *target, size_t count, unsigned turn);
  void (*split_4)(const void *source, void *planes, size_t stride, size_t count, unsigned turn);
  void (*merge_4)(const void *planes, size_t stride, void *target, size_t count, unsigned turn);

  // codes [2*count] <-> pairs [count]: the low three bits of two codes, the first one lower.
  void (*pair)(const void *codes, void *pairs, size_t count);
  void (*unpair)(const void *pairs, void *codes, size_t count);

  // XXH64 of the bytes.
  uint64_t (*xxh64)(const void *bytes, size_t count, uint64_t seed);

  void (*statistics)(const void *values, size_t count, ck_statistics *result);

  // Blockwise quantization. Values and absmax are f32, `block` > 0 values share one absmax, the last
  // block may be partial.
  //
  // absmax [ceil(count/block)] of values [count], the largest magnitude but that of NaN. Returns the
  // number of blocks that hold an infinity or NaN.
  size_t (*block_absmax)(const void *values, size_t count, size_t block, void *absmax);
  // values -> codes of 4 bits, two in a byte, the first in its high half; block is even. With x the
  // value times 1/absmax (1/floor where the absmax is below the floor) the code is codes[r], r the
  // number of thresholds below x, or codes[16] where x is NaN. An odd count ends in the code of
  // a value of 0. The rule is thresholds f32 [15] ascending, floor f32, codes u8 [17].
  void (*block_nibbles)(const void *values, const void *absmax, const void *rule, void *packed,
                        size_t count, size_t block);
  // The same of values of two bytes, f16 or bf16: what the two above give of their f32.
  size_t (*half_block_absmax)(const void *halves, int is_brain, size_t count, size_t block,
                              void *absmax);
  void (*half_block_nibbles)(const void *halves, int is_brain, const void *absmax,
                             const void *rule, void *packed, size_t count, size_t block);
  // values -> codes u8: the number of thresholds f32 [255], ascending, below value times 1/absmax.
  void (*block_bytes)(const void *values, const void *absmax, const void *thresholds, void *codes,
                      size_t count, size_t block);
  // values -> codes u8: table u8 [65536] at (clamp(value times 1/absmax, -1, 1) + 1)/2*65535 + 1/2,
  // cut off; 0 where that is NaN.
  void (*block_lookup)(const void *values, const void *absmax, const void *table, void *codes,
                       size_t count, size_t block);
  // The largest magnitude of f16 values as its pattern without sign; above 0x7BFF one is infinite
  // or NaN.
  uint16_t (*f16_absmax)(const void *values, size_t count);
  // f16 values times factor in f32 -> s8, nearest, ties to even, at most 127 in magnitude; NaN is 0.
  void (*f16_to_s8)(const void *values, void *codes, size_t count, float factor);

  // a s8 [rows][depth], b s8 [columns][depth] -> sums of a*b over depth, modulo 2^32, s32 [rows]
  // [columns] in rows `stride` apart. The scratch has ck_int8_scratch bytes.
  void (*int8_product)(const void *a, size_t rows, const void *b, size_t columns, size_t depth,
                       int32_t *sums, size_t stride, void *scratch);

  // A tile times f32 tokens -> sums [tokens][32]. For each piece in order, with fused multiplications and
  // additions: p[i] = sum of v*x over columns 2i and 2i + 1 of each eight, in order, X the sum of x; then
  // sum += s*(((p[0] + p[1]) + (p[2] + p[3])) - z*X), and sum += m*X; at last sum*factor.
  void (*packed_dot)(const ck_packed_tile *tile, const ck_packed_input *input, float *sums);
  // The same for s8 tokens, with u = q or 256*high[q] + low[q] for v: d = sum of u*x, of high and low
  // apart and fused; sum += (s*c)*(d - z*X), sum += (m*c)*X, c the scale of the token's piece.
  void (*packed_dot_s8)(const ck_packed_tile *tile, const ck_packed_input *input, float *sums);
  // One row of all pieces -> weights f32: ((v - z)*s)*factor, or (v*s + m)*factor, each rounded.
  void (*packed_row)(const ck_packed_tile *tile, size_t row, float *weights);

  // The key of an f32 grows with its value: all bits of a negative one and the sign of another
  // flipped; every NaN has the largest key. Each adds to bins:
  //   [65536], by the high 16 bits;
  //   [slot][256], by bits 8...15, where slot = slots[high 16 bits];
  //   [slot][256], by bits 0...7, where slot = inner[slots[high 16 bits]][bits 8...15], unless it
  //   is 0xFFFF.
  void (*key_histogram)(const void *values, size_t count, uint32_t *bins);
  void (*key_histogram_within)(const void *values, size_t count, const uint16_t *slots,
                               uint32_t *bins);
  void (*key_histogram_last)(const void *values, size_t count, const uint16_t *slots,
                             const uint16_t *inner, uint32_t *bins);
  // The values of ascending ranks (0 the smallest) among 1...65535 f32 values; -0 comes before +0
  // and NaN last. The scratch has 4*count words.
  void (*block_quantiles)(const void *values, size_t count, const uint32_t *ranks,
                          size_t rank_count, float *found, uint32_t *scratch);

  // Values f32 [columns][stride], `rows` in each column -> one scale and whole zero point for each
  // row, f32 [rows]. The range is that of the row's values and 0, or with steps the shrunk one of
  // least Σ importance*|error|^norm, the first of equals; importance [columns] may be NULL.
  void (*column_ranges)(const float *values, size_t columns, size_t rows, size_t stride,
                        const float *importance, const ck_range_rule *rule, float *scales,
                        float *zeros);
  // The same values -> codes u8 [columns][stride]: nearest(value/scale) + zero, in 0...top; and
  // squares f32 [rows], the sum of (value - scale*(code - zero))^2.
  void (*column_codes)(const float *values, size_t columns, size_t rows, size_t stride,
                       const float *scales, const float *zeros, float top, uint8_t *codes,
                       float *squares);
  // Rounds a block of columns with error feedback.
  void (*column_feedback)(const ck_feedback *job);

  // values f32 [count], `group` of which share a range, the last group may be shorter: with low and
  // high their extremes scale = max(high - low, 1e-5)/top and zero = -low/scale, rounded, in 0...top
  // -> scales and zeros f32 [ceil(count/group)], rounded values f32 and codes u8 [count], either may
  // be NULL.
  void (*awq_groups)(const float *values, size_t count, size_t group, const ck_awq_rule *rule,
                     float *rounded, uint8_t *codes, float *scales, float *zeros);
} ck_kernels;

// codes u8 [columns], a multiple of 8 -> word `row` of each block of a tile. To each is added `shift`.
void ck_packed_store(const uint8_t *codes, size_t columns, unsigned bits, unsigned shift, size_t row,
                     void *tile);
// Sums of each piece of values f32: element i to lane i % 8, then (((0+4) + (2+6)) + ((1+5) + (3+7))).
void ck_packed_sums(const float *values, const ck_packed_piece *pieces, size_t count, float *sums);
// values f32 -> s8: nearest, ties to even, to value/scale, the scale 1/127 of the largest magnitude of the
// piece, or of all where `is_whole`; sums of the codes and scales of each piece. A value that is not
// finite makes a scale NaN.
void ck_packed_quantize(const float *values, const ck_packed_piece *pieces, size_t count, int is_whole,
                        int8_t *codes, float *sums, float *scales);

// The sum of all words in whole lines of 64 bytes: reads memory as fast as one core can.
uint64_t ck_read_words(const void *bytes, size_t count);

enum { ck_int8_scratch = (144 + 192) * 512 * 2 + 256 };

// The levels of this build from slowest to fastest: the number of those this processor can run,
// and the table of each of them (NULL beyond the last).
size_t ck_level_count(void);
const ck_kernels *ck_level(size_t index);

// Names of the processor's features that matter here, NULL beyond the last.
const char *ck_processor_flag(size_t index);

// A moment's rest of a thread that looks for a change again and again.
void ck_pause(void);

// The number of cores this process may be scheduled on.
size_t ck_processor_cores(void);

#endif
