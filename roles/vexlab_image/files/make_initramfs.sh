#!/bin/sh
# Make an initramfs of busybox, a few modules and one script. Runs inside the new root file system.
# Usage: make_initramfs.sh KERNEL_RELEASE INIT_SCRIPT OUTPUT
set -eu
release=$1 init=$2 output=$3
tree=$(mktemp -d)

mkdir -p "$tree/bin" "$tree/dev" "$tree/proc" "$tree/root" "$tree/modules"
cp /bin/busybox "$tree/bin/busybox"
install -m 0755 "$init" "$tree/init"

# In the order of their dependencies, and unpacked, because busybox knows fewer compressions than kernels do.
modprobe --set-version "$release" --show-depends --all virtio_pci virtio_blk crc32c_generic ext4 |
    awk '$1 == "insmod" && !seen[$2]++ { print $2 }' > "$tree/list"
while read -r module; do
    name=$(basename "$module")
    case $name in
        *.xz) name=${name%.xz}; xz -dc "$module" > "$tree/modules/$name" ;;
        *.zst) name=${name%.zst}; zstd -qdc "$module" > "$tree/modules/$name" ;;
        *) cp "$module" "$tree/modules/$name" ;;
    esac
    # A module for a CPU feature that this machine lacks refuses; what is needed shows when the disk is not found.
    echo "insmod /modules/$name"
done < "$tree/list" > "$tree/load_modules"
rm "$tree/list"

(cd "$tree" && find . | LC_ALL=C sort | cpio --quiet -o -H newc) | zstd -q -19 > "$output"
rm -r "$tree"
