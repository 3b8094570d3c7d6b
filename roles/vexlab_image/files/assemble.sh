#!/bin/sh
# Everything that must own files as root, in the namespaces of "mmdebstrap --unshare-helper": as an ordinary user, root
# is here the first of their subordinate ids. Mounts and processes end with the namespaces, whatever happens.
#
# Usage: assemble.sh SUITE DISK_SIZE_MB PACKAGE,PACKAGE... [SOURCE_PACKAGE...]
# The current directory is the work directory; standard input is held open by the builder for as long as it lives.
set -eu
suite=$1 size=$2 packages=$3
shift 3

exec 3<&0 </dev/null
# The builder died without a chance to say so: end everything in this PID namespace.
(cat <&3 >/dev/null; kill -KILL -1) &

# The way to the work directory may be closed to subordinate ids (a home directory is 0700); a bind mount of "." is not.
mount --make-rslave /
mount --no-canonicalize --rbind . /mnt
cd /mnt

echo "vexlab: step 2/6: installing Debian $suite and its packages"
mmdebstrap --verbose --mode=unshare --variant=minbase --architectures=amd64 --format=directory \
    --include="$packages" \
    --aptopt='APT::Sandbox::User "root"' \
    --aptopt='Acquire::Languages "none"' \
    --aptopt='Acquire::Retries "3"' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook="sh /mnt/files/customize.sh \"\$1\" $*" \
    "$suite" /mnt/rootfs

echo "vexlab: step 3/6: taking kernel and initramfs"
release=$(basename "$(readlink rootfs/vmlinuz)")
release=${release#vmlinuz-}
cp "rootfs/boot/vmlinuz-$release" vmlinuz
mv "rootfs/boot/initrd.img-$release" initrd.img
chmod 0644 vmlinuz initrd.img
echo "$release" > kernel_release

echo "vexlab: step 4/6: making the ext4 filesystem"
mke2fs -q -t ext4 -L vexlab-root -m 0 -N 262144 -E lazy_itable_init=0,lazy_journal_init=0,nodiscard \
    -d rootfs disk.raw "${size}M" &

# What a build in the guest's user space needs, readable by whoever builds: the builder unpacks it as its own files.
tar --create --file=sandbox.tar --directory=rootfs --exclude='usr/lib/modules/*/kernel' --exclude=usr/share/locale \
    --mode=u+rw,go+r usr etc/alternatives etc/ld.so.cache etc/ld.so.conf etc/ld.so.conf.d etc/passwd etc/group
chmod 0644 sandbox.tar
wait "$!"
rm -rf rootfs
