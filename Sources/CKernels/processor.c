#define _GNU_SOURCE
#include <sched.h>
#include <unistd.h>

#include "ckernels.h"

size_t ck_processor_cores(void) {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return (size_t)CPU_COUNT(&set);
#endif
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? (size_t)online : 1;
}

void ck_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

#if defined(__x86_64__)
#define FLAGS(each)                                                                             \
  each("sse4.2") each("avx") each("avx2") each("bmi2") each("f16c") each("fma") each("sha")     \
  each("avx512f") each("avx512bw") each("avx512vl") each("avx512vbmi") each("avx512vnni")   \
  each("avx512bf16") each("avxvnni")
#else
#define FLAGS(each)
#endif

const char *ck_processor_flag(size_t index) {
#define STEP(name) \
  if (__builtin_cpu_supports(name) && index-- == 0) return name;
  FLAGS(STEP)
#undef STEP
  (void)index;
  return NULL;
}
