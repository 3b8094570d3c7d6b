/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The distance kernel. Whoever implements this (C today, a Rust library in the
 * full build) gives the same answer for every input, bit for bit: plain
 * integers, no floating point, no allocation, no call back into the kernel.
 */
#ifndef _VEXFS_FFI_H
#define _VEXFS_FFI_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
#endif

#define VEXFS_FFI_VERSION	1
#define VEXFS_FFI_MAX_DIM	1024

/* Results: 0, or one of these. *out is untouched unless the result is 0. */
#define VEXFS_FFI_EINVAL	(-22)	/* null pointer, dim 0 or above the maximum */

/* Name of the implementation ("c", "rust") and the version of this interface. */
const char *vexfs_ffi_name(void);
uint32_t vexfs_ffi_version(void);

/* Sum of (a[i] - b[i])^2. Stops at UINT64_MAX instead of wrapping. */
int vexfs_ffi_l2_squared(const int32_t *a, const int32_t *b, uint32_t dim,
			 uint64_t *out);

/*
 * Sum of a[i] * b[i], exact over the whole sum and then limited to
 * INT64_MIN..INT64_MAX, so that the order of the elements doesn't matter.
 */
int vexfs_ffi_dot(const int32_t *a, const int32_t *b, uint32_t dim,
		  int64_t *out);

#endif /* _VEXFS_FFI_H */
