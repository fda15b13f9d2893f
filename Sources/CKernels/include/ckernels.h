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

typedef struct ck_kernels {
  const char *name;

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

  // source [rows][columns], `stride` elements from row to row -> target [columns][rows], elements of
  // 1, 2 and 4 bytes.
  void (*transpose_1)(const void *source, void *target, size_t rows, size_t columns, size_t stride);
  void (*transpose_2)(const void *source, void *target, size_t rows, size_t columns, size_t stride);
  void (*transpose_4)(const void *source, void *target, size_t rows, size_t columns, size_t stride);

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
} ck_kernels;

enum { ck_int8_scratch = (144 + 192) * 512 * 2 + 256 };

// The levels of this build from slowest to fastest: the number of those this processor can run,
// and the table of each of them (NULL beyond the last).
size_t ck_level_count(void);
const ck_kernels *ck_level(size_t index);

// Names of the processor's features that matter here, NULL beyond the last.
const char *ck_processor_flag(size_t index);

// The number of cores this process may be scheduled on.
size_t ck_processor_cores(void);

#endif
