"""For each entry of the table of kernel messages, a line that it means and one that is nearly the same and harmless.

Written after the kernel's own format strings.
"""

# ruff: noqa: E501  they are as long as the kernel makes them

from __future__ import annotations

SAMPLES = {
    "null pointer": (
        "BUG: kernel NULL pointer dereference, address: 0000000000000010",
        "toyfs: a bug: kernel NULL pointer dereference avoided",
    ),
    "bad address": (
        "BUG: unable to handle page fault for address: ffffb0d240e81000",
        "toyfs: unable to handle page of 65536 bytes",
    ),
    "bad address, arm64": (
        "Unable to handle kernel paging request at virtual address dead000000000108",
        "Unable to handle option uid=x",
    ),
    "BUG()": ("kernel BUG at /var/lib/vexlab/build/kernel/inode.c:212!", "toyfs: kernel BUG at is a phrase"),
    "oops": ("Oops: Oops: 0000 [#1] PREEMPT SMP NOPTI", "Oopsie: 0000"),
    "internal error": ("Internal error: Oops: 0000000096000004 [#1] SMP", "toyfs: Internal error: ignored"),
    "protection fault": (
        "general protection fault, probably for non-canonical address 0xdead000000000122: 0000 [#1] PREEMPT SMP PTI",
        "traps: a.out[771] general protection fault ip:401126 sp:7ffd1c90 error:0 in a.out[401000+1000]",
    ),
    "divide error": (
        "divide error: 0000 [#1] PREEMPT SMP NOPTI",
        "traps: a.out[70] trap divide error ip:401126 sp:7ffd1c90 error:0",
    ),
    "invalid opcode": (
        "invalid opcode: 0000 [#1] PREEMPT SMP NOPTI",
        "traps: a.out[71] trap invalid opcode ip:401126 sp:7ffd1c90 error:0",
    ),
    "breakpoint": ("int3: 0000 [#1] PREEMPT SMP NOPTI", "traps: a.out[72] trap int3 ip:401126 sp:7ffd1c90 error:0"),
    "stack overflow": (
        "BUG: TASK stack guard page was hit at 00000000a1b2c3d4 (stack is 00000000a1b2c3d4..00000000a1b2c3d5)",
        "TASK_SIZE: stack guard gap is 256 pages",
    ),
    "KASAN": (
        "BUG: KASAN: slab-out-of-bounds in toyfs_readdir+0x1c3/0x3f0 [toyfs]",
        "kasan: KernelAddressSanitizer initialized (generic)",
    ),
    "freed page": (
        "pagealloc: memory corruption",
        "mem auto-init: CONFIG_PAGE_POISONING is on, will take precedence over init_on_alloc and init_on_free",
    ),
    "KFENCE": (
        "BUG: KFENCE: use-after-free read in toyfs_evict_inode+0x3d/0x80 [toyfs]",
        "kfence: initialized - using 2097152 bytes for 255 objects at 0x(____ptrval____)-0x(____ptrval____)",
    ),
    "slab": (
        "BUG toyfs_inode_cache (Tainted: G           OE     ): Objects remaining in toyfs_inode_cache on __kmem_cache_shutdown()",
        "toyfs: BUGS fixed (Tainted: no)",
    ),
    "BUG": ("BUG: scheduling while atomic: mount/901/0x00000002", "BUG: MAX_LOCKDEP_CHAINS too low!"),
    "WARN()": (
        "WARNING: CPU: 1 PID: 812 at fs/inode.c:407 drop_nlink+0x31/0x40",
        "WARNING: fbcon: Driver 'virtiodrmfb' missed to adjust virtual screen size (0x0 vs. 1024x768)",
    ),
    "UBSAN": (
        "UBSAN: array-index-out-of-bounds in /var/lib/vexlab/build/kernel/file.c:88:21",
        "toyfs: UBSAN: is not configured",
    ),
    "unregistered lock": ("INFO: trying to register non-static key.", "INFO: registered a static key."),
    "hung task": (
        "INFO: task umount:1288 blocked in I/O wait for more than 60 seconds.",
        "INFO: task umount:1288 is not blocked",
    ),
    "RCU stall": (
        "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
        "rcu: \tRCU debug extended QS entry/exit.",
    ),
    "soft lockup": (
        "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [mount:943]",
        "watchdog: soft lockup detector enabled",
    ),
    "hard lockup": (
        "watchdog: Watchdog detected hard LOCKUP on cpu 1",
        "NMI watchdog: Enabled. Permanently consumes one hw-PMU counter.",
    ),
    "panic": ("Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b", "Kernel panic was not seen"),
    "busy inodes": ("VFS: Busy inodes after unmount of loop1 (toyfs)", "VFS: Disk quotas dquot_6.6.0"),
    "list": (
        "list_del corruption. prev->next should be ffff8f0f8a0b8d08, but was dead000000000100. (prev=ffff8f0f8a0b8d20)",
        "toyfs: list_del corruption test skipped",
    ),
    "usercopy": (
        "usercopy: Kernel memory exposure attempt detected from SLUB object 'toyfs_inode_cache' (offset 912, size 200)!",
        "usercopy: checks are on",
    ),
    "refcount": ("refcount_t: underflow; use-after-free.", "toyfs: refcount_t: 2"),
    "slab objects": (
        "kmem_cache_destroy toyfs_inode_cache: Slab cache still has objects when called from toyfs_exit+0x1a/0x2f0 [toyfs]",
        "kmem_cache_destroy toyfs_inode_cache: done",
    ),
    "page dumped": ("page dumped because: PAGE_FLAGS_CHECK_AT_FREE flag(s) set", "page dump: off"),
    "free object": ("Object already free", "Objects: 12"),
    "kmemleak": (
        "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
        "kmemleak: Automatic memory scanning thread started",
    ),
    "device held": (
        "unregister_netdevice: waiting for lo to become free. Usage count = 2",
        "unregister_netdevice: done",
    ),
    "page cache": (
        "Page cache invalidation failure on direct I/O.  Possible data corruption due to collision with buffered I/O!",
        "toyfs: Page cache invalidation after direct I/O",
    ),
    "direct I/O": (
        "Direct I/O collision with buffered writes! File: /scratch/file Comm: fio",
        "toyfs: Direct I/O is not supported",
    ),
    "leaked locks": ("Leaked locks on dev=0x7:0x1 ino=0x2a:", "toyfs: no leaked locks"),
    "loop of directories": (
        "VFS: Lookup of 'file' in toyfs loop1 would have caused loop",
        "VFS: Lookup of 'file' in toyfs loop1 took long",
    ),
    "freeze": ("VFS:Filesystem freeze failed", "VFS: Filesystem frozen"),
    "name exists": (
        "kobject: kobject_add_internal failed for loop1 with -EEXIST, don't try to register things with the same name in the same directory.",
        "kobject: loop1: released",
    ),
    "exit": ("note: mount[943] exited with irqs disabled", "note: mount[943] exited"),
    "beyond the end": ("mount: attempt to access beyond end of device", "toyfs: access beyond end of device refused"),
    "out-of-range block": (
        "grow_buffers: requested out-of-range block 18446744073709551615 for device loop1",
        "toyfs: block 7 is out of range",
    ),
    "size of a block": ("getblk(): invalid block size 3 requested", "toyfs: invalid block size 3"),
    "lockdep is full": (
        "BUG: MAX_LOCKDEP_ENTRIES too low!",
        "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 33s!",
    ),
    "console font": (
        "WARNING: fbcon: Driver 'virtiodrmfb' missed to adjust virtual screen size (0x0 vs. 1024x768)",
        "WARNING: CPU: 0 PID: 1 at drivers/video/fbdev/core/fbcon.c:2674 fbcon_modechanged+0x1a/0x2f0",
    ),
    "stuck process": (
        "vexlab: SIGKILL does not end umount (process 974, state D) in toyfs_put_super+0x3e/0x140 [toyfs]",
        "vexlab: stage mount begins, taint 0, run 1f",
    ),
    "separator": ("=============================================================================", "======"),
    "trace": ("Call Trace:", "Call Traces: off"),
}
"""Name of the entry: a line that it means, and one that no entry does."""

MORE = {
    "oops": [
        "Oops: 0000 [#1] PREEMPT SMP PTI",
        "Oops: general protection fault, probably for non-canonical address 0xdead000000000122: 0000 [#1] PREEMPT SMP NOPTI",
        "Oops: divide error: 0000 [#1] PREEMPT SMP NOPTI",
    ],
    "protection fault": ["general protection fault: 0000 [#1] SMP PTI"],
    "WARN()": [
        "WARNING: fs/inode.c:407 at drop_nlink+0x31/0x40, CPU#1: rm/812",
        "WARNING: possible circular locking dependency detected",
        "WARNING: suspicious RCU usage",
    ],
    "BUG": [
        "BUG: sleeping function called from invalid context at include/linux/sched/mm.h:337",
        "BUG: Bad page state in process mount  pfn:1a2b3",
        "BUG: Dentry 00000000c5a8e0a3{i=2,n=file} still in use (1) [unmount of toyfs loop1]",
    ],
    "busy inodes": ["VFS: Busy inodes after unmount of loop1. Self-destruct in 5 seconds.  Have a nice day..."],
    "slab": ["BUG kmalloc-64 (Not tainted): Right Redzone overwritten"],
    "hung task": ["INFO: task umount:1288 blocked for more than 60 seconds."],
    "hard lockup": [
        "NMI watchdog: Watchdog detected hard LOCKUP on cpu 1",
        "watchdog: CPU1: Watchdog detected hard LOCKUP on cpu 1",
    ],
    "RCU stall": [
        "rcu: INFO: rcu_preempt self-detected stall on CPU",
        "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-...D } 21 jiffies s: 189 root: 0x2/.",
        "INFO: rcu_sched self-detected stall on CPU",
    ],
    "freeze": ["VFS: Filesystem thaw failed"],
    "leaked locks": ["Leaked POSIX lock on dev=0x7:0x1 ino=0x2a fl_owner=000000001 fl_flags=0x1 fl_type=0x1 fl_pid=9"],
    "exit": ["note: mount[943] exited with preempt_count 1"],
}
"""Further lines that an entry means."""
