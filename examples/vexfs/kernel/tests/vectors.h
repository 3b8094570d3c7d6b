/* SPDX-License-Identifier: GPL-2.0-only */
/* What the tests of the ioctls share: vectors from a seed, calls, checks. */
#ifndef _VECTORS_H
#define _VECTORS_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vexfs_ioctl.h"

static int checks, failures;

#define CHECK(ok, ...)						\
	do {							\
		checks++;					\
		if (!(ok)) {					\
			failures++;				\
			printf("FAIL %s: ", #ok);		\
			printf(__VA_ARGS__);			\
			printf("\n");				\
		}						\
	} while (0)

/* The call must fail, and with this error. */
#define CHECK_ERRNO(call, expected)				\
	do {							\
		int _ret, _err;					\
								\
		errno = 0;					\
		_ret = (call);					\
		_err = errno;					\
		CHECK(_ret < 0 && _err == (expected),		\
		      "%s: %d, %s; expected %s", #call, _ret,	\
		      strerror(_err), strerror(expected));	\
	} while (0)

#define BAD_ADDRESS	((void *)8)

static inline void die(const char *what)
{
	printf("FAIL %s: %s\n", what, strerror(errno));
	exit(1);
}

static inline int set_vector(int fd, const int32_t *data, uint32_t dim)
{
	struct vexfs_vector v = { .dim = dim, .data = (uintptr_t)data };

	return ioctl(fd, VEXFS_IOC_SET_VECTOR, &v);
}

/* *dim: the room, then the dimension. */
static inline int get_vector(int fd, int32_t *data, uint32_t *dim)
{
	struct vexfs_vector v = { .dim = *dim, .data = (uintptr_t)data };
	int ret = ioctl(fd, VEXFS_IOC_GET_VECTOR, &v);

	*dim = v.dim;
	return ret;
}

/* How many were found, or -1. */
static inline int nearest(int fd, const int32_t *query, uint32_t dim,
			  struct vexfs_neighbour *found, uint32_t k)
{
	struct vexfs_nearest n = {
		.dim = dim, .k = k, .query = (uintptr_t)query,
		.found = (uintptr_t)found,
	};

	return ioctl(fd, VEXFS_IOC_NEAREST, &n) ? -1 : (int)n.k;
}

/* The same numbers for the same seed, in each process: what was stored. */
static inline void fill_vector(int32_t *data, uint32_t dim, uint64_t seed)
{
	static const int32_t edges[] = { INT32_MIN, INT32_MAX, 0, -1 };
	uint64_t state = seed * 2654435761u + 20241124;
	uint32_t i;

	for (i = 0; i < dim; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		data[i] = (int32_t)(state >> 32) >> (8 + seed % 13);
		/* Some reach the limit of a distance. */
		if (seed % 29 == 7)
			data[i] = edges[(state >> 40) % 4];
	}
}

static inline int open_in(int dir, const char *name, int flags)
{
	int fd = openat(dir, name, flags, 0644);

	if (fd < 0)
		die(name);
	return fd;
}

static inline int finish(const char *name)
{
	printf("%s: %d checks, %d failed\n", name, checks, failures);
	return failures || !checks;
}

#endif /* _VECTORS_H */
