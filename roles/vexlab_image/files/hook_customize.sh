#!/bin/sh
# After all packages: sources that are only unpacked, the lab's own files, and everything off that slows a boot.
# Usage: hook_customize.sh ROOT [SOURCE_PACKAGE...]
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
chroot "$root" mkinitramfs -o "/boot/initrd.img-$release" "$release"

cp -r "$here/rootfs/." "$root/"
chmod 0755 "$root/usr/lib/vexlab/provision"
chroot "$root" systemctl --quiet enable vexlab-provision.service systemd-networkd.service ssh.service
chroot "$root" systemctl --quiet disable systemd-networkd-wait-online.service ssh.socket 2>/dev/null || true

for unit in \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
    man-db.timer systemd-tmpfiles-clean.timer systemd-timesyncd.service systemd-networkd-wait-online.service \
    systemd-pstore.service systemd-firstboot.service systemd-hwdb-update.service systemd-journal-catalog-update.service \
    systemd-update-done.service systemd-journal-flush.service systemd-update-utmp.service systemd-random-seed.service \
    ldconfig.service getty@.service serial-getty@.service console-getty.service getty.target; do
    ln -sfn /dev/null "$root/etc/systemd/system/$unit"
done

# Made anew by each guest, or brought by its lab
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/hostname" "$root/var/lib/dbus/machine-id" "$root/var/lib/systemd/random-seed"
: > "$root/etc/machine-id"
echo vexlab > "$root/etc/hostname"
printf '127.0.0.1 localhost vexlab\n::1 localhost\n' > "$root/etc/hosts"
# No pass number: a guest starts from a clean image, checking it would only cost time.
echo 'LABEL=vexlab-root / ext4 errors=remount-ro 0 0' > "$root/etc/fstab"
# mmdebstrap's own settings are for building, not for the guest
rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap"
