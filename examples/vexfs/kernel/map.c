// SPDX-License-Identifier: GPL-2.0-only
/* Which block of the device holds which block of a file. */
#include <linux/pagemap.h>

#include "vexfs.h"

/* A buffer for a block that is new: what was there before doesn't matter. */
struct buffer_head *vexfs_new_buffer(struct super_block *sb, u32 block)
{
	struct buffer_head *bh = sb_getblk(sb, block);

	if (!bh)
		return NULL;
	lock_buffer(bh);
	memset(bh->b_data, 0, VEXFS_BLOCK_SIZE);
	set_buffer_uptodate(bh);
	unlock_buffer(bh);
	vexfs_log(sb, bh);
	return bh;
}

/* Slot in the inode, then slots in pointer blocks. Returns how many. */
static int vexfs_path(sector_t iblock, u32 slot[3])
{
	if (iblock < VEXFS_DIRECT) {
		slot[0] = iblock;
		return 1;
	}
	iblock -= VEXFS_DIRECT;
	if (iblock < VEXFS_PTRS_PER_BLOCK) {
		slot[0] = VEXFS_IND;
		slot[1] = iblock;
		return 2;
	}
	iblock -= VEXFS_PTRS_PER_BLOCK;
	if (iblock < VEXFS_PTRS_PER_BLOCK * VEXFS_PTRS_PER_BLOCK) {
		slot[0] = VEXFS_DIND;
		slot[1] = iblock >> VEXFS_PTRS_BITS;
		slot[2] = iblock & (VEXFS_PTRS_PER_BLOCK - 1);
		return 3;
	}
	return 0;
}

static int vexfs_bad_pointer(struct inode *inode, u32 block)
{
	vexfs_error(inode->i_sb, "inode %llu: block pointer %u is out of range",
		    (u64)inode->i_ino, block);
	return -EUCLEAN;
}

static int vexfs_grow(struct inode *inode, u32 *block, bool pointers)
{
	struct vexfs_inode_info *vi = VEXFS_I(inode);
	struct buffer_head *bh;
	int err;

	err = vexfs_alloc_block(inode->i_sb, vi->goal, block);
	if (err)
		return err;
	if (pointers) {
		bh = vexfs_new_buffer(inode->i_sb, *block);
		if (!bh) {
			vexfs_free_block(inode->i_sb, *block);
			return -EIO;
		}
		brelse(bh);
	}
	vi->goal = *block + 1;
	inode_add_bytes(inode, VEXFS_BLOCK_SIZE);
	return 0;
}

/*
 * *block is 0 for a hole. With @create, within a transaction and with map_sem
 * held for writing, there are no holes.
 */
int vexfs_map(struct inode *inode, sector_t iblock, u32 *block, bool create,
	      bool *is_new)
{
	struct vexfs_inode_info *vi = VEXFS_I(inode);
	struct super_block *sb = inode->i_sb;
	struct buffer_head *bh;
	bool grown = false;
	u32 slot[3], next;
	__le32 *ptr;
	int depth, i, err = 0;

	*is_new = false;
	*block = 0;
	depth = vexfs_path(iblock, slot);
	if (!depth)
		return -EFBIG;

	next = vi->block[slot[0]];
	if (!next && create) {
		err = vexfs_grow(inode, &next, depth > 1);
		if (err)
			return err;
		vi->block[slot[0]] = next;
		grown = true;
	}
	for (i = 1; next && i < depth; i++) {
		if (!vexfs_data_block(VEXFS_SB(sb), next)) {
			err = vexfs_bad_pointer(inode, next);
			goto out;
		}
		bh = sb_bread(sb, next);
		if (!bh) {
			err = -EIO;
			goto out;
		}
		ptr = (__le32 *)bh->b_data + slot[i];
		next = le32_to_cpu(READ_ONCE(*ptr));
		grown = false;
		if (!next && create) {
			err = vexfs_grow(inode, &next, i < depth - 1);
			if (!err) {
				WRITE_ONCE(*ptr, cpu_to_le32(next));
				vexfs_log(sb, bh);
				grown = true;
			}
		}
		brelse(bh);
		if (err)
			goto out;
	}
	if (next && !vexfs_data_block(VEXFS_SB(sb), next)) {
		err = vexfs_bad_pointer(inode, next);
		goto out;
	}
	*block = next;
	*is_new = grown;
out:
	/* Even after an error there may be new pointer blocks. */
	if (create && vexfs_log_inode(inode) && !err)
		err = -EIO;
	return err;
}

int vexfs_get_block(struct inode *inode, sector_t iblock,
		    struct buffer_head *bh, int create)
{
	struct vexfs_inode_info *vi = VEXFS_I(inode);
	bool is_new;
	u32 block;
	int err;

	down_read(&vi->map_sem);
	err = vexfs_map(inode, iblock, &block, false, &is_new);
	up_read(&vi->map_sem);
	if (!err && !block && create) {
		down_write(&vi->map_sem);
		err = vexfs_map(inode, iblock, &block, true, &is_new);
		up_write(&vi->map_sem);
		if (!err && is_new) {
			vexfs_order_data(inode);
			set_buffer_new(bh);
		}
	}
	if (!err && block)
		map_bh(bh, inode->i_sb, block);
	return err;
}

/*
 * For writeback, which runs within a commit too and so can't allocate. It
 * never has to: write and page fault see to it that a dirty page has a block.
 */
int vexfs_get_block_mapped(struct inode *inode, sector_t iblock,
			   struct buffer_head *bh, int create)
{
	int err = vexfs_get_block(inode, iblock, bh, 0);

	if (!err && !buffer_mapped(bh)) {
		vexfs_error(inode->i_sb, "inode %llu: dirty page %llu has no block",
			    (u64)inode->i_ino, (u64)iblock);
		err = -EIO;
	}
	return err;
}

/* How much more one transaction may touch, and the bitmap block last touched. */
struct vexfs_trim {
	int credits;
	u32 bitmap;
	int err;
};

/* Is there room to free this block in this transaction? */
static bool vexfs_trim_room(struct vexfs_trim *trim, u32 block)
{
	if (trim->bitmap == block / VEXFS_BITS_PER_BLOCK)
		return true;
	if (!trim->credits)
		return false;
	trim->credits--;
	trim->bitmap = block / VEXFS_BITS_PER_BLOCK;
	return true;
}

/*
 * Free what is below *slot from file block @from (counted from the slot's
 * first one) on, last block first, so that every state in between is a valid
 * one. Returns 1 when the transaction is full. A pointer to nowhere is dropped.
 */
static int vexfs_trim_slot(struct inode *inode, u32 *slot, int depth, u32 from,
			   struct vexfs_trim *trim)
{
	u32 span = depth > 1 ? VEXFS_PTRS_PER_BLOCK : 1;
	struct super_block *sb = inode->i_sb;
	struct buffer_head *bh;
	int i, first, ret = 0;
	u32 child, old;
	__le32 *ptr;

	if (!*slot || (depth && from >= span * VEXFS_PTRS_PER_BLOCK))
		return 0;
	if (!vexfs_data_block(VEXFS_SB(sb), *slot)) {
		trim->err = vexfs_bad_pointer(inode, *slot);
		*slot = 0;
		return 0;
	}
	if (depth) {
		if (!trim->credits)
			return 1;
		trim->credits--;
		bh = sb_bread(sb, *slot);
		if (!bh)
			return -EIO;
		ptr = (__le32 *)bh->b_data;
		first = from / span;
		for (i = VEXFS_PTRS_PER_BLOCK - 1; i >= first && !ret; i--) {
			old = child = le32_to_cpu(ptr[i]);
			ret = vexfs_trim_slot(inode, &child, depth - 1,
					      i == first ? from % span : 0,
					      trim);
			if (child != old) {
				WRITE_ONCE(ptr[i], cpu_to_le32(child));
				vexfs_log(sb, bh);
			}
		}
		brelse(bh);
		if (ret || from)
			return ret;
	}
	if (!vexfs_trim_room(trim, *slot))
		return 1;
	vexfs_free_block(sb, *slot);
	inode_sub_bytes(inode, VEXFS_BLOCK_SIZE);
	*slot = 0;
	return 0;
}

static int vexfs_trim_inode(struct inode *inode, u64 from,
			    struct vexfs_trim *trim)
{
	const u64 ind = VEXFS_DIRECT, dind = ind + VEXFS_PTRS_PER_BLOCK;
	u32 *block = VEXFS_I(inode)->block;
	int ret, i;

	ret = vexfs_trim_slot(inode, &block[VEXFS_DIND], 2,
			      from > dind ? from - dind : 0, trim);
	if (!ret)
		ret = vexfs_trim_slot(inode, &block[VEXFS_IND], 1,
				      from > ind ? from - ind : 0, trim);
	for (i = VEXFS_DIRECT - 1; i >= 0 && (u64)i >= from && !ret; i--)
		ret = vexfs_trim_slot(inode, &block[i], 0, 0, trim);
	return ret;
}

/* Free all blocks from file block @from on, in as many transactions as it takes. */
int vexfs_free_tail(struct inode *inode, u64 from)
{
	struct vexfs_inode_info *vi = VEXFS_I(inode);
	struct super_block *sb = inode->i_sb;
	unsigned int nofs;
	int ret, err;

	do {
		struct vexfs_trim trim = {
			.credits = VEXFS_CREDITS - 2,	/* less inode and spare */
			.bitmap = U32_MAX,
		};

		err = vexfs_begin(sb, &nofs);
		if (err)
			return err;
		down_write(&vi->map_sem);
		ret = vexfs_trim_inode(inode, from, &trim);
		if (!ret)
			vi->flags &= ~VEXFS_INODE_TRUNCATING;
		vi->goal = 0;
		err = vexfs_log_inode(inode);
		up_write(&vi->map_sem);
		vexfs_end(sb, nofs);
		if (!err)
			err = ret < 0 ? ret : trim.err;
		cond_resched();
	} while (ret > 0 && (!err || err == -EUCLEAN));
	/* A bad pointer was said in the log, and is gone now. */
	return err == -EUCLEAN ? 0 : err;
}

/*
 * Zero what is behind @size in its block, on disk too before the transaction
 * that moves the end of the file.
 */
int vexfs_zero_tail(struct inode *inode, loff_t size)
{
	unsigned int nofs;
	int err;

	if (!(size & (VEXFS_BLOCK_SIZE - 1)))
		return 0;
	err = block_truncate_page(inode->i_mapping, size, vexfs_get_block);
	if (err)
		return err;
	err = vexfs_begin(inode->i_sb, &nofs);
	if (err)
		return err;
	vexfs_order_data(inode);
	vexfs_end(inode->i_sb, nofs);
	return 0;
}
