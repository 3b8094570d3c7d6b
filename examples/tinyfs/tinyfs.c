// SPDX-License-Identifier: GPL-2.0-only
/*
 * A filesystem in memory, as small as one can be that people could use: files,
 * directories and links. What is in it is in the kernel's caches alone, and an
 * unmount forgets it.
 */
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/module.h>
#include <linux/pagemap.h>

#define TINYFS_MAGIC 0x74696e79 /* "tiny" */

static const struct inode_operations tinyfs_dir_inode_operations;

static int tinyfs_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
			  struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	loff_t size = i_size_read(inode);
	int error = simple_setattr(idmap, dentry, attr);

	/* A file that gets another size was changed; simple_setattr forgets. */
	if (!error && i_size_read(inode) != size)
		inode_set_mtime_to_ts(inode, inode_set_ctime_current(inode));
	return error;
}

static const struct file_operations tinyfs_file_operations = {
	.llseek		= generic_file_llseek,
	.read_iter	= generic_file_read_iter,
	.write_iter	= generic_file_write_iter,
	.mmap		= generic_file_mmap,
	.fsync		= noop_fsync,
	.splice_read	= filemap_splice_read,
	.splice_write	= iter_file_splice_write,
};

static const struct inode_operations tinyfs_file_inode_operations = {
	.setattr	= tinyfs_setattr,
	.getattr	= simple_getattr,
};

/* A new inode with one link; NULL without memory. The root has no @dir. */
static struct inode *tinyfs_new_inode(struct super_block *sb, struct inode *dir,
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
	mapping_set_unevictable(inode->i_mapping);

	switch (mode & S_IFMT) {
	case S_IFREG:
		inode->i_op = &tinyfs_file_inode_operations;
		inode->i_fop = &tinyfs_file_operations;
		break;
	case S_IFDIR:
		inode->i_op = &tinyfs_dir_inode_operations;
		inode->i_fop = &simple_dir_operations;
		inc_nlink(inode); /* "." */
		break;
	case S_IFLNK:
		inode->i_op = &page_symlink_inode_operations;
		inode_nohighmem(inode);
		break;
	default:
		inode->i_op = &tinyfs_file_inode_operations;
		init_special_inode(inode, mode, rdev);
		break;
	}
	return inode;
}

/* Keeps a reference to the name, which is written nowhere else. */
static void tinyfs_add(struct inode *dir, struct dentry *dentry,
		       struct inode *inode)
{
	d_instantiate(dentry, inode);
	dget(dentry);
	inode_set_mtime_to_ts(dir, inode_set_ctime_current(dir));
}

static int tinyfs_mknod(struct mnt_idmap *idmap, struct inode *dir,
			struct dentry *dentry, umode_t mode, dev_t rdev)
{
	struct inode *inode = tinyfs_new_inode(dir->i_sb, dir, mode, rdev);

	if (!inode)
		return -ENOSPC;
	tinyfs_add(dir, dentry, inode);
	return 0;
}

static int tinyfs_create(struct mnt_idmap *idmap, struct inode *dir,
			 struct dentry *dentry, umode_t mode, bool excl)
{
	return tinyfs_mknod(idmap, dir, dentry, mode | S_IFREG, 0);
}

static int tinyfs_mkdir(struct mnt_idmap *idmap, struct inode *dir,
			struct dentry *dentry, umode_t mode)
{
	int error = tinyfs_mknod(idmap, dir, dentry, mode | S_IFDIR, 0);

	if (!error)
		inc_nlink(dir); /* ".." of the new one */
	return error;
}

static int tinyfs_symlink(struct mnt_idmap *idmap, struct inode *dir,
			  struct dentry *dentry, const char *target)
{
	struct inode *inode;
	int error;

	inode = tinyfs_new_inode(dir->i_sb, dir, S_IFLNK | 0777, 0);
	if (!inode)
		return -ENOSPC;
	error = page_symlink(inode, target, strlen(target) + 1);
	if (error) {
		iput(inode);
		return error;
	}
	tinyfs_add(dir, dentry, inode);
	return 0;
}

static const struct inode_operations tinyfs_dir_inode_operations = {
	.create		= tinyfs_create,
	.lookup		= simple_lookup,
	.link		= simple_link,
	.unlink		= simple_unlink,
	.symlink	= tinyfs_symlink,
	.mkdir		= tinyfs_mkdir,
	.rmdir		= simple_rmdir,
	.mknod		= tinyfs_mknod,
	.rename		= simple_rename,
	.setattr	= tinyfs_setattr,
	.getattr	= simple_getattr,
};

static const struct super_operations tinyfs_super_operations = {
	.statfs		= simple_statfs,
	.drop_inode	= generic_delete_inode, /* none is worth keeping */
};

static int tinyfs_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct inode *root;

	sb->s_magic = TINYFS_MAGIC;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_time_gran = 1;
	sb->s_op = &tinyfs_super_operations;
	root = tinyfs_new_inode(sb, NULL, S_IFDIR | 0755, 0);
	sb->s_root = d_make_root(root); /* drops the inode when it fails */
	return sb->s_root ? 0 : -ENOMEM;
}

static int tinyfs_get_tree(struct fs_context *fc)
{
	return get_tree_nodev(fc, tinyfs_fill_super);
}

static const struct fs_context_operations tinyfs_context_operations = {
	.get_tree	= tinyfs_get_tree,
};

/* Without parse_param the VFS refuses each option that it doesn't know. */
static int tinyfs_init_fs_context(struct fs_context *fc)
{
	fc->ops = &tinyfs_context_operations;
	return 0;
}

static struct file_system_type tinyfs_type = {
	.owner			= THIS_MODULE,
	.name			= "tinyfs",
	.init_fs_context	= tinyfs_init_fs_context,
	.kill_sb		= kill_litter_super, /* drops what tinyfs_add kept */
};
MODULE_ALIAS_FS("tinyfs");

static int __init tinyfs_init(void)
{
	return register_filesystem(&tinyfs_type);
}

static void __exit tinyfs_exit(void)
{
	unregister_filesystem(&tinyfs_type);
}

module_init(tinyfs_init);
module_exit(tinyfs_exit);
MODULE_DESCRIPTION("A small filesystem in memory");
MODULE_LICENSE("GPL");
