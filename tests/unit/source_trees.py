"""Source trees of filesystems that exist for the tests alone, as small as what is read of them lets them be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

TOYFS_C = """\
#include <linux/module.h>
#include "toyfs.h"
/* MODULE_LICENSE("in a comment") doesn't count, nor does register_filesystem(&nothing). */
static int toyfs_fill_super(struct super_block *sb, void *data, int silent)
{
	struct buffer_head *bh = sb_bread(sb, TOYFS_BLOCK);
	struct toyfs_super *raw = (struct toyfs_super *)bh->b_data;

	if (le32_to_cpu(raw->magic) != TOYFS_MAGIC)
		return -EINVAL;
	return 0;
}
static struct file_system_type toyfs_type = {
	.owner = THIS_MODULE,
	.name = "toyfs",
	.fs_flags = FS_REQUIRES_DEV,
};
static int __init toyfs_init(void) { return register_filesystem(&toyfs_type); }
MODULE_LICENSE("GPL");
"""
TOYFS_H = """\
#define TOYFS_MAGIC 0x746f7966UL
#define TOYFS_BLOCK 0
struct toyfs_super {
	__le64 blocks, inodes;
	__u8 uuid[16];
	__le32 magic;
	char label[32];
};
"""
MKFS_C = """\
#include <stdio.h>
int main(int argc, char **argv)
{
	return 0;
}
"""
MAKEFILE = """\
obj-m := toyfs.o
KDIR ?= /lib/modules/$(shell uname -r)/build
all: mkfs.toyfs
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules
mkfs.toyfs: mkfs.toyfs.c
	$(CC) -o $@ $<
"""
TOYFS = {"Makefile": MAKEFILE, "toyfs.c": TOYFS_C, "toyfs.h": TOYFS_H, "mkfs.toyfs.c": MKFS_C}

# Like linux-apfs-rw in what a reader meets: DKMS's instructions without a command of its own, a header that a script
# writes, a superblock that begins with another structure, a magic number that is copied before it is compared.
APFS = {
    "Makefile": """\
KERNELRELEASE ?= $(shell uname -r)
KERNEL_DIR    ?= /lib/modules/$(KERNELRELEASE)/build
PWD           := $(shell pwd)

obj-m = apfs.o
apfs-y := inode.o key.o \\
	super.o
ccflags-y += $(APFS_CONFIG)
default:
	./genver.sh
	make -C $(KERNEL_DIR) M=$(PWD)
install:
	make -C $(KERNEL_DIR) M=$(PWD) modules_install
""",
    "dkms.conf": """\
PACKAGE_NAME="linux-apfs-rw"
PACKAGE_VERSION="0.3.13"
BUILT_MODULE_NAME[0]="apfs"
DEST_MODULE_LOCATION[0]="/extra"
AUTOINSTALL="yes"
PRE_BUILD="genver.sh"
""",
    "genver.sh": "#!/bin/sh\nprintf '#define GIT_COMMIT\\n' > version.h\n",
    "apfs_raw.h": """\
#define APFS_NX_MAGIC		0x4253584E
#define APFS_MAGIC		0x42535041
#define APFS_NX_BLOCK_NUM	0
#define APFS_NX_DEFAULT_BLOCK_SIZE	4096
struct apfs_obj_phys {
	__le64 o_cksum;
	__le64 o_oid;
	__le64 o_xid;
	__le32 o_type;
	__le32 o_subtype;
} __packed;
struct apfs_nx_superblock {
	struct apfs_obj_phys nx_o;
	__le32 nx_magic;
	__le32 nx_block_size;
} __packed;
struct apfs_superblock {
	struct apfs_obj_phys apfs_o;
	__le32 apfs_magic;
} __packed;
""",
    "inode.c": "#include <linux/fs.h>\n",
    "key.c": "#include <linux/crc32c.h>\nu32 apfs_hash(u32 hash, u32 c) { return crc32c(hash, &c, sizeof(c)); }\n",
    "super.c": """\
#include "apfs_raw.h"
#include "version.h"
static int apfs_read_volume(struct super_block *sb, u64 bno)
{
	struct buffer_head *bh = apfs_sb_bread(sb, bno);
	struct apfs_superblock *vsb_raw = (struct apfs_superblock *)bh->b_data;
	if (le32_to_cpu(vsb_raw->apfs_magic) != APFS_MAGIC)
		return -EINVAL;
	return 0;
}
static struct buffer_head *apfs_read_super_copy(struct super_block *sb)
{
	struct buffer_head *bh;
	struct apfs_nx_superblock *msb_raw;

	if (!apfs_sb_set_blocksize(sb, APFS_NX_DEFAULT_BLOCK_SIZE))
		return ERR_PTR(-EINVAL);
	bh = apfs_sb_bread(sb, APFS_NX_BLOCK_NUM);
	msb_raw = (struct apfs_nx_superblock *)bh->b_data;
	sb->s_magic = le32_to_cpu(msb_raw->nx_magic);
	if (sb->s_magic != APFS_NX_MAGIC)
		return ERR_PTR(-EINVAL);
	return bh;
}
static struct file_system_type apfs_fs_type = {
	.name		= "apfs",
	.fs_flags	= FS_REQUIRES_DEV,
};
MODULE_ALIAS_FS("apfs");
static int __init init_apfs_fs(void) { return register_filesystem(&apfs_fs_type); }
MODULE_DESCRIPTION("Apple File System");
MODULE_LICENSE("GPL");
""",
}


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files, each with the directories above it; returns the root."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root
