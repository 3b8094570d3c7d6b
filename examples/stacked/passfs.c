// SPDX-License-Identifier: GPL-2.0-only
/*
 * A filesystem over a directory of another one. It has no data of its own: each
 * of its inodes stands for one below (i_private, a reference), each positive
 * dentry for one below (d_fsdata, a reference), each open file for an open file
 * below (private_data). What is done to it is done there, with the rights of
 * whoever does it, and the attributes are copied up again.
 *
 * Names below are found through a private copy of the mount (s_fs_info), so
 * what is mounted there later doesn't show.
 */
#include <linux/backing-file.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fs_stack.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/splice.h>
#include <linux/statfs.h>

#define PASSFS_MAGIC 0x70617373 /* "pass" */
/* What fcntl(F_SETFL) can change of a file that is open. */
#define PASSFS_SETFL (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME)

static const struct inode_operations passfs_dir_inode_operations;
static const struct inode_operations passfs_link_inode_operations;
static const struct inode_operations passfs_inode_operations;
static const struct file_operations passfs_dir_operations;
static const struct file_operations passfs_file_operations;

static struct vfsmount *passfs_mnt(const struct super_block *sb)
{
	return sb->s_fs_info;
}

static struct dentry *passfs_lower(const struct dentry *dentry)
{
	return dentry->d_fsdata;
}

static struct path passfs_path(const struct dentry *dentry)
{
	return (struct path){ .mnt = passfs_mnt(dentry->d_sb),
			      .dentry = passfs_lower(dentry) };
}

static void passfs_copy_attr(struct inode *inode)
{
	fsstack_copy_attr_all(inode, inode->i_private);
	fsstack_copy_inode_size(inode, inode->i_private);
}

/* ------------------------------------------------------------------ inodes */

static int passfs_is_of(struct inode *inode, void *lower)
{
	return inode->i_private == lower;
}

static int passfs_becomes_of(struct inode *inode, void *lower)
{
	inode->i_private = lower;
	return 0;
}

/* The one inode that stands for @lower, with a reference, or an error. */
static struct inode *passfs_iget(struct super_block *sb, struct inode *lower)
{
	struct inode *inode;

	if (!igrab(lower))
		return ERR_PTR(-ESTALE);
	inode = iget5_locked(sb, (unsigned long)lower, passfs_is_of,
			     passfs_becomes_of, lower);
	if (!inode || !(inode->i_state & I_NEW)) {
		iput(lower); /* the inode that was there has its own */
		return inode ?: ERR_PTR(-ENOMEM);
	}
	inode->i_ino = lower->i_ino;
	passfs_copy_attr(inode);
	switch (inode->i_mode & S_IFMT) {
	case S_IFREG:
		inode->i_op = &passfs_inode_operations;
		inode->i_fop = &passfs_file_operations;
		break;
	case S_IFDIR:
		inode->i_op = &passfs_dir_inode_operations;
		inode->i_fop = &passfs_dir_operations;
		break;
	case S_IFLNK:
		inode->i_op = &passfs_link_inode_operations;
		break;
	default:
		inode->i_op = &passfs_inode_operations;
		init_special_inode(inode, inode->i_mode, inode->i_rdev);
		break;
	}
	unlock_new_inode(inode);
	return inode;
}

static void passfs_evict_inode(struct inode *inode)
{
	struct inode *lower = inode->i_private;

	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	inode->i_private = NULL;
	iput(lower);
}

/*
 * ACLs and whatever else the filesystem below knows decide; that may take time,
 * and the inode may be on its way out in RCU mode.
 */
static int passfs_permission(struct mnt_idmap *idmap, struct inode *inode,
			     int mask)
{
	if (mask & MAY_NOT_BLOCK)
		return -ECHILD;
	return inode_permission(&nop_mnt_idmap, inode->i_private, mask);
}

static int passfs_getattr(struct mnt_idmap *idmap, const struct path *path,
			  struct kstat *stat, u32 request_mask,
			  unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);
	struct path lower = passfs_path(path->dentry);
	/* Whether the caller may know was asked, for the dentry here. */
	int error = vfs_getattr_nosec(&lower, stat, request_mask, flags);

	if (error)
		return error;
	stat->dev = inode->i_sb->s_dev;
	passfs_copy_attr(inode);
	return 0;
}

static int passfs_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
			  struct iattr *attr)
{
	struct inode *inode = d_inode(dentry), *lower = inode->i_private;
	struct vfsmount *mnt = passfs_mnt(dentry->d_sb);
	struct iattr below = *attr;
	int error = setattr_prepare(&nop_mnt_idmap, dentry, attr);

	if (error)
		return error;
	/* The file and the way in which it was opened are not those below. */
	below.ia_valid &= ~(ATTR_FILE | ATTR_OPEN);
	/* notify_change() makes a mode of these, and must not be given both. */
	if (below.ia_valid & (ATTR_KILL_SUID | ATTR_KILL_SGID))
		below.ia_valid &= ~ATTR_MODE;

	error = mnt_want_write(mnt);
	if (error)
		return error;
	if (below.ia_valid & ATTR_SIZE) {
		error = get_write_access(lower);
		if (error)
			goto out;
	}
	inode_lock(lower);
	error = notify_change(&nop_mnt_idmap, passfs_lower(dentry), &below,
			      NULL);
	inode_unlock(lower);
	if (below.ia_valid & ATTR_SIZE)
		put_write_access(lower);
	passfs_copy_attr(inode);
out:
	mnt_drop_write(mnt);
	return error;
}

static const char *passfs_get_link(struct dentry *dentry, struct inode *inode,
				   struct delayed_call *done)
{
	if (!dentry)
		return ERR_PTR(-ECHILD);
	return vfs_get_link(passfs_lower(dentry), done);
}

/* ------------------------------------------------------------------- names */

/* What was made below by somebody else is seen, and so is what was removed. */
static int passfs_d_revalidate(struct dentry *dentry, unsigned int flags)
{
	struct dentry *lower;

	if (flags & LOOKUP_RCU)
		return -ECHILD;
	lower = passfs_lower(dentry);
	if (d_is_negative(dentry) || d_unhashed(lower))
		return 0;
	if (lower->d_flags & DCACHE_OP_REVALIDATE)
		return lower->d_op->d_revalidate(lower, flags);
	return 1;
}

static void passfs_d_release(struct dentry *dentry)
{
	dput(passfs_lower(dentry));
}

static const struct dentry_operations passfs_dentry_operations = {
	.d_revalidate	= passfs_d_revalidate,
	.d_release	= passfs_d_release,
};

static struct dentry *passfs_lookup(struct inode *dir, struct dentry *dentry,
				    unsigned int flags)
{
	struct inode *inode = NULL;
	struct dentry *lower;

	lower = lookup_one_unlocked(&nop_mnt_idmap, dentry->d_name.name,
				    passfs_lower(dentry->d_parent),
				    dentry->d_name.len);
	if (IS_ERR(lower))
		return lower;
	if (d_is_negative(lower)) {
		dput(lower);
	} else {
		dentry->d_fsdata = lower; /* d_release puts it */
		inode = passfs_iget(dir->i_sb, d_inode(lower));
	}
	return d_splice_alias(inode, dentry);
}

/*
 * Begin a change of names in the directory of @dentry: the directory below is
 * locked, and stays writable until passfs_end(). Returns it, or an error.
 */
static struct dentry *passfs_begin(struct dentry *dentry)
{
	struct dentry *lower_dir = passfs_lower(dentry->d_parent);
	int error = mnt_want_write(passfs_mnt(dentry->d_sb));

	if (error)
		return ERR_PTR(error);
	inode_lock_nested(d_inode(lower_dir), I_MUTEX_PARENT);
	return lower_dir;
}

static void passfs_end(struct inode *dir, struct dentry *lower_dir)
{
	passfs_copy_attr(dir);
	inode_unlock(d_inode(lower_dir));
	mnt_drop_write(passfs_mnt(dir->i_sb));
}

/* The dentry below with the name of @dentry, in a directory that is locked. */
static struct dentry *passfs_find(struct dentry *lower_dir,
				  struct dentry *dentry)
{
	return lookup_one(&nop_mnt_idmap, dentry->d_name.name, lower_dir,
			  dentry->d_name.len);
}

/*
 * Whether the dentry that @dentry stands for still has its name in @lower_dir,
 * which is locked: somebody may have changed that below.
 */
static bool passfs_in_place(struct dentry *lower_dir, struct dentry *dentry)
{
	struct dentry *lower = passfs_lower(dentry);

	return lower->d_parent == lower_dir && !d_unhashed(lower) &&
	       lower->d_name.len == dentry->d_name.len &&
	       !memcmp(lower->d_name.name, dentry->d_name.name,
		       dentry->d_name.len);
}

/* Let a negative dentry stand for @lower, which just came into being. */
static int passfs_instantiate(struct dentry *dentry, struct dentry *lower)
{
	struct inode *inode;

	if (d_is_negative(lower)) { /* it has to be looked up once more */
		d_drop(dentry);
		return 0;
	}
	inode = passfs_iget(dentry->d_sb, d_inode(lower));
	if (IS_ERR(inode))
		return PTR_ERR(inode);
	passfs_copy_attr(inode);
	dentry->d_fsdata = dget(lower);
	d_instantiate(dentry, inode);
	return 0;
}

static int passfs_make(struct inode *dir, struct dentry *dentry, umode_t mode,
		       dev_t rdev, const char *target)
{
	struct dentry *lower_dir = passfs_begin(dentry), *lower;
	struct mnt_idmap *idmap = &nop_mnt_idmap;
	struct inode *below;
	int error;

	if (IS_ERR(lower_dir))
		return PTR_ERR(lower_dir);
	below = d_inode(lower_dir);
	lower = passfs_find(lower_dir, dentry);
	if (IS_ERR(lower)) {
		error = PTR_ERR(lower);
		goto out;
	}
	switch (mode & S_IFMT) {
	case S_IFREG:
		error = vfs_create(idmap, below, lower, mode, true);
		break;
	case S_IFDIR:
		error = vfs_mkdir(idmap, below, lower, mode);
		break;
	case S_IFLNK:
		error = vfs_symlink(idmap, below, lower, target);
		break;
	default:
		error = vfs_mknod(idmap, below, lower, mode, rdev);
		break;
	}
	if (!error)
		error = passfs_instantiate(dentry, lower);
	dput(lower);
out:
	passfs_end(dir, lower_dir);
	return error;
}

static int passfs_create(struct mnt_idmap *idmap, struct inode *dir,
			 struct dentry *dentry, umode_t mode, bool excl)
{
	return passfs_make(dir, dentry, mode | S_IFREG, 0, NULL);
}

static int passfs_mkdir(struct mnt_idmap *idmap, struct inode *dir,
			struct dentry *dentry, umode_t mode)
{
	return passfs_make(dir, dentry, mode | S_IFDIR, 0, NULL);
}

static int passfs_mknod(struct mnt_idmap *idmap, struct inode *dir,
			struct dentry *dentry, umode_t mode, dev_t rdev)
{
	return passfs_make(dir, dentry, mode, rdev, NULL);
}

static int passfs_symlink(struct mnt_idmap *idmap, struct inode *dir,
			  struct dentry *dentry, const char *target)
{
	return passfs_make(dir, dentry, S_IFLNK, 0, target);
}

static int passfs_link(struct dentry *old_dentry, struct inode *dir,
		       struct dentry *dentry)
{
	struct dentry *lower_dir = passfs_begin(dentry), *lower;
	int error;

	if (IS_ERR(lower_dir))
		return PTR_ERR(lower_dir);
	lower = passfs_find(lower_dir, dentry);
	if (IS_ERR(lower)) {
		error = PTR_ERR(lower);
	} else {
		error = vfs_link(passfs_lower(old_dentry), &nop_mnt_idmap,
				 d_inode(lower_dir), lower, NULL);
		if (!error)
			error = passfs_instantiate(dentry, lower);
		dput(lower);
	}
	passfs_end(dir, lower_dir);
	return error;
}

static int passfs_remove(struct inode *dir, struct dentry *dentry)
{
	struct dentry *lower_dir = passfs_begin(dentry);
	struct dentry *lower = passfs_lower(dentry);
	int error = -ESTALE;

	if (IS_ERR(lower_dir))
		return PTR_ERR(lower_dir);
	if (passfs_in_place(lower_dir, dentry))
		error = d_is_dir(dentry) ?
			vfs_rmdir(&nop_mnt_idmap, d_inode(lower_dir), lower) :
			vfs_unlink(&nop_mnt_idmap, d_inode(lower_dir), lower,
				   NULL);
	passfs_copy_attr(d_inode(dentry));
	passfs_end(dir, lower_dir);
	/* In the cache, it would keep what it stands for from being freed. */
	if (!error)
		d_drop(dentry);
	return error;
}

static int passfs_rename(struct mnt_idmap *idmap, struct inode *old_dir,
			 struct dentry *old_dentry, struct inode *new_dir,
			 struct dentry *new_dentry, unsigned int flags)
{
	struct renamedata data = {
		.old_mnt_idmap	= &nop_mnt_idmap,
		.new_mnt_idmap	= &nop_mnt_idmap,
		.old_dentry	= passfs_lower(old_dentry),
		.flags		= flags,
	};
	struct dentry *lower_old_dir = passfs_lower(old_dentry->d_parent);
	struct dentry *lower_new_dir = passfs_lower(new_dentry->d_parent);
	struct vfsmount *mnt = passfs_mnt(old_dir->i_sb);
	struct dentry *lower_new, *trap;
	int error;

	if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	error = mnt_want_write(mnt);
	if (error)
		return error;
	trap = lock_rename(lower_old_dir, lower_new_dir);
	if (IS_ERR(trap)) {
		error = PTR_ERR(trap);
		goto out;
	}
	error = -ESTALE;
	if (!passfs_in_place(lower_old_dir, old_dentry))
		goto unlock;
	lower_new = passfs_find(lower_new_dir, new_dentry);
	if (IS_ERR(lower_new)) {
		error = PTR_ERR(lower_new);
		goto unlock;
	}
	if (trap == data.old_dentry) {
		error = -EINVAL; /* a directory into itself */
	} else if (trap == lower_new) {
		error = flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	} else {
		data.old_dir = d_inode(lower_old_dir);
		data.new_dir = d_inode(lower_new_dir);
		data.new_dentry = lower_new;
		error = vfs_rename(&data);
	}
	dput(lower_new);
	passfs_copy_attr(d_inode(old_dentry));
	if (d_is_positive(new_dentry))
		passfs_copy_attr(d_inode(new_dentry));
	passfs_copy_attr(old_dir);
	passfs_copy_attr(new_dir);
unlock:
	unlock_rename(lower_old_dir, lower_new_dir);
out:
	mnt_drop_write(mnt);
	return error;
}

static const struct inode_operations passfs_dir_inode_operations = {
	.lookup		= passfs_lookup,
	.create		= passfs_create,
	.link		= passfs_link,
	.unlink		= passfs_remove,
	.symlink	= passfs_symlink,
	.mkdir		= passfs_mkdir,
	.rmdir		= passfs_remove,
	.mknod		= passfs_mknod,
	.rename		= passfs_rename,
	.permission	= passfs_permission,
	.setattr	= passfs_setattr,
	.getattr	= passfs_getattr,
};

static const struct inode_operations passfs_link_inode_operations = {
	.get_link	= passfs_get_link,
	.permission	= passfs_permission,
	.setattr	= passfs_setattr,
	.getattr	= passfs_getattr,
};

static const struct inode_operations passfs_inode_operations = {
	.permission	= passfs_permission,
	.setattr	= passfs_setattr,
	.getattr	= passfs_getattr,
};

/* ------------------------------------------------------------- directories */

static int passfs_dir_open(struct inode *inode, struct file *file)
{
	struct path lower = passfs_path(file->f_path.dentry);
	struct file *below = dentry_open(&lower, file->f_flags, file->f_cred);

	if (IS_ERR(below))
		return PTR_ERR(below);
	file->private_data = below;
	return 0;
}

static int passfs_release(struct inode *inode, struct file *file)
{
	fput(file->private_data);
	return 0;
}

/* The VFS holds the lock of the position, so nobody else moves the one below. */
static int passfs_iterate(struct file *file, struct dir_context *ctx)
{
	struct file *below = file->private_data;

	below->f_pos = ctx->pos;
	return iterate_dir(below, ctx);
}

static loff_t passfs_seek_below(struct file *file, loff_t offset, int whence)
{
	struct file *below = file->private_data;
	loff_t pos;

	below->f_pos = file->f_pos;
	pos = vfs_llseek(below, offset, whence);
	if (pos >= 0)
		file->f_pos = pos;
	return pos;
}

static int passfs_fsync(struct file *file, loff_t start, loff_t end,
			int datasync)
{
	return vfs_fsync_range(file->private_data, start, end, datasync);
}

static const struct file_operations passfs_dir_operations = {
	.open		= passfs_dir_open,
	.release	= passfs_release,
	.read		= generic_read_dir,
	.iterate_shared	= passfs_iterate,
	.llseek		= passfs_seek_below,
	.fsync		= passfs_fsync,
};

/* ------------------------------------------------------------------- files */

static int passfs_open(struct inode *inode, struct file *file)
{
	struct path lower = passfs_path(file->f_path.dentry);
	/* The VFS has made and cut the file already. */
	int flags = file->f_flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC);
	struct file *below = backing_file_open(file, flags, &lower,
					       file->f_cred);

	if (IS_ERR(below))
		return PTR_ERR(below);
	file->f_mode |= below->f_mode & FMODE_CAN_ODIRECT;
	file->private_data = below;
	return 0;
}

/* The file below, with the flags that fcntl() may have changed since open(). */
static struct file *passfs_below(struct file *file)
{
	struct file *below = file->private_data;

	if ((file->f_flags ^ below->f_flags) & PASSFS_SETFL) {
		spin_lock(&below->f_lock);
		below->f_flags = (below->f_flags & ~PASSFS_SETFL) |
				 (file->f_flags & PASSFS_SETFL);
		below->f_iocb_flags = iocb_flags(below);
		spin_unlock(&below->f_lock);
	}
	return below;
}

static void passfs_accessed(struct file *file)
{
	struct inode *inode = file_inode(file);

	fsstack_copy_attr_atime(inode, inode->i_private);
}

static void passfs_end_write(struct file *file, loff_t pos, ssize_t written)
{
	passfs_copy_attr(file_inode(file));
}

static struct backing_file_ctx passfs_context(struct file *file)
{
	return (struct backing_file_ctx){
		.cred		= file->f_cred,
		.user_file	= file,
		.accessed	= passfs_accessed,
		.end_write	= passfs_end_write,
	};
}

static ssize_t passfs_read_iter(struct kiocb *iocb, struct iov_iter *iter)
{
	struct backing_file_ctx ctx = passfs_context(iocb->ki_filp);

	return backing_file_read_iter(passfs_below(iocb->ki_filp), iter, iocb,
				      iocb->ki_flags, &ctx);
}

static ssize_t passfs_write_iter(struct kiocb *iocb, struct iov_iter *iter)
{
	struct backing_file_ctx ctx = passfs_context(iocb->ki_filp);
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t written;

	inode_lock(inode);
	written = backing_file_write_iter(passfs_below(iocb->ki_filp), iter,
					  iocb, iocb->ki_flags, &ctx);
	inode_unlock(inode);
	return written;
}

static ssize_t passfs_splice_read(struct file *file, loff_t *pos,
				  struct pipe_inode_info *pipe, size_t len,
				  unsigned int flags)
{
	struct backing_file_ctx ctx = passfs_context(file);

	return backing_file_splice_read(passfs_below(file), pos, pipe, len,
					flags, &ctx);
}

static int passfs_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct backing_file_ctx ctx = passfs_context(file);

	return backing_file_mmap(passfs_below(file), vma, &ctx);
}

static loff_t passfs_llseek(struct file *file, loff_t offset, int whence)
{
	struct inode *inode = file_inode(file);
	loff_t pos;

	inode_lock(inode);
	pos = passfs_seek_below(file, offset, whence);
	inode_unlock(inode);
	return pos;
}

static long passfs_fallocate(struct file *file, int mode, loff_t offset,
			     loff_t len)
{
	struct inode *inode = file_inode(file);
	long error;

	inode_lock(inode);
	error = file_remove_privs(file);
	if (!error)
		error = vfs_fallocate(passfs_below(file), mode, offset, len);
	passfs_copy_attr(inode);
	inode_unlock(inode);
	return error;
}

static const struct file_operations passfs_file_operations = {
	.open		= passfs_open,
	.release	= passfs_release,
	.llseek		= passfs_llseek,
	.read_iter	= passfs_read_iter,
	.write_iter	= passfs_write_iter,
	.splice_read	= passfs_splice_read,
	.splice_write	= iter_file_splice_write,
	.mmap		= passfs_mmap,
	.fsync		= passfs_fsync,
	.fallocate	= passfs_fallocate,
};

/* -------------------------------------------------------------- superblock */

static int passfs_statfs(struct dentry *dentry, struct kstatfs *buf)
{
	struct path lower = passfs_path(dentry->d_sb->s_root);
	int error = vfs_statfs(&lower, buf);

	buf->f_type = PASSFS_MAGIC;
	return error;
}

static int passfs_sync_fs(struct super_block *sb, int wait)
{
	struct super_block *below = passfs_mnt(sb)->mnt_sb;
	int error;

	if (!wait) /* it is called once more, and waits then */
		return 0;
	down_read(&below->s_umount);
	error = sync_filesystem(below);
	up_read(&below->s_umount);
	return error;
}

static const struct super_operations passfs_super_operations = {
	.evict_inode	= passfs_evict_inode,
	.statfs		= passfs_statfs,
	.sync_fs	= passfs_sync_fs,
};

/* Take over from the filesystem below what holds for what is passed to it. */
static int passfs_set_limits(struct super_block *sb, struct super_block *below)
{
	sb->s_stack_depth = below->s_stack_depth + 1;
	if (sb->s_stack_depth > FILESYSTEM_MAX_STACK_DEPTH)
		return -ELOOP;
	sb->s_maxbytes = below->s_maxbytes;
	sb->s_blocksize = below->s_blocksize;
	sb->s_blocksize_bits = below->s_blocksize_bits;
	sb->s_time_gran = below->s_time_gran;
	sb->s_time_min = below->s_time_min;
	sb->s_time_max = below->s_time_max;
	return 0;
}

static int passfs_fill_root(struct super_block *sb, struct path *lower)
{
	struct vfsmount *mnt;
	struct inode *root;
	int error;

	/* Names that a filesystem compares in its own way aren't ours to keep. */
	if (lower->dentry->d_flags & (DCACHE_OP_HASH | DCACHE_OP_COMPARE) ||
	    is_idmapped_mnt(lower->mnt))
		return -EOPNOTSUPP;
	error = passfs_set_limits(sb, lower->mnt->mnt_sb);
	if (error)
		return error;
	mnt = clone_private_mount(lower);
	if (IS_ERR(mnt))
		return PTR_ERR(mnt);
	sb->s_fs_info = mnt; /* passfs_kill_sb() lets go of it */
	sb->s_magic = PASSFS_MAGIC;
	sb->s_op = &passfs_super_operations;
	sb->s_d_op = &passfs_dentry_operations;
	sb->s_flags |= SB_NOATIME; /* reading there moves it, if anything does */
	sb->s_iflags |= SB_I_SKIP_SYNC; /* sync() gets there by itself */

	root = passfs_iget(sb, d_inode(lower->dentry));
	if (IS_ERR(root))
		return PTR_ERR(root);
	sb->s_root = d_make_root(root); /* drops the inode when it fails */
	if (!sb->s_root)
		return -ENOMEM;
	sb->s_root->d_fsdata = dget(lower->dentry);
	return 0;
}

static int passfs_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct path lower;
	int error;

	if (!fc->source)
		return invalf(fc, "passfs: no directory is named");
	error = kern_path(fc->source, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &lower);
	if (error)
		return error;
	error = passfs_fill_root(sb, &lower);
	path_put(&lower);
	return error;
}

static int passfs_get_tree(struct fs_context *fc)
{
	return get_tree_nodev(fc, passfs_fill_super);
}

static const struct fs_context_operations passfs_context_operations = {
	.get_tree	= passfs_get_tree,
};

/* Without parse_param the VFS refuses each option that it doesn't know. */
static int passfs_init_fs_context(struct fs_context *fc)
{
	fc->ops = &passfs_context_operations;
	return 0;
}

static void passfs_kill_sb(struct super_block *sb)
{
	struct vfsmount *mnt = passfs_mnt(sb);

	kill_anon_super(sb);
	if (mnt)
		kern_unmount(mnt);
}

static struct file_system_type passfs_type = {
	.owner			= THIS_MODULE,
	.name			= "passfs",
	.init_fs_context	= passfs_init_fs_context,
	.kill_sb		= passfs_kill_sb,
};
MODULE_ALIAS_FS("passfs");

static int __init passfs_init(void)
{
	return register_filesystem(&passfs_type);
}

static void __exit passfs_exit(void)
{
	unregister_filesystem(&passfs_type);
}

module_init(passfs_init);
module_exit(passfs_exit);
MODULE_DESCRIPTION("A filesystem over a directory of another one");
MODULE_LICENSE("GPL");
