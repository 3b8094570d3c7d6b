// SPDX-License-Identifier: GPL-2.0-only
/* Mount, unmount, remount, and the superblock, which is believed nothing. */
#include <linux/blkdev.h>
#include <linux/fs_context.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include <linux/vmalloc.h>

#include "vexfs.h"

/*
 * One line per problem, naming the field. Limited for each mount, so that a
 * rotten image can't flood the log, nor silence the next one.
 */
void vexfs_error(struct super_block *sb, const char *fmt, ...)
{
	struct va_format vaf;
	va_list args;

	va_start(args, fmt);
	vaf.fmt = fmt;
	vaf.va = &args;
	if (__ratelimit(&VEXFS_SB(sb)->ratelimit))
		pr_err("VexFS (%s): %pV\n", sb->s_id, &vaf);
	va_end(args);
}

u32 vexfs_super_checksum(const struct vexfs_super_block *raw)
{
	static const __le32 zero;
	size_t field = offsetof(struct vexfs_super_block, checksum);
	size_t rest = field + sizeof(raw->checksum);
	u32 crc = vexfs_crc32c(0, raw, field);

	crc = vexfs_crc32c(crc, &zero, sizeof(zero));
	return vexfs_crc32c(crc, (const u8 *)raw + rest, sizeof(*raw) - rest);
}

static int vexfs_bad_field(struct super_block *sb, const char *field, u64 value,
			   int err)
{
	pr_err("VexFS (%s): superblock field '%s' is wrong: %llu (%#llx)\n",
	       sb->s_id, field, value, value);
	return err;
}

#define BAD(name) vexfs_bad_field(sb, #name, name, -EUCLEAN)

/* The areas must be where and as large as the counts say. */
static int vexfs_check_geometry(struct super_block *sb,
				const struct vexfs_super_block *raw)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	u64 device_blocks = bdev_nr_bytes(sb->s_bdev) >> VEXFS_BLOCK_BITS;
	u64 total_blocks = le64_to_cpu(raw->total_blocks);
	u64 inode_count = le64_to_cpu(raw->inode_count);
	u64 journal_start = le64_to_cpu(raw->journal_start);
	u64 journal_blocks = le64_to_cpu(raw->journal_blocks);
	u64 imap_start = le64_to_cpu(raw->imap_start);
	u64 imap_blocks = le64_to_cpu(raw->imap_blocks);
	u64 bmap_start = le64_to_cpu(raw->bmap_start);
	u64 bmap_blocks = le64_to_cpu(raw->bmap_blocks);
	u64 itable_start = le64_to_cpu(raw->itable_start);
	u64 itable_blocks = le64_to_cpu(raw->itable_blocks);
	u64 data_start = le64_to_cpu(raw->data_start);

	if (total_blocks < VEXFS_MIN_BLOCKS || total_blocks > VEXFS_MAX_BLOCKS)
		return BAD(total_blocks);
	if (total_blocks > device_blocks) {
		pr_err("VexFS (%s): superblock field 'total_blocks' is %llu, the device has only %llu\n",
		       sb->s_id, total_blocks, device_blocks);
		return -EINVAL;
	}
	if (inode_count < VEXFS_INODES_PER_BLOCK ||
	    inode_count % VEXFS_INODES_PER_BLOCK ||
	    inode_count / VEXFS_INODES_PER_BLOCK >= total_blocks ||
	    inode_count > VEXFS_MAX_BLOCKS)
		return BAD(inode_count);
	if (journal_start != 1)
		return BAD(journal_start);
	if (journal_blocks < VEXFS_MIN_JOURNAL ||
	    journal_blocks > VEXFS_MAX_JOURNAL)
		return BAD(journal_blocks);
	if (imap_start != journal_start + journal_blocks)
		return BAD(imap_start);
	if (imap_blocks != DIV_ROUND_UP_ULL(inode_count, VEXFS_BITS_PER_BLOCK))
		return BAD(imap_blocks);
	if (bmap_start != imap_start + imap_blocks)
		return BAD(bmap_start);
	if (bmap_blocks != DIV_ROUND_UP_ULL(total_blocks, VEXFS_BITS_PER_BLOCK))
		return BAD(bmap_blocks);
	if (itable_start != bmap_start + bmap_blocks)
		return BAD(itable_start);
	if (itable_blocks != inode_count / VEXFS_INODES_PER_BLOCK)
		return BAD(itable_blocks);
	if (data_start != itable_start + itable_blocks ||
	    data_start >= total_blocks)
		return BAD(data_start);

	sbi->total_blocks = total_blocks;
	sbi->inode_count = inode_count;
	sbi->journal_start = journal_start;
	sbi->journal_blocks = journal_blocks;
	sbi->imap_start = imap_start;
	sbi->bmap_start = bmap_start;
	sbi->itable_start = itable_start;
	sbi->data_start = data_start;
	return 0;
}

static int vexfs_check_super(struct super_block *sb, bool silent)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	struct vexfs_super_block *raw =
		(struct vexfs_super_block *)sbi->sb_bh->b_data;
	u32 magic = le32_to_cpu(raw->magic);
	u32 version = le32_to_cpu(raw->version);
	u64 block_size = le64_to_cpu(raw->block_size);
	u32 checksum = le32_to_cpu(raw->checksum);
	u32 inode_size = le32_to_cpu(raw->inode_size);
	u32 state = le32_to_cpu(raw->state);
	u32 features = le32_to_cpu(raw->features);
	u64 free_blocks = le64_to_cpu(raw->free_blocks);
	u64 free_inodes = le64_to_cpu(raw->free_inodes);
	int err;

	if (magic != VEXFS_MAGIC) {
		/* Somebody may only be trying which filesystem this is. */
		if (silent)
			return -EINVAL;
		return vexfs_bad_field(sb, "magic", magic, -EINVAL);
	}
	if (version != VEXFS_VERSION)
		return vexfs_bad_field(sb, "version", version, -EINVAL);
	if (block_size != VEXFS_BLOCK_SIZE)
		return vexfs_bad_field(sb, "block_size", block_size, -EINVAL);
	if (checksum != vexfs_super_checksum(raw))
		return BAD(checksum);
	if (features)
		return vexfs_bad_field(sb, "features", features, -EINVAL);
	if (inode_size != VEXFS_INODE_SIZE)
		return vexfs_bad_field(sb, "inode_size", inode_size, -EINVAL);
	if (state != VEXFS_STATE_CLEAN && state != VEXFS_STATE_IN_USE)
		return BAD(state);
	if (!memchr(raw->label, 0, sizeof(raw->label)))
		return vexfs_bad_field(sb, "label", sizeof(raw->label),
				       -EUCLEAN);
	err = vexfs_check_geometry(sb, raw);
	if (err)
		return err;
	if (free_blocks > sbi->total_blocks - sbi->data_start)
		return BAD(free_blocks);
	if (free_inodes >= sbi->inode_count)
		return BAD(free_inodes);

	super_set_uuid(sb, raw->uuid, sizeof(raw->uuid));
	sbi->state = state;
	sbi->free_blocks = free_blocks;
	sbi->free_inodes = free_inodes;
	sbi->block_rotor = sbi->data_start;
	sbi->inode_rotor = VEXFS_ROOT_INO;
	return 0;
}

static int vexfs_set_state(struct super_block *sb, u32 state)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	unsigned int nofs;
	int err;

	err = vexfs_begin(sb, &nofs);
	if (err)
		return err;
	sbi->state = state;
	vexfs_log(sb, sbi->sb_bh);
	vexfs_end(sb, nofs);
	return vexfs_commit(sb);
}

static int vexfs_start_writing(struct super_block *sb)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	bool recover = sbi->state != VEXFS_STATE_CLEAN;
	int err;

	sbi->writable = true;
	err = vexfs_set_state(sb, VEXFS_STATE_IN_USE);
	if (!err && recover)
		err = vexfs_recover_inodes(sb);
	if (err)
		sbi->writable = false;
	return err;
}

/* Leave a device behind that needs nothing at the next mount. */
static int vexfs_stop_writing(struct super_block *sb)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	bool clean = !sbi->leaked && !atomic_long_read(&sb->s_remove_count);
	int err;

	if (!sbi->writable)
		return 0;
	/* Inodes without a name that are still there: the next mount's job. */
	err = vexfs_set_state(sb, clean ? VEXFS_STATE_CLEAN :
					  VEXFS_STATE_IN_USE);
	if (!err)
		err = vexfs_clear_journal(sb);
	if (!err)
		sbi->writable = false;
	return err;
}

static void vexfs_put_super(struct super_block *sb)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);

	if (vexfs_stop_writing(sb))
		vexfs_error(sb, "unmounted without all changes on disk");
	cancel_delayed_work_sync(&sbi->commit_work);
	vexfs_drop_transaction(sb);
	brelse(sbi->sb_bh);
	sbi->sb_bh = NULL;
}

static int vexfs_sync_fs(struct super_block *sb, int wait)
{
	if (!wait || !VEXFS_SB(sb)->writable)
		return 0;
	return vexfs_commit(sb);
}

/* Everything is in its place while the device is being looked at. */
static int vexfs_freeze_fs(struct super_block *sb)
{
	return vexfs_sync_fs(sb, 1);
}

/* The device is gone. */
static void __maybe_unused vexfs_shutdown(struct super_block *sb)
{
	vexfs_abort(sb, "device is gone");
}

static int vexfs_statfs(struct dentry *dentry, struct kstatfs *buf)
{
	struct super_block *sb = dentry->d_sb;
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);

	buf->f_type = VEXFS_MAGIC;
	buf->f_bsize = VEXFS_BLOCK_SIZE;
	buf->f_namelen = VEXFS_NAME_LEN;
	buf->f_fsid = uuid_to_fsid(sb->s_uuid.b);
	buf->f_blocks = sbi->total_blocks - sbi->data_start;
	buf->f_files = sbi->inode_count - 1;
	mutex_lock(&sbi->alloc_lock);
	buf->f_bfree = sbi->free_blocks;
	buf->f_bavail = sbi->free_blocks;
	buf->f_ffree = sbi->free_inodes;
	mutex_unlock(&sbi->alloc_lock);
	return 0;
}

static const struct super_operations vexfs_super_operations = {
	.alloc_inode	= vexfs_alloc_inode,
	.free_inode	= vexfs_free_inode,
	.write_inode	= vexfs_write_inode,
	.evict_inode	= vexfs_evict_inode,
	.put_super	= vexfs_put_super,
	.sync_fs	= vexfs_sync_fs,
	.freeze_fs	= vexfs_freeze_fs,
	.statfs		= vexfs_statfs,
	VEXFS_SHUTDOWN_OP(vexfs_shutdown)
};

static struct vexfs_sb_info *vexfs_alloc_sb_info(struct super_block *sb)
{
	struct vexfs_sb_info *sbi = kzalloc(sizeof(*sbi), GFP_KERNEL);

	if (!sbi)
		return NULL;
	sbi->sb = sb;
	mutex_init(&sbi->alloc_lock);
	init_rwsem(&sbi->txn_sem);
	spin_lock_init(&sbi->txn_lock);
	ratelimit_state_init(&sbi->ratelimit, 5 * HZ, 10);
	INIT_LIST_HEAD(&sbi->freed);
	INIT_LIST_HEAD(&sbi->ordered);
	INIT_DELAYED_WORK(&sbi->commit_work, vexfs_commit_worker);
	return sbi;
}

static int vexfs_load_super(struct super_block *sb, bool silent)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	int err;

	if (bdev_nr_bytes(sb->s_bdev) < VEXFS_MIN_BLOCKS * VEXFS_BLOCK_SIZE) {
		if (!silent)
			pr_err("VexFS (%s): device size is %llu bytes, too small\n",
			       sb->s_id, (u64)bdev_nr_bytes(sb->s_bdev));
		return -EINVAL;
	}
	if (!sb_set_blocksize(sb, VEXFS_BLOCK_SIZE)) {
		pr_err("VexFS (%s): device block size is above %u\n", sb->s_id,
		       VEXFS_BLOCK_SIZE);
		return -EINVAL;
	}
	sbi->sb_bh = sb_bread(sb, 0);
	if (!sbi->sb_bh) {
		pr_err("VexFS (%s): superblock is unreadable\n", sb->s_id);
		return -EIO;
	}
	err = vexfs_check_super(sb, silent);
	if (err)
		return err;

	sbi->txn_max = sbi->journal_blocks - 1;
	sbi->txn_bh = kvcalloc(sbi->journal_blocks, sizeof(*sbi->txn_bh),
			       GFP_KERNEL);
	sbi->journal_bh = kvcalloc(sbi->journal_blocks,
				   sizeof(*sbi->journal_bh), GFP_KERNEL);
	if (!sbi->txn_bh || !sbi->journal_bh)
		return -ENOMEM;

	/* A replay may have brought another superblock. */
	err = vexfs_replay(sb);
	if (!err)
		err = vexfs_check_super(sb, false);
	if (!err)
		err = vexfs_check_bitmaps(sb);
	return err;
}

static int vexfs_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct vexfs_sb_info *sbi;
	struct inode *root;
	int err;

	sbi = vexfs_alloc_sb_info(sb);
	if (!sbi)
		return -ENOMEM;
	sb->s_fs_info = sbi;
	sb->s_op = &vexfs_super_operations;
	sb->s_magic = VEXFS_MAGIC;
	sb->s_maxbytes = (loff_t)VEXFS_MAX_FILE_BLOCKS << VEXFS_BLOCK_BITS;
	sb->s_max_links = VEXFS_LINK_MAX;
	sb->s_export_op = &vexfs_export_operations;
	sb->s_time_gran = 1;

	err = vexfs_load_super(sb, fc->sb_flags & SB_SILENT);
	if (err)
		goto fail;

	root = vexfs_iget(sb, VEXFS_ROOT_INO, false);
	if (IS_ERR(root)) {
		err = PTR_ERR(root);
		goto fail;
	}
	if (!S_ISDIR(root->i_mode)) {
		vexfs_error(sb, "root inode field 'mode' is %#o", root->i_mode);
		iput(root);
		err = -EUCLEAN;
		goto fail;
	}
	sb->s_root = d_make_root(root);
	if (!sb->s_root) {
		err = -ENOMEM;
		goto fail;
	}
	/* From here on an error ends in put_super. */
	return sb_rdonly(sb) ? 0 : vexfs_start_writing(sb);

fail:
	brelse(sbi->sb_bh);
	sbi->sb_bh = NULL;
	return err;
}

static int vexfs_get_tree(struct fs_context *fc)
{
	return get_tree_bdev(fc, vexfs_fill_super);
}

static int vexfs_reconfigure(struct fs_context *fc)
{
	struct super_block *sb = fc->root->d_sb;
	bool rdonly = fc->sb_flags & SB_RDONLY;

	sync_filesystem(sb);
	if (VEXFS_SB(sb)->aborted)
		return rdonly ? 0 : -EROFS;
	if (rdonly == sb_rdonly(sb))
		return 0;
	return rdonly ? vexfs_stop_writing(sb) : vexfs_start_writing(sb);
}

/* No options of its own, so the generic code refuses what it doesn't know. */
static const struct fs_context_operations vexfs_context_operations = {
	.get_tree	= vexfs_get_tree,
	.reconfigure	= vexfs_reconfigure,
};

int vexfs_init_fs_context(struct fs_context *fc)
{
	fc->ops = &vexfs_context_operations;
	return 0;
}

void vexfs_kill_sb(struct super_block *sb)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);

	kill_block_super(sb);
	if (sbi) {
		kvfree(sbi->txn_bh);
		kvfree(sbi->journal_bh);
		kfree(sbi);
	}
}
