/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VexFS on-disk format, shared by the module and mkfs.vexfs.
 *
 * All numbers are little endian. The device is an array of 4096-byte blocks:
 *
 *   superblock | journal | inode bitmap | block bitmap | inode table | data
 *
 * The areas follow each other without gaps and their sizes follow from
 * total_blocks, inode_count and journal_blocks, so a reader can verify every
 * position that the superblock names.
 */
#ifndef _VEXFS_FORMAT_H
#define _VEXFS_FORMAT_H

#include <linux/types.h>

#define VEXFS_MAGIC		0x56454653	/* bytes on disk: 53 46 45 56 */
#define VEXFS_VERSION		1
#define VEXFS_BLOCK_BITS	12
#define VEXFS_BLOCK_SIZE	(1 << VEXFS_BLOCK_BITS)
#define VEXFS_BITS_PER_BLOCK	(8 * VEXFS_BLOCK_SIZE)
#define VEXFS_LABEL_SIZE	64		/* with the closing NUL */

#define VEXFS_MIN_BLOCKS	256
#define VEXFS_MAX_BLOCKS	0xffff0000ULL	/* block numbers are 32 bits */

#define VEXFS_INODE_SIZE	256
#define VEXFS_INODES_PER_BLOCK	(VEXFS_BLOCK_SIZE / VEXFS_INODE_SIZE)
#define VEXFS_ROOT_INO		1		/* 0 means "no inode" */
#define VEXFS_NAME_LEN		255
#define VEXFS_LINK_MAX		65000

/*
 * Everything that changes while the filesystem is in use, the checksum
 * included, lies within the first 512 bytes: a sector is written whole or not
 * at all, so a power cut can't tear the superblock. Bytes 510 and 511 stay
 * zero, so that it never looks like a partition table.
 */
struct vexfs_super_block {
	__le32 magic;
	__le32 version;
	__le64 block_size;
	__le64 total_blocks;
	__le64 free_blocks;
	char label[VEXFS_LABEL_SIZE];
	__u8 uuid[16];
	__le64 inode_count;		/* slots of the table, slot 0 included */
	__le64 free_inodes;
	__le64 journal_start;
	__le64 journal_blocks;
	__le64 imap_start;
	__le64 imap_blocks;
	__le64 bmap_start;
	__le64 bmap_blocks;
	__le64 itable_start;
	__le64 itable_blocks;
	__le64 data_start;
	__le32 inode_size;
	__le32 state;
	__le32 features;		/* must be 0 */
	__le32 checksum;		/* crc32c of all 544 bytes, this as 0 */
	__le64 created;			/* seconds since 1970 */
	__u8 reserved[320];
} __attribute__((packed));

#define VEXFS_STATE_CLEAN	0
#define VEXFS_STATE_IN_USE	1	/* mounted for writing, or was when the power went */

/*
 * The journal: one header block, then a copy of each block of the last
 * transaction. It is valid when the checksum over all of it is right.
 */
#define VEXFS_JOURNAL_MAGIC	0x4a584556	/* "VEXJ" */
#define VEXFS_JOURNAL_HEADER	48
#define VEXFS_JOURNAL_MAX	((VEXFS_BLOCK_SIZE - VEXFS_JOURNAL_HEADER) / 4)
#define VEXFS_MIN_JOURNAL	64
#define VEXFS_MAX_JOURNAL	(1 + VEXFS_JOURNAL_MAX)

struct vexfs_journal_header {
	__le32 magic;
	__le32 count;
	__le64 sequence;
	__u8 uuid[16];
	__le32 checksum;
	__le32 reserved[3];
	__le32 block[VEXFS_JOURNAL_MAX];
} __attribute__((packed));

#define VEXFS_DIRECT		12	/* then one indirect, one double indirect */
#define VEXFS_IND		VEXFS_DIRECT
#define VEXFS_DIND		(VEXFS_DIRECT + 1)
#define VEXFS_POINTERS		(VEXFS_DIRECT + 2)
#define VEXFS_PTRS_PER_BLOCK	(VEXFS_BLOCK_SIZE / 4)
#define VEXFS_PTRS_BITS		(VEXFS_BLOCK_BITS - 2)
#define VEXFS_MAX_FILE_BLOCKS	(VEXFS_DIRECT + VEXFS_PTRS_PER_BLOCK + \
				 VEXFS_PTRS_PER_BLOCK * VEXFS_PTRS_PER_BLOCK)

struct vexfs_disk_inode {
	__le32 ino;			/* its own number; 0 in a free slot */
	__le32 checksum;		/* crc32c of all 256 bytes, this as 0 */
	__le16 mode;
	__le16 flags;
	__le32 nlink;
	__le32 uid;
	__le32 gid;
	__le64 size;
	__le64 blocks;			/* blocks that it occupies, pointers included */
	__le64 atime;
	__le64 mtime;
	__le64 ctime;
	__le32 atime_nsec;
	__le32 mtime_nsec;
	__le32 ctime_nsec;
	__le32 generation;
	__le32 rdev;
	__le32 vector_dim;		/* 0: the file has no vector */
	__le32 vector_block;
	__le32 parent;			/* of a directory; 0 in the root, and unknown */
	__le32 block[VEXFS_POINTERS];
	__u8 reserved[104];
} __attribute__((packed));

#define VEXFS_INODE_TRUNCATING	0x0001	/* blocks behind the end are still being freed */

/*
 * Directories hold these from block start to block end; a record never
 * crosses a block, and one with ino 0 is free space. There is no "." or "..".
 */
struct vexfs_dirent {
	__le32 ino;
	__le16 rec_len;
	__u8 name_len;
	__u8 file_type;
	char name[];
} __attribute__((packed));

#define VEXFS_DIRENT_HEADER	8
#define VEXFS_DIRENT_MIN	12
#define VEXFS_DIRENT_LEN(n)	((VEXFS_DIRENT_HEADER + (n) + 3) & ~3U)

#endif /* _VEXFS_FORMAT_H */
