#pragma STDC FP_CONTRACT OFF

// Numbers to codes by the largest of their block, in portable C.

#include <math.h>

#include "kernels.h"

float plain_absmax(const uint8_t *values, size_t count, int *is_finite) {
  float most = 0;
  *is_finite = 1;
  for (size_t i = 0; i < count; i++) {
    const uint32_t bits = load_u32(values + 4 * i) & 0x7FFFFFFF;
    const float magnitude = fabsf(load_f32(values + 4 * i));
    if (bits >= 0x7F800000) *is_finite = 0;
    if (magnitude > most) most = magnitude;
  }
  return most;
}

static size_t plain_block_absmax(const void *values, size_t count, size_t block, void *absmax) {
  const uint8_t *from = values;
  uint8_t *to = absmax;
  size_t wrong = 0;
  for (size_t i = 0; i < count; i += block, to += 4) {
    int is_finite;
    store_f32(to, plain_absmax(from + 4 * i, smaller(block, count - i), &is_finite));
    wrong += !is_finite;
  }
  return wrong;
}

static uint8_t nibble(const nibble_rule *rule, float x) {
  if (isnan(x)) return rule->codes[16];
  size_t rank = 0;
  for (size_t i = 0; i < 15; i++) rank += x > rule->thresholds[i];
  return rule->codes[rank];
}

void plain_nibbles(const nibble_rule *rule, float factor, const uint8_t *values, uint8_t *packed,
                   size_t count) {
  for (size_t i = 0; i < count; i += 2) {
    const float first = load_f32(values + 4 * i);
    const float second = i + 1 < count ? load_f32(values + 4 * i + 4) : 0;
    packed[i / 2] = (uint8_t)(nibble(rule, first * factor) << 4 | nibble(rule, second * factor));
  }
}

static void plain_block_nibbles(const void *values, const void *absmax, const void *rule,
                                void *packed, size_t count, size_t block) {
  const uint8_t *from = values, *most = absmax;
  uint8_t *to = packed;
  const nibble_rule known = load_rule(rule);
  for (size_t i = 0; i < count; i += block, most += 4)
    plain_nibbles(&known, block_factor(load_f32(most), known.floor), from + 4 * i, to + i / 2,
                  smaller(block, count - i));
}

enum { run = 64 };

static void widen(const uint8_t *halves, int is_brain, float *values, size_t count) {
  if (is_brain)
    plain_bf16_to_f32(halves, values, count);
  else
    plain_f16_to_f32(halves, values, count);
}

float plain_half_absmax(const uint8_t *halves, int is_brain, size_t count, int *is_finite) {
  float most = 0, values[run];
  *is_finite = 1;
  for (size_t i = 0; i < count; i += run) {
    const size_t part = smaller(run, count - i);
    int fine;
    widen(halves + 2 * i, is_brain, values, part);
    const float largest = plain_absmax((const uint8_t *)values, part, &fine);
    if (largest > most) most = largest;
    *is_finite &= fine;
  }
  return most;
}

static size_t plain_half_block_absmax(const void *halves, int is_brain, size_t count, size_t block,
                                      void *absmax) {
  const uint8_t *from = halves;
  uint8_t *to = absmax;
  size_t wrong = 0;
  for (size_t i = 0; i < count; i += block, to += 4) {
    int is_finite;
    store_f32(to, plain_half_absmax(from + 2 * i, is_brain, smaller(block, count - i), &is_finite));
    wrong += !is_finite;
  }
  return wrong;
}

void plain_half_nibbles(const nibble_rule *rule, float factor, const uint8_t *halves, int is_brain,
                        uint8_t *packed, size_t count) {
  float values[run];
  for (size_t i = 0; i < count; i += run) {
    const size_t part = smaller(run, count - i);
    widen(halves + 2 * i, is_brain, values, part);
    plain_nibbles(rule, factor, (const uint8_t *)values, packed + i / 2, part);
  }
}

static void plain_half_block_nibbles(const void *halves, int is_brain, const void *absmax,
                                     const void *rule, void *packed, size_t count, size_t block) {
  const uint8_t *from = halves, *most = absmax;
  uint8_t *to = packed;
  const nibble_rule known = load_rule(rule);
  for (size_t i = 0; i < count; i += block, most += 4)
    plain_half_nibbles(&known, block_factor(load_f32(most), known.floor), from + 2 * i, is_brain,
                       to + i / 2, smaller(block, count - i));
}

static uint8_t byte_rank(const uint8_t *thresholds, float x) {
  size_t rank = 0;
  for (size_t step = 128; step > 0; step /= 2)
    if (x > load_f32(thresholds + 4 * (rank + step - 1))) rank += step;
  return (uint8_t)rank;
}

static uint8_t looked_up(const uint8_t *table, float x) {
  if (isnan(x)) return 0;
  const float held = x < -1 ? -1 : x > 1 ? 1 : x;
  return table[(uint16_t)((held + 1) * 0.5f * 65535.0f + 0.5f)];
}

void plain_byte_codes(float factor, const uint8_t *from, const uint8_t *table, int is_lookup,
                      uint8_t *to, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const float x = load_f32(from + 4 * i) * factor;
    to[i] = is_lookup ? looked_up(table, x) : byte_rank(table, x);
  }
}

static void byte_blocks(const uint8_t *from, const uint8_t *most, const uint8_t *table,
                        int is_lookup, uint8_t *to, size_t count, size_t block) {
  for (size_t i = 0; i < count; most += 4) {
    const size_t part = smaller(block, count - i);
    plain_byte_codes(block_factor(load_f32(most), 0), from + 4 * i, table, is_lookup, to + i, part);
    i += part;
  }
}

static void plain_block_bytes(const void *values, const void *absmax, const void *thresholds,
                              void *codes, size_t count, size_t block) {
  byte_blocks(values, absmax, thresholds, 0, codes, count, block);
}

static void plain_block_lookup(const void *values, const void *absmax, const void *table,
                               void *codes, size_t count, size_t block) {
  byte_blocks(values, absmax, table, 1, codes, count, block);
}

uint16_t plain_f16_absmax(const void *values, size_t count) {
  const uint8_t *from = values;
  uint16_t most = 0;
  for (size_t i = 0; i < count; i++) {
    const uint16_t magnitude = load_u16(from + 2 * i) & 0x7FFF;
    if (magnitude > most) most = magnitude;
  }
  return most;
}

void plain_f16_to_s8(const void *values, void *codes, size_t count, float factor) {
  const uint8_t *from = values;
  int8_t *to = codes;
  for (size_t i = 0; i < count; i++) {
    float value;
    plain_f16_to_f32(from + 2 * i, &value, 1);
    const float x = value * factor;
    const float held = isnan(x) ? 0 : x < -127 ? -127 : x > 127 ? 127 : x;
    to[i] = (int8_t)nearbyintf(held);
  }
}

void ck_fill_plain_blockwise(ck_kernels *table) {
  table->block_absmax = plain_block_absmax;
  table->block_nibbles = plain_block_nibbles;
  table->half_block_absmax = plain_half_block_absmax;
  table->half_block_nibbles = plain_half_block_nibbles;
  table->block_bytes = plain_block_bytes;
  table->block_lookup = plain_block_lookup;
  table->f16_absmax = plain_f16_absmax;
  table->f16_to_s8 = plain_f16_to_s8;
}
