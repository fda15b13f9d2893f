#pragma STDC FP_CONTRACT OFF

// Codes of 1 to 8 bits in and out of words, in portable C.

#include "kernels.h"

#define INLINE static inline __attribute__((always_inline))

// Eight codes are `bits` whole bytes, so runs of eight stand alone. Inlined for each width, so
// that the compiler knows the shifts.
INLINE void unpack_eights(unsigned bits, const uint8_t *from, uint8_t *to, size_t eights) {
  const uint64_t mask = (1u << bits) - 1;
  for (; eights > 0; eights--, from += bits, to += 8) {
    uint64_t stream = 0;
    memcpy(&stream, from, bits);
    for (unsigned i = 0; i < 8; i++) to[i] = (uint8_t)(stream >> (bits * i) & mask);
  }
}

INLINE void pack_eights(unsigned bits, const uint8_t *from, uint8_t *to, size_t eights) {
  const uint64_t mask = (1u << bits) - 1;
  for (; eights > 0; eights--, from += 8, to += bits) {
    uint64_t stream = 0;
    for (unsigned i = 0; i < 8; i++) stream |= (from[i] & mask) << (bits * i);
    memcpy(to, &stream, bits);
  }
}

// The same for the last 0 to 7 codes.
static void unpack_rest(unsigned bits, const uint8_t *from, uint8_t *to, size_t count) {
  uint64_t stream = 0;
  memcpy(&stream, from, (count * bits + 7) / 8);
  for (size_t i = 0; i < count; i++) to[i] = (uint8_t)(stream >> (bits * i)) & ((1u << bits) - 1);
}

static void pack_rest(unsigned bits, const uint8_t *from, uint8_t *to, size_t count) {
  uint64_t stream = 0;
  for (size_t i = 0; i < count; i++)
    stream |= (uint64_t)(from[i] & ((1u << bits) - 1)) << (bits * i);
  memcpy(to, &stream, (count * bits + 7) / 8);
}

void plain_stream_unpack(unsigned bits, const void *words, void *codes, size_t count) {
  const size_t eights = count / 8;
  switch (bits) {
    case 1: unpack_eights(1, words, codes, eights); break;
    case 2: unpack_eights(2, words, codes, eights); break;
    case 3: unpack_eights(3, words, codes, eights); break;
    case 4: unpack_eights(4, words, codes, eights); break;
    case 5: unpack_eights(5, words, codes, eights); break;
    case 6: unpack_eights(6, words, codes, eights); break;
    case 7: unpack_eights(7, words, codes, eights); break;
    default: unpack_eights(8, words, codes, eights);
  }
  unpack_rest(bits, (const uint8_t *)words + eights * bits, (uint8_t *)codes + eights * 8,
              count % 8);
}

void plain_stream_pack(unsigned bits, const void *codes, void *words, size_t count) {
  const size_t eights = count / 8;
  switch (bits) {
    case 1: pack_eights(1, codes, words, eights); break;
    case 2: pack_eights(2, codes, words, eights); break;
    case 3: pack_eights(3, codes, words, eights); break;
    case 4: pack_eights(4, codes, words, eights); break;
    case 5: pack_eights(5, codes, words, eights); break;
    case 6: pack_eights(6, codes, words, eights); break;
    case 7: pack_eights(7, codes, words, eights); break;
    default: pack_eights(8, codes, words, eights);
  }
  pack_rest(bits, (const uint8_t *)codes + eights * 8, (uint8_t *)words + eights * bits, count % 8);
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

// Calls for the 16 bytes of every 32 codes of a row, with the place of the first code.
#define FOR_EACH_CHUNK(quads, columns)                           \
  for (size_t quad = 0; quad < (quads); quad++)                  \
    for (size_t block = 0; block < (columns); block += 64)       \
      for (size_t row = 4 * quad; row < 4 * quad + 4; row++)     \
        for (size_t column = block; column < block + 64; column += 32)

void plain_quads_unpack(const void *words, void *codes, size_t quads, size_t columns) {
  const uint8_t *from = words;
  FOR_EACH_CHUNK(quads, columns) {
    uint8_t *to = (uint8_t *)codes + row * columns + column;
    for (size_t j = 0; j < 8; j++, from += 2) {
      to[j] = from[0] & 15;
      to[j + 8] = from[0] >> 4;
      to[j + 16] = from[1] & 15;
      to[j + 24] = from[1] >> 4;
    }
  }
}

void plain_quads_pack(const void *codes, void *words, size_t quads, size_t columns) {
  uint8_t *to = words;
  FOR_EACH_CHUNK(quads, columns) {
    const uint8_t *from = (const uint8_t *)codes + row * columns + column;
    for (size_t j = 0; j < 8; j++, to += 2) {
      to[0] = (uint8_t)((from[j] & 15) | from[j + 8] << 4);
      to[1] = (uint8_t)((from[j + 16] & 15) | from[j + 24] << 4);
    }
  }
}

void ck_fill_plain_codes(ck_kernels *table) {
  table->stream_unpack = plain_stream_unpack;
  table->stream_pack = plain_stream_pack;
  table->rows_unpack = plain_rows_unpack;
  table->rows_pack = plain_rows_pack;
  table->interleaved_unpack = plain_interleaved_unpack;
  table->interleaved_pack = plain_interleaved_pack;
  table->quads_unpack = plain_quads_unpack;
  table->quads_pack = plain_quads_pack;
}
