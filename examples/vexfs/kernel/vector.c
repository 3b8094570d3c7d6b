// SPDX-License-Identifier: GPL-2.0-only
/* ioctls: the vector that a file carries, the label of the filesystem. */
#include <linux/mount.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vexfs.h"
#include "vexfs_ffi.h"
#include "vexfs_ioctl.h"

static_assert(VEXFS_VECTOR_MAX_DIM == VEXFS_FFI_MAX_DIM);
static_assert(VEXFS_VECTOR_MAX_DIM * sizeof(__le32) <= VEXFS_BLOCK_SIZE);

/* The dimension, or an error. @data has room for the longest vector. */
int vexfs_read_vector(struct inode *inode, s32 *data)
{
	struct vexfs_inode_info *vi = VEXFS_I(inode);
	struct buffer_head *bh;
	u32 dim, i;

	inode_lock_shared(inode);
	dim = vi->vector_dim;
	bh = dim ? sb_bread(inode->i_sb, vi->vector_block) : NULL;
	if (bh)
		for (i = 0; i < dim; i++)
			data[i] = le32_to_cpu(((__le32 *)bh->b_data)[i]);
	inode_unlock_shared(inode);
	brelse(bh);
	return !dim ? -ENODATA : !bh ? -EIO : dim;
}

static int vexfs_get_vector(struct file *file,
			    struct vexfs_vector __user *arg)
{
	struct vexfs_vector vector;
	int dim, err = 0;
	s32 *data;

	if (!(file->f_mode & FMODE_READ))
		return -EBADF;
	if (copy_from_user(&vector, arg, sizeof(vector)))
		return -EFAULT;
	if (vector.reserved)
		return -EINVAL;
	data = kmalloc_array(VEXFS_VECTOR_MAX_DIM, sizeof(*data), GFP_KERNEL);
	if (!data)
		return -ENOMEM;

	dim = vexfs_read_vector(file_inode(file), data);
	if (dim < 0)
		err = dim;
	else if (put_user(dim, &arg->dim))
		err = -EFAULT;
	else if (vector.dim < dim)
		err = -ERANGE;
	else if (copy_to_user(u64_to_user_ptr(vector.data), data,
			      dim * sizeof(*data)))
		err = -EFAULT;
	kfree(data);
	return err;
}

/*
 * A new vector gets a new block and the old one goes, so a power cut finds one
 * of the two.
 */
static int vexfs_store_vector(struct inode *inode, const s32 *data, u32 dim)
{
	struct vexfs_inode_info *vi = VEXFS_I(inode);
	struct super_block *sb = inode->i_sb;
	struct buffer_head *bh;
	unsigned int nofs;
	u32 block = 0, i;
	int err;

	err = vexfs_begin(sb, &nofs);
	if (err)
		return err;
	if (dim) {
		err = vexfs_alloc_block(sb, 0, &block);
		if (err)
			goto out;
		bh = vexfs_new_buffer(sb, block);
		if (!bh) {
			vexfs_free_block(sb, block);
			err = -EIO;
			goto out;
		}
		for (i = 0; i < dim; i++)
			((__le32 *)bh->b_data)[i] = cpu_to_le32(data[i]);
		brelse(bh);
		inode_add_bytes(inode, VEXFS_BLOCK_SIZE);
	}
	if (vi->vector_block) {
		vexfs_free_block(sb, vi->vector_block);
		inode_sub_bytes(inode, VEXFS_BLOCK_SIZE);
	}
	vi->vector_block = block;
	vi->vector_dim = dim;
	inode_set_ctime_current(inode);
	err = vexfs_log_inode(inode);
out:
	vexfs_end(sb, nofs);
	return err;
}

static int vexfs_set_vector(struct file *file,
			    struct vexfs_vector __user *arg)
{
	struct inode *inode = file_inode(file);
	struct vexfs_vector vector;
	int err, tries = 0;
	s32 *data = NULL;

	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	if (copy_from_user(&vector, arg, sizeof(vector)))
		return -EFAULT;
	if (vector.reserved || vector.dim > VEXFS_VECTOR_MAX_DIM)
		return -EINVAL;
	if (vector.dim) {
		data = vexfs_memdup_array(u64_to_user_ptr(vector.data),
					 vector.dim, sizeof(*data));
		if (IS_ERR(data))
			return PTR_ERR(data);
	}
	err = mnt_want_write_file(file);
	if (err)
		goto out;
	inode_lock(inode);
	do {
		err = vexfs_store_vector(inode, data, vector.dim);
	} while (vexfs_retry_alloc(inode->i_sb, err, &tries));
	inode_unlock(inode);
	mnt_drop_write_file(file);
out:
	kfree(data);
	return err;
}

long vexfs_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct inode *inode = file_inode(file);
	void __user *user = (void __user *)arg;
	struct vexfs_super_block *raw;

	switch (cmd) {
	case FS_IOC_GETFSLABEL:
		raw = (void *)VEXFS_SB(inode->i_sb)->sb_bh->b_data;
		return copy_to_user(user, raw->label, sizeof(raw->label)) ?
		       -EFAULT : 0;
	case VEXFS_IOC_GET_VECTOR:
		return S_ISREG(inode->i_mode) ? vexfs_get_vector(file, user) :
						-EISDIR;
	case VEXFS_IOC_SET_VECTOR:
		return S_ISREG(inode->i_mode) ? vexfs_set_vector(file, user) :
						-EISDIR;
	case VEXFS_IOC_NEAREST:
		return S_ISDIR(inode->i_mode) ? vexfs_nearest(file, user) :
						-ENOTDIR;
	default:
		return -ENOTTY;
	}
}
