#!/bin/sh
# After all packages: sources that are only unpacked, initramfs, the lab's own files, and everything off that slows a boot.
# Usage: customize.sh ROOT [SOURCE_PACKAGE...]
set -eu
root=$1
shift
here=$(dirname "$0")

# apt runs outside the new root with the configuration that mmdebstrap gives it. The packages are unpacked and not
# installed, so that no maintainer script runs: a DKMS package would build its module for the wrong machine.
if [ $# -gt 0 ]; then
    debs=$(mktemp -d)
    (cd "$debs" && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get download -- "$@")
    for deb in "$debs"/*.deb; do
        echo "vexlab: unpacking ${deb##*/}"
        # --keep-directory-symlink: a package with files in /lib must not replace the link to /usr/lib
        dpkg-deb --fsys-tarfile "$deb" | tar -C "$root" -x -p --keep-directory-symlink
    done
    rm -r "$debs"
fi

release=$(basename "$(readlink "$root/vmlinuz")")
release=${release#vmlinuz-}
echo "vexlab: making the initramfs of $release"
cp "$here/make_initramfs.sh" "$here/initramfs_init" "$root/tmp/"
chroot "$root" sh /tmp/make_initramfs.sh "$release" /tmp/initramfs_init "/boot/initrd.img-$release"
rm "$root/tmp/make_initramfs.sh" "$root/tmp/initramfs_init"

cp -r "$here/rootfs/." "$root/"
chmod 0755 "$root/usr/lib/vexlab/provision"
chroot "$root" systemctl --quiet enable vexlab-provision.service

# What a guest for tests has no use for. Each is a process or a wait at every boot; together they are half of it.
mask() {
    directory=$root/etc/systemd/$1
    shift
    mkdir -p "$directory"
    for name in "$@"; do ln -sfn /dev/null "$directory/$name"; done
}
mask system \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
    man-db.timer systemd-tmpfiles-clean.timer \
    systemd-networkd.service systemd-networkd.socket systemd-networkd-persistent-storage.service \
    systemd-networkd-wait-online.service systemd-network-generator.service systemd-timesyncd.service \
    systemd-logind.service systemd-user-sessions.service systemd-hostnamed.socket systemd-creds.socket \
    systemd-sysext.socket systemd-rfkill.socket systemd-initctl.socket systemd-pcrextend.socket systemd-pcrlock.socket \
    systemd-binfmt.service proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount \
    systemd-ask-password-console.path systemd-ask-password-wall.path \
    systemd-pstore.service systemd-firstboot.service systemd-hwdb-update.service systemd-journal-catalog-update.service \
    systemd-update-done.service systemd-journal-flush.service systemd-update-utmp.service systemd-random-seed.service \
    systemd-sysusers.service systemd-udev-load-credentials.service systemd-hibernate-clear.service ldconfig.service \
    modprobe@.service sys-fs-fuse-connections.mount run-lock.mount dev-hugepages.mount dev-mqueue.mount \
    getty.target getty@.service serial-getty@.service console-getty.service remote-fs.target \
    ssh.service ssh.socket sshd-unix-local.socket sshd-keygen.service
for generator in "$root"/usr/lib/systemd/system-generators/*; do
    mask system-generators "${generator##*/}"
done

# Made anew by each guest, or brought by its lab
rm -f "$root"/etc/ssh/ssh_host_* "$root/var/lib/dbus/machine-id" "$root/var/lib/systemd/random-seed"
: > "$root/etc/machine-id"
echo vexlab > "$root/etc/hostname"
install -d -m 0700 "$root/root/.ssh"
printf '127.0.0.1 localhost vexlab\n::1 localhost\n' > "$root/etc/hosts"
# The initramfs has mounted all there is to mount
rm -f "$root/etc/fstab"
# mmdebstrap's own settings are for building, not for the guest
rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap"
