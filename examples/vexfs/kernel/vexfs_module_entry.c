// SPDX-License-Identifier: GPL-2.0-only
/* Module load and unload. */
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "vexfs.h"
#include "vexfs_ffi.h"

static struct file_system_type vexfs_type = {
	.owner			= THIS_MODULE,
	.name			= "vexfs",
	.init_fs_context	= vexfs_init_fs_context,
	.kill_sb		= vexfs_kill_sb,
	.fs_flags		= FS_REQUIRES_DEV,
};
MODULE_ALIAS_FS("vexfs");

/*
 * Which distance kernel is in this module. The answer comes from the
 * implementation itself and can't be set, so it can't be wrong.
 */
static int vexfs_ffi_param_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%s\n", vexfs_ffi_name());
}

static int vexfs_ffi_param_set(const char *value, const struct kernel_param *kp)
{
	return -EPERM;
}

static const struct kernel_param_ops vexfs_ffi_param_ops = {
	.get = vexfs_ffi_param_get,
	.set = vexfs_ffi_param_set,
};
module_param_cb(ffi, &vexfs_ffi_param_ops, NULL, 0444);
MODULE_PARM_DESC(ffi, "distance kernel in use (read-only)");

static int __init vexfs_init(void)
{
	int err;

	if (vexfs_ffi_version() != VEXFS_FFI_VERSION) {
		pr_err("VexFS: distance kernel '%s' has interface version %u, not %u\n",
		       vexfs_ffi_name(), vexfs_ffi_version(),
		       VEXFS_FFI_VERSION);
		return -EINVAL;
	}
	err = vexfs_init_inode_cache();
	if (err)
		return err;
	err = register_filesystem(&vexfs_type);
	if (err)
		vexfs_destroy_inode_cache();
	return err;
}

static void __exit vexfs_exit(void)
{
	unregister_filesystem(&vexfs_type);
	vexfs_destroy_inode_cache();
}

module_init(vexfs_init);
module_exit(vexfs_exit);

MODULE_DESCRIPTION("VexFS, a filesystem whose files can carry vectors");
MODULE_AUTHOR("The vexlab authors");
MODULE_LICENSE("GPL");
MODULE_VERSION("1.0");
