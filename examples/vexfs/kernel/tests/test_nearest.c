// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does the search for near files find what a look at all of them finds?
 * test_nearest store DIR, on a new VexFS and as root; then test_nearest recall
 * DIR after it was unmounted and mounted.
 */
#include <dirent.h>
#include <grp.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "vectors.h"

#define DIM	24
#define FILES	300
#define NOBODY	65534

static struct vexfs_neighbour found[VEXFS_NEAREST_MAX], want[VEXFS_NEAREST_MAX];
static int32_t query[VEXFS_VECTOR_MAX_DIM + 1];

static void store(int dir)
{
	int32_t data[DIM];
	char name[32];
	uint32_t i;
	int fd;

	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "file %" PRIu32, i);
		fd = open_in(dir, name, O_RDWR | O_CREAT);
		fill_vector(data, DIM, i - i % 3 / 2);	/* every third a twin */
		/* Every tenth has none, others another dimension. */
		if (i % 10 && set_vector(fd, data, i % 10 == 5 ? DIM - 1 : DIM))
			die(name);
		close(fd);
	}
	if (linkat(dir, "file 1", dir, "file 1 again", 0) ||
	    symlinkat("file 2", dir, "a link") || mkdirat(dir, "below", 0755))
		die("names");
	fd = open_in(dir, "below/file", O_RDWR | O_CREAT);
	fill_vector(data, DIM, 0);
	if (set_vector(fd, data, DIM))
		die("below/file");
	close(fd);
}

static int compare(const void *a, const void *b)
{
	const struct vexfs_neighbour *x = a, *y = b;

	if (x->distance != y->distance)
		return x->distance < y->distance ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* All files by their distance, in numbers of 128 bits. */
static int look_at_all(int dir)
{
	int32_t data[VEXFS_VECTOR_MAX_DIM];
	uint32_t i, dim, n = 0;
	struct stat st;
	char name[32];
	int fd;

	for (i = 0; i < FILES; i++) {
		unsigned __int128 sum = 0;

		snprintf(name, sizeof(name), "file %" PRIu32, i);
		fd = open_in(dir, name, O_RDONLY);
		dim = VEXFS_VECTOR_MAX_DIM;
		if (!get_vector(fd, data, &dim) && dim == DIM) {
			for (dim = 0; dim < DIM; dim++) {
				__int128 d = (__int128)data[dim] - query[dim];

				sum += d * d;
			}
			if (fstat(fd, &st))
				die(name);
			want[n].ino = st.st_ino;
			want[n++].distance = sum > UINT64_MAX ? UINT64_MAX : sum;
		}
		close(fd);
	}
	qsort(want, n, sizeof(*want), compare);
	return n;
}

static void search(int dir)
{
	static const int rooms[] = { 1, 2, 7, 100, VEXFS_NEAREST_MAX };
	int all, n, k;
	uint32_t i, seed;

	for (seed = 0; seed < 40; seed += 3) {
		fill_vector(query, DIM, seed);
		all = look_at_all(dir);
		CHECK(all == FILES * 8 / 10, "%d files have a vector", all);
		for (i = 0; i < sizeof(rooms) / sizeof(*rooms); i++) {
			k = rooms[i] < all ? rooms[i] : all;
			memset(found, 0x5a, sizeof(found));
			n = nearest(dir, query, DIM, found, rooms[i]);
			CHECK(n == k, "%d found of %d, expected %d: %s", n, rooms[i], k,
			      n < 0 ? strerror(errno) : "");
			CHECK(!memcmp(found, want, k * sizeof(*want)),
			      "query %" PRIu32 ", room for %d: others than by looking at all", seed, k);
			CHECK(k == VEXFS_NEAREST_MAX || found[k].ino == 0x5a5a5a5a5a5a5a5a,
			      "more was written than found");
		}
	}
	CHECK(nearest(dir, query, 3, found, 5) == 0, "no file has this dimension");
}

static void refuse(int dir)
{
	struct vexfs_nearest odd = {
		.dim = DIM, .k = 1, .reserved = 1, .query = (uintptr_t)query,
		.found = (uintptr_t)found,
	};
	int file = open_in(dir, "file 1", O_RDWR), gone;

	CHECK_ERRNO(nearest(file, query, DIM, found, 1), ENOTDIR);
	CHECK_ERRNO(nearest(dir, query, 0, found, 1), EINVAL);
	CHECK_ERRNO(nearest(dir, query, VEXFS_VECTOR_MAX_DIM + 1, found, 1), EINVAL);
	CHECK_ERRNO(nearest(dir, query, UINT32_MAX, found, 1), EINVAL);
	CHECK_ERRNO(nearest(dir, query, DIM, found, 0), EINVAL);
	CHECK_ERRNO(nearest(dir, query, DIM, found, VEXFS_NEAREST_MAX + 1), EINVAL);
	CHECK_ERRNO(nearest(dir, query, DIM, found, UINT32_MAX), EINVAL);
	CHECK_ERRNO(nearest(dir, BAD_ADDRESS, DIM, found, 1), EFAULT);
	CHECK_ERRNO(nearest(dir, query, DIM, BAD_ADDRESS, 1), EFAULT);
	CHECK_ERRNO(ioctl(dir, VEXFS_IOC_NEAREST, &odd), EINVAL);
	CHECK_ERRNO(ioctl(dir, VEXFS_IOC_NEAREST, BAD_ADDRESS), EFAULT);
	close(file);

	if (mkdirat(dir, "gone", 0755))
		die("gone");
	gone = open_in(dir, "gone", O_RDONLY);
	CHECK(nearest(gone, query, DIM, found, 1) == 0, "an empty directory");
	if (unlinkat(dir, "gone", AT_REMOVEDIR))
		die("gone");
	CHECK_ERRNO(nearest(gone, query, DIM, found, 1), ENOENT);
	close(gone);
}

/* As somebody who may not read the nearest file, and later not the directory. */
static void stranger(int dir)
{
	int n, all;

	fill_vector(query, DIM, 1);
	all = look_at_all(dir);
	if (fchmodat(dir, "file 1", 0600, 0) || fchmod(dir, 0755))
		die("chmod");
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, 0) || setresuid(NOBODY, NOBODY, 0))
		die("setuid");
	n = nearest(dir, query, DIM, found, VEXFS_NEAREST_MAX);
	CHECK(n == all - 1, "%d found, one less than %d expected", n, all);
	for (; n > 0; n--)
		CHECK(found[n - 1].ino != want[0].ino, "a file that can't be read was found");
	if (seteuid(0) || fchmod(dir, 0600) || seteuid(NOBODY))
		die("chmod");
	CHECK_ERRNO(nearest(dir, query, DIM, found, 1), EACCES);
	if (seteuid(0) || fchmod(dir, 0755) || fchmodat(dir, "file 1", 0644, 0))
		die("chmod");
}

static volatile sig_atomic_t rings;

static void ring(int signal)
{
	(void)signal;
	rings++;
}

static void interrupted(int dir)
{
	struct itimerval often = { { 0, 300 }, { 0, 300 } }, never = { 0 };
	struct sigaction action = { .sa_handler = ring };
	int tries, stopped = 0;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (tries = 0; tries < 3000 && !stopped; tries++)
		stopped = nearest(dir, query, DIM, found, 5) < 0 && errno == EINTR;
	setitimer(ITIMER_REAL, &never, NULL);
	CHECK(stopped, "%d searches, %d signals, none stopped a search", tries, (int)rings);
}

static void disturb(int dir)
{
	int32_t data[DIM];
	uint32_t i;
	int fd;

	for (i = 0; ; i++) {
		fd = open_in(dir, "busy", O_RDWR | O_CREAT);
		fill_vector(data, DIM, i);
		if (set_vector(fd, data, DIM) || linkat(dir, "busy", dir, "busy too", 0) ||
		    renameat(dir, "busy", dir, "busier") || unlinkat(dir, "busier", 0) ||
		    set_vector(fd, data, DIM / 2) || unlinkat(dir, "busy too", 0))
			die("disturb");
		close(fd);
	}
}

/* While another process changes names and vectors, all that holds still is found. */
static void disturbed(int dir)
{
	int round, i, n, missing, all;
	pid_t child;

	all = look_at_all(dir);
	child = fork();
	if (!child)
		disturb(dir);
	for (round = 0; round < 50; round++) {
		n = nearest(dir, query, DIM, found, VEXFS_NEAREST_MAX);
		CHECK(n == all || n == all + 1, "%d found, %d expected, or one more", n, all);
		for (i = 1; i < n; i++)
			if (compare(&found[i - 1], &found[i]) >= 0)
				break;
		CHECK(n < 0 || i >= n, "not in order at place %d", i);
		for (i = missing = 0; i < all && n > 0; i++)
			missing += !bsearch(&want[i], found, n, sizeof(*found), compare);
		CHECK(!missing, "%d that nobody touched were not found", missing);
	}
	CHECK(!waitpid(child, NULL, WNOHANG), "the other process ended by itself");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	unlinkat(dir, "busy", 0);
	unlinkat(dir, "busier", 0);
	unlinkat(dir, "busy too", 0);
}

int main(int argc, char **argv)
{
	int dir = argc == 3 ? open(argv[2], O_RDONLY | O_DIRECTORY) : -1;
	int first = argc == 3 && !strcmp(argv[1], "store");

	if (dir < 0) {
		fprintf(stderr, "usage: test_nearest store|recall DIRECTORY\n");
		return 2;
	}
	umask(022);
	if (first)
		store(dir);
	search(dir);
	if (first) {
		refuse(dir);
		interrupted(dir);
		disturbed(dir);
		stranger(dir);
	}
	return finish("test_nearest");
}
