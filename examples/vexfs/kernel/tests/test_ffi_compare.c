// SPDX-License-Identifier: GPL-2.0-only
/* Does the Rust distance kernel give the answers of the one in C? */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Both in one program: the one in C under other names. */
#define vexfs_ffi_name		c_name
#define vexfs_ffi_version	c_version
#define vexfs_ffi_l2_squared	c_l2_squared
#define vexfs_ffi_dot		c_dot
#include "vexfs_ffi.c"
#undef vexfs_ffi_name
#undef vexfs_ffi_version
#undef vexfs_ffi_l2_squared
#undef vexfs_ffi_dot
#undef _VEXFS_FFI_H
#include "vexfs_ffi.h"

#define ROUNDS	20000

static int32_t a[VEXFS_FFI_MAX_DIM + 1], b[VEXFS_FFI_MAX_DIM + 1];
static uint64_t state = 20241124;
static int checks, failures;

static uint32_t pick(void)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return state >> 32;
}

static int32_t pick_number(uint32_t round)
{
	static const int32_t edges[] = {
		INT32_MIN, INT32_MIN + 1, -65536, -1, 0, 1, 65536, INT32_MAX,
	};

	if (round % 3 == 0)
		return edges[pick() % 8];
	return (int32_t)pick() >> round % 31;
}

/* Result and untouched output included: both start from the same pattern. */
static void compare(const int32_t *x, const int32_t *y, uint32_t dim)
{
	uint64_t l2[2] = { 0x5a5a5a5a5a5a5a5a, 0x5a5a5a5a5a5a5a5a };
	int64_t dot[2] = { 0x5a5a5a5a5a5a5a5a, 0x5a5a5a5a5a5a5a5a };
	int ret[4] = {
		c_l2_squared(x, y, dim, &l2[0]),
		vexfs_ffi_l2_squared(x, y, dim, &l2[1]),
		c_dot(x, y, dim, &dot[0]),
		vexfs_ffi_dot(x, y, dim, &dot[1]),
	};

	checks += 2;
	if (ret[0] != ret[1] || l2[0] != l2[1]) {
		failures++;
		printf("FAIL l2, dim %" PRIu32 ": c %d, %" PRIu64 "; %s %d, %" PRIu64 "\n",
		       dim, ret[0], l2[0], vexfs_ffi_name(), ret[1], l2[1]);
	}
	if (ret[2] != ret[3] || dot[0] != dot[1]) {
		failures++;
		printf("FAIL dot, dim %" PRIu32 ": c %d, %" PRId64 "; %s %d, %" PRId64 "\n",
		       dim, ret[2], dot[0], vexfs_ffi_name(), ret[3], dot[1]);
	}
}

int main(void)
{
	static const uint32_t dims[] = {
		0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 1023, 1024, 1025,
		0x7fffffff, 0x80000000, 0xffffffff,
	};
	uint32_t round, i;

	if (!strcmp(vexfs_ffi_name(), c_name())) {
		printf("FAIL both implementations are '%s'\n", c_name());
		return 1;
	}
	compare(NULL, b, 1);
	compare(a, NULL, 1);
	for (round = 0; round < ROUNDS; round++) {
		uint32_t dim = 1 + pick() % (round % 16 ? 32 : VEXFS_FFI_MAX_DIM);

		for (i = 0; i < dim; i++) {
			a[i] = pick_number(round);
			b[i] = pick_number(round / 3);
		}
		compare(a, b, dim);
		compare(a, a, dim);
	}
	for (i = 0; i < sizeof(dims) / sizeof(*dims); i++)
		compare(a, b, dims[i]);

	printf("test_ffi_compare: %d checks of '%s' with '%s', %d failed\n",
	       checks, vexfs_ffi_name(), c_name(), failures);
	return failures || !checks;
}
