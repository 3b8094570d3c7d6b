/* SPDX-License-Identifier: GPL-2.0-only */
/* In-memory structures and the functions that the parts of VexFS share. */
#ifndef _VEXFS_H
#define _VEXFS_H

#include <linux/buffer_head.h>
#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/ratelimit.h>
#include <linux/rwsem.h>
#include <linux/workqueue.h>

#include "vexfs_format.h"

/* The on-disk structures are what they are, whatever the compiler thinks. */
static_assert(sizeof(struct vexfs_super_block) == 544);
static_assert(offsetof(struct vexfs_super_block, checksum) < 504);
static_assert(sizeof(struct vexfs_disk_inode) == VEXFS_INODE_SIZE);
static_assert(sizeof(struct vexfs_journal_header) == VEXFS_BLOCK_SIZE);
static_assert(sizeof(struct vexfs_dirent) == VEXFS_DIRENT_HEADER);
/* One block per page: a dirty page has all of its blocks, or is a bug. */
static_assert(PAGE_SIZE == VEXFS_BLOCK_SIZE);

/* Blocks that one operation may add to a transaction, at most. */
#define VEXFS_CREDITS		24
#define VEXFS_COMMIT_INTERVAL	(5 * HZ)

struct vexfs_sb_info {
	struct super_block *sb;
	struct buffer_head *sb_bh;
	struct ratelimit_state ratelimit;	/* of errors in the log */

	/* Geometry: checked at mount, constant afterwards. */
	u32 total_blocks;
	u32 inode_count;
	u32 journal_start;
	u32 journal_blocks;
	u32 imap_start;
	u32 bmap_start;
	u32 itable_start;
	u32 data_start;

	/* alloc_lock: bitmaps, the counters, the list of freed extents. */
	struct mutex alloc_lock;
	u64 free_blocks;
	u64 free_inodes;
	u64 pending_blocks;
	u32 block_rotor;
	u32 inode_rotor;
	struct list_head freed;

	/*
	 * Operations hold txn_sem for reading while they change metadata, a
	 * commit holds it for writing. Lock order: inode lock, invalidate_lock,
	 * txn_sem, folio lock, map_sem, alloc_lock, buffer lock, txn_lock.
	 */
	struct rw_semaphore txn_sem;
	spinlock_t txn_lock;		/* the fields up to ordered */
	struct buffer_head **txn_bh;
	struct buffer_head **journal_bh;
	unsigned int txn_count;
	unsigned int txn_reserved;
	unsigned int txn_max;
	struct list_head ordered;
	u64 txn_sequence;
	u32 state;
	bool writable;
	bool aborted;
	bool leaked;			/* an inode could not be freed */
	struct delayed_work commit_work;
};

struct vexfs_inode_info {
	u32 block[VEXFS_POINTERS];	/* map_sem */
	u32 flags;			/* map_sem */
	u32 goal;			/* map_sem: where to look for the next block */
	u32 dir_hint;			/* inode lock: first block that may have room */
	u32 search_hint;		/* where the last name was found */
	u32 vector_dim;			/* inode lock */
	u32 vector_block;
	u32 parent;			/* of a directory: rename is serialized */
	struct rw_semaphore map_sem;
	struct rw_semaphore mmap_sem;	/* where there is no invalidate_lock */
	struct list_head ordered;
	struct inode vfs_inode;
};

static inline struct vexfs_sb_info *VEXFS_SB(struct super_block *sb)
{
	return sb->s_fs_info;
}

static inline struct vexfs_inode_info *VEXFS_I(struct inode *inode)
{
	return container_of(inode, struct vexfs_inode_info, vfs_inode);
}

#include "vexfs_compat.h"	/* which stands on the two above */

/* May this block belong to a file? Block 0 never does: it means "none". */
static inline bool vexfs_data_block(struct vexfs_sb_info *sbi, u32 block)
{
	return block >= sbi->data_start && block < sbi->total_blocks;
}

/* super.c */
__printf(2, 3) void vexfs_error(struct super_block *sb, const char *fmt, ...);
int vexfs_init_fs_context(struct fs_context *fc);
void vexfs_kill_sb(struct super_block *sb);
u32 vexfs_super_checksum(const struct vexfs_super_block *raw);

/* journal.c */
int vexfs_begin(struct super_block *sb, unsigned int *nofs);
void vexfs_end(struct super_block *sb, unsigned int nofs);
void vexfs_log(struct super_block *sb, struct buffer_head *bh);
void vexfs_order_data(struct inode *inode);
void vexfs_forget_order(struct inode *inode);
int vexfs_commit(struct super_block *sb);
bool vexfs_retry_alloc(struct super_block *sb, int err, int *tries);
void vexfs_abort(struct super_block *sb, const char *why);
void vexfs_commit_worker(struct work_struct *work);
int vexfs_replay(struct super_block *sb);
int vexfs_clear_journal(struct super_block *sb);
void vexfs_drop_transaction(struct super_block *sb);

/* alloc.c */
int vexfs_alloc_block(struct super_block *sb, u32 goal, u32 *block);
void vexfs_free_block(struct super_block *sb, u32 block);
void vexfs_apply_frees(struct super_block *sb);
void vexfs_drop_frees(struct super_block *sb);
int vexfs_alloc_ino(struct super_block *sb, u32 *ino);
int vexfs_free_ino(struct super_block *sb, u32 ino);
int vexfs_ino_in_use(struct super_block *sb, u32 ino);
int vexfs_check_bitmaps(struct super_block *sb);

/* inode.c */
extern struct kmem_cache *vexfs_inode_cache;
int vexfs_init_inode_cache(void);
void vexfs_destroy_inode_cache(void);
struct inode *vexfs_alloc_inode(struct super_block *sb);
void vexfs_free_inode(struct inode *inode);
struct inode *vexfs_iget(struct super_block *sb, u32 ino, bool orphan);
struct inode *vexfs_new_inode(struct mnt_idmap *idmap, struct inode *dir,
			      umode_t mode, dev_t rdev);
int vexfs_log_inode(struct inode *inode);
int vexfs_write_inode(struct inode *inode, struct writeback_control *wbc);
void vexfs_evict_inode(struct inode *inode);
int vexfs_setattr(VEXFS_IDMAP_ARG struct dentry *dentry, struct iattr *attr);
int vexfs_recover_inodes(struct super_block *sb);

/* map.c */
int vexfs_map(struct inode *inode, sector_t iblock, u32 *block, bool create,
	      bool *is_new);
int vexfs_get_block(struct inode *inode, sector_t iblock,
		    struct buffer_head *bh, int create);
int vexfs_get_block_mapped(struct inode *inode, sector_t iblock,
			   struct buffer_head *bh, int create);
struct buffer_head *vexfs_new_buffer(struct super_block *sb, u32 block);
int vexfs_free_tail(struct inode *inode, u64 from);
int vexfs_zero_tail(struct inode *inode, loff_t size);

/* file.c */
extern const struct file_operations vexfs_file_operations;
extern const struct inode_operations vexfs_file_inode_operations;
extern const struct address_space_operations vexfs_aops;
int vexfs_fsync(struct file *file, loff_t start, loff_t end, int datasync);

/* dir.c */
extern const struct file_operations vexfs_dir_operations;
int vexfs_find_name(struct inode *dir, const struct qstr *name, u32 *ino,
		    u8 *type);
int vexfs_add_name(struct inode *dir, const struct qstr *name,
		   struct inode *inode);
int vexfs_remove_name(struct inode *dir, const struct qstr *name);
int vexfs_replace_name(struct inode *dir, const struct qstr *name,
		       struct inode *inode);
int vexfs_trim_dir(struct inode *dir);
int vexfs_dir_empty(struct inode *dir);
int vexfs_iterate(struct file *file, struct dir_context *ctx);

/* namei.c */
extern const struct inode_operations vexfs_dir_inode_operations;
extern const struct inode_operations vexfs_symlink_inode_operations;
extern const struct inode_operations vexfs_special_inode_operations;

/* export.c */
extern const struct export_operations vexfs_export_operations;

/* vector.c */
int vexfs_read_vector(struct inode *inode, s32 *data);
long vexfs_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* nearest.c */
struct vexfs_nearest;
int vexfs_nearest(struct file *file, struct vexfs_nearest __user *arg);

#endif /* _VEXFS_H */
