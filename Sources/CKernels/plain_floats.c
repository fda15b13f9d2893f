#pragma STDC FP_CONTRACT OFF

// Codes to numbers, numbers to numbers, and what is in them, in portable C.

#include <math.h>

#include "kernels.h"

static void plain_affine_rows(const void *codes, const void *scales, const void *zeros,
                              void *values, size_t rows, size_t columns) {
  const uint8_t *q = codes, *s = scales, *z = zeros;
  uint8_t *to = values;
  for (size_t row = 0; row < rows; row++, q += columns, to += 4 * columns)
    for (size_t c = 0; c < columns; c++)
      store_f32(to + 4 * c, load_f32(s + 4 * c) * ((float)q[c] - load_f32(z + 4 * c)));
}

static void plain_affine_run(const void *codes, const void *scales, const void *zeros,
                             void *values, size_t count, size_t group) {
  const uint8_t *q = codes, *s = scales, *z = zeros;
  uint8_t *to = values;
  for (size_t i = 0; i < count; s += 4, z += 4) {
    const float scale = load_f32(s), zero = load_f32(z);
    const size_t end = i + smaller(group, count - i);
    for (; i < end; i++) store_f32(to + 4 * i, scale * ((float)q[i] - zero));
  }
}

static void plain_signed_run(const void *codes, const void *scales, float factor, void *values,
                             size_t count, size_t group) {
  const int8_t *q = codes;
  const uint8_t *s = scales;
  uint8_t *to = values;
  for (size_t i = 0; i < count; s += 4) {
    const float scale = load_f32(s);
    const size_t end = i + smaller(group, count - i);
    for (; i < end; i++) {
      const float product = (float)q[i] * scale;
      store_f32(to + 4 * i, product * factor);
    }
  }
}

static void plain_added_run(const void *codes, const void *scales, const void *added,
                            void *values, size_t count, size_t group) {
  const uint8_t *q = codes, *s = scales, *m = added;
  uint8_t *to = values;
  for (size_t i = 0; i < count; s += 4, m += 4) {
    const float scale = load_f32(s), addend = load_f32(m);
    const size_t end = i + smaller(group, count - i);
    for (; i < end; i++) {
      const float product = scale * (float)q[i];
      store_f32(to + 4 * i, product + addend);
    }
  }
}

static void plain_table_run(const void *codes, const void *table, size_t entries,
                            const void *scales, void *values, size_t count, size_t group) {
  const uint8_t *q = codes, *t = table, *s = scales;
  uint8_t *to = values;
  for (size_t i = 0; i < count; s += 4) {
    const float scale = load_f32(s);
    const size_t end = i + smaller(group, count - i);
    for (; i < end; i++)
      store_f32(to + 4 * i, load_f32(t + 4 * (q[i] & (entries - 1))) * scale);
  }
}

void plain_multiply(void *values, size_t count, float factor) {
  uint8_t *to = values;
  for (size_t i = 0; i < count; i++) store_f32(to + 4 * i, load_f32(to + 4 * i) * factor);
}

static uint32_t f32_of_f16(uint16_t half) {
  const uint32_t sign = (uint32_t)(half & 0x8000) << 16;
  uint32_t exponent = half >> 10 & 31, fraction = half & 0x3FF;
  if (exponent == 31) return sign | 0x7F800000 | (fraction ? 0x400000 | fraction << 13 : 0);
  if (exponent == 0) {
    if (fraction == 0) return sign;
    // Subnormal: shift up to the hidden bit.
    exponent = 1;
    while (!(fraction & 0x400)) {
      fraction <<= 1;
      exponent--;
    }
    fraction &= 0x3FF;
  }
  return sign | (exponent + 112) << 23 | fraction << 13;
}

static uint16_t f16_of_f32(uint32_t bits) {
  const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) return sign | 0x7E00 | (uint16_t)(magnitude >> 13 & 0x3FF);
  if (magnitude >= 0x477FF000) return sign | 0x7C00;  // rounds to 65536 or more
  if (magnitude <= 0x33000000) return sign;           // at most half of the least subnormal
  uint32_t fraction = magnitude, drop = 13, bias = 112u << 10;
  if (magnitude < 0x38800000) {
    // Subnormal result: the hidden bit is written out.
    fraction = (magnitude & 0x7FFFFF) | 0x800000;
    drop = 126 - (magnitude >> 23);
    bias = 0;
  }
  const uint32_t kept = fraction >> drop, rest = fraction & ((1u << drop) - 1);
  const uint32_t half = 1u << (drop - 1);
  const uint32_t up = rest > half || (rest == half && (kept & 1));
  return sign | (uint16_t)(kept - bias + up);
}

static uint16_t bf16_of_f32(uint32_t bits) {
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

static void plain_u16_to_f32(const void *source, void *target, size_t count) {
  const uint8_t *from = source;
  uint8_t *to = target;
  for (size_t i = 0; i < count; i++) store_f32(to + 4 * i, (float)load_u16(from + 2 * i));
}

void plain_f16_to_f32(const void *source, void *target, size_t count) {
  const uint8_t *from = source;
  uint8_t *to = target;
  for (size_t i = 0; i < count; i++) store_u32(to + 4 * i, f32_of_f16(load_u16(from + 2 * i)));
}

void plain_bf16_to_f32(const void *source, void *target, size_t count) {
  const uint8_t *from = source;
  uint8_t *to = target;
  for (size_t i = 0; i < count; i++)
    store_u32(to + 4 * i, (uint32_t)load_u16(from + 2 * i) << 16);
}

void plain_f32_to_f16(const void *source, void *target, size_t count) {
  const uint8_t *from = source;
  uint8_t *to = target;
  for (size_t i = 0; i < count; i++) store_u16(to + 2 * i, f16_of_f32(load_u32(from + 4 * i)));
}

void plain_f32_to_bf16(const void *source, void *target, size_t count) {
  const uint8_t *from = source;
  uint8_t *to = target;
  for (size_t i = 0; i < count; i++) store_u16(to + 2 * i, bf16_of_f32(load_u32(from + 4 * i)));
}

static void plain_affine_run_bf16(const void *codes, const void *scales, const void *zeros,
                                  void *halves, size_t count, size_t group) {
  const uint8_t *q = codes, *s = scales, *z = zeros;
  uint8_t *to = halves;
  for (size_t i = 0; i < count; s += 4, z += 4) {
    const float scale = load_f32(s), zero = load_f32(z);
    const size_t end = i + smaller(group, count - i);
    for (; i < end; i++) {
      const float value = scale * ((float)q[i] - zero);
      uint32_t bits;
      memcpy(&bits, &value, 4);
      store_u16(to + 2 * i, bf16_of_f32(bits));
    }
  }
}

static void plain_added_run_bf16(const void *codes, const void *scales, const void *added,
                                 void *halves, size_t count, size_t group) {
  const uint8_t *q = codes, *s = scales, *m = added;
  uint8_t *to = halves;
  for (size_t i = 0; i < count; s += 4, m += 4) {
    const float scale = load_f32(s), addend = load_f32(m);
    const size_t end = i + smaller(group, count - i);
    for (; i < end; i++) {
      const float product = scale * (float)q[i];
      const float value = product + addend;
      uint32_t bits;
      memcpy(&bits, &value, 4);
      store_u16(to + 2 * i, bf16_of_f32(bits));
    }
  }
}

void plain_lookup_halves(const void *codes, const void *tables, void *target, size_t count,
                         size_t group) {
  const uint8_t *from = codes;
  const uint8_t *table = tables;
  uint8_t *to = target;
  for (size_t start = 0; start < count; start += smaller(group, count - start), table += 32) {
    const size_t end = start + smaller(group, count - start);
    for (size_t i = start; i < end; i++) memcpy(to + 2 * i, table + 2 * (from[i] & 15), 2);
  }
}

static void plain_lookup(const void *bytes, const void *table, void *target, size_t count) {
  const uint8_t *from = bytes, *values = table;
  uint8_t *to = target;
  for (size_t i = 0; i < count; i++) memcpy(to + 4 * i, values + 4 * from[i], 4);
}

void statistics_begin(statistics_lanes *lanes) {
  *lanes = (statistics_lanes){0};
  for (size_t lane = 0; lane < 8; lane++) {
    lanes->minimum[lane] = INFINITY;
    lanes->maximum[lane] = -INFINITY;
  }
}

void statistics_add(statistics_lanes *lanes, const uint8_t *values, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const float value = load_f32(values + 4 * i);
    const uint32_t magnitude = load_u32(values + 4 * i) & 0x7FFFFFFF;
    const size_t lane = i % 8;
    lanes->nan_count += magnitude > 0x7F800000;
    lanes->infinite_count += magnitude == 0x7F800000;
    lanes->zero_count += magnitude == 0;
    if (value < lanes->minimum[lane]) lanes->minimum[lane] = value;
    if (value > lanes->maximum[lane]) lanes->maximum[lane] = value;
    const double finite = magnitude < 0x7F800000 ? value : 0;
    lanes->sum[lane] += finite;
    lanes->sum_of_squares[lane] += finite * finite;
  }
}

static double total(const double *lane) {
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

void statistics_end(const statistics_lanes *lanes, ck_statistics *result) {
  float minimum = INFINITY, maximum = -INFINITY;
  for (size_t lane = 0; lane < 8; lane++) {
    minimum = lanes->minimum[lane] < minimum ? lanes->minimum[lane] : minimum;
    maximum = lanes->maximum[lane] > maximum ? lanes->maximum[lane] : maximum;
  }
  result->minimum = minimum + 0.0f;  // -0 becomes +0
  result->maximum = maximum + 0.0f;
  result->sum = total(lanes->sum);
  result->sum_of_squares = total(lanes->sum_of_squares);
  result->nan_count = lanes->nan_count;
  result->infinite_count = lanes->infinite_count;
  result->zero_count = lanes->zero_count;
}

static void plain_statistics(const void *values, size_t count, ck_statistics *result) {
  statistics_lanes lanes;
  statistics_begin(&lanes);
  statistics_add(&lanes, values, count);
  statistics_end(&lanes, result);
}

void ck_fill_plain_floats(ck_kernels *table) {
  table->affine_rows = plain_affine_rows;
  table->affine_run = plain_affine_run;
  table->affine_run_bf16 = plain_affine_run_bf16;
  table->added_run = plain_added_run;
  table->added_run_bf16 = plain_added_run_bf16;
  table->table_run = plain_table_run;
  table->signed_run = plain_signed_run;
  table->multiply = plain_multiply;
  table->u16_to_f32 = plain_u16_to_f32;
  table->f16_to_f32 = plain_f16_to_f32;
  table->bf16_to_f32 = plain_bf16_to_f32;
  table->f32_to_f16 = plain_f32_to_f16;
  table->f32_to_bf16 = plain_f32_to_bf16;
  table->lookup = plain_lookup;
  table->lookup_halves = plain_lookup_halves;
  table->statistics = plain_statistics;
}
