#pragma STDC FP_CONTRACT OFF

// Which levels there are: each is the one below it with its own loops put over them.

#include "kernels.h"

enum { level_limit = 5 };

static ck_kernels tables[level_limit];
static size_t table_count;

static void fill_plain(ck_kernels *table) {
  table->name = "plain";
  ck_fill_plain_compute(table);
  ck_fill_plain_codes(table);
  ck_fill_plain_bytes(table);
  ck_fill_plain_floats(table);
  ck_fill_plain_nibbles(table);
  ck_fill_plain_sha256(table);
  ck_fill_plain_blockwise(table);
  ck_fill_plain_int8(table);
  ck_fill_plain_quantiles(table);
  ck_fill_plain_planes(table);
  ck_fill_plain_columns(table);
  ck_fill_plain_packed(table);
  ck_fill_plain_awq(table);
}

#if defined(__x86_64__)
static void fill_avx2(ck_kernels *table) {
  table->name = "avx2";
  ck_fill_avx2_compute(table);
  ck_fill_avx2_streams(table);
  ck_fill_avx2_rows(table);
  ck_fill_avx2_bytes(table);
  ck_fill_avx2_floats(table);
  ck_fill_avx2_nibbles(table);
  ck_fill_avx2_blockwise(table);
  ck_fill_avx2_int8(table);
  ck_fill_avx2_quantiles(table);
  ck_fill_avx2_planes(table);
  ck_fill_avx2_columns(table);
  ck_fill_avx2_awq(table);
  // Some processors with AVX2 are older than these instructions.
  if (__builtin_cpu_supports("sha")) ck_fill_sha_sha256(table);
  if (__builtin_cpu_supports("fma")) ck_fill_avx2_packed(table);
}
#endif

#if defined(__x86_64__)
// Levels above AVX2: one for each way to multiply bytes, and one of longer vectors.
static void add_level(const char *name, void (*fill)(ck_kernels *)) {
  ck_kernels *table = &tables[table_count];
  *table = tables[table_count - 1];
  table->name = name;
  fill(table);
  table_count++;
}

static void fill_avxvnni(ck_kernels *table) {
  ck_fill_avxvnni_int8(table);
  if (__builtin_cpu_supports("fma")) ck_fill_avxvnni_packed(table);
}

static void fill_avx512(ck_kernels *table) {
  ck_fill_avx512_streams(table);
  ck_fill_avx512_bytes(table);
  ck_fill_avx512_floats(table);
  ck_fill_avx512_columns(table);
  ck_fill_avx512_awq(table);
  ck_fill_avx512_compute(table);
  // Some processors with AVX-512 are older than these instructions.
  if (__builtin_cpu_supports("avx512bf16")) ck_fill_avx512bf16_floats(table);
}

static void fill_avx512vnni(ck_kernels *table) {
  ck_fill_avx512vnni_int8(table);
  if (__builtin_cpu_supports("fma")) ck_fill_avx512vnni_packed(table);
}

static int has_avx512(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi");
}

static int has_avx512vnni(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vnni");
}

#endif

__attribute__((constructor)) static void fill_tables(void) {
  fill_plain(&tables[0]);
  table_count = 1;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("f16c")) return;
  tables[1] = tables[0];
  fill_avx2(&tables[1]);
  table_count = 2;
  if (__builtin_cpu_supports("avxvnni")) add_level("avxvnni", fill_avxvnni);
  if (has_avx512()) add_level("avx512", fill_avx512);
  if (has_avx512vnni()) add_level("avx512vnni", fill_avx512vnni);
#endif
}

size_t ck_level_count(void) { return table_count; }

const ck_kernels *ck_level(size_t index) { return index < table_count ? &tables[index] : NULL; }
