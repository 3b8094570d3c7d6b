// SPDX-License-Identifier: GPL-2.0-only
/* The two bitmaps: blocks and inodes. A set bit is in use. */
#include <linux/slab.h>

#include "vexfs.h"

/* Freed in this transaction; free for others once it is committed. */
struct vexfs_freed_extent {
	struct list_head list;
	u32 start;
	u32 count;
};

static struct buffer_head *vexfs_bitmap(struct super_block *sb, u32 map, u32 bit)
{
	u32 block = map + bit / VEXFS_BITS_PER_BLOCK;
	struct buffer_head *bh = sb_bread(sb, block);

	if (!bh)
		vexfs_error(sb, "bitmap block %u is unreadable", block);
	return bh;
}

/* Take the first clear bit at or behind @start, going round once. */
static int vexfs_take_bit(struct super_block *sb, u32 map, u32 bits, u32 start,
			  u32 *found)
{
	u32 blocks = DIV_ROUND_UP(bits, VEXFS_BITS_PER_BLOCK);
	u32 index = start / VEXFS_BITS_PER_BLOCK;
	u32 offset = start % VEXFS_BITS_PER_BLOCK;
	struct buffer_head *bh;
	u32 i, base, limit, bit;

	for (i = 0; i <= blocks; i++) {
		base = index * VEXFS_BITS_PER_BLOCK;
		limit = min_t(u32, VEXFS_BITS_PER_BLOCK, bits - base);
		bh = vexfs_bitmap(sb, map, base);
		if (!bh)
			return -EIO;
		bit = find_next_zero_bit_le(bh->b_data, limit, offset);
		if (bit < limit) {
			__set_bit_le(bit, bh->b_data);
			vexfs_log(sb, bh);
			brelse(bh);
			*found = base + bit;
			return 0;
		}
		brelse(bh);
		offset = 0;
		if (++index == blocks)
			index = 0;
	}
	return -ENOSPC;
}

int vexfs_alloc_block(struct super_block *sb, u32 goal, u32 *block)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	int err = -ENOSPC;

	mutex_lock(&sbi->alloc_lock);
	if (!vexfs_data_block(sbi, goal))
		goal = sbi->block_rotor;
	if (sbi->free_blocks > sbi->pending_blocks)
		err = vexfs_take_bit(sb, sbi->bmap_start, sbi->total_blocks,
				     goal, block);
	if (!err) {
		sbi->free_blocks--;
		sbi->block_rotor = *block + 1 < sbi->total_blocks ?
				   *block + 1 : sbi->data_start;
	}
	mutex_unlock(&sbi->alloc_lock);
	return err;
}

/*
 * The bit stays set until the commit. Were it cleared now, the block could be
 * overwritten with data of its next owner, and then a power cut could bring
 * back the old one.
 */
void vexfs_free_block(struct super_block *sb, u32 block)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	struct vexfs_freed_extent *last;
	struct buffer_head *bh;

	mutex_lock(&sbi->alloc_lock);
	bh = vexfs_bitmap(sb, sbi->bmap_start, block);
	if (!bh)
		goto out;
	if (!test_bit_le(block % VEXFS_BITS_PER_BLOCK, bh->b_data)) {
		vexfs_error(sb, "block bitmap: block %u is in use, but free",
			    block);
		brelse(bh);
		goto out;
	}
	vexfs_log(sb, bh);
	brelse(bh);

	last = list_empty(&sbi->freed) ? NULL :
	       list_last_entry(&sbi->freed, struct vexfs_freed_extent, list);
	if (last && last->start == block + 1) {
		last->start--;
		last->count++;
	} else if (last && last->start + last->count == block) {
		last->count++;
	} else {
		last = kmalloc(sizeof(*last), GFP_NOFS | __GFP_NOFAIL);
		last->start = block;
		last->count = 1;
		list_add_tail(&last->list, &sbi->freed);
	}
	sbi->free_blocks++;
	sbi->pending_blocks++;
out:
	mutex_unlock(&sbi->alloc_lock);
}

/* During a commit. The bitmap blocks joined the transaction at the free. */
void vexfs_apply_frees(struct super_block *sb)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	struct vexfs_freed_extent *extent;
	struct buffer_head *bh;
	u32 i, block;

	list_for_each_entry(extent, &sbi->freed, list) {
		for (i = 0; i < extent->count; i++) {
			block = extent->start + i;
			bh = vexfs_bitmap(sb, sbi->bmap_start, block);
			if (bh && test_and_clear_bit_le(block %
					VEXFS_BITS_PER_BLOCK, bh->b_data)) {
				brelse(bh);
				continue;
			}
			/* Two owners gave it back at once. */
			if (bh)
				vexfs_error(sb, "block bitmap: block %u was freed twice",
					    block);
			brelse(bh);
			sbi->free_blocks--;
		}
	}
	vexfs_drop_frees(sb);
}

void vexfs_drop_frees(struct super_block *sb)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	struct vexfs_freed_extent *extent, *next;

	list_for_each_entry_safe(extent, next, &sbi->freed, list) {
		list_del(&extent->list);
		kfree(extent);
	}
	WRITE_ONCE(sbi->pending_blocks, 0);
}

int vexfs_alloc_ino(struct super_block *sb, u32 *ino)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	int err = -ENOSPC;

	mutex_lock(&sbi->alloc_lock);
	if (sbi->free_inodes)
		err = vexfs_take_bit(sb, sbi->imap_start, sbi->inode_count,
				     sbi->inode_rotor, ino);
	if (!err) {
		sbi->free_inodes--;
		sbi->inode_rotor = (*ino + 1) % sbi->inode_count;
	}
	mutex_unlock(&sbi->alloc_lock);
	return err;
}

int vexfs_free_ino(struct super_block *sb, u32 ino)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	struct buffer_head *bh;
	int err = -EIO;

	mutex_lock(&sbi->alloc_lock);
	bh = vexfs_bitmap(sb, sbi->imap_start, ino);
	if (bh) {
		err = 0;
		if (test_and_clear_bit_le(ino % VEXFS_BITS_PER_BLOCK,
					  bh->b_data))
			sbi->free_inodes++;
		else
			vexfs_error(sb, "inode bitmap: inode %u is in use, but free",
				    ino);
		vexfs_log(sb, bh);
		brelse(bh);
	}
	mutex_unlock(&sbi->alloc_lock);
	return err;
}

int vexfs_ino_in_use(struct super_block *sb, u32 ino)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	struct buffer_head *bh;
	int ret;

	mutex_lock(&sbi->alloc_lock);
	bh = vexfs_bitmap(sb, sbi->imap_start, ino);
	ret = bh ? test_bit_le(ino % VEXFS_BITS_PER_BLOCK, bh->b_data) : -EIO;
	brelse(bh);
	mutex_unlock(&sbi->alloc_lock);
	return ret;
}

/*
 * Bits below @used belong to metadata, those behind @bits to nothing: all must
 * be set. The clear ones in between are what the superblock says is free.
 */
static int vexfs_check_bitmap(struct super_block *sb, const char *name, u32 map,
			      u32 bits, u32 used, u64 free)
{
	u32 blocks = DIV_ROUND_UP(bits, VEXFS_BITS_PER_BLOCK);
	struct buffer_head *bh;
	u64 clear = 0, bit;
	u32 i;

	for (i = 0; i < blocks; i++) {
		if (!(i % 32))
			for (bit = i; bit < min(blocks, i + 32); bit++)
				sb_breadahead(sb, map + bit);
		bh = vexfs_bitmap(sb, map, i * VEXFS_BITS_PER_BLOCK);
		if (!bh)
			return -EIO;
		clear += VEXFS_BITS_PER_BLOCK -
			 memweight(bh->b_data, VEXFS_BLOCK_SIZE);
		bit = find_next_zero_bit_le(bh->b_data, VEXFS_BITS_PER_BLOCK, 0);
		if (bit < VEXFS_BITS_PER_BLOCK &&
		    (u64)i * VEXFS_BITS_PER_BLOCK + bit < used) {
			vexfs_error(sb, "%s bitmap: metadata %llu is free", name,
				    (u64)i * VEXFS_BITS_PER_BLOCK + bit);
			goto bad;
		}
		bit = bits - (u64)i * VEXFS_BITS_PER_BLOCK;
		if (bit < VEXFS_BITS_PER_BLOCK &&
		    find_next_zero_bit_le(bh->b_data, VEXFS_BITS_PER_BLOCK,
					  bit) < VEXFS_BITS_PER_BLOCK) {
			vexfs_error(sb, "%s bitmap: free bit behind the end",
				    name);
			goto bad;
		}
		brelse(bh);
	}
	if (clear == free)
		return 0;
	vexfs_error(sb, "superblock field 'free_%ss' is %llu, bitmap has %llu",
		    name, free, clear);
	return -EUCLEAN;
bad:
	brelse(bh);
	return -EUCLEAN;
}

int vexfs_check_bitmaps(struct super_block *sb)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	int err;

	err = vexfs_check_bitmap(sb, "block", sbi->bmap_start,
				 sbi->total_blocks, sbi->data_start,
				 sbi->free_blocks);
	if (err)
		return err;
	return vexfs_check_bitmap(sb, "inode", sbi->imap_start,
				  sbi->inode_count, VEXFS_ROOT_INO + 1,
				  sbi->free_inodes);
}
