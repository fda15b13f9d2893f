#pragma STDC FP_CONTRACT OFF

// Word rows, 64 columns at a time: words are split into planes, one for each of their bytes, and
// eight code rows are cut from `bits` planes in one pass. 64 columns are a whole cache line of
// every code row; of half a line the other half would often be gone from the cache when its turn
// comes, because rows of 4096 columns all compete for the same eight places.

#include "avx2.h"

#if defined(__x86_64__)

enum { width = 64, plane_limit = 28 };

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

INLINE void unpack_part(unsigned bits, size_t unit, const uint8_t *words, uint8_t *codes,
                        size_t columns) {
  __m256i left[plane_limit], right[plane_limit];
  for (size_t row = 0; row < unit; row++) {
    split(words + row * columns * 4, left + 4 * row);
    split(words + row * columns * 4 + 128, right + 4 * row);
  }
  for (size_t eight = 0; eight < unit * 4 / bits; eight++)
    for (unsigned i = 0; i < 8; i++, codes += columns) {
      store(codes, cut(bits, i, left + eight * bits));
      store(codes + 32, cut(bits, i, right + eight * bits));
    }
}

// Eight code rows -> `bits` planes, which stay in registers until they are whole.
INLINE void gather(unsigned bits, const uint8_t *codes, size_t columns, __m256i *planes) {
  __m256i whole[8];
  for (unsigned i = 0; i < bits; i++) whole[i] = _mm256_setzero_si256();
  for (unsigned i = 0; i < 8; i++) put(bits, i, load(codes + i * columns), whole);
  for (unsigned i = 0; i < bits; i++) planes[i] = whole[i];
}

INLINE void pack_part(unsigned bits, size_t unit, const uint8_t *codes, uint8_t *words,
                      size_t columns) {
  __m256i left[plane_limit], right[plane_limit];
  for (size_t eight = 0; eight < unit * 4 / bits; eight++, codes += 8 * columns) {
    gather(bits, codes, columns, left + eight * bits);
    gather(bits, codes + 32, columns, right + eight * bits);
  }
  for (size_t row = 0; row < unit; row++) {
    join(left + 4 * row, words + row * columns * 4);
    join(right + 4 * row, words + row * columns * 4 + 128);
  }
}

// One unit of eight bits is half of eight code rows.
INLINE void unpack_part_8(const uint8_t *words, uint8_t *codes, size_t columns) {
  __m256i left[4], right[4];
  split(words, left);
  split(words + 128, right);
  for (size_t i = 0; i < 4; i++, codes += columns) {
    store(codes, left[i]);
    store(codes + 32, right[i]);
  }
}

INLINE void pack_part_8(const uint8_t *codes, uint8_t *words, size_t columns) {
  __m256i left[4], right[4];
  for (size_t i = 0; i < 4; i++, codes += columns) {
    left[i] = load(codes);
    right[i] = load(codes + 32);
  }
  join(left, words);
  join(right, words + 128);
}

// Whole units of rows; the last vector of columns overlaps the one before it.
INLINE void unpack_units(unsigned bits, size_t unit, const uint8_t *words, uint8_t *codes,
                         size_t rows, size_t columns) {
  for (size_t row = 0; row < rows; row += unit) {
    for (size_t next = 0; next < columns; next += width) {
      const size_t c = smaller(next, columns - width);
      if (bits == 8)
        unpack_part_8(words + 4 * c, codes + c, columns);
      else
        unpack_part(bits, unit, words + 4 * c, codes + c, columns);
    }
    words += unit * columns * 4;
    codes += unit * 32 / bits * columns;
  }
}

INLINE void pack_units(unsigned bits, size_t unit, const uint8_t *codes, uint8_t *words,
                       size_t rows, size_t columns) {
  for (size_t row = 0; row < rows; row += unit) {
    for (size_t next = 0; next < columns; next += width) {
      const size_t c = smaller(next, columns - width);
      if (bits == 8)
        pack_part_8(codes + c, words + 4 * c, columns);
      else
        pack_part(bits, unit, codes + c, words + 4 * c, columns);
    }
    words += unit * columns * 4;
    codes += unit * 32 / bits * columns;
  }
}

AVX2 static void rows_unpack(unsigned bits, const void *words, void *codes, size_t rows,
                             size_t columns) {
  if (columns < width) {
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
  if (columns < width) {
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
