// A Linux call that the C library hides from Swift behind a feature macro. It answers -1 with ENOSYS
// elsewhere, and its caller has a portable way to go on.
#ifndef CLINUX_SHIM_H
#define CLINUX_SHIM_H
#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __linux__
extern long copy_file_range(int in, int64_t *in_offset, int out, int64_t *out_offset, size_t length,
                            unsigned flags);
#endif

/// Copies inside the kernel, moving both offsets; the number of bytes, 0 at the end, or -1.
static inline long nibble_copy_range(int in, int64_t *in_offset, int out, int64_t *out_offset,
                                     size_t length) {
#ifdef __linux__
  return copy_file_range(in, in_offset, out, out_offset, length, 0);
#else
  errno = ENOSYS;
  return -1;
#endif
}

#endif
