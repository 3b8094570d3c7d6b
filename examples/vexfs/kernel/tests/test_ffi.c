// SPDX-License-Identifier: GPL-2.0-only
/* Does the distance kernel compute what its header says? */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vexfs_ffi.h"

#define ONE	65536	/* 1.0 in 16.16 fixed point */

static int checks, failures;

static void expect_l2(const char *what, const int32_t *a, const int32_t *b,
		      uint32_t dim, uint64_t want)
{
	uint64_t got = 0x5a5a;
	int ret = vexfs_ffi_l2_squared(a, b, dim, &got);

	checks++;
	if (ret || got != want) {
		failures++;
		printf("FAIL l2 %s: %d, %" PRIu64 ", expected %" PRIu64 "\n",
		       what, ret, got, want);
	}
}

static void expect_dot(const char *what, const int32_t *a, const int32_t *b,
		       uint32_t dim, int64_t want)
{
	int64_t got = 0x5a5a;
	int ret = vexfs_ffi_dot(a, b, dim, &got);

	checks++;
	if (ret || got != want) {
		failures++;
		printf("FAIL dot %s: %d, %" PRId64 ", expected %" PRId64 "\n",
		       what, ret, got, want);
	}
}

static void fill(int32_t *v, int32_t value)
{
	int i;

	for (i = 0; i < VEXFS_FFI_MAX_DIM; i++)
		v[i] = value;
}

/* Sums in 128 bits are the reference for numbers picked by a fixed generator. */
static void random_vectors(void)
{
	static int32_t a[VEXFS_FFI_MAX_DIM], b[VEXFS_FFI_MAX_DIM];
	uint64_t seed = 20240607;
	uint32_t round, i, dim;

	for (round = 0; round < 500; round++) {
		unsigned __int128 l2 = 0;
		__int128 dot = 0;

		dim = 1 + round * 7 % VEXFS_FFI_MAX_DIM;
		for (i = 0; i < dim; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			a[i] = (int32_t)(seed >> 32) >> round % 24;
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			b[i] = (int32_t)(seed >> 32) >> round % 24;
			__int128 d = (__int128)a[i] - b[i];

			l2 += (unsigned __int128)(d * d);
			dot += (__int128)a[i] * b[i];
		}
		if (l2 > UINT64_MAX)
			l2 = UINT64_MAX;
		if (dot > INT64_MAX)
			dot = INT64_MAX;
		if (dot < INT64_MIN)
			dot = INT64_MIN;
		expect_l2("random", a, b, dim, (uint64_t)l2);
		expect_dot("random", a, b, dim, (int64_t)dot);
	}
}

int main(void)
{
	static int32_t a[VEXFS_FFI_MAX_DIM], b[VEXFS_FFI_MAX_DIM];
	const int32_t p[] = { 1 * ONE, 2 * ONE, 3 * ONE };
	const int32_t q[] = { 4 * ONE, 6 * ONE, 3 * ONE };

	/* 3-4-5: the distance is 5.0, its square 25.0 with 32 fraction bits */
	expect_l2("3-4-5", p, q, 3, 25ULL << 32);
	expect_l2("same", p, p, 3, 0);
	expect_l2("swapped", q, p, 3, 25ULL << 32);
	expect_dot("plain", p, q, 3, (4LL + 12 + 9) << 32);

	a[0] = 5;
	b[0] = -7;
	expect_l2("one", a, b, 1, 144);
	expect_dot("one", a, b, 1, -35);

	fill(a, INT32_MIN);
	fill(b, INT32_MAX);
	expect_l2("widest", a, b, 1, 0xfffffffe00000001ULL);
	expect_l2("limit", a, b, 2, UINT64_MAX);
	expect_l2("limit, all", a, b, VEXFS_FFI_MAX_DIM, UINT64_MAX);
	expect_dot("widest", a, b, 1, -(1LL << 62) + (1LL << 31));
	expect_dot("lower limit", a, b, VEXFS_FFI_MAX_DIM, INT64_MIN);
	expect_dot("upper limit", a, a, 2, INT64_MAX);
	expect_dot("upper limit, all", a, a, VEXFS_FFI_MAX_DIM, INT64_MAX);
	/* sums that pass a limit on the way and come back are exact */
	b[2] = b[3] = INT32_MIN;
	a[2] = a[3] = INT32_MAX;
	a[0] = a[1] = b[0] = b[1] = INT32_MIN;
	expect_dot("there and back", a, b, 4, 1LL << 32);
	b[0] = b[1] = INT32_MIN + 1;
	a[0] = a[1] = INT32_MIN;
	expect_dot("there and back, zero", a, b, 4, 0);
	random_vectors();

	printf("%s: %d checks of '%s', %d failed\n", "test_ffi", checks,
	       vexfs_ffi_name(), failures);
	return failures || !checks;
}
