// SPDX-License-Identifier: GPL-2.0-only
/*
 * Transactions.
 *
 * All metadata changes since the last commit form one transaction. Its buffers
 * are never marked dirty, so nothing but the commit writes them; it holds a
 * reference to each, so they stay in memory. A commit writes
 *
 *   1. the data of files that got new blocks, so that no block is part of a
 *      file before it holds what the file says it does,
 *   2. a copy of every buffer and a checksum over them all to the journal,
 *      then a cache flush: from here on the transaction is there,
 *   3. the buffers to their places; the flush for these comes before the next
 *      commit writes over the journal.
 *
 * Mount copies a journal whose checksum is right to its places. One that was
 * cut off while being written has a wrong checksum, and all that it would have
 * replaced had been flushed before.
 */
#include <linux/blkdev.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "vexfs.h"

enum {
	BH_VexLogged = BH_PrivateStart,	/* part of the running transaction */
};

BUFFER_FNS(VexLogged, vex_logged)
TAS_BUFFER_FNS(VexLogged, vex_logged)

static int vexfs_run_commit(struct super_block *sb);

/*
 * After a failed write the state in memory is more than what is on disk.
 * Nothing may be written on top of that.
 */
void vexfs_abort(struct super_block *sb, const char *why)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);

	if (READ_ONCE(sbi->aborted))
		return;
	WRITE_ONCE(sbi->aborted, true);
	sb->s_flags |= SB_RDONLY;
	vexfs_error(sb, "%s, no more writes", why);
}

/*
 * Start to change metadata. No fs reclaim until the end: it could want to
 * evict an inode, which needs a transaction of its own.
 */
int vexfs_begin(struct super_block *sb, unsigned int *nofs)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	bool room;
	int err;

	for (;;) {
		down_read(&sbi->txn_sem);
		if (READ_ONCE(sbi->aborted) || !sbi->writable) {
			up_read(&sbi->txn_sem);
			return -EROFS;
		}
		spin_lock(&sbi->txn_lock);
		/* one more for the superblock */
		room = sbi->txn_count + sbi->txn_reserved + VEXFS_CREDITS + 1 <=
		       sbi->txn_max;
		if (room)
			sbi->txn_reserved += VEXFS_CREDITS;
		spin_unlock(&sbi->txn_lock);
		if (room)
			break;
		up_read(&sbi->txn_sem);
		err = vexfs_commit(sb);
		if (err)
			return err;
	}
	*nofs = memalloc_nofs_save();
	return 0;
}

void vexfs_end(struct super_block *sb, unsigned int nofs)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);

	memalloc_nofs_restore(nofs);
	spin_lock(&sbi->txn_lock);
	sbi->txn_reserved -= VEXFS_CREDITS;
	spin_unlock(&sbi->txn_lock);
	up_read(&sbi->txn_sem);
}

/* Add a changed buffer to the transaction. */
void vexfs_log(struct super_block *sb, struct buffer_head *bh)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	bool first;

	if (test_set_buffer_vex_logged(bh))
		return;
	get_bh(bh);
	spin_lock(&sbi->txn_lock);
	if (WARN_ON_ONCE(sbi->txn_count >= sbi->txn_max)) {
		/* The credits are wrong. Losing the buffer must not go unseen. */
		spin_unlock(&sbi->txn_lock);
		clear_buffer_vex_logged(bh);
		put_bh(bh);
		vexfs_abort(sb, "transaction too large");
		return;
	}
	first = !sbi->txn_count;
	sbi->txn_bh[sbi->txn_count++] = bh;
	spin_unlock(&sbi->txn_lock);
	if (first)
		queue_delayed_work(system_long_wq, &sbi->commit_work,
				   VEXFS_COMMIT_INTERVAL);
}

/* Have the file's data written before the transaction. Within one only. */
void vexfs_order_data(struct inode *inode)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(inode->i_sb);
	struct vexfs_inode_info *vi = VEXFS_I(inode);

	spin_lock(&sbi->txn_lock);
	if (list_empty(&vi->ordered))
		list_add_tail(&vi->ordered, &sbi->ordered);
	spin_unlock(&sbi->txn_lock);
}

/*
 * The inode is going away. Waiting for a commit here is what allows the commit
 * to walk the list without references, which it could not drop.
 */
void vexfs_forget_order(struct inode *inode)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(inode->i_sb);
	struct vexfs_inode_info *vi = VEXFS_I(inode);

	if (list_empty_careful(&vi->ordered))
		return;
	down_read(&sbi->txn_sem);
	spin_lock(&sbi->txn_lock);
	list_del_init(&vi->ordered);
	spin_unlock(&sbi->txn_lock);
	up_read(&sbi->txn_sem);
}

static void vexfs_submit(struct buffer_head *bh)
{
	lock_buffer(bh);
	if (!buffer_mapped(bh)) {	/* the device went away */
		clear_buffer_uptodate(bh);
		unlock_buffer(bh);
		return;
	}
	clear_buffer_dirty(bh);
	vexfs_write_buffer(bh);
}

static int vexfs_write_buffers(struct buffer_head **bh, unsigned int count)
{
	struct blk_plug plug;
	unsigned int i;
	int err = 0;

	blk_start_plug(&plug);
	for (i = 0; i < count; i++)
		vexfs_submit(bh[i]);
	blk_finish_plug(&plug);
	for (i = 0; i < count; i++) {
		wait_on_buffer(bh[i]);
		if (!buffer_uptodate(bh[i]))
			err = -EIO;
	}
	return err;
}

static u32 vexfs_journal_checksum(struct vexfs_journal_header *head,
				  struct buffer_head **copies, u32 count)
{
	__le32 saved = head->checksum;
	u32 crc, i;

	head->checksum = 0;
	crc = vexfs_crc32c(0, head, sizeof(*head));
	head->checksum = saved;
	for (i = 0; i < count; i++)
		crc = vexfs_crc32c(crc, copies[i]->b_data, VEXFS_BLOCK_SIZE);
	return crc;
}

static void vexfs_put_buffers(struct buffer_head **bh, unsigned int count)
{
	while (count--) {
		brelse(bh[count]);
		bh[count] = NULL;
	}
}

/* Everything that the transaction holds goes; its content is written or lost. */
void vexfs_drop_transaction(struct super_block *sb)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	unsigned int i;

	for (i = 0; i < sbi->txn_count; i++) {
		clear_buffer_vex_logged(sbi->txn_bh[i]);
		brelse(sbi->txn_bh[i]);
	}
	sbi->txn_count = 0;
	vexfs_drop_frees(sb);
}

static void vexfs_write_ordered_data(struct vexfs_sb_info *sbi)
{
	struct vexfs_inode_info *vi, *next;

	/*
	 * Nobody adds to the list or takes from it while txn_sem is held for
	 * writing. A page with an error keeps it for the fsync of its file.
	 */
	list_for_each_entry(vi, &sbi->ordered, ordered)
		filemap_fdatawrite(vi->vfs_inode.i_mapping);
	list_for_each_entry_safe(vi, next, &sbi->ordered, ordered) {
		filemap_fdatawait_keep_errors(vi->vfs_inode.i_mapping);
		list_del_init(&vi->ordered);
	}
}

static int vexfs_write_journal(struct super_block *sb)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	struct vexfs_journal_header *head;
	struct buffer_head *bh;
	unsigned int i, n = 0;
	int err = -EIO;

	for (i = 0; i <= sbi->txn_count; i++) {
		bh = sb_getblk(sb, sbi->journal_start + i);
		if (!bh)
			goto out;
		sbi->journal_bh[n++] = bh;
		lock_buffer(bh);
		if (i)
			memcpy(bh->b_data, sbi->txn_bh[i - 1]->b_data,
			       VEXFS_BLOCK_SIZE);
		else
			memset(bh->b_data, 0, VEXFS_BLOCK_SIZE);
		set_buffer_uptodate(bh);
		unlock_buffer(bh);
	}

	head = (struct vexfs_journal_header *)sbi->journal_bh[0]->b_data;
	head->magic = cpu_to_le32(VEXFS_JOURNAL_MAGIC);
	head->count = cpu_to_le32(sbi->txn_count);
	head->sequence = cpu_to_le64(++sbi->txn_sequence);
	memcpy(head->uuid, &sb->s_uuid, sizeof(head->uuid));
	for (i = 0; i < sbi->txn_count; i++)
		head->block[i] = cpu_to_le32(sbi->txn_bh[i]->b_blocknr);
	head->checksum = cpu_to_le32(vexfs_journal_checksum(head,
					sbi->journal_bh + 1, sbi->txn_count));

	/* What the journal holds now must be in its place before it goes. */
	err = blkdev_issue_flush(sb->s_bdev);
	if (!err)
		err = vexfs_write_buffers(sbi->journal_bh, n);
	if (!err)
		err = blkdev_issue_flush(sb->s_bdev);
out:
	vexfs_put_buffers(sbi->journal_bh, n);
	return err;
}

static int vexfs_run_commit(struct super_block *sb)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	struct vexfs_super_block *raw;
	int err;

	if (sbi->aborted)
		return -EIO;
	vexfs_write_ordered_data(sbi);
	if (!sbi->txn_count)
		return blkdev_issue_flush(sb->s_bdev);

	vexfs_apply_frees(sb);
	raw = (struct vexfs_super_block *)sbi->sb_bh->b_data;
	raw->free_blocks = cpu_to_le64(sbi->free_blocks);
	raw->free_inodes = cpu_to_le64(sbi->free_inodes);
	raw->state = cpu_to_le32(sbi->state);
	raw->checksum = cpu_to_le32(vexfs_super_checksum(raw));
	vexfs_log(sb, sbi->sb_bh);

	err = vexfs_write_journal(sb);
	if (err)
		vexfs_abort(sb, "journal write failed");
	else
		err = vexfs_write_buffers(sbi->txn_bh, sbi->txn_count);
	/* The journal has it all, so the next mount repairs this one. */
	if (err)
		vexfs_abort(sb, "metadata write failed");
	vexfs_drop_transaction(sb);
	return err;
}

int vexfs_commit(struct super_block *sb)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	unsigned int nofs = memalloc_nofs_save();
	int err;

	down_write(&sbi->txn_sem);
	err = vexfs_run_commit(sb);
	up_write(&sbi->txn_sem);
	memalloc_nofs_restore(nofs);
	return err;
}

void vexfs_commit_worker(struct work_struct *work)
{
	struct vexfs_sb_info *sbi = container_of(to_delayed_work(work),
						 struct vexfs_sb_info,
						 commit_work);

	vexfs_commit(sbi->sb);
}

/*
 * Freed blocks can be used again after the next commit. When space ran out
 * while some were waiting for that, commit and say that a second try pays.
 */
bool vexfs_retry_alloc(struct super_block *sb, int err, int *tries)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);

	if (err != -ENOSPC || (*tries)++ >= 3 ||
	    !READ_ONCE(sbi->pending_blocks))
		return false;
	return !vexfs_commit(sb);
}

/* An empty journal: nothing to replay, so the device may be mounted read-only. */
int vexfs_clear_journal(struct super_block *sb)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	struct buffer_head *bh = sb_getblk(sb, sbi->journal_start);
	int err;

	if (!bh)
		return -EIO;
	lock_buffer(bh);
	memset(bh->b_data, 0, VEXFS_BLOCK_SIZE);
	set_buffer_uptodate(bh);
	unlock_buffer(bh);
	err = blkdev_issue_flush(sb->s_bdev);
	if (!err)
		err = vexfs_write_buffers(&bh, 1);
	if (!err)
		err = blkdev_issue_flush(sb->s_bdev);
	brelse(bh);
	return err;
}

/* A block number in a valid journal that a commit can't have put there. */
static bool vexfs_replay_target_ok(struct vexfs_sb_info *sbi, u32 block)
{
	if (block >= sbi->total_blocks)
		return false;
	return block < sbi->journal_start ||
	       block >= sbi->journal_start + sbi->journal_blocks;
}

static int vexfs_replay_blocks(struct super_block *sb,
			       struct vexfs_journal_header *head, u32 count)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	struct buffer_head *bh;
	u32 i, block;
	int err;

	for (i = 0; i < count; i++) {
		block = le32_to_cpu(head->block[i]);
		if (!vexfs_replay_target_ok(sbi, block)) {
			vexfs_error(sb, "journal field 'block[%u]' is %u", i,
				    block);
			return -EUCLEAN;
		}
	}
	for (i = 0; i < count; i++) {
		bh = sb_getblk(sb, le32_to_cpu(head->block[i]));
		if (!bh)
			return -EIO;
		lock_buffer(bh);
		memcpy(bh->b_data, sbi->journal_bh[1 + i]->b_data,
		       VEXFS_BLOCK_SIZE);
		set_buffer_uptodate(bh);
		unlock_buffer(bh);
		err = vexfs_write_buffers(&bh, 1);
		brelse(bh);
		if (err)
			return err;
	}
	pr_info("VexFS (%s): replayed %u blocks of transaction %llu\n",
		sb->s_id, count, le64_to_cpu(head->sequence));
	return vexfs_clear_journal(sb);
}

/* At mount, before anything but the superblock has been read. */
int vexfs_replay(struct super_block *sb)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	struct vexfs_journal_header *head;
	u32 count, i, n = 0;
	int err = 0;

	sbi->journal_bh[0] = sb_bread(sb, sbi->journal_start);
	if (!sbi->journal_bh[0]) {
		vexfs_error(sb, "journal header is unreadable");
		return -EIO;
	}
	n = 1;
	head = (struct vexfs_journal_header *)sbi->journal_bh[0]->b_data;
	sbi->txn_sequence = le64_to_cpu(head->sequence);
	count = le32_to_cpu(head->count);
	if (le32_to_cpu(head->magic) != VEXFS_JOURNAL_MAGIC ||
	    memcmp(head->uuid, &sb->s_uuid, sizeof(head->uuid)) ||
	    !count || count >= sbi->journal_blocks)
		goto out;
	for (i = 1; i <= count; i++) {
		sbi->journal_bh[i] = sb_bread(sb, sbi->journal_start + i);
		if (!sbi->journal_bh[i]) {
			vexfs_error(sb, "journal block %u is unreadable", i);
			err = -EIO;
			goto out;
		}
		n++;
	}
	if (le32_to_cpu(head->checksum) !=
	    vexfs_journal_checksum(head, sbi->journal_bh + 1, count)) {
		pr_info("VexFS (%s): unfinished transaction in the journal ignored\n",
			sb->s_id);
		goto out;
	}
	if (bdev_read_only(sb->s_bdev)) {
		vexfs_error(sb, "journal must be replayed, but the device is read-only");
		err = -EROFS;
		goto out;
	}
	err = vexfs_replay_blocks(sb, head, count);
out:
	vexfs_put_buffers(sbi->journal_bh, n);
	return err;
}
