/* SPDX-License-Identifier: GPL-2.0-only */
/* The one place that knows kernel versions. */
#ifndef _VEXFS_COMPAT_H
#define _VEXFS_COMPAT_H

#include <linux/version.h>
#include <linux/crc32.h>

/*
 * Standard CRC-32C of a buffer, continued from @crc (0 to start). 6.12 has the
 * function built in under this name; crc32c() is in a module that a plain
 * insmod would not pull in.
 */
static inline u32 vexfs_crc32c(u32 crc, const void *data, size_t len)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 14, 0)
	return ~crc32c(~crc, data, len);
#else
	return ~__crc32c_le(~crc, data, len);
#endif
}

#endif /* _VEXFS_COMPAT_H */
