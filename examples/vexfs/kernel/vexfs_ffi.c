// SPDX-License-Identifier: GPL-2.0-only
/* The distance kernel in C. Builds in the kernel and in a test program. */
#include "vexfs_ffi.h"

#ifndef __KERNEL__
#include <stddef.h>
#endif

/* The kernel's own INT64_MAX is spelled differently, so neither is used. */
#define VEXFS_U64_MAX	(~(uint64_t)0)
#define VEXFS_S64_MAX	((int64_t)(VEXFS_U64_MAX >> 1))
#define VEXFS_S64_MIN	(-VEXFS_S64_MAX - 1)

static int vexfs_ffi_bad_args(const void *a, const void *b, uint32_t dim,
			      const void *out)
{
	return !a || !b || !out || !dim || dim > VEXFS_FFI_MAX_DIM;
}

const char *vexfs_ffi_name(void)
{
	return "c";
}

uint32_t vexfs_ffi_version(void)
{
	return VEXFS_FFI_VERSION;
}

int vexfs_ffi_l2_squared(const int32_t *a, const int32_t *b, uint32_t dim,
			 uint64_t *out)
{
	uint64_t sum = 0;
	uint32_t i;

	if (vexfs_ffi_bad_args(a, b, dim, out))
		return VEXFS_FFI_EINVAL;
	for (i = 0; i < dim; i++) {
		int64_t d = (int64_t)a[i] - b[i];
		uint64_t m = d < 0 ? -(uint64_t)d : (uint64_t)d;
		uint64_t sq = m * m;	/* m < 2^32, so this fits */

		if (sum > VEXFS_U64_MAX - sq) {
			sum = VEXFS_U64_MAX;
			break;
		}
		sum += sq;
	}
	*out = sum;
	return 0;
}

int vexfs_ffi_dot(const int32_t *a, const int32_t *b, uint32_t dim,
		  int64_t *out)
{
	int64_t high = 0, sum;
	uint64_t low = 0;
	uint32_t i;

	if (vexfs_ffi_bad_args(a, b, dim, out))
		return VEXFS_FFI_EINVAL;
	/*
	 * 1024 products of up to 2^62 need 73 bits: the low 32 bits of each
	 * are summed apart from the rest. Both sums stay far from their limits.
	 */
	for (i = 0; i < dim; i++) {
		int64_t p = (int64_t)a[i] * b[i];

		high += p >> 32;
		low += (uint32_t)p;
	}
	high += (int64_t)(low >> 32);
	low = (uint32_t)low;

	if (high > VEXFS_S64_MAX >> 32)
		sum = VEXFS_S64_MAX;
	else if (high < VEXFS_S64_MIN >> 32)
		sum = VEXFS_S64_MIN;
	else
		sum = high * ((int64_t)1 << 32) + (int64_t)low;
	*out = sum;
	return 0;
}
