#pragma STDC FP_CONTRACT OFF

// Codes of 4 bits, two in a byte with the first in its high half, in portable C.

#include "kernels.h"

static unsigned nibble(const uint8_t *from, size_t i) {
  return i % 2 ? from[i / 2] & 15 : from[i / 2] >> 4;
}

void plain_nibbles_unpack(const void *bytes, void *codes, size_t count) {
  const uint8_t *from = bytes;
  uint8_t *to = codes;
  for (size_t i = 0; i < count; i++) to[i] = (uint8_t)nibble(from, i);
}

void plain_nibbles_pack(const void *codes, void *bytes, size_t count) {
  const uint8_t *from = codes;
  uint8_t *to = bytes;
  size_t i = 0;
  for (; i + 2 <= count; i += 2) to[i / 2] = (uint8_t)(from[i] << 4 | (from[i + 1] & 15));
  if (i < count) to[i / 2] = (uint8_t)(from[i] << 4);
}

// What the 16 codes stand for under one scale, f32 [16].
static void multiply_table(const uint8_t *table, float scale, uint8_t *products) {
  for (size_t i = 0; i < 16; i++) store_f32(products + 4 * i, load_f32(table + 4 * i) * scale);
}

static void plain_nibbles_to_f32(const void *bytes, const void *table, const void *scales,
                                 void *values, size_t count, size_t group, size_t skipped) {
  const uint8_t *from = bytes, *s = scales;
  uint8_t *to = values, products[64];
  for (size_t i = 0; i < count; s += 4, skipped = 0) {
    multiply_table(table, load_f32(s), products);
    const size_t end = i + smaller(group - skipped, count - i);
    for (; i < end; i++) memcpy(to + 4 * i, products + 4 * nibble(from, i), 4);
  }
}

typedef void (*narrowing)(const void *source, void *target, size_t count);

static void nibbles_to_halves(const void *bytes, const void *table, const void *scales,
                              void *values, size_t count, size_t group, size_t skipped,
                              narrowing narrow) {
  const uint8_t *from = bytes, *s = scales;
  uint8_t *to = values, products[64], halves[32];
  for (size_t i = 0; i < count; s += 4, skipped = 0) {
    multiply_table(table, load_f32(s), products);
    narrow(products, halves, 16);
    const size_t end = i + smaller(group - skipped, count - i);
    for (; i < end; i++) memcpy(to + 2 * i, halves + 2 * nibble(from, i), 2);
  }
}

static void plain_nibbles_to_f16(const void *bytes, const void *table, const void *scales,
                                 void *values, size_t count, size_t group, size_t skipped) {
  nibbles_to_halves(bytes, table, scales, values, count, group, skipped, plain_f32_to_f16);
}

static void plain_nibbles_to_bf16(const void *bytes, const void *table, const void *scales,
                                  void *values, size_t count, size_t group, size_t skipped) {
  nibbles_to_halves(bytes, table, scales, values, count, group, skipped, plain_f32_to_bf16);
}

void ck_fill_plain_nibbles(ck_kernels *table) {
  table->nibbles_unpack = plain_nibbles_unpack;
  table->nibbles_pack = plain_nibbles_pack;
  table->nibbles_to_f32 = plain_nibbles_to_f32;
  table->nibbles_to_f16 = plain_nibbles_to_f16;
  table->nibbles_to_bf16 = plain_nibbles_to_bf16;
}
