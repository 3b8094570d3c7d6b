/* SPDX-License-Identifier: GPL-2.0-only */
/* The one place that knows kernel versions: 5.10 to 7.3. */
#ifndef _VEXFS_COMPAT_H
#define _VEXFS_COMPAT_H

#include <linux/blk_types.h>
#include <linux/blkdev.h>
#include <linux/buffer_head.h>
#include <linux/crc32.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/version.h>

#define VEXFS_KERNEL(major, minor) \
	(LINUX_VERSION_CODE >= KERNEL_VERSION(major, minor, 0))

/*
 * Standard CRC-32C of a buffer, continued from @crc (0 to start). Before 6.14
 * crc32c() is in a module that a plain insmod would not pull in; this one is
 * built in.
 */
static inline u32 vexfs_crc32c(u32 crc, const void *data, size_t len)
{
#if VEXFS_KERNEL(6, 14)
	return ~crc32c(~crc, data, len);
#else
	return ~__crc32c_le(~crc, data, len);
#endif
}

/*
 * Whom the VFS acts for: an idmap since 6.3, a user namespace since 5.12, and
 * nobody before. VEXFS_IDMAP_ARG is the parameter of an inode operation,
 * VEXFS_IDMAP what was passed for it.
 */
#if VEXFS_KERNEL(5, 12)
#define VEXFS_IDMAP_ARG	struct mnt_idmap *idmap,
#define VEXFS_IDMAP	idmap
#if !VEXFS_KERNEL(6, 3)
#define mnt_idmap	user_namespace
#define file_mnt_idmap	file_mnt_user_ns
#endif
#else
struct mnt_idmap;
#define VEXFS_IDMAP_ARG
#define VEXFS_IDMAP	NULL
#define setattr_prepare(idmap, dentry, attr)	setattr_prepare(dentry, attr)
#define setattr_copy(idmap, inode, attr)	setattr_copy(inode, attr)
#define inode_init_owner(idmap, inode, dir, mode) \
	inode_init_owner(inode, dir, mode)
#define inode_permission(idmap, inode, mask)	inode_permission(inode, mask)
#endif

/* Inode operations: mkdir has been able to return another dentry since 6.15. */
#if VEXFS_KERNEL(6, 15)
#define VEXFS_MKDIR		struct dentry *
#define VEXFS_MKDIR_RESULT(err)	ERR_PTR(err)
#else
#define VEXFS_MKDIR		int
#define VEXFS_MKDIR_RESULT(err)	(err)
#endif

#if VEXFS_KERNEL(7, 3)
#define VEXFS_EXCL_ARG
#else
#define VEXFS_EXCL_ARG		, bool excl
#endif

/* What a directory's reader is told by: "go on" is true since 6.1, was 0. */
#if VEXFS_KERNEL(6, 1)
#define VEXFS_ACTOR		bool
#define VEXFS_ACTOR_GOES_ON(yes) (yes)
#else
#define VEXFS_ACTOR		int
#define VEXFS_ACTOR_GOES_ON(yes) ((yes) ? 0 : -ECANCELED)
#endif

/*
 * Address space operations. A writer is told of by its kiocb since 6.17, and
 * handles a folio since 6.12; reading does since 5.19.
 */
#if VEXFS_KERNEL(6, 17)
#define VEXFS_WRITER		const struct kiocb
#else
#define VEXFS_WRITER		struct file
#endif

#if VEXFS_KERNEL(6, 12)
#define VEXFS_WRITTEN		struct folio
#else
#define VEXFS_WRITTEN		struct page
#endif

#if VEXFS_KERNEL(5, 19)
#define VEXFS_READ		struct folio
#define VEXFS_READ_OP(fn)	.read_folio = fn
#define VEXFS_WRITE_FLAGS
#define vexfs_mpage_read	mpage_read_folio
#define vexfs_block_write_begin	block_write_begin
#else
#define VEXFS_READ		struct page
#define VEXFS_READ_OP(fn)	.readpage = fn
#define VEXFS_WRITE_FLAGS	unsigned int flags,
#define vexfs_mpage_read	mpage_readpage
#define vexfs_block_write_begin(mapping, pos, len, pagep, get_block) \
	block_write_begin(mapping, pos, len, flags, pagep, get_block)
#endif

#if VEXFS_KERNEL(5, 18)
#define VEXFS_DIRTY_OPS \
	.dirty_folio = block_dirty_folio, \
	.invalidate_folio = block_invalidate_folio
#else
#define VEXFS_DIRTY_OPS \
	.set_page_dirty = __set_page_dirty_buffers, \
	.invalidatepage = block_invalidatepage
#endif

#if VEXFS_KERNEL(6, 0)
#define VEXFS_MIGRATE_OP	.migrate_folio = buffer_migrate_folio
#else
#define VEXFS_MIGRATE_OP	.migratepage = buffer_migrate_page
#endif

/* mpage_writepages() leaves to it what it can't do itself, until 6.3. */
#if VEXFS_KERNEL(6, 3)
#define VEXFS_WRITEPAGE_OP(fn)
#define vexfs_write_full_page(page, get_block, wbc)	(-EIO)
#else
#define vexfs_write_full_page	block_write_full_page
#define VEXFS_WRITEPAGE_OP(fn)	.writepage = fn,
#endif

#if VEXFS_KERNEL(6, 8)
#define VEXFS_ERROR_REMOVE_OP	.error_remove_folio = generic_error_remove_folio
#else
#define VEXFS_ERROR_REMOVE_OP	.error_remove_page = generic_error_remove_page
#endif

#if !VEXFS_KERNEL(6, 7)
#define vmf_fs_error	block_page_mkwrite_return
#endif

/*
 * Nobody may fault in pages that are being cut off. Before 5.15 there is no
 * lock for that, and each filesystem brings its own.
 */
#if VEXFS_KERNEL(5, 15)
#define vexfs_filemap_fault	filemap_fault
#else
#define filemap_invalidate_lock(mapping) \
	down_write(&VEXFS_I((mapping)->host)->mmap_sem)
#define filemap_invalidate_unlock(mapping) \
	up_write(&VEXFS_I((mapping)->host)->mmap_sem)
static inline vm_fault_t vexfs_filemap_fault(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	vm_fault_t ret;

	down_read(&VEXFS_I(inode)->mmap_sem);
	ret = filemap_fault(vmf);
	up_read(&VEXFS_I(inode)->mmap_sem);
	return ret;
}
#endif

#if !VEXFS_KERNEL(6, 5)
#define filemap_splice_read	generic_file_splice_read
#endif

/* Super operations: the device's end has been told since 6.5. */
#if VEXFS_KERNEL(6, 5)
#define VEXFS_SHUTDOWN_OP(fn)	.shutdown = fn,
#else
#define VEXFS_SHUTDOWN_OP(fn)
#endif

#if !VEXFS_KERNEL(6, 9)
#define super_set_uuid	vexfs_set_uuid
static inline void vexfs_set_uuid(struct super_block *sb, const u8 *uuid,
				  unsigned int len)
{
	memcpy(&sb->s_uuid, uuid, len);
}
#endif

#if !VEXFS_KERNEL(5, 16)
static inline loff_t bdev_nr_bytes(struct block_device *bdev)
{
	return i_size_read(bdev->bd_inode);
}
#endif

#if !VEXFS_KERNEL(5, 12)
#define blkdev_issue_flush(bdev)	blkdev_issue_flush(bdev, GFP_NOFS)

static inline __kernel_fsid_t uuid_to_fsid(const u8 *uuid)
{
	__le64 half[2];

	memcpy(half, uuid, sizeof(half));
	return u64_to_fsid(le64_to_cpu(half[0]) ^ le64_to_cpu(half[1]));
}
#endif

/* What a NULL in its place meant before 6.6. */
#if VEXFS_KERNEL(6, 6)
#define VEXFS_ENCODE_FH_OP	.encode_fh = generic_encode_ino32_fh,
#else
#define VEXFS_ENCODE_FH_OP
#endif

/* Inodes. */
#if !VEXFS_KERNEL(5, 18)
#define alloc_inode_sb(sb, cache, gfp)	kmem_cache_alloc(cache, gfp)
#endif

static inline bool vexfs_is_new(struct inode *inode)
{
#if VEXFS_KERNEL(6, 19)
	return inode_state_read_once(inode) & I_NEW;
#else
	return inode->i_state & I_NEW;
#endif
}

/*
 * The times of an inode have been read and set through functions since 6.6 and
 * 6.7; 6.6 itself is none that this header was tried on. Updates of older kernels have some of these functions too,
 * hence the other names.
 */
#if !VEXFS_KERNEL(6, 6)
static inline struct timespec64 vexfs_set_ctime_current(struct inode *inode)
{
	return inode->i_ctime = current_time(inode);
}

static inline void vexfs_rename_timestamp(struct inode *old_dir,
					  struct dentry *old,
					  struct inode *new_dir,
					  struct dentry *new)
{
	struct timespec64 now = vexfs_set_ctime_current(old_dir);

	old_dir->i_mtime = now;
	new_dir->i_mtime = new_dir->i_ctime = now;
	d_inode(old)->i_ctime = now;
	if (d_really_is_positive(new))
		d_inode(new)->i_ctime = now;
}

#define vexfs_set_time(field, sec, nsec) \
	((field) = (struct timespec64){ .tv_sec = (sec), .tv_nsec = (nsec) })
#define inode_set_ctime_current	vexfs_set_ctime_current
#define simple_rename_timestamp	vexfs_rename_timestamp
#define inode_set_ctime(inode, sec, nsec) \
	vexfs_set_time((inode)->i_ctime, sec, nsec)
#define inode_get_ctime_sec(inode)	((inode)->i_ctime.tv_sec)
#define inode_get_ctime_nsec(inode)	((inode)->i_ctime.tv_nsec)
#define inode_set_atime(inode, sec, nsec) \
	vexfs_set_time((inode)->i_atime, sec, nsec)
#define inode_get_atime_sec(inode)	((inode)->i_atime.tv_sec)
#define inode_get_atime_nsec(inode)	((inode)->i_atime.tv_nsec)
#define inode_set_mtime(inode, sec, nsec) \
	vexfs_set_time((inode)->i_mtime, sec, nsec)
#define inode_get_mtime_sec(inode)	((inode)->i_mtime.tv_sec)
#define inode_get_mtime_nsec(inode)	((inode)->i_mtime.tv_nsec)
#define inode_set_mtime_to_ts(inode, time)	((inode)->i_mtime = (time))
#define simple_inode_init_ts(inode) \
	((inode)->i_atime = (inode)->i_mtime = vexfs_set_ctime_current(inode))
#endif

static inline void *vexfs_memdup_array(const void __user *from, size_t n,
				       size_t size)
{
	size_t bytes;

	if (check_mul_overflow(n, size, &bytes))
		return ERR_PTR(-EOVERFLOW);
	return memdup_user(from, bytes);
}

/*
 * Write a locked buffer; it is unlocked when that is done. The end of the bio
 * has left the buffer's reference alone since 7.2; before, it drops one.
 */
static inline void vexfs_write_buffer(struct buffer_head *bh)
{
#if VEXFS_KERNEL(7, 2)
	bh_submit(bh, REQ_OP_WRITE | REQ_SYNC | REQ_META, bh_end_write);
#else
	get_bh(bh);
	bh->b_end_io = end_buffer_write_sync;
#if VEXFS_KERNEL(6, 0)
	submit_bh(REQ_OP_WRITE | REQ_SYNC | REQ_META, bh);
#else
	submit_bh(REQ_OP_WRITE, REQ_SYNC | REQ_META, bh);
#endif
#endif
}

#endif /* _VEXFS_COMPAT_H */
