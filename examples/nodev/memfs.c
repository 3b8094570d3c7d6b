// SPDX-License-Identifier: GPL-2.0-only
/*
 * A filesystem that is mounted without a device. What is in it is in the page
 * cache and the dentry cache, and nowhere else: a dirty page is never written,
 * and an unmount forgets everything.
 */
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/module.h>
#include <linux/pagemap.h>

#define MEMFS_MAGIC 0x6d656d66 /* "memf" */

static const struct inode_operations memfs_dir_inode_operations;

static const struct file_operations memfs_file_operations = {
	.llseek		= generic_file_llseek,
	.read_iter	= generic_file_read_iter,
	.write_iter	= generic_file_write_iter,
	.mmap		= generic_file_mmap,
	.fsync		= noop_fsync,
	.splice_read	= filemap_splice_read,
	.splice_write	= iter_file_splice_write,
};

static const struct inode_operations memfs_file_inode_operations = {
	.setattr	= simple_setattr,
	.getattr	= simple_getattr,
};

/*
 * A new inode with one link, of the type and mode that are given; NULL when
 * there is no memory for it. @dir is NULL for the root.
 */
static struct inode *memfs_new_inode(struct super_block *sb, struct inode *dir,
				     umode_t mode, dev_t rdev)
{
	struct inode *inode = new_inode(sb);

	if (!inode)
		return NULL;
	inode->i_ino = get_next_ino();
	inode_init_owner(&nop_mnt_idmap, inode, dir, mode);
	simple_inode_init_ts(inode);
	/* The page cache is the only copy of a file: reclaim must leave it. */
	inode->i_mapping->a_ops = &ram_aops;
	mapping_set_gfp_mask(inode->i_mapping, GFP_HIGHUSER);
	mapping_set_unevictable(inode->i_mapping);

	switch (mode & S_IFMT) {
	case S_IFREG:
		inode->i_op = &memfs_file_inode_operations;
		inode->i_fop = &memfs_file_operations;
		break;
	case S_IFDIR:
		inode->i_op = &memfs_dir_inode_operations;
		inode->i_fop = &simple_dir_operations;
		inc_nlink(inode); /* "." */
		break;
	case S_IFLNK:
		inode->i_op = &page_symlink_inode_operations;
		inode_nohighmem(inode);
		break;
	default:
		init_special_inode(inode, mode, rdev);
		break;
	}
	return inode;
}

/*
 * Give @inode the name of @dentry. The reference that d_lookup would find is
 * kept: there is no disk that the name could be read from again.
 */
static void memfs_add(struct inode *dir, struct dentry *dentry,
		      struct inode *inode)
{
	d_instantiate(dentry, inode);
	dget(dentry);
	inode_set_mtime_to_ts(dir, inode_set_ctime_current(dir));
}

static int memfs_mknod(struct mnt_idmap *idmap, struct inode *dir,
		       struct dentry *dentry, umode_t mode, dev_t rdev)
{
	struct inode *inode = memfs_new_inode(dir->i_sb, dir, mode, rdev);

	if (!inode)
		return -ENOSPC;
	memfs_add(dir, dentry, inode);
	return 0;
}

static int memfs_create(struct mnt_idmap *idmap, struct inode *dir,
			struct dentry *dentry, umode_t mode, bool excl)
{
	return memfs_mknod(idmap, dir, dentry, mode | S_IFREG, 0);
}

static int memfs_mkdir(struct mnt_idmap *idmap, struct inode *dir,
		       struct dentry *dentry, umode_t mode)
{
	int error = memfs_mknod(idmap, dir, dentry, mode | S_IFDIR, 0);

	if (!error)
		inc_nlink(dir); /* ".." of the new one */
	return error;
}

static int memfs_symlink(struct mnt_idmap *idmap, struct inode *dir,
			 struct dentry *dentry, const char *target)
{
	struct inode *inode = memfs_new_inode(dir->i_sb, dir,
					      S_IFLNK | 0777, 0);
	int error;

	if (!inode)
		return -ENOSPC;
	error = page_symlink(inode, target, strlen(target) + 1);
	if (error) {
		iput(inode);
		return error;
	}
	memfs_add(dir, dentry, inode);
	return 0;
}

static const struct inode_operations memfs_dir_inode_operations = {
	.create		= memfs_create,
	.lookup		= simple_lookup,
	.link		= simple_link,
	.unlink		= simple_unlink,
	.symlink	= memfs_symlink,
	.mkdir		= memfs_mkdir,
	.rmdir		= simple_rmdir,
	.mknod		= memfs_mknod,
	.rename		= simple_rename,
	.setattr	= simple_setattr,
	.getattr	= simple_getattr,
};

static const struct super_operations memfs_super_operations = {
	.statfs		= simple_statfs,
	.drop_inode	= generic_delete_inode, /* none is worth keeping */
};

static int memfs_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct inode *root;

	sb->s_magic = MEMFS_MAGIC;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_time_gran = 1;
	sb->s_op = &memfs_super_operations;
	root = memfs_new_inode(sb, NULL, S_IFDIR | 0755, 0);
	sb->s_root = d_make_root(root); /* drops the inode when it fails */
	return sb->s_root ? 0 : -ENOMEM;
}

static int memfs_get_tree(struct fs_context *fc)
{
	return get_tree_nodev(fc, memfs_fill_super);
}

static const struct fs_context_operations memfs_context_operations = {
	.get_tree	= memfs_get_tree,
};

/* Without parse_param the VFS refuses each option that it doesn't know. */
static int memfs_init_fs_context(struct fs_context *fc)
{
	fc->ops = &memfs_context_operations;
	return 0;
}

static struct file_system_type memfs_type = {
	.owner			= THIS_MODULE,
	.name			= "memfs",
	.init_fs_context	= memfs_init_fs_context,
	.kill_sb		= kill_litter_super, /* drops what memfs_add kept */
};
MODULE_ALIAS_FS("memfs");

static int __init memfs_init(void)
{
	return register_filesystem(&memfs_type);
}

static void __exit memfs_exit(void)
{
	unregister_filesystem(&memfs_type);
}

module_init(memfs_init);
module_exit(memfs_exit);
MODULE_DESCRIPTION("A filesystem in memory, mounted without a device");
MODULE_LICENSE("GPL");
