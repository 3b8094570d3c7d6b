// SPDX-License-Identifier: GPL-2.0-only
/* Names: create, link, unlink, rename and what symbolic links hold. */
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "vexfs.h"

static struct dentry *vexfs_lookup(struct inode *dir, struct dentry *dentry,
				   unsigned int flags)
{
	struct inode *inode = NULL;
	u32 ino;
	u8 type;
	int err;

	if (dentry->d_name.len > VEXFS_NAME_LEN)
		return ERR_PTR(-ENAMETOOLONG);
	err = vexfs_find_name(dir, &dentry->d_name, &ino, &type);
	if (err && err != -ENOENT)
		return ERR_PTR(err);
	if (!err) {
		inode = vexfs_iget(dir->i_sb, ino, false);
		if (!IS_ERR(inode) && fs_umode_to_ftype(inode->i_mode) != type) {
			vexfs_error(dir->i_sb, "directory %llu: field 'file_type' of inode %u is wrong",
				    (u64)dir->i_ino, ino);
			iput(inode);
			inode = ERR_PTR(-EUCLEAN);
		}
	}
	return d_splice_alias(inode, dentry);
}

static void vexfs_touch(struct inode *dir)
{
	inode_set_mtime_to_ts(dir, inode_set_ctime_current(dir));
}

/* End a transaction that changed names in @dir. */
static int vexfs_end_names(struct inode *dir, unsigned int nofs, int err)
{
	vexfs_end(dir->i_sb, nofs);
	/* The change is made, whether or not this works. */
	vexfs_trim_dir(dir);
	if (!err && IS_DIRSYNC(dir))
		err = vexfs_commit(dir->i_sb);
	return err;
}

/* Contents of a symbolic link: one block, so it is metadata like the rest. */
static int vexfs_fill_symlink(struct inode *inode, const char *target)
{
	struct vexfs_inode_info *vi = VEXFS_I(inode);
	size_t len = strlen(target);
	struct buffer_head *bh;
	bool is_new;
	u32 block;
	int err;

	if (len >= VEXFS_BLOCK_SIZE)
		return -ENAMETOOLONG;
	down_write(&vi->map_sem);
	err = vexfs_map(inode, 0, &block, true, &is_new);
	up_write(&vi->map_sem);
	if (err)
		return err;
	bh = vexfs_new_buffer(inode->i_sb, block);
	if (!bh)
		return -EIO;
	memcpy(bh->b_data, target, len);
	brelse(bh);
	i_size_write(inode, len);
	return 0;
}

static int vexfs_try_make(struct mnt_idmap *idmap, struct inode *dir,
			  struct dentry *dentry, umode_t mode, dev_t rdev,
			  const char *target)
{
	struct inode *inode;
	unsigned int nofs;
	int err, err2;

	err = vexfs_begin(dir->i_sb, &nofs);
	if (err)
		return err;
	inode = vexfs_new_inode(idmap, dir, mode, rdev);
	if (IS_ERR(inode)) {
		vexfs_end(dir->i_sb, nofs);
		return PTR_ERR(inode);
	}
	if (target)
		err = vexfs_fill_symlink(inode, target);
	if (!err)
		err = vexfs_add_name(dir, &dentry->d_name, inode);
	if (err) {
		/* Without a name it is taken away by the last iput. */
		clear_nlink(inode);
		vexfs_log_inode(inode);
		vexfs_log_inode(dir);
		vexfs_end(dir->i_sb, nofs);
		discard_new_inode(inode);
		return err;
	}
	if (S_ISDIR(mode))
		inc_nlink(dir);
	vexfs_touch(dir);
	err = vexfs_log_inode(inode);
	err2 = vexfs_log_inode(dir);
	d_instantiate_new(dentry, inode);
	return vexfs_end_names(dir, nofs, err ? err : err2);
}

static int vexfs_make(struct mnt_idmap *idmap, struct inode *dir,
		      struct dentry *dentry, umode_t mode, dev_t rdev,
		      const char *target)
{
	int err, tries = 0;

	do {
		err = vexfs_try_make(idmap, dir, dentry, mode, rdev, target);
	} while (vexfs_retry_alloc(dir->i_sb, err, &tries));
	return err;
}

static int vexfs_create(VEXFS_IDMAP_ARG struct inode *dir,
			struct dentry *dentry, umode_t mode VEXFS_EXCL_ARG)
{
	return vexfs_make(VEXFS_IDMAP, dir, dentry, mode, 0, NULL);
}

static VEXFS_MKDIR vexfs_mkdir(VEXFS_IDMAP_ARG struct inode *dir,
			       struct dentry *dentry, umode_t mode)
{
	return VEXFS_MKDIR_RESULT(vexfs_make(VEXFS_IDMAP, dir, dentry,
					     mode | S_IFDIR, 0, NULL));
}

static int vexfs_mknod(VEXFS_IDMAP_ARG struct inode *dir,
		       struct dentry *dentry, umode_t mode, dev_t rdev)
{
	return vexfs_make(VEXFS_IDMAP, dir, dentry, mode, rdev, NULL);
}

static int vexfs_symlink(VEXFS_IDMAP_ARG struct inode *dir,
			 struct dentry *dentry, const char *target)
{
	return vexfs_make(VEXFS_IDMAP, dir, dentry, S_IFLNK | 0777, 0, target);
}

static int vexfs_link_once(struct inode *inode, struct inode *dir,
			   struct dentry *dentry)
{
	unsigned int nofs;
	int err, err2;

	err = vexfs_begin(dir->i_sb, &nofs);
	if (err)
		return err;
	err = vexfs_add_name(dir, &dentry->d_name, inode);
	if (err) {
		vexfs_log_inode(dir);
		vexfs_end(dir->i_sb, nofs);
		return err;
	}
	inc_nlink(inode);
	inode_set_ctime_current(inode);
	vexfs_touch(dir);
	err = vexfs_log_inode(inode);
	err2 = vexfs_log_inode(dir);
	ihold(inode);
	d_instantiate(dentry, inode);
	return vexfs_end_names(dir, nofs, err ? err : err2);
}

static int vexfs_link(struct dentry *old, struct inode *dir,
		      struct dentry *dentry)
{
	int err, tries = 0;

	do {
		err = vexfs_link_once(d_inode(old), dir, dentry);
	} while (vexfs_retry_alloc(dir->i_sb, err, &tries));
	return err;
}

/* One name less. Counts from the disk may be wrong; they never go below. */
static void vexfs_drop_name(struct inode *dir, struct inode *inode)
{
	if (S_ISDIR(inode->i_mode)) {
		clear_nlink(inode);
		if (dir->i_nlink > 2)
			drop_nlink(dir);
		else
			vexfs_error(dir->i_sb, "inode %llu: field 'nlink' is too small",
				    (u64)dir->i_ino);
	} else if (inode->i_nlink) {
		drop_nlink(inode);
	} else {
		vexfs_error(dir->i_sb, "inode %llu: field 'nlink' is too small",
			    (u64)inode->i_ino);
	}
	inode_set_ctime_current(inode);
}

static int vexfs_unlink(struct inode *dir, struct dentry *dentry)
{
	struct inode *inode = d_inode(dentry);
	unsigned int nofs;
	int err, err2;

	err = vexfs_begin(dir->i_sb, &nofs);
	if (err)
		return err;
	err = vexfs_remove_name(dir, &dentry->d_name);
	if (!err) {
		vexfs_drop_name(dir, inode);
		vexfs_touch(dir);
		err = vexfs_log_inode(inode);
		err2 = vexfs_log_inode(dir);
		err = err ? err : err2;
	}
	return vexfs_end_names(dir, nofs, err);
}

static int vexfs_rmdir(struct inode *dir, struct dentry *dentry)
{
	int empty = vexfs_dir_empty(d_inode(dentry));

	if (empty <= 0)
		return empty ? empty : -ENOTEMPTY;
	return vexfs_unlink(dir, dentry);
}

struct vexfs_rename {
	struct inode *old_dir;
	struct inode *new_dir;
	struct dentry *old;
	struct dentry *new;
};

/* All of it within one transaction: a power cut finds the old or the new. */
static int vexfs_move_name(const struct vexfs_rename *r)
{
	struct inode *inode = d_inode(r->old), *victim = d_inode(r->new);
	bool is_dir = S_ISDIR(inode->i_mode);
	u32 ino;
	u8 type;
	int err;

	/* The old name first: if it isn't readable nothing has changed yet. */
	err = vexfs_find_name(r->old_dir, &r->old->d_name, &ino, &type);
	if (!err && ino != inode->i_ino)
		err = -ENOENT;
	if (err)
		return err;
	if (victim)
		err = vexfs_replace_name(r->new_dir, &r->new->d_name, inode);
	else
		err = vexfs_add_name(r->new_dir, &r->new->d_name, inode);
	if (err)
		return err;
	err = vexfs_remove_name(r->old_dir, &r->old->d_name);
	if (err)
		return err;
	if (victim)
		vexfs_drop_name(r->new_dir, victim);
	if (is_dir && r->old_dir != r->new_dir) {
		inc_nlink(r->new_dir);
		if (r->old_dir->i_nlink > 2)
			drop_nlink(r->old_dir);
		WRITE_ONCE(VEXFS_I(inode)->parent, r->new_dir->i_ino);
	}
	simple_rename_timestamp(r->old_dir, r->old, r->new_dir, r->new);
	return 0;
}

static int vexfs_log_rename(const struct vexfs_rename *r)
{
	struct inode *inodes[] = {
		r->old_dir, r->new_dir, d_inode(r->old), d_inode(r->new),
	};
	int i, err, ret = 0;

	for (i = 0; i < ARRAY_SIZE(inodes); i++) {
		if (!inodes[i])
			continue;
		err = vexfs_log_inode(inodes[i]);
		if (err)
			ret = err;
	}
	return ret;
}

static int vexfs_rename(VEXFS_IDMAP_ARG struct inode *old_dir,
			struct dentry *old, struct inode *new_dir,
			struct dentry *new, unsigned int flags)
{
	struct vexfs_rename r = { old_dir, new_dir, old, new };
	int err, err2, tries = 0;
	unsigned int nofs;

	/* The VFS has seen to RENAME_NOREPLACE. */
	if (flags & ~RENAME_NOREPLACE)
		return -EINVAL;
	if (d_is_dir(old) && d_really_is_positive(new)) {
		err = vexfs_dir_empty(d_inode(new));
		if (err <= 0)
			return err ? err : -ENOTEMPTY;
	}
	do {
		err = vexfs_begin(old_dir->i_sb, &nofs);
		if (err)
			return err;
		err = vexfs_move_name(&r);
		err2 = vexfs_log_rename(&r);
		err = vexfs_end_names(old_dir, nofs, err ? err : err2);
	} while (vexfs_retry_alloc(old_dir->i_sb, err, &tries));
	return err;
}

static const char *vexfs_get_link(struct dentry *dentry, struct inode *inode,
				  struct delayed_call *done)
{
	struct super_block *sb = inode->i_sb;
	u32 size = i_size_read(inode);
	struct buffer_head *bh;
	bool is_new;
	char *target;
	u32 block;
	int err;

	if (!dentry)
		return ERR_PTR(-ECHILD);
	down_read(&VEXFS_I(inode)->map_sem);
	err = vexfs_map(inode, 0, &block, false, &is_new);
	up_read(&VEXFS_I(inode)->map_sem);
	if (err)
		return ERR_PTR(err);
	bh = block ? sb_bread(sb, block) : NULL;
	if (!bh) {
		vexfs_error(sb, "symbolic link %llu: block is missing or unreadable",
			    (u64)inode->i_ino);
		return ERR_PTR(block ? -EIO : -EUCLEAN);
	}
	target = kmemdup_nul(bh->b_data, size, GFP_KERNEL);
	brelse(bh);
	if (!target)
		return ERR_PTR(-ENOMEM);
	if (strlen(target) != size) {
		vexfs_error(sb, "symbolic link %llu: field 'size' is wrong",
			    (u64)inode->i_ino);
		kfree(target);
		return ERR_PTR(-EUCLEAN);
	}
	set_delayed_call(done, kfree_link, target);
	return target;
}

const struct inode_operations vexfs_dir_inode_operations = {
	.lookup		= vexfs_lookup,
	.create		= vexfs_create,
	.link		= vexfs_link,
	.unlink		= vexfs_unlink,
	.symlink	= vexfs_symlink,
	.mkdir		= vexfs_mkdir,
	.rmdir		= vexfs_rmdir,
	.mknod		= vexfs_mknod,
	.rename		= vexfs_rename,
	.setattr	= vexfs_setattr,
};

const struct inode_operations vexfs_symlink_inode_operations = {
	.get_link	= vexfs_get_link,
	.setattr	= vexfs_setattr,
};

const struct inode_operations vexfs_special_inode_operations = {
	.setattr	= vexfs_setattr,
};
