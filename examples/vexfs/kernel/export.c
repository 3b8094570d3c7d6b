// SPDX-License-Identifier: GPL-2.0-only
/*
 * Handles, by which a server of NFS finds a file again: number and generation
 * of its inode. ".." is not on disk, so a directory knows its parent.
 */
#include <linux/exportfs.h>

#include "vexfs.h"

/* What a handle means may be gone, or be another file: nothing is wrong then. */
static struct inode *vexfs_inode_of_handle(struct super_block *sb, u64 ino,
					   u32 generation)
{
	struct inode *inode;

	if (ino < VEXFS_ROOT_INO || ino >= VEXFS_SB(sb)->inode_count ||
	    vexfs_ino_in_use(sb, ino) <= 0)
		return ERR_PTR(-ESTALE);
	inode = vexfs_iget(sb, ino, true);
	if (IS_ERR(inode))
		return inode;
	if (inode->i_generation != generation || !inode->i_nlink) {
		iput(inode);
		return ERR_PTR(-ESTALE);
	}
	return inode;
}

static struct dentry *vexfs_fh_to_dentry(struct super_block *sb,
					 struct fid *fid, int len, int type)
{
	return generic_fh_to_dentry(sb, fid, len, type, vexfs_inode_of_handle);
}

static struct dentry *vexfs_fh_to_parent(struct super_block *sb,
					 struct fid *fid, int len, int type)
{
	return generic_fh_to_parent(sb, fid, len, type, vexfs_inode_of_handle);
}

/* 0: the device is of the time before directories knew it. */
static struct dentry *vexfs_get_parent(struct dentry *child)
{
	u32 ino = READ_ONCE(VEXFS_I(d_inode(child))->parent);

	if (!ino)
		return ERR_PTR(-ESTALE);
	return d_obtain_alias(vexfs_iget(child->d_sb, ino, false));
}

static int vexfs_commit_metadata(struct inode *inode)
{
	return vexfs_commit(inode->i_sb);
}

const struct export_operations vexfs_export_operations = {
	VEXFS_ENCODE_FH_OP
	.fh_to_dentry		= vexfs_fh_to_dentry,
	.fh_to_parent		= vexfs_fh_to_parent,
	.get_parent		= vexfs_get_parent,
	.commit_metadata	= vexfs_commit_metadata,
};
