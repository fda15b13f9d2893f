#pragma STDC FP_CONTRACT OFF

// Order statistics of f32 by histograms of their ordered keys, and of small blocks by sorting.

#include <math.h>

#include "kernels.h"

uint32_t quantile_key(uint32_t bits) {
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return 0xFFFFFFFF;
  return bits & 0x80000000 ? ~bits : bits | 0x80000000;
}

void plain_key_histogram(const void *values, size_t count, uint32_t *bins) {
  const uint8_t *from = values;
  for (size_t i = 0; i < count; i++) bins[quantile_key(load_u32(from + 4 * i)) >> 16]++;
}

void plain_key_histogram_within(const void *values, size_t count, const uint16_t *slots,
                                uint32_t *bins) {
  const uint8_t *from = values;
  for (size_t i = 0; i < count; i++) {
    const uint32_t key = quantile_key(load_u32(from + 4 * i));
    bins[slots[key >> 16] * 256u + (key >> 8 & 255)]++;
  }
}

void plain_key_histogram_last(const void *values, size_t count, const uint16_t *slots,
                              const uint16_t *inner, uint32_t *bins) {
  const uint8_t *from = values;
  for (size_t i = 0; i < count; i++) {
    const uint32_t key = quantile_key(load_u32(from + 4 * i));
    const uint32_t slot = inner[slots[key >> 16] * 256u + (key >> 8 & 255)];
    if (slot != 0xFFFF) bins[slot * 256u + (key & 255)]++;
  }
}

// Least digit first, four passes of a byte; `count` keys and as many to spare.
static void sort_by_digits(uint32_t *keys, uint32_t *spare, size_t count) {
  for (unsigned shift = 0; shift < 32; shift += 8) {
    size_t starts[257] = {0};
    for (size_t i = 0; i < count; i++) starts[(keys[i] >> shift & 255) + 1]++;
    for (size_t digit = 0; digit < 256; digit++) starts[digit + 1] += starts[digit];
    for (size_t i = 0; i < count; i++) spare[starts[keys[i] >> shift & 255]++] = keys[i];
    memcpy(keys, spare, count * sizeof *keys);
  }
}

static void sort_by_insertion(uint32_t *keys, size_t count) {
  for (size_t i = 1; i < count; i++) {
    const uint32_t key = keys[i];
    size_t hole = i;
    for (; hole > 0 && keys[hole - 1] > key; hole--) keys[hole] = keys[hole - 1];
    keys[hole] = key;
  }
}

static void sort(uint32_t *keys, uint32_t *spare, size_t count) {
  if (count <= 48) sort_by_insertion(keys, count);
  else sort_by_digits(keys, spare, count);
}

static float value_of(uint32_t key) {
  const uint32_t bits = key & 0x80000000 ? key & 0x7FFFFFFF : ~key;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

float bin_scale(float low, float high) {
  const float scale = (float)(quantile_bins - 1) / (high - low);
  return scale > 0 && scale <= 3e38f && high - low <= 3e38f ? scale : 0;
}

void quantiles_from_bins(const uint32_t *keys, const uint16_t *bins, size_t count,
                         const uint32_t *ranks, size_t rank_count, float *found,
                         uint32_t *scratch) {
  uint32_t *placed = scratch, *spare = scratch + count;
  uint16_t ends[quantile_bins] = {0};
  for (size_t i = 0; i < count; i++) ends[bins[i]]++;
  uint16_t total = 0;
  for (size_t bin = 0; bin < quantile_bins; bin++) {
    const uint16_t held = ends[bin];
    ends[bin] = total;
    total = (uint16_t)(total + held);
  }
  for (size_t i = 0; i < count; i++) placed[ends[bins[i]]++] = keys[i];
  // Every start has become an end. Only bins with a rank in them are sorted.
  size_t bin = 0, sorted = 0;
  for (size_t i = 0; i < rank_count; i++) {
    while (ends[bin] <= ranks[i]) bin++;
    const size_t begin = bin == 0 ? 0 : ends[bin - 1];
    if (sorted < ends[bin]) sort(placed + begin, spare, ends[bin] - begin);
    sorted = ends[bin];
    found[i] = value_of(placed[ranks[i]]);
  }
}

void plain_block_quantiles(const void *values, size_t count, const uint32_t *ranks,
                           size_t rank_count, float *found, uint32_t *scratch) {
  const uint8_t *from = values;
  float low = INFINITY, high = -INFINITY;
  for (size_t i = 0; i < count; i++) {
    const float value = load_f32(from + 4 * i);
    low = value < low ? value : low;
    high = value > high ? value : high;
  }
  uint32_t *keys = scratch;
  uint16_t *bins = (uint16_t *)(scratch + count);
  const float scale = bin_scale(low, high);
  for (size_t i = 0; i < count; i++) {
    keys[i] = quantile_key(load_u32(from + 4 * i));
    const float place = (load_f32(from + 4 * i) - low) * scale;
    bins[i] = scale > 0 ? (uint16_t)(place < quantile_bins - 1 ? place : quantile_bins - 1) : 0;
  }
  quantiles_from_bins(keys, bins, count, ranks, rank_count, found, scratch + 2 * count);
}

void ck_fill_plain_quantiles(ck_kernels *table) {
  table->key_histogram = plain_key_histogram;
  table->key_histogram_within = plain_key_histogram_within;
  table->key_histogram_last = plain_key_histogram_last;
  table->block_quantiles = plain_block_quantiles;
}
