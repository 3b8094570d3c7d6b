#!/bin/sh
# Usage: look.sh MODULE_NAME MODULE_FILE
# Print, as one JSON object, what role vexfs_load decides by. Reads only. The values can't hold quotes: they are
# names and versions.
set -eu
name=$1
file=$2
# Containers aside: one on a real machine has that machine's kernel. The exit code says "none" once more.
virtualisation=$(systemd-detect-virt --vm) || true
file_there=false loaded=false same=false permanent=false vermagic='' file_name='' sha256='' srcversion='' users=0
if [ -f "$file" ]; then
	file_there=true
	# Asked once: a program takes a tenth of a second to start in an emulated guest.
	fields=$(modinfo "$file")
	while read -r field value; do
		case $field in
		vermagic:) vermagic=$value ;;
		name:) file_name=$value ;;
		srcversion:) srcversion=$value ;;
		esac
	done <<EOF
$fields
EOF
	sha256=$(sha256sum <"$file")
	sha256=${sha256%% *}
fi
if [ -d "/sys/module/$name" ]; then
	loaded=true
	users=$(cat "/sys/module/$name/refcnt")
	if grep -q "^$name .*\[permanent\]" /proc/modules; then permanent=true; fi
	# The bytes of the note are the identity: a srcversion is the same for two builds of one source.
	note=/sys/module/$name/notes/.note.gnu.build-id
	if [ "$file_there" = true ] && [ -r "$note" ]; then
		copy=$(mktemp)
		trap 'rm -f "$copy"' EXIT
		objcopy -O binary --only-section=.note.gnu.build-id --set-section-flags .note.gnu.build-id=alloc "$file" "$copy"
		if cmp -s "$copy" "$note"; then same=true; fi
	fi
fi
printf '{"virtualisation": "%s", "release": "%s", "file_there": %s, "vermagic": "%s", "file_name": "%s", ' \
	"${virtualisation:-unknown}" "$(uname -r)" "$file_there" "$vermagic" "$file_name"
printf '"sha256": "%s", "srcversion": "%s", ' "$sha256" "$srcversion"
printf '"loaded": %s, "same": %s, "permanent": %s, "users": %s}\n' "$loaded" "$same" "$permanent" "$users"
