"""Bringing up the guest of a lab: the one that is wanted, from a saved one where there is one."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from pathlib import Path
from typing import Any

from . import checkpoint, qemu, saved_state, ssh, warm
from .accelerator import accelerator, qemu_version, sandbox_problem
from .lab_files import SOCKET_PATH_MAXIMUM, GuestError, LabFiles
from .process import end_process, open_guest_process, qmp_command, stop_guest, wait_for_end


def wanted_parameters(inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs that a running guest can't take on: if one of them differs, the guest is replaced."""
    names = ("image", "memory_mb", "cpus", "accelerator", "source", "mount_tag", "kernel_arguments", "disks")
    return {name: inputs[name] for name in names}


def difference(lab: LabFiles) -> str:
    """Why a guest has to be started; empty when the one that is wanted runs."""
    record = lab.record()
    process = open_guest_process(lab, record)
    if process is None:
        return "the guest was gone" if record else "there was no guest"
    os.close(process[1])
    if record.get("state") != "ready":
        return "an earlier start was interrupted"
    wanted = wanted_parameters(lab.inputs)
    other = [name for name, value in wanted.items() if record.get("parameters", {}).get(name) != value]
    if other:
        return f"{', '.join(other)} changed"
    if record.get("warm") and not lab.inputs["warm"]:
        return "a guest that was booted is wanted"
    with contextlib.suppress(OSError, ValueError):
        status = qmp_command(lab.qmp_control, "query-status").get("status")
        return "" if status == "running" else f"the guest was {status}"
    return "QEMU did not answer"


def start(lab: LabFiles) -> dict[str, Any]:
    """Bring up the guest that is wanted, or find it running."""
    reason = difference(lab)
    if not reason:
        return {"changed": False, "started": False, "reason": "the guest is up", "guest": lab.record()}
    version = qemu_version()
    check_inputs(lab)
    stop_guest(lab)
    chosen, why = accelerator(lab.inputs["accelerator"], lab, version)
    record: dict[str, Any] = {
        "schema": 1, "lab": lab.name, "uuid": str(uuid.uuid4()), "state": "starting", "accelerator": chosen,
        "accelerator_reason": why, "qemu": version, "parameters": wanted_parameters(lab.inputs),
        "source": lab.inputs["source"], "started": time.time(), "console": str(lab.console), "qmp": str(lab.qmp),
        "qmp_control": str(lab.qmp_control), "console_socket": str(lab.console_socket),
        "control_path": str(lab.control_path), "warm": False, "warm_reason": "", "checkpoint": "", "saved_state": "",
        "sandbox": not sandbox_problem(), "sandbox_reason": sandbox_problem(),
    }  # fmt: skip
    lab.write_record(record)  # before QEMU starts: a run that is killed now can still be cleaned up
    try:
        ssh.make_keys(lab, record["uuid"])
        if lab.inputs["from_checkpoint"]:
            go_on(lab, record)
        elif lab.inputs["warm"]:
            try:
                come_back(lab, record)
            except saved_state.StateError as problem:
                record["warm_reason"] = str(problem)
        else:
            record["warm_reason"] = "a boot was asked for"
        if not record["warm"]:
            boot(lab, record)
        if lab.inputs["disks"]:
            qemu.plug(lab)
            ssh.wait_for_disks(lab, record["uuid"], record["port"])
        ssh.write_inventory(lab, record["uuid"], record["port"], chosen)
        record["state"] = "ready"
        lab.write_record(record)
    except BaseException:
        stop_guest(lab)
        raise
    return {"changed": True, "started": True, "reason": reason, "guest": record}


def boot(lab: LabFiles, record: dict[str, Any]) -> None:
    """Start the guest from the image, as a machine is switched on."""
    image = Path(lab.inputs["image"])
    lab.console.unlink(missing_ok=True)
    lab.overlay.unlink(missing_ok=True)
    qemu.make_overlay(lab.overlay, image / "disk.qcow2")
    _start_and_reach(lab, record, None, None)


def come_back(lab: LabFiles, record: dict[str, Any]) -> None:
    """Start the guest from one that has booted and was saved then; it can be saved as a checkpoint later, if wanted.

    Raises StateError.
    """
    image, is_wanted = Path(lab.inputs["image"]), bool(lab.inputs["checkpoint"]) and not lab.inputs["disks"]
    found = checkpoint.find(lab, image, record["qemu"], record["accelerator"]) if is_wanted else None
    state = warm.find_or_save(lab, image, record["qemu"], record["accelerator"])
    with contextlib.ExitStack() as stack:
        memory = state.memory
        if is_wanted and found is None:
            with contextlib.suppress(OSError):  # without room for a copy the guest can't be saved, and that is all
                memory = stack.enter_context(checkpoint.memory_of_its_own(state))
        _go_on_from(lab, record, state, memory)
    record |= {"warm": True, "warm_reason": "saved by this start" if state.fresh else "saved by an earlier start"}


def go_on(lab: LabFiles, record: dict[str, Any]) -> None:
    """Start the guest from the checkpoint; raises GuestError when that can't be."""
    image = Path(lab.inputs["image"])
    try:
        state = checkpoint.find(lab, image, record["qemu"], record["accelerator"])
        if state is None:
            raise saved_state.StateError("no guest is saved under the name of these inputs")
        _go_on_from(lab, record, state, state.memory)
    except saved_state.StateError as problem:
        raise GuestError(f"the guest can't go on from a checkpoint: {problem}", "start one without") from problem
    checkpoint.take_module(lab, state)
    record |= {"warm": True, "warm_reason": "saved at a checkpoint", "checkpoint": lab.inputs["checkpoint"]}


def _go_on_from(lab: LabFiles, record: dict[str, Any], state: saved_state.State, memory: qemu.Memory) -> None:
    """Have a guest go on where a saved one was; raises StateError, with what became of the state in its words."""
    record["saved_state"] = str(state.directory)
    # The console's log has the whole life of the guest in it.
    shutil.copyfile(state.console, lab.console)
    lab.overlay.unlink(missing_ok=True)
    qemu.make_overlay(lab.overlay, state.disk)
    try:
        _start_and_reach(lab, record, state, memory)
    except (saved_state.StateError, GuestError) as problem:
        process = open_guest_process(lab, record)
        is_silent = process is not None and not isinstance(problem, saved_state.StateError)
        if process is not None:
            os.close(process[1])
        end_process(lab)
        # A guest that never answered is its state's fault if nobody has ever come back from that state.
        is_to_blame = isinstance(problem, saved_state.RefusedError) or (is_silent and state.fresh)
        raise saved_state.StateError(state.settle(str(problem), is_to_blame=is_to_blame)) from problem


def _start_and_reach(
    lab: LabFiles, record: dict[str, Any], state: saved_state.State | None, memory: qemu.Memory | None
) -> None:
    """Start QEMU, tell the guest who it is, and log in; notes port, pid and the seconds that it took."""
    began = time.monotonic()
    deadline = began + float(lab.inputs["boot_deadline"])
    image = Path(lab.inputs["image"])
    port, qemu_process = qemu.launch(lab, image, record["uuid"], record["accelerator"], memory)
    record |= {"port": port, "pid": qemu_process.pid}
    lab.write_record(record)
    process = open_guest_process(lab, record)
    if process is None:
        raise GuestError("QEMU ended as soon as it was started", f"its messages are in {lab.qemu_log}")
    try:
        if state is not None:
            try:
                saved_state.restore(lab, state)
            except (OSError, ValueError) as problem:
                raise saved_state.reason(lab, qemu_process, problem) from problem

        def alive() -> bool:
            return not wait_for_end(process[1], 0)

        ssh.provision(lab, restored=state is not None, deadline=deadline, alive=alive)
        ssh.wait_for_login(lab, record["uuid"], port, deadline, alive)
    finally:
        os.close(process[1])
    record["boot_seconds"] = round(time.monotonic() - began, 1)


def check_inputs(lab: LabFiles) -> None:
    """What would otherwise fail late or with QEMU's words."""
    image, source = Path(lab.inputs["image"]), lab.inputs["source"]
    for path in (lab.directory, lab.runtime, image):  # which the inventory names, where they would be templates
        if any(mark in str(path) for mark in ("{{", "{%", "{#")):
            raise GuestError(f"{path} looks like a template of Ansible", "name a directory without {{, {% and {#")
    for name in ("disk.qcow2", "vmlinuz", "initrd.img"):
        if not os.access(image / name, os.R_OK):
            raise GuestError(f"{image / name} is missing or unreadable", "build the image again: role vexlab_image")
    if source and not os.access(source, os.R_OK | os.X_OK):
        raise GuestError(f"the source directory {source} is missing or unreadable", "name another one")
    longest = max(len(os.fsencode(path)) for path in (lab.control_path, lab.qmp_control, lab.provision_socket))
    if longest > SOCKET_PATH_MAXIMUM:
        raise GuestError(
            f"{lab.runtime} is too long for sockets in it ({longest} of {SOCKET_PATH_MAXIMUM} bytes)",
            "set vexlab_guest_runtime_directory, or XDG_RUNTIME_DIR, to a shorter one",
        )
