/* SPDX-License-Identifier: GPL-2.0-only */
/* ioctls of VexFS files, for programs and the module. */
#ifndef _VEXFS_IOCTL_H
#define _VEXFS_IOCTL_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VEXFS_VECTOR_MAX_DIM	1024

/*
 * A vector of signed 32-bit fixed-point numbers (16 fraction bits).
 * Get: @dim is the room at @data and returns the dimension; ERANGE when the
 * room is too small (@dim is set all the same), ENODATA when there is none.
 * Set: @dim 0 takes the vector away.
 */
struct vexfs_vector {
	__u32 dim;
	__u32 reserved;			/* must be 0 */
	__aligned_u64 data;		/* address of __s32[dim] */
};

#define VEXFS_IOC_GET_VECTOR	_IOWR('v', 0x56, struct vexfs_vector)
#define VEXFS_IOC_SET_VECTOR	_IOW('v', 0x57, struct vexfs_vector)

#endif /* _VEXFS_IOCTL_H */
