// SPDX-License-Identifier: GPL-2.0-only
/* Regular files: the page cache, mmap, fsync. */
#include <linux/mm.h>
#include <linux/mpage.h>
#include <linux/pagemap.h>

#include "vexfs.h"

static int vexfs_read_folio(struct file *file, VEXFS_READ *folio)
{
	return vexfs_mpage_read(folio, vexfs_get_block);
}

static void vexfs_readahead(struct readahead_control *rac)
{
	mpage_readahead(rac, vexfs_get_block);
}

static int vexfs_writepages(struct address_space *mapping,
			    struct writeback_control *wbc)
{
	return mpage_writepages(mapping, wbc, vexfs_get_block_mapped);
}

/* A page with buffers in another state than mpage_writepages() knows. */
static int __maybe_unused vexfs_writepage(struct page *page,
					  struct writeback_control *wbc)
{
	return vexfs_write_full_page(page, vexfs_get_block_mapped, wbc);
}

/* A write that fell short may have left blocks behind the end of the file. */
static void vexfs_write_failed(struct inode *inode, loff_t end)
{
	loff_t size = i_size_read(inode);

	if (end <= size)
		return;
	filemap_invalidate_lock(inode->i_mapping);
	truncate_pagecache(inode, size);
	vexfs_free_tail(inode, (size + VEXFS_BLOCK_SIZE - 1) >>
			VEXFS_BLOCK_BITS);
	filemap_invalidate_unlock(inode->i_mapping);
}

/*
 * The transaction spans the copy, so that new blocks and the new size get to
 * the disk together. It starts before the folio is locked, because a commit
 * locks folios.
 */
static int vexfs_write_begin(VEXFS_WRITER *writer,
			     struct address_space *mapping, loff_t pos,
			     unsigned int len, VEXFS_WRITE_FLAGS
			     VEXFS_WRITTEN **foliop, void **fsdata)
{
	struct inode *inode = mapping->host;
	int err, tries = 0;
	unsigned int nofs;

	if (pos > i_size_read(inode)) {
		err = vexfs_zero_tail(inode, i_size_read(inode));
		if (err)
			return err;
	}
	do {
		err = vexfs_begin(inode->i_sb, &nofs);
		if (err)
			return err;
		err = vexfs_block_write_begin(mapping, pos, len, foliop,
					      vexfs_get_block);
		if (!err) {
			*fsdata = (void *)(unsigned long)nofs;
			return 0;
		}
		vexfs_end(inode->i_sb, nofs);
		vexfs_write_failed(inode, pos + len);
	} while (vexfs_retry_alloc(inode->i_sb, err, &tries));
	return err;
}

static int vexfs_write_end(VEXFS_WRITER *writer, struct address_space *mapping,
			   loff_t pos, unsigned int len, unsigned int copied,
			   VEXFS_WRITTEN *folio, void *fsdata)
{
	struct inode *inode = mapping->host;
	loff_t old = i_size_read(inode);
	int ret, err = 0;

	ret = generic_write_end(writer, mapping, pos, len, copied, folio, NULL);
	if (i_size_read(inode) != old)
		err = vexfs_log_inode(inode);
	vexfs_end(inode->i_sb, (unsigned long)fsdata);
	if (ret < (int)len)
		vexfs_write_failed(inode, pos + len);
	return err ? err : ret;
}

static sector_t vexfs_bmap(struct address_space *mapping, sector_t block)
{
	return generic_block_bmap(mapping, block, vexfs_get_block);
}

const struct address_space_operations vexfs_aops = {
	VEXFS_READ_OP(vexfs_read_folio),
	.readahead		= vexfs_readahead,
	.writepages		= vexfs_writepages,
	VEXFS_WRITEPAGE_OP(vexfs_writepage)
	.write_begin		= vexfs_write_begin,
	.write_end		= vexfs_write_end,
	.bmap			= vexfs_bmap,
	VEXFS_DIRTY_OPS,
	VEXFS_MIGRATE_OP,
	.is_partially_uptodate	= block_is_partially_uptodate,
	VEXFS_ERROR_REMOVE_OP,
};

/* A page becomes writable: give it its block now, writeback can't. */
static vm_fault_t vexfs_page_mkwrite(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	struct super_block *sb = inode->i_sb;
	int err, tries = 0;
	unsigned int nofs;

	sb_start_pagefault(sb);
	file_update_time(vmf->vma->vm_file);
	do {
		err = vexfs_begin(sb, &nofs);
		if (err)
			break;
		err = block_page_mkwrite(vmf->vma, vmf, vexfs_get_block);
		vexfs_end(sb, nofs);
	} while (vexfs_retry_alloc(sb, err, &tries));
	sb_end_pagefault(sb);
	return vmf_fs_error(err);
}

static const struct vm_operations_struct vexfs_vm_operations = {
	.fault		= vexfs_filemap_fault,
	.map_pages	= filemap_map_pages,
	.page_mkwrite	= vexfs_page_mkwrite,
};

static int vexfs_mmap(struct file *file, struct vm_area_struct *vma)
{
	file_accessed(file);
	vma->vm_ops = &vexfs_vm_operations;
	return 0;
}

/*
 * The commit takes all metadata along, that of the file and of the directories
 * that lead to it. It flushes the device's cache even when there is none.
 */
int vexfs_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct inode *inode = file->f_mapping->host;
	int err, ret;

	/* Mounted read-only. After an abort the commit returns the error. */
	if (!VEXFS_SB(inode->i_sb)->writable)
		return 0;
	ret = file_write_and_wait_range(file, start, end);
	err = sync_inode_metadata(inode, 1);
	if (!ret)
		ret = err;
	err = vexfs_commit(inode->i_sb);
	return ret ? ret : err;
}

const struct file_operations vexfs_file_operations = {
	.llseek		= generic_file_llseek,
	.read_iter	= generic_file_read_iter,
	.write_iter	= generic_file_write_iter,
	.mmap		= vexfs_mmap,
	.open		= generic_file_open,
	.fsync		= vexfs_fsync,
	.splice_read	= filemap_splice_read,
	.splice_write	= iter_file_splice_write,
	.unlocked_ioctl	= vexfs_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};

const struct inode_operations vexfs_file_inode_operations = {
	.setattr	= vexfs_setattr,
};
