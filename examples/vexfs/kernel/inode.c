// SPDX-License-Identifier: GPL-2.0-only
/* Inodes: from and to the table, made and taken away. */
#include <linux/pagemap.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "vexfs.h"
#include "vexfs_ioctl.h"

struct kmem_cache *vexfs_inode_cache;

static void vexfs_inode_once(void *object)
{
	struct vexfs_inode_info *vi = object;

	init_rwsem(&vi->map_sem);
	init_rwsem(&vi->mmap_sem);
	INIT_LIST_HEAD(&vi->ordered);
	inode_init_once(&vi->vfs_inode);
}

int vexfs_init_inode_cache(void)
{
	vexfs_inode_cache = kmem_cache_create("vexfs_inode",
					      sizeof(struct vexfs_inode_info),
					      0, SLAB_RECLAIM_ACCOUNT |
					      SLAB_ACCOUNT, vexfs_inode_once);
	return vexfs_inode_cache ? 0 : -ENOMEM;
}

void vexfs_destroy_inode_cache(void)
{
	/* The last inodes may still wait for their grace period. */
	rcu_barrier();
	kmem_cache_destroy(vexfs_inode_cache);
}

struct inode *vexfs_alloc_inode(struct super_block *sb)
{
	struct vexfs_inode_info *vi;

	vi = alloc_inode_sb(sb, vexfs_inode_cache, GFP_KERNEL);
	if (!vi)
		return NULL;
	memset(vi->block, 0, sizeof(vi->block));
	vi->flags = 0;
	vi->goal = 0;
	vi->dir_hint = 0;
	vi->search_hint = 0;
	vi->vector_dim = 0;
	vi->vector_block = 0;
	vi->parent = 0;
	return &vi->vfs_inode;
}

void vexfs_free_inode(struct inode *inode)
{
	kmem_cache_free(vexfs_inode_cache, VEXFS_I(inode));
}

static struct buffer_head *vexfs_read_slot(struct super_block *sb, u32 ino,
					   struct vexfs_disk_inode **raw)
{
	u32 block = VEXFS_SB(sb)->itable_start + ino / VEXFS_INODES_PER_BLOCK;
	struct buffer_head *bh = sb_bread(sb, block);

	if (!bh) {
		vexfs_error(sb, "inode table block %u is unreadable", block);
		return NULL;
	}
	*raw = (struct vexfs_disk_inode *)bh->b_data +
	       ino % VEXFS_INODES_PER_BLOCK;
	return bh;
}

static u32 vexfs_inode_checksum(const struct vexfs_disk_inode *raw)
{
	static const __le32 zero;
	size_t field = offsetof(struct vexfs_disk_inode, checksum);
	size_t rest = field + sizeof(raw->checksum);
	u32 crc = vexfs_crc32c(0, raw, field);

	crc = vexfs_crc32c(crc, &zero, sizeof(zero));
	return vexfs_crc32c(crc, (const u8 *)raw + rest, sizeof(*raw) - rest);
}

static bool vexfs_size_ok(struct super_block *sb, umode_t mode, u64 size)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return size <= sb->s_maxbytes;
	case S_IFDIR:
		return size <= sb->s_maxbytes && !(size % VEXFS_BLOCK_SIZE);
	case S_IFLNK:
		return size > 0 && size < VEXFS_BLOCK_SIZE;
	default:
		return !size;
	}
}

/* The name of the first field that can't be true, or NULL. */
static const char *vexfs_bad_inode_field(struct super_block *sb, u32 ino,
					 const struct vexfs_disk_inode *raw,
					 bool orphan)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	u32 nlink = le32_to_cpu(raw->nlink);
	u16 mode = le16_to_cpu(raw->mode);
	u32 dim = le32_to_cpu(raw->vector_dim);
	u32 i, block;

	if (le32_to_cpu(raw->ino) != ino)
		return "ino";
	if (le32_to_cpu(raw->checksum) != vexfs_inode_checksum(raw))
		return "checksum";
	if (fs_umode_to_ftype(mode) == FT_UNKNOWN)
		return "mode";
	if (le16_to_cpu(raw->flags) & ~VEXFS_INODE_TRUNCATING)
		return "flags";
	if (nlink > VEXFS_LINK_MAX ||
	    (!(orphan && !nlink) && nlink < (S_ISDIR(mode) ? 2 : 1)))
		return "nlink";
	if (!vexfs_size_ok(sb, mode, le64_to_cpu(raw->size)))
		return "size";
	if (le64_to_cpu(raw->blocks) > sbi->total_blocks)
		return "blocks";
	if (le32_to_cpu(raw->atime_nsec) >= NSEC_PER_SEC)
		return "atime_nsec";
	if (le32_to_cpu(raw->mtime_nsec) >= NSEC_PER_SEC)
		return "mtime_nsec";
	if (le32_to_cpu(raw->ctime_nsec) >= NSEC_PER_SEC)
		return "ctime_nsec";
	for (i = 0; i < VEXFS_POINTERS; i++) {
		block = le32_to_cpu(raw->block[i]);
		if (block && !vexfs_data_block(sbi, block))
			return "block";
	}
	block = le32_to_cpu(raw->vector_block);
	if (dim > VEXFS_VECTOR_MAX_DIM || (dim && !S_ISREG(mode)))
		return "vector_dim";
	if (dim ? !vexfs_data_block(sbi, block) : block)
		return "vector_block";
	if (le32_to_cpu(raw->parent) >= (S_ISDIR(mode) ? sbi->inode_count : 1))
		return "parent";
	return NULL;
}

static void vexfs_set_ops(struct inode *inode)
{
	switch (inode->i_mode & S_IFMT) {
	case S_IFREG:
		inode->i_op = &vexfs_file_inode_operations;
		inode->i_fop = &vexfs_file_operations;
		inode->i_mapping->a_ops = &vexfs_aops;
		break;
	case S_IFDIR:
		inode->i_op = &vexfs_dir_inode_operations;
		inode->i_fop = &vexfs_dir_operations;
		break;
	case S_IFLNK:
		inode->i_op = &vexfs_symlink_inode_operations;
		break;
	default:
		inode->i_op = &vexfs_special_inode_operations;
		init_special_inode(inode, inode->i_mode, inode->i_rdev);
	}
}

static void vexfs_inode_from_disk(struct inode *inode,
				  const struct vexfs_disk_inode *raw)
{
	struct vexfs_inode_info *vi = VEXFS_I(inode);
	u32 i;

	inode->i_mode = le16_to_cpu(raw->mode);
	i_uid_write(inode, le32_to_cpu(raw->uid));
	i_gid_write(inode, le32_to_cpu(raw->gid));
	set_nlink(inode, le32_to_cpu(raw->nlink));
	inode->i_size = le64_to_cpu(raw->size);
	inode->i_blocks = le64_to_cpu(raw->blocks) << (VEXFS_BLOCK_BITS - 9);
	inode->i_generation = le32_to_cpu(raw->generation);
	inode->i_rdev = new_decode_dev(le32_to_cpu(raw->rdev));
	inode_set_atime(inode, (s64)le64_to_cpu(raw->atime),
			le32_to_cpu(raw->atime_nsec));
	inode_set_mtime(inode, (s64)le64_to_cpu(raw->mtime),
			le32_to_cpu(raw->mtime_nsec));
	inode_set_ctime(inode, (s64)le64_to_cpu(raw->ctime),
			le32_to_cpu(raw->ctime_nsec));
	vi->flags = le16_to_cpu(raw->flags);
	vi->vector_dim = le32_to_cpu(raw->vector_dim);
	vi->vector_block = le32_to_cpu(raw->vector_block);
	vi->parent = le32_to_cpu(raw->parent);
	for (i = 0; i < VEXFS_POINTERS; i++)
		vi->block[i] = le32_to_cpu(raw->block[i]);
}

/* @orphan: an inode without a name is fine, it is here to be taken away. */
struct inode *vexfs_iget(struct super_block *sb, u32 ino, bool orphan)
{
	struct vexfs_disk_inode *raw;
	struct buffer_head *bh;
	struct inode *inode;
	const char *field;
	int err;

	if (!ino || ino >= VEXFS_SB(sb)->inode_count) {
		vexfs_error(sb, "inode number %u is out of range", ino);
		return ERR_PTR(-EUCLEAN);
	}
	inode = iget_locked(sb, ino);
	if (!inode)
		return ERR_PTR(-ENOMEM);
	if (!vexfs_is_new(inode))
		return inode;

	err = vexfs_ino_in_use(sb, ino);
	if (!err) {
		vexfs_error(sb, "inode bitmap: inode %u is free, but has a name",
			    ino);
		err = -EUCLEAN;
	}
	if (err < 0)
		goto fail;

	err = -EIO;
	bh = vexfs_read_slot(sb, ino, &raw);
	if (!bh)
		goto fail;
	field = vexfs_bad_inode_field(sb, ino, raw, orphan);
	if (field) {
		brelse(bh);
		vexfs_error(sb, "inode %u: field '%s' is wrong", ino, field);
		err = -EUCLEAN;
		goto fail;
	}
	vexfs_inode_from_disk(inode, raw);
	brelse(bh);
	vexfs_set_ops(inode);
	unlock_new_inode(inode);
	return inode;
fail:
	iget_failed(inode);
	return ERR_PTR(err);
}

static void vexfs_inode_to_disk(struct inode *inode,
				struct vexfs_disk_inode *raw)
{
	struct vexfs_inode_info *vi = VEXFS_I(inode);
	u32 i;

	memset(raw, 0, sizeof(*raw));
	raw->ino = cpu_to_le32(inode->i_ino);
	raw->mode = cpu_to_le16(inode->i_mode);
	raw->flags = cpu_to_le16(vi->flags);
	raw->nlink = cpu_to_le32(inode->i_nlink);
	raw->uid = cpu_to_le32(i_uid_read(inode));
	raw->gid = cpu_to_le32(i_gid_read(inode));
	raw->size = cpu_to_le64(i_size_read(inode));
	raw->blocks = cpu_to_le64(inode->i_blocks >> (VEXFS_BLOCK_BITS - 9));
	raw->atime = cpu_to_le64(inode_get_atime_sec(inode));
	raw->mtime = cpu_to_le64(inode_get_mtime_sec(inode));
	raw->ctime = cpu_to_le64(inode_get_ctime_sec(inode));
	raw->atime_nsec = cpu_to_le32(inode_get_atime_nsec(inode));
	raw->mtime_nsec = cpu_to_le32(inode_get_mtime_nsec(inode));
	raw->ctime_nsec = cpu_to_le32(inode_get_ctime_nsec(inode));
	raw->generation = cpu_to_le32(inode->i_generation);
	raw->rdev = cpu_to_le32(new_encode_dev(inode->i_rdev));
	raw->vector_dim = cpu_to_le32(vi->vector_dim);
	raw->vector_block = cpu_to_le32(vi->vector_block);
	raw->parent = cpu_to_le32(vi->parent);
	for (i = 0; i < VEXFS_POINTERS; i++)
		raw->block[i] = cpu_to_le32(vi->block[i]);
	raw->checksum = cpu_to_le32(vexfs_inode_checksum(raw));
}

/* Put the inode into the running transaction. */
int vexfs_log_inode(struct inode *inode)
{
	struct vexfs_disk_inode *raw;
	struct buffer_head *bh;

	bh = vexfs_read_slot(inode->i_sb, inode->i_ino, &raw);
	if (!bh)
		return -EIO;
	/* Writeback may be copying the same inode. The later one has it all. */
	lock_buffer(bh);
	vexfs_inode_to_disk(inode, raw);
	unlock_buffer(bh);
	vexfs_log(inode->i_sb, bh);
	brelse(bh);
	return 0;
}

/* For what only the VFS changed: times, and sizes within a block. */
int vexfs_write_inode(struct inode *inode, struct writeback_control *wbc)
{
	unsigned int nofs;
	int err;

	err = vexfs_begin(inode->i_sb, &nofs);
	if (err)
		return err;
	err = vexfs_log_inode(inode);
	vexfs_end(inode->i_sb, nofs);
	return err;
}

struct inode *vexfs_new_inode(struct mnt_idmap *idmap, struct inode *dir,
			      umode_t mode, dev_t rdev)
{
	struct super_block *sb = dir->i_sb;
	struct inode *inode;
	u32 ino;
	int err;

	inode = new_inode(sb);
	if (!inode)
		return ERR_PTR(-ENOMEM);
	err = vexfs_alloc_ino(sb, &ino);
	if (err) {
		make_bad_inode(inode);
		iput(inode);
		return ERR_PTR(err);
	}
	inode->i_ino = ino;
	inode_init_owner(idmap, inode, dir, mode);
	inode->i_rdev = rdev;
	inode->i_generation = get_random_u32();
	simple_inode_init_ts(inode);
	if (S_ISDIR(mode)) {
		set_nlink(inode, 2);
		VEXFS_I(inode)->parent = dir->i_ino;
	}
	vexfs_set_ops(inode);
	if (insert_inode_locked(inode)) {
		/* Free in the bitmap, but somebody has it open: a lie. */
		vexfs_error(sb, "inode bitmap: inode %u is in use, but free",
			    ino);
		make_bad_inode(inode);
		iput(inode);
		return ERR_PTR(-EUCLEAN);
	}
	return inode;
}

static int vexfs_release_inode(struct inode *inode)
{
	struct vexfs_inode_info *vi = VEXFS_I(inode);
	struct super_block *sb = inode->i_sb;
	struct vexfs_disk_inode *raw;
	struct buffer_head *bh;
	unsigned int nofs;
	int err;

	err = vexfs_free_tail(inode, 0);
	if (err)
		return err;
	err = vexfs_begin(sb, &nofs);
	if (err)
		return err;
	bh = vexfs_read_slot(sb, inode->i_ino, &raw);
	err = bh ? vexfs_free_ino(sb, inode->i_ino) : -EIO;
	if (!err) {
		if (vi->vector_block)
			vexfs_free_block(sb, vi->vector_block);
		lock_buffer(bh);
		memset(raw, 0, sizeof(*raw));
		unlock_buffer(bh);
		vexfs_log(sb, bh);
	}
	brelse(bh);
	vexfs_end(sb, nofs);
	return err;
}

void vexfs_evict_inode(struct inode *inode)
{
	struct super_block *sb = inode->i_sb;

	vexfs_forget_order(inode);
	truncate_inode_pages_final(&inode->i_data);
	if (!inode->i_nlink && !is_bad_inode(inode) &&
	    VEXFS_SB(sb)->writable && !READ_ONCE(VEXFS_SB(sb)->aborted)) {
		sb_start_intwrite(sb);
		/* What can't be freed now is found by the next recovery. */
		if (vexfs_release_inode(inode)) {
			VEXFS_SB(sb)->leaked = true;
			vexfs_error(sb, "inode %llu could not be freed",
				    (u64)inode->i_ino);
		}
		sb_end_intwrite(sb);
	}
	clear_inode(inode);
}

static int vexfs_set_size(struct inode *inode, loff_t size)
{
	loff_t old = i_size_read(inode);
	unsigned int nofs;
	int err;

	/* The rest of the last block reads as zeros, whenever the file grows. */
	err = vexfs_zero_tail(inode, min(old, size));
	if (err)
		return err;

	filemap_invalidate_lock(inode->i_mapping);
	err = vexfs_begin(inode->i_sb, &nofs);
	if (err)
		goto out;
	truncate_setsize(inode, size);
	inode_set_mtime_to_ts(inode, inode_set_ctime_current(inode));
	if (size < old) {
		down_write(&VEXFS_I(inode)->map_sem);
		VEXFS_I(inode)->flags |= VEXFS_INODE_TRUNCATING;
		up_write(&VEXFS_I(inode)->map_sem);
	}
	/* A power cut from here on finds the flag and frees the rest. */
	err = vexfs_log_inode(inode);
	vexfs_end(inode->i_sb, nofs);
	if (!err && size < old)
		err = vexfs_free_tail(inode, (size + VEXFS_BLOCK_SIZE - 1) >>
				      VEXFS_BLOCK_BITS);
out:
	filemap_invalidate_unlock(inode->i_mapping);
	return err;
}

int vexfs_setattr(VEXFS_IDMAP_ARG struct dentry *dentry, struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	unsigned int nofs;
	int err;

	err = setattr_prepare(idmap, dentry, attr);
	if (err)
		return err;
	if ((attr->ia_valid & ATTR_SIZE) && attr->ia_size != i_size_read(inode)) {
		err = vexfs_set_size(inode, attr->ia_size);
		if (err)
			return err;
	}
	err = vexfs_begin(inode->i_sb, &nofs);
	if (err)
		return err;
	setattr_copy(idmap, inode, attr);
	err = vexfs_log_inode(inode);
	vexfs_end(inode->i_sb, nofs);
	return err;
}

/*
 * After a power cut: inodes that were open without a name, and files in the
 * middle of a truncate.
 */
int vexfs_recover_inodes(struct super_block *sb)
{
	struct vexfs_sb_info *sbi = VEXFS_SB(sb);
	struct vexfs_disk_inode *raw;
	struct buffer_head *bh;
	struct inode *inode;
	bool orphan, cut;
	u32 ino, n = 0;

	for (ino = VEXFS_ROOT_INO; ino < sbi->inode_count; ino++) {
		if (!(ino % VEXFS_INODES_PER_BLOCK))
			cond_resched();
		bh = vexfs_read_slot(sb, ino, &raw);
		if (!bh)
			return -EIO;
		orphan = raw->ino && !raw->nlink;
		cut = raw->ino && (le16_to_cpu(raw->flags) &
				   VEXFS_INODE_TRUNCATING);
		brelse(bh);
		if ((!orphan && !cut) || vexfs_ino_in_use(sb, ino) <= 0)
			continue;
		inode = vexfs_iget(sb, ino, true);
		if (IS_ERR(inode))
			continue;	/* said why; using it will fail again */
		if (inode->i_nlink)
			vexfs_free_tail(inode, (i_size_read(inode) +
						VEXFS_BLOCK_SIZE - 1) >>
					VEXFS_BLOCK_BITS);
		iput(inode);
		n++;
	}
	pr_info("VexFS (%s): was not unmounted, %u inodes tidied up\n",
		sb->s_id, n);
	return 0;
}
