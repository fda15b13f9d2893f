#pragma STDC FP_CONTRACT OFF

// The compression function of SHA-256 (FIPS 180-4, 6.2.2), in portable C.

#include "kernels.h"

const uint32_t sha256_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t turned(uint32_t x, unsigned by) { return x >> by | x << (32 - by); }

static inline uint32_t load_big_u32(const uint8_t *from) {
  return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

static inline uint32_t small_sigma_0(uint32_t x) { return turned(x, 7) ^ turned(x, 18) ^ x >> 3; }

static inline uint32_t small_sigma_1(uint32_t x) {
  return turned(x, 17) ^ turned(x, 19) ^ x >> 10;
}

static inline uint32_t big_sigma_0(uint32_t x) {
  return turned(x, 2) ^ turned(x, 13) ^ turned(x, 22);
}

static inline uint32_t big_sigma_1(uint32_t x) {
  return turned(x, 6) ^ turned(x, 11) ^ turned(x, 25);
}

// Round i + j, j below 16; the names of the eight words move on by one with each.
#define ROUND(a, b, c, d, e, f, g, h, j)                                                     \
  do {                                                                                       \
    const uint32_t t =                                                                       \
        h + big_sigma_1(e) + (g ^ (e & (f ^ g))) + sha256_constants[i + j] + w[j];           \
    d += t;                                                                                  \
    h = t + big_sigma_0(a) + ((a & b) | (c & (a | b)));                                      \
  } while (0)

#define EIGHT_ROUNDS(j)                   \
  do {                                    \
    ROUND(a, b, c, d, e, f, g, h, j);     \
    ROUND(h, a, b, c, d, e, f, g, j + 1); \
    ROUND(g, h, a, b, c, d, e, f, j + 2); \
    ROUND(f, g, h, a, b, c, d, e, j + 3); \
    ROUND(e, f, g, h, a, b, c, d, j + 4); \
    ROUND(d, e, f, g, h, a, b, c, j + 5); \
    ROUND(c, d, e, f, g, h, a, b, j + 6); \
    ROUND(b, c, d, e, f, g, h, a, j + 7); \
  } while (0)

static void plain_sha256(uint32_t *state, const void *blocks, size_t count) {
  const uint8_t *from = blocks;
  for (; count > 0; count--, from += 64) {
    uint32_t w[16];
    for (size_t i = 0; i < 16; i++) w[i] = load_big_u32(from + 4 * i);
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (size_t i = 0; i < 64; i += 16) {
      EIGHT_ROUNDS(0);
      EIGHT_ROUNDS(8);
      // The next sixteen words of the schedule, each in the place of the one it needs last.
#pragma clang loop unroll(full)
      for (size_t j = 0; j < 16; j++)
        w[j] += small_sigma_0(w[(j + 1) % 16]) + w[(j + 9) % 16] + small_sigma_1(w[(j + 14) % 16]);
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
  }
}

void ck_fill_plain_sha256(ck_kernels *table) { table->sha256 = plain_sha256; }
