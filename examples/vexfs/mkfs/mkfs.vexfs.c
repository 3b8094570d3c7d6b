// SPDX-License-Identifier: GPL-2.0-only
/*
 * mkfs.vexfs: make a VexFS filesystem.
 *
 * Everything but the superblock is written and flushed first, so a device with
 * a valid superblock always has valid contents.
 */
#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>
#include <glob.h>

#include "vexfs_format.h"

#define PROGRAM		"mkfs.vexfs"
#define VERSION		"1.0.0"
#define BLOCK		((uint64_t)VEXFS_BLOCK_SIZE)
#define CHUNK_BLOCKS	256
#define TAIL_BYTES	(64 * 1024ULL)	/* backup signatures live at the end */

_Static_assert(sizeof(struct vexfs_super_block) == 544, "superblock");
_Static_assert(sizeof(struct vexfs_disk_inode) == VEXFS_INODE_SIZE, "inode");

struct options {
	const char *device;
	const char *label;
	uint64_t blocks;
	bool force;
};

struct geometry {
	uint64_t total, inodes, journal;
	uint64_t imap, imap_blocks, bmap, bmap_blocks, itable, itable_blocks;
	uint64_t data;
};

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

static void usage(FILE *out)
{
	fputs("\n"
	      "Usage:\n"
	      " " PROGRAM " [options] <device>\n"
	      "\n"
	      "Make a VexFS filesystem on a block device or a regular file.\n"
	      "\n"
	      "Options:\n"
	      " -f             overwrite what the device carries\n"
	      " -L <label>     set the label, up to 63 bytes\n"
	      " -b <blocks>    size in blocks of 4096 bytes (default: the whole device)\n"
	      " -h, --help     display this help\n"
	      " -V, --version  display version\n", out);
}

/* CRC-32C, reflected, one bit at a time: there is little to sum up here. */
static uint32_t crc32c(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t crc = 0xffffffff;
	int bit;

	while (len--) {
		crc ^= *p++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

/* Signatures: where they are, what they look like, whose they are. */
struct signature {
	uint64_t offset;
	const char *bytes;
	size_t length;
	const char *name;
};

#define SIG(offset, bytes, name) { offset, bytes, sizeof(bytes) - 1, name }

static const struct signature signatures[] = {
	SIG(0, "SFEV", "VexFS filesystem"),
	SIG(0x438, "\x53\xef", "ext2/ext3/ext4 filesystem"),
	SIG(0, "XFSB", "XFS filesystem"),
	SIG(0x10040, "_BHRfS_M", "btrfs filesystem"),
	SIG(4086, "SWAPSPACE2", "swap area"),
	SIG(4086, "SWAP-SPACE", "swap area"),
	SIG(0, "LUKS\xba\xbe", "LUKS container"),
	SIG(0x4000, "SKUL\xba\xbe", "LUKS container"),
	SIG(0, "LABELONE", "LVM physical volume"),
	SIG(512, "LABELONE", "LVM physical volume"),
	SIG(1024, "LABELONE", "LVM physical volume"),
	SIG(1536, "LABELONE", "LVM physical volume"),
	SIG(512, "EFI PART", "GPT partition table"),
	SIG(4096, "EFI PART", "GPT partition table"),
	SIG(3, "NTFS    ", "NTFS filesystem"),
	SIG(3, "EXFAT   ", "exFAT filesystem"),
	SIG(54, "FAT", "FAT filesystem"),
	SIG(82, "FAT32", "FAT filesystem"),
	SIG(510, "\x55\xaa", "MBR partition table or boot sector"),
	SIG(1024, "\x10\x20\xf5\xf2", "F2FS filesystem"),
	SIG(1024, "\xe2\xe1\xf5\xe0", "EROFS filesystem"),
	SIG(0, "hsqs", "squashfs filesystem"),
	SIG(32769, "CD001", "ISO 9660 filesystem"),
	SIG(32, "NXSB", "APFS container"),
	SIG(32768, "JFS1", "JFS filesystem"),
	SIG(0x10034, "ReIsEr", "ReiserFS filesystem"),
	SIG(0x406, "\x34\x34", "NILFS2 filesystem"),
	SIG(0, "\xfc\x4e\x2b\xa9", "MD RAID member"),
	SIG(4096, "\xfc\x4e\x2b\xa9", "MD RAID member"),
	SIG(4120, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca", "bcache device"),
	SIG(4120, "\xc6\x85\x73\xf6\x66\xce\x90\xa9", "bcachefs filesystem"),
};

/* Reads are allowed to end early: a small device has no place for some. */
static size_t read_at(int fd, void *buf, size_t len, uint64_t offset)
{
	ssize_t n;

	do {
		n = pread(fd, buf, len, offset);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		die("read failed at byte %llu: %s", (unsigned long long)offset,
		    strerror(errno));
	return n;
}

static void write_at(int fd, const void *buf, size_t len, uint64_t offset)
{
	const char *p = buf;
	ssize_t n;

	while (len) {
		n = pwrite(fd, p, len, offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			die("write failed at byte %llu: %s",
			    (unsigned long long)offset,
			    n ? strerror(errno) : "nothing written");
		p += n;
		offset += n;
		len -= n;
	}
}

static void flush(int fd)
{
	if (fsync(fd))
		die("fsync failed: %s", strerror(errno));
}

static bool has_raid(int fd, uint64_t offset)
{
	static const char magic[] = "\xfc\x4e\x2b\xa9";
	char buf[4];

	return read_at(fd, buf, 4, offset) == 4 && !memcmp(buf, magic, 4);
}

static const char *find_signature(int fd, uint64_t size)
{
	unsigned char buf[16];
	size_t i;

	for (i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++) {
		const struct signature *s = &signatures[i];

		if (read_at(fd, buf, s->length, s->offset) == s->length &&
		    !memcmp(buf, s->bytes, s->length))
			return s->name;
	}
	/* the backup partition table, when the first one is damaged */
	if (size >= 512 && read_at(fd, buf, 8, size - 512) == 8 &&
	    !memcmp(buf, "EFI PART", 8))
		return "GPT partition table (backup)";
	/* RAID of version 1.0 and 0.90 is told by the end alone */
	if (size >= 128 * 1024 &&
	    (has_raid(fd, (size - 8192) & ~4095ULL) ||
	     has_raid(fd, (size & ~65535ULL) - 65536)))
		return "MD RAID member";
	return NULL;
}

/* Third field of a mountinfo line is the device, as major:minor. */
static bool is_mounted(dev_t device)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	unsigned int maj, min;
	char *line = NULL;
	bool found = false;
	size_t size = 0;

	if (!f)
		die("can't tell what is mounted: /proc/self/mountinfo: %s",
		    strerror(errno));
	while (!found && getline(&line, &size, f) > 0)
		found = sscanf(line, "%*d %*d %u:%u", &maj, &min) == 2 &&
			makedev(maj, min) == device;
	free(line);
	fclose(f);
	return found;
}

static bool names_file(const char *list, const struct stat *file)
{
	FILE *f = fopen(list, "re");
	char *line = NULL;
	size_t size = 0;
	struct stat st;
	bool same = false;
	ssize_t n;

	if (!f)
		return false;
	n = getline(&line, &size, f);
	if (n > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = 0;
		same = !stat(line, &st) && st.st_dev == file->st_dev &&
		       st.st_ino == file->st_ino;
	}
	free(line);
	fclose(f);
	return same;
}

/* A file behind a loop device can't be claimed with O_EXCL; look for it. */
static void refuse_loop_backing(const char *path, const struct stat *st)
{
	glob_t found;
	char name[64];
	size_t i;
	int err;

	err = glob("/sys/block/loop*/loop/backing_file", 0, NULL, &found);
	if (err == GLOB_NOMATCH)
		return;
	if (err)
		die("can't tell which loop devices are in use");
	for (i = 0; i < found.gl_pathc; i++) {
		if (!names_file(found.gl_pathv[i], st))
			continue;
		if (sscanf(found.gl_pathv[i], "/sys/block/%60[^/]", name) != 1)
			name[0] = 0;
		die("%s is in use by /dev/%s; will not make a filesystem here",
		    path, name);
	}
	globfree(&found);
}

static int open_device(const char *path, uint64_t *size)
{
	struct stat st, opened;
	int fd, sector, readonly;

	if (stat(path, &st))
		die("cannot open %s: %s", path, strerror(errno));
	if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode))
		die("%s is not a block device or regular file", path);
	if (S_ISBLK(st.st_mode) && is_mounted(st.st_rdev))
		die("%s is mounted; will not make a filesystem here", path);
	if (S_ISREG(st.st_mode))
		refuse_loop_backing(path, &st);

	/* O_EXCL on a block device: nobody else has claimed it, and can't now. */
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK |
		  (S_ISBLK(st.st_mode) ? O_EXCL : 0));
	if (fd < 0 && errno == EBUSY)
		die("%s is in use; will not make a filesystem here", path);
	if (fd < 0)
		die("cannot open %s: %s", path, strerror(errno));
	if (fstat(fd, &opened))
		die("cannot stat %s: %s", path, strerror(errno));
	if (opened.st_dev != st.st_dev || opened.st_ino != st.st_ino)
		die("%s changed while it was opened", path);

	if (S_ISREG(st.st_mode)) {
		*size = opened.st_size;
		return fd;
	}
	if (ioctl(fd, BLKGETSIZE64, size))
		die("cannot get the size of %s: %s", path, strerror(errno));
	if (ioctl(fd, BLKSSZGET, &sector))
		die("cannot get the sector size of %s: %s", path,
		    strerror(errno));
	if (sector > VEXFS_BLOCK_SIZE)
		die("sector size of %s is %d, above %d", path, sector,
		    VEXFS_BLOCK_SIZE);
	if (!ioctl(fd, BLKROGET, &readonly) && readonly)
		die("%s is read-only", path);
	return fd;
}

static uint64_t round_up(uint64_t n, uint64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

static struct geometry plan(uint64_t total)
{
	struct geometry g = { .total = total };
	uint64_t max = VEXFS_MAX_BLOCKS / VEXFS_INODES_PER_BLOCK *
		       VEXFS_INODES_PER_BLOCK;

	/* An inode for every 8 KiB. */
	g.inodes = round_up(total / 2, VEXFS_INODES_PER_BLOCK);
	if (g.inodes > max)
		g.inodes = max;
	g.journal = total / 64;
	if (g.journal < VEXFS_MIN_JOURNAL)
		g.journal = VEXFS_MIN_JOURNAL;
	if (g.journal > VEXFS_MAX_JOURNAL)
		g.journal = VEXFS_MAX_JOURNAL;
	g.imap = 1 + g.journal;
	g.imap_blocks = round_up(g.inodes, VEXFS_BITS_PER_BLOCK) /
			VEXFS_BITS_PER_BLOCK;
	g.bmap = g.imap + g.imap_blocks;
	g.bmap_blocks = round_up(total, VEXFS_BITS_PER_BLOCK) /
			VEXFS_BITS_PER_BLOCK;
	g.itable = g.bmap + g.bmap_blocks;
	g.itable_blocks = g.inodes / VEXFS_INODES_PER_BLOCK;
	g.data = g.itable + g.itable_blocks;
	return g;
}

static void zero_blocks(int fd, uint64_t start, uint64_t count)
{
	static const char zeros[CHUNK_BLOCKS * VEXFS_BLOCK_SIZE];
	uint64_t n;

	for (; count; count -= n, start += n) {
		n = count < CHUNK_BLOCKS ? count : CHUNK_BLOCKS;
		write_at(fd, zeros, n * BLOCK, start * BLOCK);
	}
}

/* The first @used bits and those from @bits on are set. */
static void write_bitmap(int fd, uint64_t start, uint64_t blocks, uint64_t bits,
			 uint64_t used)
{
	unsigned char map[VEXFS_BLOCK_SIZE];
	uint64_t i, bit, base;

	for (i = 0; i < blocks; i++) {
		base = i * VEXFS_BITS_PER_BLOCK;
		memset(map, 0, sizeof(map));
		for (bit = 0; bit < VEXFS_BITS_PER_BLOCK; bit++)
			if (base + bit < used || base + bit >= bits)
				map[bit / 8] |= 1 << bit % 8;
		write_at(fd, map, sizeof(map), (start + i) * BLOCK);
	}
}

static void write_root(int fd, const struct geometry *g, int64_t now)
{
	struct vexfs_disk_inode root = {
		.ino = htole32(VEXFS_ROOT_INO),
		.mode = htole16(S_IFDIR | 0755),
		.nlink = htole32(2),
		.atime = htole64(now),
		.mtime = htole64(now),
		.ctime = htole64(now),
	};

	root.checksum = htole32(crc32c(&root, sizeof(root)));
	write_at(fd, &root, sizeof(root),
		 g->itable * BLOCK + VEXFS_ROOT_INO * sizeof(root));
}

static void random_uuid(uint8_t uuid[16])
{
	ssize_t n;

	do {
		n = getrandom(uuid, 16, 0);
	} while (n < 0 && errno == EINTR);
	if (n != 16)
		die("no random numbers: %s", strerror(errno));
	uuid[6] = (uuid[6] & 0x0f) | 0x40;
	uuid[8] = (uuid[8] & 0x3f) | 0x80;
}

static void write_super(int fd, const struct geometry *g, const char *label,
			const uint8_t uuid[16], int64_t now)
{
	struct vexfs_super_block sb = {
		.magic = htole32(VEXFS_MAGIC),
		.version = htole32(VEXFS_VERSION),
		.block_size = htole64(VEXFS_BLOCK_SIZE),
		.total_blocks = htole64(g->total),
		.free_blocks = htole64(g->total - g->data),
		.inode_count = htole64(g->inodes),
		.free_inodes = htole64(g->inodes - VEXFS_ROOT_INO - 1),
		.journal_start = htole64(1),
		.journal_blocks = htole64(g->journal),
		.imap_start = htole64(g->imap),
		.imap_blocks = htole64(g->imap_blocks),
		.bmap_start = htole64(g->bmap),
		.bmap_blocks = htole64(g->bmap_blocks),
		.itable_start = htole64(g->itable),
		.itable_blocks = htole64(g->itable_blocks),
		.data_start = htole64(g->data),
		.inode_size = htole32(VEXFS_INODE_SIZE),
		.state = htole32(VEXFS_STATE_CLEAN),
		.created = htole64(now),
	};

	memcpy(sb.label, label, strlen(label));
	memcpy(sb.uuid, uuid, sizeof(sb.uuid));
	sb.checksum = htole32(crc32c(&sb, sizeof(sb)));
	write_at(fd, &sb, sizeof(sb), 0);
}

static void make_filesystem(int fd, const struct geometry *g, uint64_t size,
			    const char *label, const uint8_t uuid[16])
{
	uint64_t tail = size > TAIL_BYTES ? size - TAIL_BYTES : 0;
	static const char zeros[TAIL_BYTES];
	int64_t now = time(NULL);

	/* From here on the old contents are gone, also for whoever looks. */
	zero_blocks(fd, 0, 1);
	flush(fd);
	zero_blocks(fd, 1, g->data - 1);
	if (tail < g->data * BLOCK)
		tail = g->data * BLOCK;
	write_at(fd, zeros, size - tail, tail);
	write_bitmap(fd, g->imap, g->imap_blocks, g->inodes,
		     VEXFS_ROOT_INO + 1);
	write_bitmap(fd, g->bmap, g->bmap_blocks, g->total, g->data);
	write_root(fd, g, now);
	flush(fd);
	write_super(fd, g, label, uuid, now);
	flush(fd);
}

static uint64_t parse_blocks(const char *text)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end || errno)
		die("invalid number of blocks: '%s'", text);
	return n;
}

static struct options parse_options(int argc, char **argv)
{
	static const struct option longopts[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	struct options o = { .label = "" };
	bool blocks = false;
	int c;

	if (argc > 0)
		argv[0] = PROGRAM;	/* getopt's messages start with it */
	while ((c = getopt_long(argc, argv, "fL:b:hV", longopts, NULL)) != -1) {
		switch (c) {
		case 'f':
			o.force = true;
			break;
		case 'L':
			o.label = optarg;
			break;
		case 'b':
			o.blocks = parse_blocks(optarg);
			blocks = true;
			break;
		case 'h':
			usage(stdout);
			exit(EXIT_SUCCESS);
		case 'V':
			puts(PROGRAM " " VERSION);
			exit(EXIT_SUCCESS);
		default:
			fputs("Try '" PROGRAM " --help' for more information.\n",
			      stderr);
			exit(EXIT_FAILURE);
		}
	}
	if (argc - optind != 1) {
		fprintf(stderr, PROGRAM ": %s\n"
			"Try '" PROGRAM " --help' for more information.\n",
			argc == optind ? "no device specified" :
					 "only one device can be given");
		exit(EXIT_FAILURE);
	}
	o.device = argv[optind];
	if (strlen(o.label) >= VEXFS_LABEL_SIZE)
		die("label is too long: %zu bytes, at most %d",
		    strlen(o.label), VEXFS_LABEL_SIZE - 1);
	if (blocks && o.blocks < VEXFS_MIN_BLOCKS)
		die("too few blocks: %llu, at least %d",
		    (unsigned long long)o.blocks, VEXFS_MIN_BLOCKS);
	return o;
}

int main(int argc, char **argv)
{
	struct options o = parse_options(argc, argv);
	const char *signature;
	struct geometry g;
	uint8_t uuid[16];
	uint64_t size, blocks;
	int fd, i;

	fd = open_device(o.device, &size);
	blocks = size / BLOCK;
	if (blocks < VEXFS_MIN_BLOCKS)
		die("%s is too small: %llu bytes, at least %llu", o.device,
		    (unsigned long long)size,
		    (unsigned long long)(VEXFS_MIN_BLOCKS * BLOCK));
	if (o.blocks > blocks)
		die("%llu blocks are more than %s has (%llu)",
		    (unsigned long long)o.blocks, o.device,
		    (unsigned long long)blocks);
	if (o.blocks)
		blocks = o.blocks;
	if (blocks > VEXFS_MAX_BLOCKS)
		blocks = VEXFS_MAX_BLOCKS;

	signature = find_signature(fd, size);
	if (signature && !o.force)
		die("%s appears to contain an existing %s; use -f to overwrite it",
		    o.device, signature);

	g = plan(blocks);
	random_uuid(uuid);
	make_filesystem(fd, &g, size, o.label, uuid);
	if (close(fd))
		die("close failed: %s", strerror(errno));

	printf("%s: VexFS, %llu blocks of %d bytes (%llu free), %llu inodes, journal of %llu blocks\n"
	       "label '%s', UUID ", o.device, (unsigned long long)g.total,
	       VEXFS_BLOCK_SIZE, (unsigned long long)(g.total - g.data),
	       (unsigned long long)g.inodes, (unsigned long long)g.journal,
	       o.label);
	for (i = 0; i < 16; i++)
		printf("%02x%s", uuid[i],
		       i == 3 || i == 5 || i == 7 || i == 9 ? "-" : "");
	putchar('\n');
	return EXIT_SUCCESS;
}
