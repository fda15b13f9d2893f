#pragma STDC FP_CONTRACT OFF

// Codes of 1 to 8 bits in and out of words, in portable C.

#include "kernels.h"

static uint64_t load_bytes(const uint8_t *from, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; i++) value |= (uint64_t)from[i] << (8 * i);
  return value;
}

// Eight codes are `bits` whole bytes, so the runs of eight stand alone.
void plain_stream_unpack(unsigned bits, const void *words, void *codes, size_t count) {
  const uint8_t *from = words;
  uint8_t *to = codes;
  const uint64_t mask = (1u << bits) - 1;
  for (; count > 0; from += bits) {
    const size_t run = smaller(count, 8);
    uint64_t stream = load_bytes(from, (run * bits + 7) / 8);
    for (size_t i = 0; i < run; i++) to[i] = (uint8_t)((stream >> (bits * i)) & mask);
    to += run;
    count -= run;
  }
}

void plain_stream_pack(unsigned bits, const void *codes, void *words, size_t count) {
  const uint8_t *from = codes;
  uint8_t *to = words;
  const uint64_t mask = (1u << bits) - 1;
  for (; count > 0; to += bits) {
    const size_t run = smaller(count, 8);
    uint64_t stream = 0;
    for (size_t i = 0; i < run; i++) stream |= (from[i] & mask) << (bits * i);
    const size_t bytes = (run * bits + 7) / 8;
    for (size_t i = 0; i < bytes; i++) to[i] = (uint8_t)(stream >> (8 * i));
    from += run;
    count -= run;
  }
}

void plain_rows_unpack(unsigned bits, const void *words, void *codes, size_t rows,
                       size_t columns) {
  const uint32_t mask = (1u << bits) - 1;
  const size_t code_rows = rows * 32 / bits;
  for (size_t row = 0; row < code_rows; row++) {
    const unsigned shift = (unsigned)(row * bits % 32);
    const uint8_t *word = (const uint8_t *)words + row * bits / 32 * columns * 4;
    uint8_t *to = (uint8_t *)codes + row * columns;
    if (shift + bits <= 32) {
      for (size_t c = 0; c < columns; c++)
        to[c] = (uint8_t)((load_u32(word + 4 * c) >> shift) & mask);
    } else {
      const uint8_t *next = word + columns * 4;
      for (size_t c = 0; c < columns; c++)
        to[c] = (uint8_t)((load_u32(word + 4 * c) >> shift |
                           load_u32(next + 4 * c) << (32 - shift)) & mask);
    }
  }
}

void plain_rows_pack(unsigned bits, const void *codes, void *words, size_t rows, size_t columns) {
  const uint32_t mask = (1u << bits) - 1;
  const size_t code_rows = rows * 32 / bits;
  memset(words, 0, rows * columns * 4);
  for (size_t row = 0; row < code_rows; row++) {
    const unsigned shift = (unsigned)(row * bits % 32);
    uint8_t *word = (uint8_t *)words + row * bits / 32 * columns * 4;
    const uint8_t *from = (const uint8_t *)codes + row * columns;
    for (size_t c = 0; c < columns; c++)
      store_u32(word + 4 * c, load_u32(word + 4 * c) | (from[c] & mask) << shift);
    if (shift + bits <= 32) continue;
    word += columns * 4;
    for (size_t c = 0; c < columns; c++)
      store_u32(word + 4 * c, load_u32(word + 4 * c) | (from[c] & mask) >> (32 - shift));
  }
}

// The code that each nibble of an interleaved word holds.
static const uint8_t interleaving[8] = {0, 2, 4, 6, 1, 3, 5, 7};

void plain_interleaved_unpack(const void *words, void *codes, size_t count) {
  const uint8_t *from = words;
  uint8_t *to = codes;
  for (size_t i = 0; i < count; i++) {
    const uint32_t word = load_u32(from + 4 * i);
    for (unsigned n = 0; n < 8; n++)
      to[8 * i + interleaving[n]] = (uint8_t)(word >> (4 * n) & 15);
  }
}

void plain_interleaved_pack(const void *codes, void *words, size_t count) {
  const uint8_t *from = codes;
  uint8_t *to = words;
  for (size_t i = 0; i < count; i++) {
    uint32_t word = 0;
    for (unsigned n = 0; n < 8; n++)
      word |= (uint32_t)(from[8 * i + interleaving[n]] & 15) << (4 * n);
    store_u32(to + 4 * i, word);
  }
}

void ck_fill_plain_codes(ck_kernels *table) {
  table->stream_unpack = plain_stream_unpack;
  table->stream_pack = plain_stream_pack;
  table->rows_unpack = plain_rows_unpack;
  table->rows_pack = plain_rows_pack;
  table->interleaved_unpack = plain_interleaved_unpack;
  table->interleaved_pack = plain_interleaved_pack;
}
