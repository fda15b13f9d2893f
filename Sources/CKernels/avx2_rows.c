#pragma STDC FP_CONTRACT OFF

// Word rows, a strip of columns at a time: words are split into planes, one for each of their bytes,
// and eight code rows are cut from `bits` planes in one pass.

#include "avx2.h"

#if defined(__x86_64__)

enum { strip = 512, plane_limit = 28 };

// Byte 0 of every word of a lane first, then every byte 1, and so on; it is its own inverse.
INLINE __m256i bytes_gathered(__m256i words) {
  const __m128i order = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm256_shuffle_epi8(words, twice(order));
}

// 4x4 elements of 32 bits within each lane, turned; it is its own inverse.
INLINE void turn(__m256i v[4]) {
  const __m256i a = _mm256_unpacklo_epi32(v[0], v[1]), b = _mm256_unpackhi_epi32(v[0], v[1]);
  const __m256i c = _mm256_unpacklo_epi32(v[2], v[3]), d = _mm256_unpackhi_epi32(v[2], v[3]);
  v[0] = _mm256_unpacklo_epi64(a, c);
  v[1] = _mm256_unpackhi_epi64(a, c);
  v[2] = _mm256_unpacklo_epi64(b, d);
  v[3] = _mm256_unpackhi_epi64(b, d);
}

// 32 words -> 4 planes: lanes hold words 0...15 and 16...31.
INLINE void split(const uint8_t *words, __m256i planes[4]) {
  for (int i = 0; i < 4; i++)
    planes[i] = bytes_gathered(load_halves(words + 16 * i, words + 64 + 16 * i));
  turn(planes);
}

INLINE void join(__m256i planes[4], uint8_t *words) {
  turn(planes);
  for (int i = 0; i < 4; i++) {
    const __m256i quads = bytes_gathered(planes[i]);
    _mm_storeu_si128((void *)(words + 16 * i), _mm256_castsi256_si128(quads));
    _mm_storeu_si128((void *)(words + 64 + 16 * i), _mm256_extracti128_si256(quads, 1));
  }
}

// Every byte moved down, or up; what a neighbour sends over is masked away.
INLINE __m256i down(__m256i bytes, unsigned by, unsigned mask) {
  return both(_mm256_srli_epi16(bytes, (int)by), bytes_of(mask));
}

INLINE __m256i up(__m256i bytes, unsigned by, unsigned mask) {
  return both(_mm256_slli_epi16(bytes, (int)by), bytes_of(mask));
}

// Code `index` of eight whose bits fill `bits` planes.
INLINE __m256i cut(unsigned bits, unsigned index, const __m256i *planes) {
  const unsigned all = (1u << bits) - 1, plane = index * bits / 8, shift = index * bits % 8;
  if (shift + bits <= 8) return down(planes[plane], shift, all);
  const unsigned low = 0xFFu >> shift;
  return either(down(planes[plane], shift, low),
                up(planes[plane + 1], 8 - shift, all & ~low));
}

// Adds to the planes what `cut` takes from them. The planes begin as zero.
INLINE void put(unsigned bits, unsigned index, __m256i code, __m256i *planes) {
  const unsigned all = (1u << bits) - 1, plane = index * bits / 8, shift = index * bits % 8;
  planes[plane] = either(planes[plane], up(code, shift, all << shift & 0xFF));
  if (shift + bits > 8)
    planes[plane + 1] = either(planes[plane + 1], down(code, 8 - shift, all >> (8 - shift)));
}

// Planes of a strip of columns: of word row `row` byte i of every word, in plane 4*row + i.
typedef struct strip_planes {
  _Alignas(32) uint8_t bytes[plane_limit][strip];
} strip_planes;

// Planes at column c, as many as eight codes fill.
INLINE void load_planes(unsigned bits, const strip_planes *planes, size_t first, size_t c,
                        __m256i *to) {
  for (unsigned i = 0; i < bits; i++) to[i] = load(planes->bytes[first + i] + c);
}

// One unit of word rows of `count` columns, a multiple of 32: rows of codes are written one after
// the other, since lines of more rows than a cache has places for them push each other out of it.
INLINE void unpack_strip(unsigned bits, size_t unit, const uint8_t *words, uint8_t *codes,
                         size_t columns, size_t count) {
  strip_planes planes;
  for (size_t row = 0; row < unit; row++)
    for (size_t c = 0; c < count; c += 32) {
      __m256i four[4];
      split(words + (row * columns + c) * 4, four);
      for (size_t i = 0; i < 4; i++) store(planes.bytes[4 * row + i] + c, four[i]);
    }
  for (size_t eight = 0; eight < unit * 4 / bits; eight++)
    for (size_t c = 0; c < count; c += 32) {
      __m256i whole[8];
      load_planes(bits, &planes, eight * bits, c, whole);
      for (unsigned i = 0; i < 8; i++)
        store(codes + (8 * eight + i) * columns + c, cut(bits, i, whole));
    }
}

// Eight code rows at a time -> their planes, which stay in registers until they are whole.
INLINE void pack_strip(unsigned bits, size_t unit, const uint8_t *codes, uint8_t *words,
                       size_t columns, size_t count) {
  strip_planes planes;
  for (size_t eight = 0; eight < unit * 4 / bits; eight++)
    for (size_t c = 0; c < count; c += 32) {
      __m256i whole[8];
      for (unsigned i = 0; i < bits; i++) whole[i] = _mm256_setzero_si256();
      for (unsigned i = 0; i < 8; i++)
        put(bits, i, load(codes + (8 * eight + i) * columns + c), whole);
      for (unsigned i = 0; i < bits; i++) store(planes.bytes[eight * bits + i] + c, whole[i]);
    }
  for (size_t row = 0; row < unit; row++)
    for (size_t c = 0; c < count; c += 32) {
      __m256i four[4];
      for (size_t i = 0; i < 4; i++) four[i] = load(planes.bytes[4 * row + i] + c);
      join(four, words + (row * columns + c) * 4);
    }
}

// Of eight bits a plane is a row of codes.
INLINE void unpack_strip_8(const uint8_t *words, uint8_t *codes, size_t columns, size_t count) {
  for (size_t c = 0; c < count; c += 32) {
    __m256i planes[4];
    split(words + 4 * c, planes);
    for (size_t i = 0; i < 4; i++) store(codes + i * columns + c, planes[i]);
  }
}

INLINE void pack_strip_8(const uint8_t *codes, uint8_t *words, size_t columns, size_t count) {
  for (size_t c = 0; c < count; c += 32) {
    __m256i planes[4];
    for (size_t i = 0; i < 4; i++) planes[i] = load(codes + i * columns + c);
    join(planes, words + 4 * c);
  }
}

// The columns of a strip from `next` on, whole vectors of them; at the end of a row the last vector,
// which overlaps the one before it.
INLINE size_t strip_at(size_t *next, size_t columns) {
  const size_t count = smaller(strip, columns - *next) / 32 * 32;
  if (count > 0) return count;
  *next = columns - 32;
  return 32;
}

INLINE void unpack_units(unsigned bits, size_t unit, const uint8_t *words, uint8_t *codes,
                         size_t rows, size_t columns) {
  for (size_t row = 0; row < rows; row += unit) {
    for (size_t c = 0, count; c < columns; c += count) {
      count = strip_at(&c, columns);
      if (bits == 8)
        unpack_strip_8(words + 4 * c, codes + c, columns, count);
      else
        unpack_strip(bits, unit, words + 4 * c, codes + c, columns, count);
    }
    words += unit * columns * 4;
    codes += unit * 32 / bits * columns;
  }
}

INLINE void pack_units(unsigned bits, size_t unit, const uint8_t *codes, uint8_t *words,
                       size_t rows, size_t columns) {
  for (size_t row = 0; row < rows; row += unit) {
    for (size_t c = 0, count; c < columns; c += count) {
      count = strip_at(&c, columns);
      if (bits == 8)
        pack_strip_8(codes + c, words + 4 * c, columns, count);
      else
        pack_strip(bits, unit, codes + c, words + 4 * c, columns, count);
    }
    words += unit * columns * 4;
    codes += unit * 32 / bits * columns;
  }
}

AVX2 static void rows_unpack(unsigned bits, const void *words, void *codes, size_t rows,
                             size_t columns) {
  if (columns < 32) {
    plain_rows_unpack(bits, words, codes, rows, columns);
    return;
  }
  switch (bits) {
    case 1: unpack_units(1, 1, words, codes, rows, columns); break;
    case 2: unpack_units(2, 1, words, codes, rows, columns); break;
    case 3: unpack_units(3, 3, words, codes, rows, columns); break;
    case 4: unpack_units(4, 1, words, codes, rows, columns); break;
    case 5: unpack_units(5, 5, words, codes, rows, columns); break;
    case 6: unpack_units(6, 3, words, codes, rows, columns); break;
    case 7: unpack_units(7, 7, words, codes, rows, columns); break;
    default: unpack_units(8, 1, words, codes, rows, columns);
  }
}

AVX2 static void rows_pack(unsigned bits, const void *codes, void *words, size_t rows,
                           size_t columns) {
  if (columns < 32) {
    plain_rows_pack(bits, codes, words, rows, columns);
    return;
  }
  switch (bits) {
    case 1: pack_units(1, 1, codes, words, rows, columns); break;
    case 2: pack_units(2, 1, codes, words, rows, columns); break;
    case 3: pack_units(3, 3, codes, words, rows, columns); break;
    case 4: pack_units(4, 1, codes, words, rows, columns); break;
    case 5: pack_units(5, 5, codes, words, rows, columns); break;
    case 6: pack_units(6, 3, codes, words, rows, columns); break;
    case 7: pack_units(7, 7, codes, words, rows, columns); break;
    default: pack_units(8, 1, codes, words, rows, columns);
  }
}

void ck_fill_avx2_rows(ck_kernels *table) {
  table->rows_unpack = rows_unpack;
  table->rows_pack = rows_pack;
}

#endif
