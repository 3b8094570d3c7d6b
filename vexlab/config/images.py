"""The image that role vexlab_image would make for a contract, for who asks without Ansible."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.vexfs.vexlab.plugins.module_utils.image.cache import Wanted
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.store import Spec

from vexlab.config import installation


def wanted(contract: Mapping[str, Any]) -> Wanted:
    """The image of a contract, in the cache of images."""
    role = installation.root() / "roles" / "vexlab_image"
    own = installation.read_yaml(role / "vars" / "main.yml")
    files = {name: (role / "files" / name).read_text(encoding="utf-8") for name in own["__vexlab_image_files"]}
    spec = Spec(
        contract["vexlab_kernel_suite"],
        (*own["__vexlab_image_base_packages"], *contract["vexlab_packages"]),
        tuple(contract["vexlab_source_packages"]),
        contract["vexlab_disk_size_mb"],
    )
    place = Path(contract["vexlab_cache_directory"]).expanduser()
    return Wanted(place, spec, files, contract["vexlab_kernel"], tuple(contract["vexlab_kernel_suites"]))
