// SPDX-License-Identifier: GPL-2.0-only
/* The search for the files of a directory that are nearest to a vector. */
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vexfs.h"
#include "vexfs_ffi.h"
#include "vexfs_ioctl.h"

/* Names per hold of the directory's lock: writers get in between. */
#define VEXFS_NEAREST_BATCH	64

struct vexfs_search {
	struct dir_context ctx;
	struct file *dir;
	const s32 *query;
	s32 *data;			/* the vector that is looked at */
	struct vexfs_neighbour *best;	/* sorted, the nearest first */
	u32 dim;
	u32 k;
	u32 count;			/* of @best */
	u32 batch;			/* names left before a break */
	int err;
};

static bool vexfs_nearer(const struct vexfs_neighbour *a,
			 const struct vexfs_neighbour *b)
{
	return a->distance != b->distance ? a->distance < b->distance :
					    a->ino < b->ino;
}

/* Put a file where it belongs among the best, if it does. */
static void vexfs_rank(struct vexfs_search *s,
		       const struct vexfs_neighbour *new)
{
	u32 i;

	if (s->count == s->k && !vexfs_nearer(new, &s->best[s->k - 1]))
		return;
	/* Another name of a file that is there. */
	for (i = 0; i < s->count; i++)
		if (s->best[i].ino == new->ino)
			return;
	if (s->count < s->k)
		s->count++;
	for (i = s->count - 1; i && vexfs_nearer(new, &s->best[i - 1]); i--)
		s->best[i] = s->best[i - 1];
	s->best[i] = *new;
}

/* A distance tells of contents, so the caller must be allowed to read them. */
static int vexfs_measure(struct vexfs_search *s, u32 ino)
{
	struct vexfs_neighbour new = { .ino = ino };
	int dim = -ENODATA, err;
	struct inode *inode;

	inode = vexfs_iget(file_inode(s->dir)->i_sb, ino, false);
	if (IS_ERR(inode))
		return PTR_ERR(inode);
	if (S_ISREG(inode->i_mode) &&
	    !inode_permission(file_mnt_idmap(s->dir), inode, MAY_READ))
		dim = vexfs_read_vector(inode, s->data);
	iput(inode);
	if (dim == -ENODATA)
		return 0;
	if (dim < 0)
		return dim;
	if (dim != s->dim)
		return 0;
	err = vexfs_ffi_l2_squared(s->query, s->data, dim, &new.distance);
	if (!err)
		vexfs_rank(s, &new);
	return err;
}

/* false: stop before this name. */
static VEXFS_ACTOR vexfs_visit(struct dir_context *ctx, const char *name,
			       int len, loff_t pos, u64 ino, unsigned int type)
{
	struct vexfs_search *s = container_of(ctx, struct vexfs_search, ctx);

	if (!s->batch)
		return VEXFS_ACTOR_GOES_ON(false);
	s->batch--;
	if (type == DT_REG)
		s->err = signal_pending(current) ? -EINTR :
						   vexfs_measure(s, ino);
	return VEXFS_ACTOR_GOES_ON(!s->err);
}

/*
 * The directory's lock is held while a file is looked up, as in a lookup, so
 * that the number still is that of the file with the name. The lock of one file
 * at a time is taken below it, that of no other directory.
 */
static int vexfs_walk(struct vexfs_search *s)
{
	struct inode *dir = file_inode(s->dir);
	int err;

	do {
		s->batch = VEXFS_NEAREST_BATCH;
		err = down_read_killable(&dir->i_rwsem);
		if (err)
			return err;
		err = IS_DEADDIR(dir) ? -ENOENT :
					vexfs_iterate(s->dir, &s->ctx);
		inode_unlock_shared(dir);
		cond_resched();
	} while (!err && !s->err && !s->batch);
	return err ? err : s->err;
}

int vexfs_nearest(struct file *file, struct vexfs_nearest __user *arg)
{
	struct vexfs_search s = { .ctx.actor = vexfs_visit, .dir = file };
	struct vexfs_nearest nearest;
	s32 *query;
	int err;

	if (copy_from_user(&nearest, arg, sizeof(nearest)))
		return -EFAULT;
	if (nearest.reserved || !nearest.dim || !nearest.k ||
	    nearest.dim > VEXFS_VECTOR_MAX_DIM || nearest.k > VEXFS_NEAREST_MAX)
		return -EINVAL;
	err = file_permission(file, MAY_EXEC);
	if (err)
		return err;
	query = vexfs_memdup_array(u64_to_user_ptr(nearest.query), nearest.dim,
				  sizeof(*query));
	if (IS_ERR(query))
		return PTR_ERR(query);
	s.query = query;
	s.dim = nearest.dim;
	s.k = nearest.k;
	s.data = kmalloc_array(VEXFS_VECTOR_MAX_DIM, sizeof(*s.data),
			       GFP_KERNEL);
	s.best = kvmalloc_array(s.k, sizeof(*s.best), GFP_KERNEL);
	err = s.data && s.best ? vexfs_walk(&s) : -ENOMEM;
	if (!err && (copy_to_user(u64_to_user_ptr(nearest.found), s.best,
				  s.count * sizeof(*s.best)) ||
		     put_user(s.count, &arg->k)))
		err = -EFAULT;
	kvfree(s.best);
	kfree(s.data);
	kfree(query);
	return err;
}
