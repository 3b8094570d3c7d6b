// SPDX-License-Identifier: GPL-2.0-only
/*
 * A filesystem that is mounted without a device. What is in it is in the page
 * cache and the dentry cache, and nowhere else: a dirty page is never written,
 * and an unmount forgets everything.
 */
#include <linux/exportfs.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/xattr.h>

#define MEMFS_MAGIC 0x6d656d66 /* "memf" */

/* An inode and its extended attributes, which xattr_sem is for. */
struct memfs_inode {
	struct rw_semaphore xattr_sem;
	struct list_head xattrs;
	struct inode vfs_inode;
};

/* The name, with its namespace, is behind the value. */
struct memfs_xattr {
	struct list_head list;
	size_t size;
	char value[];
};

static struct kmem_cache *memfs_inode_cache;

static const struct inode_operations memfs_dir_inode_operations;

static struct memfs_inode *MEMFS_I(struct inode *inode)
{
	return container_of(inode, struct memfs_inode, vfs_inode);
}

static const char *memfs_xattr_name(const struct memfs_xattr *xattr)
{
	return xattr->value + xattr->size;
}

static struct memfs_xattr *memfs_find_xattr(struct memfs_inode *mi,
					    const char *name)
{
	struct memfs_xattr *xattr;

	list_for_each_entry(xattr, &mi->xattrs, list)
		if (!strcmp(memfs_xattr_name(xattr), name))
			return xattr;
	return NULL;
}

static int memfs_get_xattr(const struct xattr_handler *handler,
			   struct dentry *dentry, struct inode *inode,
			   const char *name, void *buffer, size_t size)
{
	struct memfs_inode *mi = MEMFS_I(inode);
	struct memfs_xattr *xattr;
	int ret = -ENODATA;

	down_read(&mi->xattr_sem);
	xattr = memfs_find_xattr(mi, xattr_full_name(handler, name));
	if (xattr) {
		ret = xattr->size;
		if (buffer && size < xattr->size)
			ret = -ERANGE;
		else if (buffer)
			memcpy(buffer, xattr->value, xattr->size);
	}
	up_read(&mi->xattr_sem);
	return ret;
}

static struct memfs_xattr *memfs_new_xattr(const char *name, const void *value,
					   size_t size)
{
	size_t length = strlen(name) + 1;
	struct memfs_xattr *xattr;

	xattr = kvmalloc(sizeof(*xattr) + size + length, GFP_KERNEL_ACCOUNT);
	if (!xattr)
		return NULL;
	xattr->size = size;
	memcpy(xattr->value, value, size);
	memcpy(xattr->value + size, name, length);
	return xattr;
}

/* Without a value the attribute is removed. */
static int memfs_set_xattr(const struct xattr_handler *handler,
			   struct mnt_idmap *idmap, struct dentry *dentry,
			   struct inode *inode, const char *name,
			   const void *value, size_t size, int flags)
{
	struct memfs_inode *mi = MEMFS_I(inode);
	struct memfs_xattr *old, *new = NULL;
	int error = 0;

	name = xattr_full_name(handler, name);
	if (value) {
		new = memfs_new_xattr(name, value, size);
		if (!new)
			return -ENOMEM;
	}
	down_write(&mi->xattr_sem);
	old = memfs_find_xattr(mi, name);
	if (old && (flags & XATTR_CREATE)) {
		error = -EEXIST;
		old = NULL;
	} else if (!old && (!value || (flags & XATTR_REPLACE))) {
		error = -ENODATA;
	} else {
		if (old)
			list_del(&old->list);
		if (new)
			list_add_tail(&new->list, &mi->xattrs);
		new = NULL;
		inode_set_ctime_current(inode);
	}
	up_write(&mi->xattr_sem);
	kvfree(old);
	kvfree(new);
	return error;
}

/* Add a name to a list that has @used bytes; without a buffer, count it. */
static int memfs_list_one(const char *name, char *buffer, size_t size,
			  ssize_t *used)
{
	size_t length = strlen(name) + 1;

	if (buffer && *used + length > size)
		return -ERANGE;
	if (buffer)
		memcpy(buffer + *used, name, length);
	*used += length;
	return 0;
}

static ssize_t memfs_listxattr(struct dentry *dentry, char *buffer, size_t size)
{
	struct inode *inode = d_inode(dentry);
	struct memfs_inode *mi = MEMFS_I(inode);
	struct memfs_xattr *xattr;
	const char *name;
	ssize_t used = 0;
	int error = 0;

	if (READ_ONCE(inode->i_acl))
		error = memfs_list_one(XATTR_NAME_POSIX_ACL_ACCESS, buffer,
				       size, &used);
	if (!error && READ_ONCE(inode->i_default_acl))
		error = memfs_list_one(XATTR_NAME_POSIX_ACL_DEFAULT, buffer,
				       size, &used);
	down_read(&mi->xattr_sem);
	list_for_each_entry(xattr, &mi->xattrs, list) {
		name = memfs_xattr_name(xattr);
		if (error)
			break;
		/* Names that only an administrator is to see. */
		if (str_has_prefix(name, XATTR_TRUSTED_PREFIX) &&
		    !capable(CAP_SYS_ADMIN))
			continue;
		error = memfs_list_one(name, buffer, size, &used);
	}
	up_read(&mi->xattr_sem);
	return error ? error : used;
}

#define MEMFS_XATTR_HANDLER(namespace) \
	(&(const struct xattr_handler) { \
		.prefix = namespace, \
		.get = memfs_get_xattr, \
		.set = memfs_set_xattr, \
	})

static const struct xattr_handler * const memfs_xattr_handlers[] = {
	MEMFS_XATTR_HANDLER(XATTR_USER_PREFIX),
	MEMFS_XATTR_HANDLER(XATTR_TRUSTED_PREFIX),
	MEMFS_XATTR_HANDLER(XATTR_SECURITY_PREFIX),
	NULL
};

/* The inode's cache is the only place of its ACLs: nothing ever forgets it. */
static int memfs_set_acl(struct mnt_idmap *idmap, struct dentry *dentry,
			 struct posix_acl *acl, int type)
{
	struct inode *inode = d_inode(dentry);
	umode_t mode = inode->i_mode;
	int error;

	if (type == ACL_TYPE_ACCESS && acl) {
		error = posix_acl_update_mode(idmap, inode, &mode, &acl);
		if (error)
			return error;
		inode->i_mode = mode;
	}
	inode_set_ctime_current(inode);
	set_cached_acl(inode, type, acl);
	return 0;
}

static int memfs_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
			 struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	loff_t size = i_size_read(inode);
	int error = simple_setattr(idmap, dentry, attr);

	/* A file that gets another size was changed; simple_setattr forgets. */
	if (!error && i_size_read(inode) != size)
		inode_set_mtime_to_ts(inode, inode_set_ctime_current(inode));
	if (!error && (attr->ia_valid & ATTR_MODE))
		error = posix_acl_chmod(idmap, dentry, inode->i_mode);
	return error;
}

/* A number is not given again before 2^32 others, and then to another generation. */
static struct inode *memfs_inode_of_handle(struct super_block *sb, u64 ino,
					   u32 generation)
{
	struct inode *inode = ilookup(sb, ino);

	if (!inode)
		return ERR_PTR(-ESTALE);
	if (inode->i_generation != generation || !inode->i_nlink) {
		iput(inode);
		return ERR_PTR(-ESTALE);
	}
	return inode;
}

static struct dentry *memfs_fh_to_dentry(struct super_block *sb,
					 struct fid *fid, int len, int type)
{
	return generic_fh_to_dentry(sb, fid, len, type, memfs_inode_of_handle);
}

static struct dentry *memfs_fh_to_parent(struct super_block *sb,
					 struct fid *fid, int len, int type)
{
	return generic_fh_to_parent(sb, fid, len, type, memfs_inode_of_handle);
}

/* A directory has its dentry as long as it is there: no parent is looked for. */
static const struct export_operations memfs_export_operations = {
	.encode_fh	= generic_encode_ino32_fh,
	.fh_to_dentry	= memfs_fh_to_dentry,
	.fh_to_parent	= memfs_fh_to_parent,
};

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
	.setattr	= memfs_setattr,
	.getattr	= simple_getattr,
	.listxattr	= memfs_listxattr,
	.set_acl	= memfs_set_acl,
};

static const struct inode_operations memfs_symlink_inode_operations = {
	.get_link	= page_get_link,
	.listxattr	= memfs_listxattr,
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
	inode->i_generation = get_random_u32();
	insert_inode_hash(inode); /* for handles */
	cache_no_acl(inode);
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
		inode->i_op = &memfs_symlink_inode_operations;
		inode_nohighmem(inode);
		break;
	default:
		inode->i_op = &memfs_file_inode_operations;
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
	struct posix_acl *default_acl, *acl;
	struct inode *inode;
	int error;

	error = posix_acl_create(dir, &mode, &default_acl, &acl);
	if (error)
		return error;
	inode = memfs_new_inode(dir->i_sb, dir, mode, rdev);
	if (inode) {
		set_cached_acl(inode, ACL_TYPE_DEFAULT, default_acl);
		set_cached_acl(inode, ACL_TYPE_ACCESS, acl);
		memfs_add(dir, dentry, inode);
	}
	posix_acl_release(default_acl);
	posix_acl_release(acl);
	return inode ? 0 : -ENOSPC;
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
	.setattr	= memfs_setattr,
	.getattr	= simple_getattr,
	.listxattr	= memfs_listxattr,
	.set_acl	= memfs_set_acl,
};

static void memfs_inode_once(void *object)
{
	struct memfs_inode *mi = object;

	init_rwsem(&mi->xattr_sem);
	INIT_LIST_HEAD(&mi->xattrs);
	inode_init_once(&mi->vfs_inode);
}

static struct inode *memfs_alloc_inode(struct super_block *sb)
{
	struct memfs_inode *mi;

	mi = alloc_inode_sb(sb, memfs_inode_cache, GFP_KERNEL);
	return mi ? &mi->vfs_inode : NULL;
}

static void memfs_free_inode(struct inode *inode)
{
	kmem_cache_free(memfs_inode_cache, MEMFS_I(inode));
}

static void memfs_evict_inode(struct inode *inode)
{
	struct memfs_inode *mi = MEMFS_I(inode);
	struct memfs_xattr *xattr, *next;

	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	list_for_each_entry_safe(xattr, next, &mi->xattrs, list) {
		list_del(&xattr->list);
		kvfree(xattr);
	}
}

static const struct super_operations memfs_super_operations = {
	.alloc_inode	= memfs_alloc_inode,
	.free_inode	= memfs_free_inode,
	.evict_inode	= memfs_evict_inode,
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
	sb->s_xattr = memfs_xattr_handlers;
	sb->s_export_op = &memfs_export_operations;
	sb->s_flags |= SB_POSIXACL;
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
	int error;

	memfs_inode_cache = kmem_cache_create("memfs_inode",
					      sizeof(struct memfs_inode), 0,
					      SLAB_RECLAIM_ACCOUNT |
					      SLAB_ACCOUNT, memfs_inode_once);
	if (!memfs_inode_cache)
		return -ENOMEM;
	error = register_filesystem(&memfs_type);
	if (error)
		kmem_cache_destroy(memfs_inode_cache);
	return error;
}

static void __exit memfs_exit(void)
{
	unregister_filesystem(&memfs_type);
	/* The last inodes may still wait for their grace period. */
	rcu_barrier();
	kmem_cache_destroy(memfs_inode_cache);
}

module_init(memfs_init);
module_exit(memfs_exit);
MODULE_DESCRIPTION("A filesystem in memory, mounted without a device");
MODULE_LICENSE("GPL");
