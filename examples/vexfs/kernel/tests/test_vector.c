// SPDX-License-Identifier: GPL-2.0-only
/*
 * Do files keep their vectors?  test_vector store DIR, on a new VexFS; then
 * test_vector recall DIR after it was unmounted and mounted.
 */
#include <sys/stat.h>

#include "vectors.h"

static const uint32_t dims[] = { 1, 2, 3, 16, 767, 1023, 1024 };

#define DIMS	(sizeof(dims) / sizeof(*dims))

static int32_t data[VEXFS_VECTOR_MAX_DIM + 1], want[VEXFS_VECTOR_MAX_DIM + 1];

static void expect(int fd, uint32_t dim, uint64_t seed, const char *when)
{
	uint32_t got = VEXFS_VECTOR_MAX_DIM;
	int ret;

	fill_vector(want, dim, seed);
	memset(data, 0x5a, sizeof(data));
	ret = get_vector(fd, data, &got);
	CHECK(!ret && got == dim, "%s: %s, dimension %" PRIu32 ", expected %" PRIu32,
	      when, ret ? strerror(errno) : "read", got, dim);
	CHECK(!memcmp(data, want, dim * sizeof(*data)),
	      "%s: other numbers than were set", when);
	CHECK(data[dim] == 0x5a5a5a5a, "%s: more was written than asked for", when);
}

static void recall(int dir)
{
	uint32_t i, dim = 1;
	char name[16];
	int fd;

	for (i = 0; i < DIMS; i++) {
		snprintf(name, sizeof(name), "dim%" PRIu32, dims[i]);
		fd = open_in(dir, name, O_RDONLY);
		expect(fd, dims[i], i, name);
		close(fd);
	}
	fd = open_in(dir, "replaced", O_RDONLY);
	expect(fd, 5, 101, "replaced");
	close(fd);
	fd = open_in(dir, "taken away", O_RDONLY);
	CHECK_ERRNO(get_vector(fd, data, &dim), ENODATA);
	close(fd);
}

static void store(int dir)
{
	uint32_t i;
	char name[16];
	int fd;

	for (i = 0; i < DIMS; i++) {
		snprintf(name, sizeof(name), "dim%" PRIu32, dims[i]);
		fd = open_in(dir, name, O_RDWR | O_CREAT);
		fill_vector(data, dims[i], i);
		CHECK(!set_vector(fd, data, dims[i]), "%s: %s", name, strerror(errno));
		close(fd);
	}
	fd = open_in(dir, "replaced", O_RDWR | O_CREAT);
	fill_vector(data, 900, 100);
	CHECK(!set_vector(fd, data, 900), "%s", strerror(errno));
	expect(fd, 900, 100, "before it is replaced");
	fill_vector(data, 5, 101);
	CHECK(!set_vector(fd, data, 5), "%s", strerror(errno));
	close(fd);
	fd = open_in(dir, "taken away", O_RDWR | O_CREAT);
	CHECK(!set_vector(fd, data, 5), "%s", strerror(errno));
	CHECK(!set_vector(fd, NULL, 0), "%s", strerror(errno));
	close(fd);
}

static void refuse(int dir)
{
	struct vexfs_vector odd = { .dim = 1, .reserved = 1, .data = (uintptr_t)data };
	int fd = open_in(dir, "refusals", O_RDWR | O_CREAT);
	int reader = open_in(dir, "refusals", O_RDONLY);
	int writer = open_in(dir, "refusals", O_WRONLY);
	uint32_t dim = 1;

	CHECK_ERRNO(get_vector(fd, data, &dim), ENODATA);
	CHECK_ERRNO(set_vector(reader, data, 1), EBADF);
	CHECK_ERRNO(set_vector(fd, data, VEXFS_VECTOR_MAX_DIM + 1), EINVAL);
	CHECK_ERRNO(set_vector(fd, data, UINT32_MAX), EINVAL);
	CHECK_ERRNO(set_vector(fd, BAD_ADDRESS, 1), EFAULT);
	CHECK_ERRNO(ioctl(fd, VEXFS_IOC_SET_VECTOR, &odd), EINVAL);
	CHECK_ERRNO(ioctl(fd, VEXFS_IOC_SET_VECTOR, BAD_ADDRESS), EFAULT);
	CHECK_ERRNO(set_vector(dir, data, 1), EISDIR);
	/* None of these has left anything. */
	CHECK_ERRNO(get_vector(fd, data, &dim), ENODATA);

	fill_vector(data, 9, 3);
	CHECK(!set_vector(fd, data, 9), "%s", strerror(errno));
	CHECK_ERRNO(get_vector(writer, data, &dim), EBADF);
	dim = 8;
	CHECK_ERRNO(get_vector(fd, data, &dim), ERANGE);
	CHECK(dim == 9, "the room was too small, and the dimension was told as %" PRIu32, dim);
	CHECK_ERRNO(get_vector(fd, BAD_ADDRESS, &dim), EFAULT);
	CHECK_ERRNO(ioctl(fd, VEXFS_IOC_GET_VECTOR, &odd), EINVAL);
	CHECK_ERRNO(ioctl(fd, VEXFS_IOC_GET_VECTOR, BAD_ADDRESS), EFAULT);
	CHECK_ERRNO(get_vector(dir, data, &dim), EISDIR);
	CHECK_ERRNO(ioctl(fd, _IO('v', 0x5f), 0), ENOTTY);
	expect(fd, 9, 3, "after the refusals");
	close(fd);
	close(reader);
	close(writer);
}

int main(int argc, char **argv)
{
	int dir = argc == 3 ? open(argv[2], O_RDONLY | O_DIRECTORY) : -1;
	int first = argc == 3 && !strcmp(argv[1], "store");

	if (dir < 0) {
		fprintf(stderr, "usage: test_vector store|recall DIRECTORY\n");
		return 2;
	}
	if (first)
		store(dir);
	recall(dir);
	if (first)
		refuse(dir);
	return finish("test_vector");
}
