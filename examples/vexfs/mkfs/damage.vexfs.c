// SPDX-License-Identifier: GPL-2.0-only
/*
 * damage.vexfs: break a VexFS image in one named way, for tests of what the
 * module makes of it. Every checksum is right afterwards, unless a wrong one is
 * the damage, so that it is the check behind the checksum that has to notice.
 *
 * Expected on the device, in its root: `file` of more than 12 blocks,
 * `directory` with an entry `inner`, and the symbolic link `link`.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crc32c.h"
#include "vexfs_format.h"

#define PROGRAM	"damage.vexfs"

static int fd;
static struct vexfs_super_block sb;

__attribute__((noreturn, format(printf, 1, 2)))
static void die(const char *fmt, ...)
{
	va_list args;

	fputs(PROGRAM ": ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

static void get(void *buf, size_t len, uint64_t offset)
{
	if (pread(fd, buf, len, offset) != (ssize_t)len)
		die("can't read %zu bytes at %llu", len,
		    (unsigned long long)offset);
}

static void put(const void *buf, size_t len, uint64_t offset)
{
	if (pwrite(fd, buf, len, offset) != (ssize_t)len)
		die("can't write %zu bytes at %llu", len,
		    (unsigned long long)offset);
}

static uint64_t at_block(uint64_t block)
{
	return block << VEXFS_BLOCK_BITS;
}

/* ---- inodes */

static uint64_t slot(uint32_t ino)
{
	return at_block(le64toh(sb.itable_start)) + (uint64_t)ino * VEXFS_INODE_SIZE;
}

static struct vexfs_disk_inode get_inode(uint32_t ino)
{
	struct vexfs_disk_inode inode;

	get(&inode, sizeof(inode), slot(ino));
	return inode;
}

static void put_inode(uint32_t ino, struct vexfs_disk_inode inode)
{
	inode.checksum = 0;
	inode.checksum = htole32(crc32c(0, &inode, sizeof(inode)));
	put(&inode, sizeof(inode), slot(ino));
}

/* Where the record of a name is, within the first block of a directory. */
static uint64_t find(uint32_t dir, const char *name)
{
	struct vexfs_disk_inode inode = get_inode(dir);
	uint64_t start = at_block(le32toh(inode.block[0]));
	char block[VEXFS_BLOCK_SIZE];
	const struct vexfs_dirent *de;
	uint32_t offset;

	get(block, sizeof(block), start);
	for (offset = 0; offset < sizeof(block); offset += le16toh(de->rec_len)) {
		de = (const void *)(block + offset);
		if (de->ino && de->name_len == strlen(name) &&
		    !memcmp(de->name, name, de->name_len))
			return start + offset;
		if (!de->rec_len)
			break;
	}
	die("no '%s' in the directory with inode %u", name, dir);
}

static uint32_t inode_of(uint32_t dir, const char *name)
{
	struct vexfs_dirent de;

	get(&de, sizeof(de), find(dir, name));
	return le32toh(de.ino);
}

/* ---- the kinds of damage */

static void checksum(void)
{
	sb.checksum = 0;
	sb.checksum = htole32(crc32c(0, &sb, sizeof(sb)));
	put(&sb, sizeof(sb), 0);
}

#define ROOT(name, statement)						\
	static void root_##name(void)					\
	{								\
		struct vexfs_disk_inode inode = get_inode(VEXFS_ROOT_INO); \
									\
		statement;						\
		put_inode(VEXFS_ROOT_INO, inode);			\
	}

ROOT(absent, memset(&inode, 0, sizeof(inode)))
ROOT(is_file, inode.mode = htole16(S_IFREG | 0644))
ROOT(size, inode.size = htole64(100))
ROOT(links, inode.nlink = 0)
ROOT(block, inode.block[0] = htole32(le64toh(sb.total_blocks) + 7))
ROOT(hole, inode.block[0] = 0)

static void root_free(void)
{
	uint8_t bits;

	get(&bits, 1, at_block(le64toh(sb.imap_start)));
	bits &= ~(1 << VEXFS_ROOT_INO);
	put(&bits, 1, at_block(le64toh(sb.imap_start)));
}

static void root_checksum(void)
{
	struct vexfs_disk_inode inode = get_inode(VEXFS_ROOT_INO);

	inode.checksum ^= htole32(1);
	put(&inode, sizeof(inode), slot(VEXFS_ROOT_INO));
}

#define INODE(name, of, statement)					\
	static void inode_##name(void)					\
	{								\
		uint32_t ino = inode_of(VEXFS_ROOT_INO, of);		\
		struct vexfs_disk_inode inode = get_inode(ino);		\
									\
		statement;						\
		put_inode(ino, inode);					\
	}

INODE(number, "file", inode.ino = htole32(ino + 1))
INODE(mode, "file", inode.mode = htole16(0xf1a4))
INODE(flags, "file", inode.flags = htole16(0x8000))
INODE(links, "file", inode.nlink = 0)
INODE(size, "file", inode.size = htole64(1ULL << 62))
INODE(nanoseconds, "file", inode.mtime_nsec = htole32(2000000000))
INODE(block, "file", inode.block[0] = htole32(le64toh(sb.total_blocks) + 7))
INODE(metadata, "file", inode.block[1] = htole32(le64toh(sb.itable_start)))
INODE(vector, "file", inode.vector_dim = htole32(1 << 20))
INODE(parent, "directory", inode.parent = htole32(0xfffffff0))
INODE(link_size, "link", inode.size = htole64(VEXFS_BLOCK_SIZE - 1))
INODE(link_hole, "link", inode.block[0] = 0)

static void inode_checksum(void)
{
	uint32_t ino = inode_of(VEXFS_ROOT_INO, "file");
	struct vexfs_disk_inode inode = get_inode(ino);

	inode.checksum ^= htole32(1);
	put(&inode, sizeof(inode), slot(ino));
}

static void inode_indirect(void)
{
	uint32_t ino = inode_of(VEXFS_ROOT_INO, "file");
	struct vexfs_disk_inode inode = get_inode(ino);
	uint32_t outside = htole32(0xfffffff0);

	if (!inode.block[VEXFS_IND])
		die("'file' is too short, it has no pointer block");
	put(&outside, sizeof(outside), at_block(le32toh(inode.block[VEXFS_IND])));
}

#define ENTRY(name, statement)						\
	static void entry_##name(void)					\
	{								\
		uint64_t where = find(VEXFS_ROOT_INO, "file");		\
		struct vexfs_dirent de;					\
									\
		get(&de, sizeof(de), where);				\
		statement;						\
		put(&de, sizeof(de), where);				\
	}

ENTRY(free_inode, de.ino = htole32(le64toh(sb.inode_count) - 1))
ENTRY(absent_inode, de.ino = htole32(le64toh(sb.inode_count) + 5))
ENTRY(length_zero, de.rec_len = 0)
ENTRY(length_odd, de.rec_len = htole16(le16toh(de.rec_len) + 1))
ENTRY(length_long, de.rec_len = htole16(0xfffc))
ENTRY(name_empty, de.name_len = 0)
ENTRY(name_long, de.name_len = 255)
ENTRY(type, de.file_type = 200)

/* A directory that contains the root: a tree without an end. */
static void entry_loop(void)
{
	uint64_t where = find(inode_of(VEXFS_ROOT_INO, "directory"), "inner");
	struct vexfs_dirent de;

	get(&de, sizeof(de), where);
	de.ino = htole32(VEXFS_ROOT_INO);
	de.file_type = 2;
	put(&de, sizeof(de), where);
}

static void fill(uint64_t start, uint64_t blocks, int byte)
{
	char block[VEXFS_BLOCK_SIZE];

	memset(block, byte, sizeof(block));
	while (blocks--)
		put(block, sizeof(block), at_block(start++));
}

static void block_bitmap_empty(void)
{
	fill(le64toh(sb.bmap_start), le64toh(sb.bmap_blocks), 0);
}

static void block_bitmap_full(void)
{
	fill(le64toh(sb.bmap_start), le64toh(sb.bmap_blocks), 0xff);
}

static void inode_bitmap_full(void)
{
	fill(le64toh(sb.imap_start), le64toh(sb.imap_blocks), 0xff);
}

/* A transaction of one block that belongs to @block. */
static void journal(uint32_t block, uint32_t wrong)
{
	static char copy[VEXFS_BLOCK_SIZE];
	static struct vexfs_journal_header head;
	uint64_t start = at_block(le64toh(sb.journal_start));

	head.magic = htole32(VEXFS_JOURNAL_MAGIC);
	head.count = htole32(1);
	memcpy(head.uuid, sb.uuid, sizeof(head.uuid));
	head.block[0] = htole32(block);
	head.checksum = htole32(crc32c(crc32c(0, &head, sizeof(head)), copy,
				       sizeof(copy)) ^ wrong);
	put(&head, sizeof(head), start);
	put(copy, sizeof(copy), start + sizeof(copy));
}

static void journal_outside(void)
{
	journal(le64toh(sb.total_blocks) + 7, 0);
}

static void journal_on_itself(void)
{
	journal(le64toh(sb.journal_start), 0);
}

/* It would put zeros into the place of the superblock. */
static void journal_erases(void)
{
	journal(0, 0);
}

static void journal_checksum(void)
{
	journal(0, 1);
}

#define KIND(name) { #name, name }

static const struct {
	const char *name;
	void (*act)(void);
} kinds[] = {
	KIND(checksum),
	KIND(root_absent), KIND(root_is_file), KIND(root_size),
	KIND(root_links), KIND(root_block), KIND(root_hole), KIND(root_free),
	KIND(root_checksum),
	KIND(inode_number), KIND(inode_mode), KIND(inode_flags),
	KIND(inode_links), KIND(inode_size), KIND(inode_nanoseconds),
	KIND(inode_block), KIND(inode_metadata), KIND(inode_vector),
	KIND(inode_parent),
	KIND(inode_link_size), KIND(inode_link_hole), KIND(inode_checksum),
	KIND(inode_indirect),
	KIND(entry_free_inode), KIND(entry_absent_inode),
	KIND(entry_length_zero), KIND(entry_length_odd),
	KIND(entry_length_long), KIND(entry_name_empty),
	KIND(entry_name_long), KIND(entry_type), KIND(entry_loop),
	KIND(block_bitmap_empty), KIND(block_bitmap_full),
	KIND(inode_bitmap_full),
	KIND(journal_outside), KIND(journal_on_itself), KIND(journal_erases),
	KIND(journal_checksum),
};

int main(int argc, char **argv)
{
	size_t i;

	if (argc != 3)
		die("usage: " PROGRAM " DEVICE KIND");
	fd = open(argv[1], O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die("cannot open %s: %s", argv[1], strerror(errno));
	get(&sb, sizeof(sb), 0);
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(argv[2], kinds[i].name))
			continue;
		kinds[i].act();
		if (fsync(fd) || close(fd))
			die("%s: %s", argv[1], strerror(errno));
		return EXIT_SUCCESS;
	}
	die("unknown kind '%s'", argv[2]);
}
