// SPDX-License-Identifier: GPL-2.0-only
/* What the distance kernel does with arguments that it must refuse. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vexfs_ffi.h"

static int checks, failures;

static void check(int ok, const char *what)
{
	checks++;
	if (!ok) {
		failures++;
		printf("FAIL %s\n", what);
	}
}

#define CHECK(expr) check(expr, #expr)

int main(int argc, char **argv)
{
	/* The build that is tested may have another implementation. */
	const char *expected = argc > 1 ? argv[1] : "c";
	static int32_t v[VEXFS_FFI_MAX_DIM + 1];
	uint64_t l2 = 77;
	int64_t dot = -77;

	CHECK(!strcmp(vexfs_ffi_name(), expected));
	CHECK(vexfs_ffi_version() == VEXFS_FFI_VERSION);

	CHECK(vexfs_ffi_l2_squared(NULL, v, 1, &l2) == VEXFS_FFI_EINVAL);
	CHECK(vexfs_ffi_l2_squared(v, NULL, 1, &l2) == VEXFS_FFI_EINVAL);
	CHECK(vexfs_ffi_l2_squared(v, v, 1, NULL) == VEXFS_FFI_EINVAL);
	CHECK(vexfs_ffi_l2_squared(v, v, 0, &l2) == VEXFS_FFI_EINVAL);
	CHECK(vexfs_ffi_l2_squared(v, v, VEXFS_FFI_MAX_DIM + 1, &l2) ==
	      VEXFS_FFI_EINVAL);
	CHECK(vexfs_ffi_l2_squared(v, v, UINT32_MAX, &l2) == VEXFS_FFI_EINVAL);
	CHECK(l2 == 77);

	CHECK(vexfs_ffi_dot(NULL, v, 1, &dot) == VEXFS_FFI_EINVAL);
	CHECK(vexfs_ffi_dot(v, NULL, 1, &dot) == VEXFS_FFI_EINVAL);
	CHECK(vexfs_ffi_dot(v, v, 1, NULL) == VEXFS_FFI_EINVAL);
	CHECK(vexfs_ffi_dot(v, v, 0, &dot) == VEXFS_FFI_EINVAL);
	CHECK(vexfs_ffi_dot(v, v, VEXFS_FFI_MAX_DIM + 1, &dot) ==
	      VEXFS_FFI_EINVAL);
	CHECK(dot == -77);

	CHECK(vexfs_ffi_l2_squared(v, v, VEXFS_FFI_MAX_DIM, &l2) == 0);
	CHECK(l2 == 0);
	CHECK(vexfs_ffi_dot(v, v, VEXFS_FFI_MAX_DIM, &dot) == 0);
	CHECK(dot == 0);

	printf("test_ffi_api: %d checks of '%s', %d failed\n", checks,
	       vexfs_ffi_name(), failures);
	return failures || !checks ? EXIT_FAILURE : EXIT_SUCCESS;
}
