/* SPDX-License-Identifier: GPL-2.0-only */
/* ioctls of VexFS files, for programs and the module. */
#ifndef _VEXFS_IOCTL_H
#define _VEXFS_IOCTL_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VEXFS_VECTOR_MAX_DIM	1024
#define VEXFS_NEAREST_MAX	1024

/*
 * A vector of signed 32-bit fixed-point numbers (16 fraction bits).
 * Get: @dim is the room at @data and returns the dimension; ERANGE when the
 * room is too small (@dim is set all the same), ENODATA when there is none.
 * Set: @dim 0 takes the vector away. EBADF unless the file is open for it.
 */
struct vexfs_vector {
	__u32 dim;
	__u32 reserved;			/* must be 0 */
	__aligned_u64 data;		/* address of __s32[dim] */
};

struct vexfs_neighbour {
	__u64 ino;
	__u64 distance;			/* squared, 32 fraction bits, limited */
};

/*
 * Of the regular files that an open directory holds (not of those in further
 * directories), the @k whose vectors are nearest to a query: the nearest first,
 * the lower inode number first among equals, a file with two names once.
 * Returns in @k how many were found; fewer than asked for when no more have a
 * vector of this dimension and are readable for the caller. Names that come
 * and go meanwhile may be seen or not, as with readdir. EINVAL: @dim or @k is 0
 * or above its maximum; EACCES: no search permission; EINTR: a signal came.
 */
struct vexfs_nearest {
	__u32 dim;
	__u32 k;			/* room at @found */
	__u64 reserved;			/* must be 0 */
	__aligned_u64 query;		/* address of __s32[dim] */
	__aligned_u64 found;		/* address of struct vexfs_neighbour[k] */
};

#define VEXFS_IOC_GET_VECTOR	_IOWR('v', 0x56, struct vexfs_vector)
#define VEXFS_IOC_SET_VECTOR	_IOW('v', 0x57, struct vexfs_vector)
#define VEXFS_IOC_NEAREST	_IOWR('v', 0x58, struct vexfs_nearest)

#endif /* _VEXFS_IOCTL_H */
