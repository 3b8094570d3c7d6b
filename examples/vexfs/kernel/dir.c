// SPDX-License-Identifier: GPL-2.0-only
/*
 * Directory blocks. Callers hold the directory's inode lock, and a transaction
 * where they change something. Every record is checked whenever it is passed.
 */
#include "vexfs.h"

/* A place in a directory: the record, its block, and which block that is. */
struct vexfs_spot {
	struct buffer_head *bh;
	struct vexfs_dirent *de;
	u32 index;
};

static u32 vexfs_dir_blocks(struct inode *dir)
{
	return i_size_read(dir) >> VEXFS_BLOCK_BITS;
}

static struct buffer_head *vexfs_dir_block(struct inode *dir, u32 index)
{
	struct vexfs_inode_info *vi = VEXFS_I(dir);
	struct buffer_head *bh;
	bool is_new;
	u32 block;
	int err;

	down_read(&vi->map_sem);
	err = vexfs_map(dir, index, &block, false, &is_new);
	up_read(&vi->map_sem);
	if (err)
		return ERR_PTR(err);
	if (!block) {
		vexfs_error(dir->i_sb, "directory %llu: block %u is missing",
			    (u64)dir->i_ino, index);
		return ERR_PTR(-EUCLEAN);
	}
	bh = sb_bread(dir->i_sb, block);
	return bh ? bh : ERR_PTR(-EIO);
}

static struct vexfs_dirent *vexfs_dirent(struct buffer_head *bh, u32 offset)
{
	return (struct vexfs_dirent *)(bh->b_data + offset);
}

/* Length of the record at @offset, or 0 with a line in the log. */
static u32 vexfs_check_dirent(struct inode *dir, struct buffer_head *bh,
			      u32 offset)
{
	struct vexfs_dirent *de = vexfs_dirent(bh, offset);
	u32 room = VEXFS_BLOCK_SIZE - offset;
	u32 len = le16_to_cpu(READ_ONCE(de->rec_len));
	u32 ino = le32_to_cpu(READ_ONCE(de->ino));
	const char *field;

	if (len < VEXFS_DIRENT_MIN || len % 4 || len > room)
		field = "rec_len";
	else if (!ino)
		return len;
	else if (ino >= VEXFS_SB(dir->i_sb)->inode_count)
		field = "ino";
	else if (!de->name_len || VEXFS_DIRENT_LEN(de->name_len) > len)
		field = "name_len";
	else if (de->file_type == FT_UNKNOWN || de->file_type >= FT_MAX)
		field = "file_type";
	else
		return len;
	vexfs_error(dir->i_sb, "directory %llu, block %llu, offset %u: field '%s' is wrong",
		    (u64)dir->i_ino, (u64)bh->b_blocknr, offset, field);
	return 0;
}

/* 0 and a held buffer, -ENOENT, or another error. */
static int vexfs_search(struct inode *dir, const struct qstr *name,
			struct vexfs_spot *spot)
{
	u32 blocks = vexfs_dir_blocks(dir);
	struct vexfs_dirent *de;
	struct buffer_head *bh;
	u32 n, i, offset, len;

	/* Names are mostly looked up in the order that readdir gave them. */
	i = READ_ONCE(VEXFS_I(dir)->search_hint);
	for (n = 0; n < blocks; n++, i++) {
		if (i >= blocks)
			i = 0;
		bh = vexfs_dir_block(dir, i);
		if (IS_ERR(bh))
			return PTR_ERR(bh);
		for (offset = 0; offset < VEXFS_BLOCK_SIZE; offset += len) {
			de = vexfs_dirent(bh, offset);
			len = vexfs_check_dirent(dir, bh, offset);
			if (!len) {
				brelse(bh);
				return -EUCLEAN;
			}
			if (de->ino && de->name_len == name->len &&
			    !memcmp(de->name, name->name, name->len)) {
				spot->bh = bh;
				spot->de = de;
				spot->index = i;
				WRITE_ONCE(VEXFS_I(dir)->search_hint, i);
				return 0;
			}
		}
		brelse(bh);
		cond_resched();
	}
	return -ENOENT;
}

int vexfs_find_name(struct inode *dir, const struct qstr *name, u32 *ino,
		    u8 *type)
{
	struct vexfs_spot spot;
	int err = vexfs_search(dir, name, &spot);

	if (err)
		return err;
	*ino = le32_to_cpu(spot.de->ino);
	*type = spot.de->file_type;
	brelse(spot.bh);
	return 0;
}

static void vexfs_set_dirent(struct vexfs_dirent *de, struct inode *inode)
{
	de->ino = cpu_to_le32(inode->i_ino);
	de->file_type = fs_umode_to_ftype(inode->i_mode);
}

/* One more block, all of it one free record. */
static struct buffer_head *vexfs_grow_dir(struct inode *dir)
{
	struct vexfs_inode_info *vi = VEXFS_I(dir);
	struct buffer_head *bh;
	bool is_new;
	u32 block;
	int err;

	down_write(&vi->map_sem);
	err = vexfs_map(dir, vexfs_dir_blocks(dir), &block, true, &is_new);
	up_write(&vi->map_sem);
	if (err)
		return ERR_PTR(err);
	bh = vexfs_new_buffer(dir->i_sb, block);
	if (!bh)
		return ERR_PTR(-EIO);
	vexfs_dirent(bh, 0)->rec_len = cpu_to_le16(VEXFS_BLOCK_SIZE);
	i_size_write(dir, i_size_read(dir) + VEXFS_BLOCK_SIZE);
	return bh;
}

/* The free end of a record becomes one of its own, or a free one is used. */
static bool vexfs_fit(struct vexfs_dirent *de, u32 len, const struct qstr *name,
		      struct inode *inode)
{
	u32 used = de->ino ? VEXFS_DIRENT_LEN(de->name_len) : 0;

	if (len < used + VEXFS_DIRENT_LEN(name->len))
		return false;
	if (used) {
		de->rec_len = cpu_to_le16(used);
		de = (struct vexfs_dirent *)((char *)de + used);
		de->rec_len = cpu_to_le16(len - used);
	}
	de->name_len = name->len;
	memcpy(de->name, name->name, name->len);
	vexfs_set_dirent(de, inode);
	return true;
}

/* The caller has seen that the name isn't there, and logs the directory. */
int vexfs_add_name(struct inode *dir, const struct qstr *name,
		   struct inode *inode)
{
	struct vexfs_inode_info *vi = VEXFS_I(dir);
	u32 blocks = vexfs_dir_blocks(dir);
	struct buffer_head *bh;
	u32 i, offset, len;

	for (i = vi->dir_hint; i <= blocks; i++) {
		bh = i < blocks ? vexfs_dir_block(dir, i) : vexfs_grow_dir(dir);
		if (IS_ERR(bh))
			return PTR_ERR(bh);
		for (offset = 0; offset < VEXFS_BLOCK_SIZE; offset += len) {
			len = vexfs_check_dirent(dir, bh, offset);
			if (!len) {
				brelse(bh);
				return -EUCLEAN;
			}
			if (vexfs_fit(vexfs_dirent(bh, offset), len, name,
				      inode)) {
				vexfs_log(dir->i_sb, bh);
				brelse(bh);
				vi->dir_hint = i;
				return 0;
			}
		}
		brelse(bh);
	}
	return -ENOSPC;		/* not reached: a new block has room */
}

/* Neighbouring free records of a block become one. */
static void vexfs_merge_free(struct inode *dir, struct buffer_head *bh)
{
	struct vexfs_dirent *de, *free = NULL;
	u32 offset, len, total = 0;

	for (offset = 0; offset < VEXFS_BLOCK_SIZE; offset += len) {
		de = vexfs_dirent(bh, offset);
		len = vexfs_check_dirent(dir, bh, offset);
		if (!len)
			return;
		if (de->ino) {
			free = NULL;
		} else if (free) {
			total += len;
			free->rec_len = cpu_to_le16(total);
		} else {
			free = de;
			total = len;
		}
	}
}

static bool vexfs_block_unused(struct buffer_head *bh)
{
	struct vexfs_dirent *de = vexfs_dirent(bh, 0);

	return !de->ino && le16_to_cpu(de->rec_len) == VEXFS_BLOCK_SIZE;
}

/*
 * The last block is unused now: end the directory before it and before those
 * in front of it that are unused too. vexfs_trim_dir() frees them.
 */
static void vexfs_shrink_dir(struct inode *dir)
{
	u32 blocks = vexfs_dir_blocks(dir) - 1;
	struct buffer_head *bh;
	bool unused = true;

	while (blocks && unused) {
		bh = vexfs_dir_block(dir, blocks - 1);
		if (IS_ERR(bh))
			break;
		unused = vexfs_block_unused(bh);
		brelse(bh);
		if (unused)
			blocks--;
	}
	i_size_write(dir, (loff_t)blocks << VEXFS_BLOCK_BITS);
	down_write(&VEXFS_I(dir)->map_sem);
	VEXFS_I(dir)->flags |= VEXFS_INODE_TRUNCATING;
	up_write(&VEXFS_I(dir)->map_sem);
}

/* After the transaction that removed a name. */
int vexfs_trim_dir(struct inode *dir)
{
	if (!(VEXFS_I(dir)->flags & VEXFS_INODE_TRUNCATING))
		return 0;
	return vexfs_free_tail(dir, vexfs_dir_blocks(dir));
}

/* The caller logs the directory. */
int vexfs_remove_name(struct inode *dir, const struct qstr *name)
{
	struct vexfs_spot spot;
	int err;

	err = vexfs_search(dir, name, &spot);
	if (err)
		return err;
	spot.de->ino = 0;
	vexfs_merge_free(dir, spot.bh);
	vexfs_log(dir->i_sb, spot.bh);
	if (spot.index == vexfs_dir_blocks(dir) - 1 &&
	    vexfs_block_unused(spot.bh))
		vexfs_shrink_dir(dir);
	brelse(spot.bh);
	VEXFS_I(dir)->dir_hint = 0;
	return 0;
}

/* Point an existing name to another inode: one change, so never no name. */
int vexfs_replace_name(struct inode *dir, const struct qstr *name,
		       struct inode *inode)
{
	struct vexfs_spot spot;
	int err = vexfs_search(dir, name, &spot);

	if (err)
		return err;
	vexfs_set_dirent(spot.de, inode);
	vexfs_log(dir->i_sb, spot.bh);
	brelse(spot.bh);
	return 0;
}

/* 1, 0, or an error. */
int vexfs_dir_empty(struct inode *dir)
{
	u32 blocks = vexfs_dir_blocks(dir);
	struct buffer_head *bh;
	u32 i, offset, len;
	int empty = 1;

	for (i = 0; i < blocks && empty == 1; i++) {
		bh = vexfs_dir_block(dir, i);
		if (IS_ERR(bh))
			return PTR_ERR(bh);
		for (offset = 0; offset < VEXFS_BLOCK_SIZE; offset += len) {
			len = vexfs_check_dirent(dir, bh, offset);
			if (!len) {
				empty = -EUCLEAN;
				break;
			}
			if (vexfs_dirent(bh, offset)->ino) {
				empty = 0;
				break;
			}
		}
		brelse(bh);
	}
	return empty;
}

/* false: the program's buffer is full. */
static bool vexfs_emit(struct dir_context *ctx, struct vexfs_dirent *de)
{
	return dir_emit(ctx, de->name, de->name_len, le32_to_cpu(de->ino),
			fs_ftype_to_dtype(de->file_type));
}

/*
 * Positions 0 and 1 are "." and "..", which are not on disk; then byte offset
 * plus 2. A record may have been merged away since the last call, so each block
 * is walked from its start.
 */
int vexfs_iterate(struct file *file, struct dir_context *ctx)
{
	struct inode *dir = file_inode(file);
	u32 blocks = vexfs_dir_blocks(dir);
	struct vexfs_dirent *de;
	struct buffer_head *bh;
	u32 i, offset, len;
	loff_t pos;

	if (ctx->pos < 0)
		return -EINVAL;
	if (!dir_emit_dots(file, ctx))
		return 0;
	if (ctx->pos - 2 >= i_size_read(dir))
		return 0;
	for (i = (ctx->pos - 2) >> VEXFS_BLOCK_BITS; i < blocks; i++) {
		bh = vexfs_dir_block(dir, i);
		if (IS_ERR(bh))
			return PTR_ERR(bh);
		for (offset = 0; offset < VEXFS_BLOCK_SIZE; offset += len) {
			de = vexfs_dirent(bh, offset);
			len = vexfs_check_dirent(dir, bh, offset);
			if (!len) {
				brelse(bh);
				return -EUCLEAN;
			}
			pos = ((loff_t)i << VEXFS_BLOCK_BITS) + offset + 2;
			if (!de->ino || pos < ctx->pos)
				continue;
			ctx->pos = pos;
			if (!vexfs_emit(ctx, de)) {
				brelse(bh);
				return 0;
			}
			/* Past it, should the next one be damaged. */
			ctx->pos = pos + len;
		}
		brelse(bh);
		ctx->pos = ((loff_t)(i + 1) << VEXFS_BLOCK_BITS) + 2;
		cond_resched();
	}
	return 0;
}

const struct file_operations vexfs_dir_operations = {
	.llseek		= generic_file_llseek,
	.read		= generic_read_dir,
	.iterate_shared	= vexfs_iterate,
	.fsync		= vexfs_fsync,
	.unlocked_ioctl	= vexfs_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};
