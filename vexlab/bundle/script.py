"""One shell script that leads to a failure, for somebody who has the module's source, a kernel and root in a VM."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from vexlab.bundle.manifest import Failure
from vexlab.config import check_list, installation
from vexlab.results.model import DIED

REST = "The rest is the check's:"  # begins what is said of it
LONGEST = 4000  # characters of what came
BEGIN = """\
#!/bin/sh
{about}
#
# Usage, as root in a VM that may crash: sh reproduce.sh SOURCE
# It builds in a copy of SOURCE and makes its filesystem in a file. It needs the headers of the running kernel.
set -eu

stop() {{
	printf 'reproduce: %s\\n' "$1" >&2
	exit 3
}}

[ $# -eq 1 ] && [ -d "$1" ] || stop 'name the directory of the source'
command -v systemd-detect-virt >/dev/null || stop 'systemd-detect-virt is missing, and this is for a VM alone'
systemd-detect-virt --quiet --vm || stop 'this is no VM: the module may crash or damage the machine'
[ "$(id -u)" = 0 ] || stop 'a module is loaded by root alone'

WORK=$(mktemp -d)
cp -a "$1/." "$WORK/build"
KERNEL_RELEASE=$(uname -r)
KDIR=/lib/modules/$KERNEL_RELEASE/build
JOBS=$(nproc)
export WORK KERNEL_RELEASE KDIR JOBS
[ -d "$KDIR" ] || stop "there are no headers in $KDIR"
"""


def render(target: str, failure: Failure, contract: Mapping[str, Any], options: Mapping[str, int | str | bool]) -> str:
    """Return the script: what a failure was, and the fewest commands to where it came from."""
    about = [f"{failure.name} of target {target}: {failure.verdict}", "", *_cut(failure.words).splitlines()]
    parts = [BEGIN.format(about="\n".join(_comment(about)))]
    parts.append(f"export VARIANT={shlex.quote(str(options['variant']))}\n")
    parts += _build(contract)
    block = contract["vexlab_device_kind"] == "block"
    if failure.stage not in ("structure", "build"):
        parts += _device(contract) if block else []
        parts += _load(contract) if failure.stage != "mkfs" else []
    if failure.stage not in ("structure", "build", "load", "mkfs"):
        parts += _mount(contract, block)
    parts += _check(failure, contract, options)
    return "\n".join(parts)


def _build(contract: Mapping[str, Any]) -> Iterator[str]:
    if contract["vexlab_module_source"] == "kernel":
        return
    yield f'cd "$WORK/build"/{shlex.quote(str(contract["vexlab_build_directory"]))}'
    yield from contract["vexlab_build_before"]
    yield f"{contract['vexlab_build_command']}\n"


def _load(contract: Mapping[str, Any]) -> Iterator[str]:
    parameters = str(contract["vexlab_module_parameters"])
    for module in contract["vexlab_module_dependencies"]:
        yield f"modprobe {shlex.quote(str(module))}"
    for module in contract["vexlab_modules"]:
        given = str(module.get("parameters", ""))
        yield f"insmod {_built(module['file'])} {given}" if module.get("file") else f"modprobe {module['name']} {given}"
    name = str(contract["vexlab_module_name"])
    if contract["vexlab_module_source"] == "kernel":
        yield f"modprobe {name} {parameters}\n" if name else ""
    else:
        file = _built(contract["vexlab_module_file"])
        yield f"for other in $(modinfo -F depends {file} | tr , ' '); do  # insmod loads nothing that it needs"
        yield '\t[ -d "/sys/module/$other" ] || modprobe "$other"\ndone'
        yield f"insmod {file} {parameters}".rstrip() + "\n"


def _device(contract: Mapping[str, Any]) -> Iterator[str]:
    yield f'truncate -s {contract["vexlab_device_size_mb"]}M "$WORK/image"'
    yield 'DEVICE=$(losetup --show -f "$WORK/image")'
    if second := contract["vexlab_second_device_size_mb"]:
        yield f'truncate -s {second}M "$WORK/image.second"'
        yield 'SECOND_DEVICE=$(losetup --show -f "$WORK/image.second")\nexport SECOND_DEVICE'
    yield "LABEL=vexlab"
    yield "export DEVICE LABEL"
    if contract["vexlab_mkfs_command"]:
        yield f'cd "$WORK/build"\n{contract["vexlab_mkfs_command"]}\n'


def _mount(contract: Mapping[str, Any], block: bool) -> Iterator[str]:
    writable = "read-write" in contract["vexlab_capabilities"]
    options = contract["vexlab_mount_options_rw" if writable else "vexlab_mount_options_ro"]
    yield 'MOUNT=$WORK/mnt\nexport MOUNT\nmkdir "$MOUNT"'
    if contract["vexlab_device_kind"] == "directory":
        yield 'DEVICE=$WORK/below\nexport DEVICE\nmkdir "$DEVICE"'
    if contract["vexlab_daemon_command"]:
        yield f"{contract['vexlab_daemon_command']} &\nsleep 1"
    if contract["vexlab_before_mount_command"]:
        yield str(contract["vexlab_before_mount_command"])
    options = shlex.quote(str(options))
    if contract["vexlab_mount_options_command"]:
        options = f'{options},"$({contract["vexlab_mount_options_command"]})"'
    named = contract["vexlab_device_kind"] == "none"
    what = shlex.quote(str(contract["vexlab_mount_source"])) if named and not block else '"$DEVICE"'
    yield f'mount -t {shlex.quote(str(contract["vexlab_filesystem_type"]))} -o {options} {what} "$MOUNT"\n'


def _check(failure: Failure, contract: Mapping[str, Any], options: Mapping[str, int | str | bool]) -> Iterator[str]:
    """What the check does: as a command where it is one, in the words of its code where it is Python."""
    own = next((each for each in contract["vexlab_checks"] if failure.check.endswith(f"[{each['name']}]")), None)
    if own is not None:
        yield f'cd "$WORK/build"\n{own["command"]}'
        if own.get("command_after_remount"):
            yield f'umount "$MOUNT"\n# mount it as above, and then:\n# {own["command_after_remount"]}'
        return
    spec = next(
        (each for each in check_list.of_stage(failure.stage) if each.name == failure.check.partition("[")[0]), None
    )
    if spec is not None:
        case = failure.check.partition("[")[2].removesuffix("]")
        place = spec.path.relative_to(installation.root())
        lines = [f"{REST} {spec.description}", "", *_code(spec), "", f"(vexlab, {place}:{spec.line})"]
        lines += ["", f"Its case: {case}"] if case else []
        lines += [f"Its seed: {options['seed']}"] if "seed" in options else []
        yield "\n".join(_comment(lines))
    if failure.verdict in DIED:
        yield "\n".join(_comment(["The kernel died of it. Its words are on the console."]))
    yield "dmesg | tail -n 30"
    told = f"s/^# \\{{0,1\\}}//; /^{REST}/,/^dmesg/{{/^dmesg/!p;}}"
    yield f'echo "All of it is in $WORK."\nsed -n "{told}" "$0"\n'


def _code(spec: check_list.CheckSpec) -> list[str]:
    """The function of a check, as it is written."""
    text = spec.path.read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.lineno == spec.line:
            return (ast.get_source_segment(text, node) or "").splitlines()
    return []


def _comment(lines: list[str]) -> list[str]:
    """Lines of a comment: what a guest said is no command, whatever is in it."""
    safe = ["".join(letter if letter.isprintable() or letter == "\t" else "?" for letter in line) for line in lines]
    return [f"# {line}".rstrip() for line in safe]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"


def _built(file: object) -> str:
    return f'"$WORK/build"/{shlex.quote(str(file))}'
