#!/bin/sh
# Plain make in a chroot of an image's user space, in a mount namespace of its own.
# Usage: chroot_make.sh USER_SPACE WORK, with COMMAND, DIRECTORY and VARIANT in the environment.
set -eu
if [ "${3-}" != inside ]; then
	exec unshare --user --map-root-user --mount sh "$0" "$1" "$2" inside
fi
root=$2/root
mkdir "$root"
mount -t tmpfs tmpfs "$root"
for name in usr etc dev proc; do mkdir "$root/$name"; done
for name in bin sbin lib lib64; do ln -s "usr/$name" "$root/$name"; done
mkdir -p "$root/tmp" "$root/var/lib/vexlab"
mount --rbind "$1/usr" "$root/usr"
mount --rbind "$1/etc" "$root/etc"
mount --rbind /dev "$root/dev"
mount --rbind /proc "$root/proc"
mount --bind "$2" "$root/var/lib/vexlab"
export COMMAND DIRECTORY VARIANT
# shellcheck disable=SC2016  # expanded inside
exec env -i PATH=/usr/sbin:/usr/bin HOME=/tmp LC_ALL=C KBUILD_BUILD_TIMESTAMP=1970-01-01 KBUILD_BUILD_USER=vexlab \
	KBUILD_BUILD_HOST=vexlab "COMMAND=$COMMAND" "DIRECTORY=$DIRECTORY" "VARIANT=$VARIANT" \
	/usr/sbin/chroot "$root" sh -euc '
		set -- /usr/lib/modules/*/build
		KDIR=$1 JOBS=$(nproc)
		KERNEL_RELEASE=$(basename "$(dirname "$KDIR")")
		export KDIR JOBS KERNEL_RELEASE
		cd "$DIRECTORY"
		exec sh -euc "$COMMAND"'
