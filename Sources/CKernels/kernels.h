// What the kernel files share: loads and stores without alignment, and the plain loops, which the
// faster levels call for the ends of their runs.

#ifndef KERNELS_H
#define KERNELS_H

#include <string.h>

#include "ckernels.h"

void ck_fill_plain_compute(ck_kernels *table);
void ck_fill_avx2_compute(ck_kernels *table);
void ck_fill_avx512_compute(ck_kernels *table);
void ck_fill_plain_codes(ck_kernels *table);
void ck_fill_plain_bytes(ck_kernels *table);
void ck_fill_plain_floats(ck_kernels *table);
void ck_fill_plain_nibbles(ck_kernels *table);
void ck_fill_plain_sha256(ck_kernels *table);
void ck_fill_plain_planes(ck_kernels *table);
void ck_fill_avx2_streams(ck_kernels *table);
void ck_fill_avx2_rows(ck_kernels *table);
void ck_fill_avx2_bytes(ck_kernels *table);
void ck_fill_avx2_floats(ck_kernels *table);
void ck_fill_avx2_nibbles(ck_kernels *table);
void ck_fill_avx2_planes(ck_kernels *table);
void ck_fill_sha_sha256(ck_kernels *table);
void ck_fill_plain_blockwise(ck_kernels *table);
void ck_fill_avx2_blockwise(ck_kernels *table);
void ck_fill_plain_int8(ck_kernels *table);
void ck_fill_plain_quantiles(ck_kernels *table);
void ck_fill_avx2_int8(ck_kernels *table);
void ck_fill_avx2_quantiles(ck_kernels *table);
void ck_fill_plain_columns(ck_kernels *table);
void ck_fill_avx2_columns(ck_kernels *table);
void ck_fill_avx512_columns(ck_kernels *table);
void ck_fill_plain_awq(ck_kernels *table);
void ck_fill_avx2_awq(ck_kernels *table);
void ck_fill_avx512_awq(ck_kernels *table);
void ck_fill_avxvnni_int8(ck_kernels *table);
void ck_fill_avx512_streams(ck_kernels *table);
void ck_fill_avx512_floats(ck_kernels *table);
void ck_fill_avx512bf16_floats(ck_kernels *table);
void ck_fill_avx512_bytes(ck_kernels *table);
void ck_fill_avx512vnni_int8(ck_kernels *table);
void ck_fill_plain_packed(ck_kernels *table);
void ck_fill_avx2_packed(ck_kernels *table);
void ck_fill_avxvnni_packed(ck_kernels *table);
void ck_fill_avx512vnni_packed(ck_kernels *table);

// FIPS 180-4, 4.2.2.
extern const uint32_t sha256_constants[64];

static inline uint32_t load_u32(const uint8_t *from) {
  uint32_t value;
  memcpy(&value, from, 4);
  return value;
}

static inline void store_u32(uint8_t *to, uint32_t value) { memcpy(to, &value, 4); }

static inline uint16_t load_u16(const uint8_t *from) {
  uint16_t value;
  memcpy(&value, from, 2);
  return value;
}

static inline void store_u16(uint8_t *to, uint16_t value) { memcpy(to, &value, 2); }

static inline float load_f32(const uint8_t *from) {
  float value;
  memcpy(&value, from, 4);
  return value;
}

static inline void store_f32(uint8_t *to, float value) { memcpy(to, &value, 4); }

static inline size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

void plain_stream_unpack(unsigned bits, const void *words, void *codes, size_t count);
void plain_stream_pack(unsigned bits, const void *codes, void *words, size_t count);
void plain_rows_unpack(unsigned bits, const void *words, void *codes, size_t rows, size_t columns);
void plain_rows_pack(unsigned bits, const void *codes, void *words, size_t rows, size_t columns);
void plain_interleaved_unpack(const void *words, void *codes, size_t count);
void plain_interleaved_pack(const void *codes, void *words, size_t count);
void plain_quads_unpack(const void *words, void *codes, size_t quads, size_t columns);
void plain_quads_pack(const void *codes, void *words, size_t quads, size_t columns);
void plain_nibbles_unpack(const void *bytes, void *codes, size_t count);
void plain_nibbles_pack(const void *codes, void *bytes, size_t count);
void plain_multiply(void *values, size_t count, float factor);
void plain_f16_to_f32(const void *source, void *target, size_t count);
void plain_bf16_to_f32(const void *source, void *target, size_t count);
void plain_f32_to_f16(const void *source, void *target, size_t count);
void plain_f32_to_bf16(const void *source, void *target, size_t count);
void plain_lookup_halves(const void *codes, const void *tables, void *target, size_t count,
                         size_t group);
size_t plain_count_differences(const void *a, const void *b, size_t count);
void plain_shift(const void *source, void *target, size_t count, uint8_t addend, uint8_t mask);
uint16_t plain_narrow(const void *source, void *target, size_t count, uint16_t subtrahend);
void plain_extract(const void *source, void *target, size_t count, unsigned down, uint8_t mask);
void plain_extremes(const void *bytes, size_t count, uint8_t *minimum, uint8_t *maximum);
void plain_split_2(const void *source, void *low, void *high, size_t count, unsigned turn);
void plain_merge_2(const void *low, const void *high, void *target, size_t count, unsigned turn);
void plain_split_4(const void *source, void *planes, size_t stride, size_t count, unsigned turn);
void plain_merge_4(const void *planes, size_t stride, void *target, size_t count, unsigned turn);
void plain_pair(const void *codes, void *pairs, size_t count);
void plain_unpair(const void *pairs, void *codes, size_t count);

// What block_nibbles is given, word for word.
typedef struct nibble_rule {
  float thresholds[15], floor;
  uint8_t codes[17];
} nibble_rule;

static inline nibble_rule load_rule(const void *from) {
  nibble_rule rule;
  memcpy(&rule, from, 64 + 17);
  return rule;
}

// One block, as block_absmax and block_nibbles take several.
float plain_absmax(const uint8_t *values, size_t count, int *is_finite);
void plain_nibbles(const nibble_rule *rule, float factor, const uint8_t *values, uint8_t *packed,
                   size_t count);
float plain_half_absmax(const uint8_t *halves, int is_brain, size_t count, int *is_finite);
void plain_half_nibbles(const nibble_rule *rule, float factor, const uint8_t *halves, int is_brain,
                        uint8_t *packed, size_t count);
// Codes of values times a factor, by a table of thresholds or by one of codes.
void plain_byte_codes(float factor, const uint8_t *from, const uint8_t *table, int is_lookup,
                      uint8_t *to, size_t count);
uint16_t plain_f16_absmax(const void *values, size_t count);
void plain_f16_to_s8(const void *values, void *codes, size_t count, float factor);

// What a block is multiplied by.
static inline float block_factor(float absmax, float floor) {
  return 1.0f / (absmax < floor ? floor : absmax);
}

void plain_key_histogram(const void *values, size_t count, uint32_t *bins);
void plain_key_histogram_within(const void *values, size_t count, const uint16_t *slots,
                                uint32_t *bins);
void plain_key_histogram_last(const void *values, size_t count, const uint16_t *slots,
                              const uint16_t *inner, uint32_t *bins);
void plain_block_quantiles(const void *values, size_t count, const uint32_t *ranks,
                           size_t rank_count, float *found, uint32_t *scratch);

// Bins of equal width over the range of a block, so that each can be sorted alone.
enum { quantile_bins = 4096 };
// What a value's distance from the smallest one is multiplied by to give its bin; 0 where the
// range has no width or overflows, and all values are one bin.
float bin_scale(float low, float high);
// The values of ascending ranks among keys whose bins grow with them. The scratch has 2*count
// words.
void quantiles_from_bins(const uint32_t *keys, const uint16_t *bins, size_t count,
                         const uint32_t *ranks, size_t rank_count, float *found,
                         uint32_t *scratch);

// The running state of `statistics`: one accumulator for each of the eight lanes.
typedef struct statistics_lanes {
  float minimum[8], maximum[8];
  double sum[8], sum_of_squares[8];
  uint64_t nan_count, infinite_count, zero_count;
} statistics_lanes;

void statistics_begin(statistics_lanes *lanes);
// Adds values whose first index is a multiple of eight.
void statistics_add(statistics_lanes *lanes, const uint8_t *values, size_t count);
void statistics_end(const statistics_lanes *lanes, ck_statistics *result);

#endif
