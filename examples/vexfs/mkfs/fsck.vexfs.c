// SPDX-License-Identifier: GPL-2.0-only
/*
 * fsck.vexfs: look at a VexFS that isn't mounted, and tell what is wrong with
 * it. It repairs nothing, and never writes.
 *
 * Two passes. The first takes each inode of the table: its fields, and its
 * blocks, of which none may belong to two. The second walks the tree from the
 * root: who is named how often, and what nobody names. What was seen is then
 * compared with the bitmaps, the link counts and the superblock.
 *
 * Exit codes are those of fsck(8): 0 all is right, 4 something is wrong, 8 the
 * device can't be read, 16 it was called wrongly.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crc32c.h"
#include "vexfs_format.h"

#define PROGRAM	"fsck.vexfs"
#define MOST	50	/* findings that are told one by one */

enum { RIGHT = 0, WRONG = 4, UNREADABLE = 8, USAGE = 16 };

static const uint8_t *disk;
static uint64_t blocks, inodes, data_start;
static uint64_t bmap, imap, itable;
static uint8_t *used;		/* for each block: whether something has it */
static uint32_t *names;		/* for each inode: how many entries name it */
static uint32_t *subdirs;	/* for each inode: how many directories are in it */
static uint32_t *queue;		/* directories that are still to be walked */
static uint32_t queued;
static unsigned long found;

__attribute__((noreturn, format(printf, 2, 3)))
static void die(int code, const char *fmt, ...)
{
	va_list args;

	fputs(PROGRAM ": ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(code);
}

__attribute__((format(printf, 1, 2)))
static void wrong(const char *fmt, ...)
{
	va_list args;

	if (found++ >= MOST)
		return;
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

static bool bit(uint64_t area, uint64_t number)
{
	return disk[area * VEXFS_BLOCK_SIZE + number / 8] >> number % 8 & 1;
}

static const struct vexfs_disk_inode *inode_at(uint64_t ino)
{
	return (const void *)(disk + itable * VEXFS_BLOCK_SIZE +
			      ino * VEXFS_INODE_SIZE);
}

static bool is_used(uint64_t ino)
{
	return le32toh(inode_at(ino)->ino) == ino;
}

static bool is_dir(const struct vexfs_disk_inode *inode)
{
	return S_ISDIR(le16toh(inode->mode));
}

/* ---- the superblock */

static void need(bool holds, const char *field)
{
	if (holds)
		return;
	printf("superblock: field '%s' is wrong\n", field);
	exit(WRONG);
}

static void check_super(uint64_t size)
{
	const struct vexfs_super_block *sb = (const void *)disk;
	struct vexfs_super_block copy;
	uint64_t at = 1;

	need(size >= VEXFS_BLOCK_SIZE, "magic");
	memcpy(&copy, sb, sizeof(copy));
	copy.checksum = 0;
	need(le32toh(sb->magic) == VEXFS_MAGIC, "magic");
	need(le32toh(sb->checksum) == crc32c(0, &copy, sizeof(copy)), "checksum");
	need(le32toh(sb->version) == VEXFS_VERSION, "version");
	need(le64toh(sb->block_size) == VEXFS_BLOCK_SIZE, "block_size");
	need(le32toh(sb->inode_size) == VEXFS_INODE_SIZE, "inode_size");
	blocks = le64toh(sb->total_blocks);
	need(blocks >= VEXFS_MIN_BLOCKS && blocks <= size / VEXFS_BLOCK_SIZE,
	     "total_blocks");
	inodes = le64toh(sb->inode_count);
	need(inodes > VEXFS_ROOT_INO && inodes <= blocks * VEXFS_INODES_PER_BLOCK,
	     "inode_count");
#define AREA(name, least)						\
	need(le64toh(sb->name##_start) == at, #name "_start");		\
	need(le64toh(sb->name##_blocks) >= (least) &&			\
	     le64toh(sb->name##_blocks) < blocks - at, #name "_blocks"); \
	at += le64toh(sb->name##_blocks)
	AREA(journal, VEXFS_MIN_JOURNAL);
	AREA(imap, (inodes + VEXFS_BITS_PER_BLOCK - 1) / VEXFS_BITS_PER_BLOCK);
	AREA(bmap, (blocks + VEXFS_BITS_PER_BLOCK - 1) / VEXFS_BITS_PER_BLOCK);
	AREA(itable, (inodes + VEXFS_INODES_PER_BLOCK - 1) /
		     VEXFS_INODES_PER_BLOCK);
	need(le64toh(sb->data_start) == at, "data_start");
	data_start = at;
	imap = le64toh(sb->imap_start);
	bmap = le64toh(sb->bmap_start);
	itable = le64toh(sb->itable_start);
	if (le32toh(sb->state) != VEXFS_STATE_CLEAN)
		wrong("it was not unmounted (state %u)", le32toh(sb->state));
}

/* ---- pass 1: inodes and their blocks */

/* Take a block for an inode; false for one that can't be read as its. */
static bool take(uint64_t ino, uint32_t block)
{
	if (block < data_start || block >= blocks) {
		wrong("inode %llu: block %u is outside of the data",
		      (unsigned long long)ino, block);
		return false;
	}
	if (used[block]) {
		wrong("inode %llu: block %u belongs to something else, too",
		      (unsigned long long)ino, block);
		return false;
	}
	used[block] = 1;
	return true;
}

/* How many blocks are below a slot, itself included; 0 for a hole. */
static uint64_t take_tree(uint64_t ino, uint32_t block, int depth)
{
	const uint32_t *child;
	uint64_t count = 1;
	int i;

	if (!block || !take(ino, block))
		return 0;
	child = (const void *)(disk + (uint64_t)block * VEXFS_BLOCK_SIZE);
	for (i = 0; depth && i < VEXFS_PTRS_PER_BLOCK; i++)
		count += take_tree(ino, le32toh(child[i]), depth - 1);
	return count;
}

/* The field of an inode that can't be so, or NULL. */
static const char *bad_field(const struct vexfs_disk_inode *inode)
{
	static const uint8_t known[16] = { [1] = 1, [2] = 1, [4] = 1, [6] = 1,
					   [8] = 1, [10] = 1, [12] = 1 };

	if (!known[le16toh(inode->mode) >> 12])
		return "mode";
	if (inode->flags)
		return "flags"; /* a truncate that wasn't finished */
	if (le64toh(inode->size) > (uint64_t)VEXFS_MAX_FILE_BLOCKS *
				   VEXFS_BLOCK_SIZE)
		return "size";
	if (le32toh(inode->atime_nsec) >= 1000000000 ||
	    le32toh(inode->mtime_nsec) >= 1000000000 ||
	    le32toh(inode->ctime_nsec) >= 1000000000)
		return "time";
	if (!inode->vector_dim != !inode->vector_block)
		return "vector_dim";
	return NULL;
}

static void check_inode(uint64_t ino)
{
	const struct vexfs_disk_inode *inode = inode_at(ino);
	struct vexfs_disk_inode copy = *inode;
	const char *field = bad_field(inode);
	uint64_t count = 0;
	int i;

	copy.checksum = 0;
	if (le32toh(inode->checksum) != crc32c(0, &copy, sizeof(copy))) {
		wrong("inode %llu: its checksum is wrong", (unsigned long long)ino);
		return;
	}
	if (field)
		wrong("inode %llu: field '%s' is wrong", (unsigned long long)ino,
		      field);
	for (i = 0; i < VEXFS_POINTERS; i++)
		count += take_tree(ino, le32toh(inode->block[i]),
				   i < VEXFS_DIRECT ? 0 : i - VEXFS_DIRECT + 1);
	if (inode->vector_block)
		count += take_tree(ino, le32toh(inode->vector_block), 0);
	if (count != le64toh(inode->blocks))
		wrong("inode %llu: it says %llu blocks, and has %llu",
		      (unsigned long long)ino,
		      (unsigned long long)le64toh(inode->blocks),
		      (unsigned long long)count);
}

/* ---- pass 2: names */

static bool check_entry(uint32_t dir, const struct vexfs_dirent *de,
			uint32_t room)
{
	/* the type in a mode, by that in an entry: fs_umode_to_ftype() */
	static const uint8_t dtype[] = { 0, 8, 4, 2, 6, 1, 12, 10 };
	uint32_t length = le16toh(de->rec_len), ino = le32toh(de->ino);
	const struct vexfs_disk_inode *inode;

	if (length < VEXFS_DIRENT_MIN || length % 4 || length > room) {
		wrong("directory %u: an entry is %u bytes long", dir, length);
		return false;
	}
	if (!ino)
		return true;
	if (!de->name_len || VEXFS_DIRENT_LEN(de->name_len) > length) {
		wrong("directory %u: the name of an entry is %u bytes long",
		      dir, de->name_len);
		return false;
	}
	if (ino >= inodes || !is_used(ino)) {
		wrong("directory %u: '%.*s' leads to inode %u, which isn't in use",
		      dir, de->name_len, de->name, ino);
		return true;
	}
	inode = inode_at(ino);
	if (de->file_type >= sizeof(dtype) ||
	    dtype[de->file_type] != le16toh(inode->mode) >> 12)
		wrong("directory %u: '%.*s' is of type %u, and its inode's mode is %o",
		      dir, de->name_len, de->name, de->file_type,
		      le16toh(inode->mode));
	if (is_dir(inode)) {
		subdirs[dir]++;
		if (ino == VEXFS_ROOT_INO || names[ino])
			wrong("directory %u: '%.*s' is a second name of directory %u",
			      dir, de->name_len, de->name, ino);
		else
			queue[queued++] = ino;
	}
	names[ino]++;
	return true;
}

static void walk_block(uint32_t dir, uint32_t block)
{
	const uint8_t *start = disk + (uint64_t)block * VEXFS_BLOCK_SIZE;
	const struct vexfs_dirent *de;
	uint32_t at = 0;

	while (at < VEXFS_BLOCK_SIZE) {
		de = (const void *)(start + at);
		if (!check_entry(dir, de, VEXFS_BLOCK_SIZE - at))
			return;
		at += le16toh(de->rec_len);
	}
}

static void walk_tree(uint32_t dir, uint32_t block, int depth)
{
	const uint32_t *child;
	int i;

	if (block < data_start || block >= blocks)	/* told in pass 1 */
		return;
	if (!depth) {
		walk_block(dir, block);
		return;
	}
	child = (const void *)(disk + (uint64_t)block * VEXFS_BLOCK_SIZE);
	for (i = 0; i < VEXFS_PTRS_PER_BLOCK; i++)
		if (child[i])
			walk_tree(dir, le32toh(child[i]), depth - 1);
}

static void walk(uint32_t dir)
{
	const struct vexfs_disk_inode *inode = inode_at(dir);
	uint64_t size = le64toh(inode->size);
	int i;

	/* Without an entry it has no block. */
	if (size % VEXFS_BLOCK_SIZE || !size != !inode->block[0])
		wrong("directory %u: its size is %llu", dir,
		      (unsigned long long)size);
	for (i = 0; i < VEXFS_POINTERS; i++)
		if (inode->block[i])
			walk_tree(dir, le32toh(inode->block[i]),
				  i < VEXFS_DIRECT ? 0 : i - VEXFS_DIRECT + 1);
}

/* ---- what must agree with what was seen */

static void check_links(uint64_t ino)
{
	const struct vexfs_disk_inode *inode = inode_at(ino);
	uint32_t links = is_dir(inode) ? 2 + subdirs[ino] : names[ino];

	if (!names[ino] && ino != VEXFS_ROOT_INO)
		wrong("inode %llu: it is in use, and has no name",
		      (unsigned long long)ino);
	else if (le32toh(inode->nlink) != links)
		wrong("inode %llu: it says %u links, and has %u",
		      (unsigned long long)ino, le32toh(inode->nlink), links);
}

static void check_counts(void)
{
	const struct vexfs_super_block *sb = (const void *)disk;
	uint64_t i, free_blocks = 0, free_inodes = 0;

	for (i = 0; i < blocks; i++) {
		if (bit(bmap, i) != used[i])
			wrong("block %llu: it is marked %s, and %s",
			      (unsigned long long)i,
			      used[i] ? "free" : "used",
			      used[i] ? "belongs to something"
				      : "belongs to nothing");
		free_blocks += !used[i];
	}
	for (i = 1; i < inodes; i++) {
		if (bit(imap, i) != is_used(i))
			wrong("inode %llu: it is marked %s, and is %s",
			      (unsigned long long)i,
			      is_used(i) ? "free" : "used",
			      is_used(i) ? "in use" : "not");
		free_inodes += !is_used(i);
	}
	if (le64toh(sb->free_blocks) != free_blocks)
		wrong("superblock: it says %llu free blocks, and there are %llu",
		      (unsigned long long)le64toh(sb->free_blocks),
		      (unsigned long long)free_blocks);
	if (le64toh(sb->free_inodes) != free_inodes)
		wrong("superblock: it says %llu free inodes, and there are %llu",
		      (unsigned long long)le64toh(sb->free_inodes),
		      (unsigned long long)free_inodes);
}

static void *counters(uint64_t count, size_t size)
{
	void *made = calloc(count, size);

	if (!made)
		die(UNREADABLE, "not enough memory");
	return made;
}

static void check_all(void)
{
	uint64_t ino;
	uint32_t i;

	used = counters(blocks, sizeof(*used));
	names = counters(inodes, sizeof(*names));
	subdirs = counters(inodes, sizeof(*subdirs));
	queue = counters(inodes, sizeof(*queue));
	memset(used, 1, data_start);
	for (ino = 1; ino < inodes; ino++)
		if (is_used(ino))
			check_inode(ino);
	if (!is_used(VEXFS_ROOT_INO) || !is_dir(inode_at(VEXFS_ROOT_INO))) {
		wrong("the root directory isn't there");
		return;
	}
	queue[queued++] = VEXFS_ROOT_INO;
	for (i = 0; i < queued; i++)
		walk(queue[i]);
	for (ino = 1; ino < inodes; ino++)
		if (is_used(ino))
			check_links(ino);
	check_counts();
}

int main(int argc, char **argv)
{
	const char *path = argv[argc - 1];
	off_t size;
	int fd;

	if (argc < 2 || argc > 3 || (argc == 3 && strcmp(argv[1], "-n")))
		die(USAGE, "usage: " PROGRAM " [-n] DEVICE");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die(UNREADABLE, "cannot open %s: %s", path, strerror(errno));
	size = lseek(fd, 0, SEEK_END);
	if (size < (off_t)sizeof(struct vexfs_super_block))
		die(UNREADABLE, "%s is too small", path);
	disk = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (disk == MAP_FAILED)
		die(UNREADABLE, "cannot read %s: %s", path, strerror(errno));
	check_super(size);
	check_all();
	if (!found)
		return RIGHT;
	if (found > MOST)
		printf("and %lu more\n", found - MOST);
	printf("%s: %lu things are wrong\n", path, found);
	return WRONG;
}
