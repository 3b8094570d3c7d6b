"""In which fields the target file that is read from a tree differs from the one that was written by hand, and why."""

from __future__ import annotations

HAND = "what its author knows, and no source says"
VEXFS_DIFFERS = {
    "vexlab_packages": "rustc is for variant full; which package has a compiler, a Makefile doesn't say",
    "vexlab_required_paths": HAND,
    "vexlab_forbidden_in_root": HAND,
    "vexlab_exclude": "of the programs that a build leaves, only mkfs runs before it is built anew",
    "vexlab_build_command": "plain make builds what the hand-written command names one by one; variants aren't seen",
    "vexlab_variants": "conditionals of a Makefile are not understood",
    "vexlab_variant_proofs": "likewise",
    "vexlab_device_size_mb": HAND,
    "vexlab_fsck_command": "which of its options has a fsck only look, its author knows",
    "vexlab_superblock_fields": "in the file as a comment: what must be refused, its author knows",
    "vexlab_checksum_command": HAND,
    "vexlab_damage_command": HAND,
    "vexlab_damages": HAND,
    "vexlab_checks": HAND,
    "vexlab_capabilities": "only those that the module's own words tell",
    "vexlab_limits": "what limits there are, the module shows when it is mounted",
}
APFS_DIFFERS = {
    "vexlab_source": "the tree at hand; the example's is in the guest's image",
    "vexlab_source_in_guest": "likewise",
    "vexlab_packages": "mkapfs is a program of another package",
    "vexlab_source_packages": "the tree at hand needs none",
    "vexlab_required_paths": HAND,
    "vexlab_forbidden_in_root": HAND,
    "vexlab_mkfs_command": "mkapfs is a program of another package",
    "vexlab_mount_options_rw": "that a plain mount is read-only, a mount shows",
    "vexlab_capabilities": "only those that the module's own words tell",
    "vexlab_limits": "likewise, and its author says",
}
