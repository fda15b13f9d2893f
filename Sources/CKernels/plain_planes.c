#pragma STDC FP_CONTRACT OFF

// Taking elements apart into planes of bytes and back, pairs of small codes, and XXH64, in portable C.

#include "kernels.h"

void plain_split_2(const void *source, void *low, void *high, size_t count, unsigned turn) {
  const uint8_t *from = source;
  uint8_t *l = low, *h = high;
  for (size_t i = 0; i < count; i++) {
    const uint16_t x = load_u16(from + 2 * i);
    const uint16_t y = (uint16_t)(x << turn | (turn ? x >> 15 : 0));
    l[i] = (uint8_t)y;
    h[i] = (uint8_t)(y >> 8);
  }
}

void plain_merge_2(const void *low, const void *high, void *target, size_t count, unsigned turn) {
  const uint8_t *l = low, *h = high;
  uint8_t *to = target;
  for (size_t i = 0; i < count; i++) {
    const uint16_t y = (uint16_t)(l[i] | h[i] << 8);
    store_u16(to + 2 * i, (uint16_t)(turn ? y >> 1 | y << 15 : y));
  }
}

void plain_split_4(const void *source, void *planes, size_t stride, size_t count, unsigned turn) {
  const uint8_t *from = source;
  uint8_t *to = planes;
  for (size_t i = 0; i < count; i++) {
    const uint32_t x = load_u32(from + 4 * i);
    const uint32_t y = turn ? x << 1 | x >> 31 : x;
    for (size_t j = 0; j < 4; j++) to[j * stride + i] = (uint8_t)(y >> (8 * j));
  }
}

void plain_merge_4(const void *planes, size_t stride, void *target, size_t count, unsigned turn) {
  const uint8_t *from = planes;
  uint8_t *to = target;
  for (size_t i = 0; i < count; i++) {
    uint32_t y = 0;
    for (size_t j = 0; j < 4; j++) y |= (uint32_t)from[j * stride + i] << (8 * j);
    store_u32(to + 4 * i, turn ? y >> 1 | y << 31 : y);
  }
}

void plain_pair(const void *codes, void *pairs, size_t count) {
  const uint8_t *from = codes;
  uint8_t *to = pairs;
  for (size_t i = 0; i < count; i++)
    to[i] = (uint8_t)((from[2 * i] & 7) | (from[2 * i + 1] & 7) << 3);
}

void plain_unpair(const void *pairs, void *codes, size_t count) {
  const uint8_t *from = pairs;
  uint8_t *to = codes;
  for (size_t i = 0; i < count; i++) {
    to[2 * i] = from[i] & 7;
    to[2 * i + 1] = from[i] >> 3 & 7;
  }
}

// XXH64 of the xxHash specification, section 3.

static const uint64_t prime_1 = 0x9E3779B185EBCA87, prime_2 = 0xC2B2AE3D27D4EB4F,
                      prime_3 = 0x165667B19E3779F9, prime_4 = 0x85EBCA77C2B2AE63,
                      prime_5 = 0x27D4EB2F165667C5;

static inline uint64_t load_u64(const uint8_t *from) {
  uint64_t value;
  memcpy(&value, from, 8);
  return value;
}

static inline uint64_t turned(uint64_t x, unsigned by) { return x << by | x >> (64 - by); }

static inline uint64_t mixed(uint64_t lane, uint64_t input) {
  return turned(lane + input * prime_2, 31) * prime_1;
}

static inline uint64_t merged(uint64_t hash, uint64_t lane) {
  return (hash ^ mixed(0, lane)) * prime_1 + prime_4;
}

static uint64_t plain_xxh64(const void *bytes, size_t count, uint64_t seed) {
  const uint8_t *from = bytes, *end = from + count;
  uint64_t hash = seed + prime_5;
  if (count >= 32) {
    uint64_t a = seed + prime_1 + prime_2, b = seed + prime_2, c = seed, d = seed - prime_1;
    for (; end - from >= 32; from += 32) {
      a = mixed(a, load_u64(from));
      b = mixed(b, load_u64(from + 8));
      c = mixed(c, load_u64(from + 16));
      d = mixed(d, load_u64(from + 24));
    }
    hash = turned(a, 1) + turned(b, 7) + turned(c, 12) + turned(d, 18);
    hash = merged(merged(merged(merged(hash, a), b), c), d);
  }
  hash += count;
  for (; end - from >= 8; from += 8)
    hash = turned(hash ^ mixed(0, load_u64(from)), 27) * prime_1 + prime_4;
  if (end - from >= 4) {
    hash = turned(hash ^ load_u32(from) * prime_1, 23) * prime_2 + prime_3;
    from += 4;
  }
  for (; from < end; from++) hash = turned(hash ^ *from * prime_5, 11) * prime_1;
  hash = (hash ^ hash >> 33) * prime_2;
  hash = (hash ^ hash >> 29) * prime_3;
  return hash ^ hash >> 32;
}

void ck_fill_plain_planes(ck_kernels *table) {
  table->split_2 = plain_split_2;
  table->merge_2 = plain_merge_2;
  table->split_4 = plain_split_4;
  table->merge_4 = plain_merge_4;
  table->pair = plain_pair;
  table->unpair = plain_unpair;
  table->xxh64 = plain_xxh64;
}
