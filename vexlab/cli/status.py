"""`vexlab status`: what each lab tests, how its guest is, and what its last run came to."""

from __future__ import annotations

import json
from typing import Any

import click

from vexlab.cli import completion, hosted
from vexlab.cli.common import existing_anywhere, json_option, last_run, stderr, stdout, verdict_table
from vexlab.guest import lab as labs
from vexlab.guest.lab import Lab, name_option
from vexlab.hosts import hosted_lab
from vexlab.report.screen import Screen
from vexlab.report.terminal import age, clock
from vexlab.results import archive, results_file
from vexlab.run import run_directory


@click.command()
@click.option("--name", metavar="LAB", help="Show this lab only.", shell_complete=completion.lab_names)
@json_option
def status(name: str | None, as_json: bool) -> None:
    """Tell of each lab: what it tests, its guest, its last run."""
    chosen = [existing_anywhere(name)] if name else labs.all_labs()
    documents = [_status(lab) for lab in chosen]
    if as_json:
        click.echo(json.dumps(documents, indent=2))
        return
    if not documents:
        stderr.say("there is no lab; `vexlab up` makes one")
    for lab, document in zip(chosen, documents, strict=True):
        _show(stdout, lab, document)


def _status(lab: Lab) -> dict[str, Any]:
    if (found := hosted_lab.find(lab)) is not None:
        told = hosted.asked(found)
        return told if told["run"] else told | _last_run(lab)
    record = lab.record()
    pid = labs.guest_pid(record)
    document: dict[str, Any] = {"lab": lab.name, "up": pid is not None, "tests": _tests(lab), "guest": None}
    document["hypervisor"] = ""
    if pid is not None:
        document["guest"] = {
            "pid": pid, "state": labs.guest_status(record) or "silent", "accelerator": record["accelerator"],
            "accelerator_reason": record["accelerator_reason"], "qemu": record["qemu"],
            "sandbox": record.get("sandbox", False), "sandbox_reason": record.get("sandbox_reason", ""),
            "memory_mb": record["parameters"]["memory_mb"], "cpus": record["parameters"]["cpus"],
            "ssh_port": record.get("port"), "share": record["source"], **labs.process_facts(pid),
        }  # fmt: skip
    return document | _last_run(lab)


def _last_run(lab: Lab) -> dict[str, Any]:
    run = last_run(lab.name)
    return {"run": results_file.to_document(run) if run is not None else None}


def _tests(lab: Lab) -> dict[str, Any] | None:
    """What the lab was last brought up to test, and the module that was built last; None before that."""
    contract, module = lab.contract(), lab.module()
    if "vexlab_target_name" not in contract:
        return None
    return {
        "target": contract["vexlab_target_name"], "target_file": contract["vexlab_target_file"],
        "variant": contract["vexlab_variant"],
        "source": contract["vexlab_source"] or contract["vexlab_source_in_guest"], "module": module or None,
    }  # fmt: skip


def _show(output: Screen, lab: Lab, document: dict[str, Any]) -> None:
    output.say(f"lab {lab.name}", style="bold")
    host, problem = document["hypervisor"], document.get("problem", "")
    rows = [("hypervisor", problem or host)] if host else []
    rows += _rows_of_tests(document["tests"])
    rows += [] if problem else _rows_of_guest(lab, document["guest"], f" of {host}" if host else "")
    for name, value in rows:
        output.say(f"{name:<16}{value}", hang=16)
    if document["run"]:
        run = results_file.from_document(document["run"])
        goes_on = run.finished is None and (bool(host) or run_directory.is_running(archive.find(run.run)))
        output.say(f"last run {run.run}, {age(run.started)} ago: {'running' if goes_on else run.verdict}")
        output.table(verdict_table(run, of_the_past=True))


def _rows_of_tests(tests: dict[str, Any] | None) -> list[tuple[str, str]]:
    if tests is None:
        return []
    target = ("target", f"{tests['target']} ({tests['target_file']})")
    if not tests["source"]:
        return [target, ("source", "the kernel's own module")]
    module = tests["module"]
    version = f", srcversion {module['srcversion']}" if module and module["srcversion"] else ""
    built = f"sha256 {module['sha256'][:12]}…{version}" if module else "none yet"
    return [target, ("variant", tests["variant"]), ("source", tests["source"]), ("build", built)]


def _rows_of_guest(lab: Lab, guest: dict[str, Any] | None, where: str) -> list[tuple[str, str]]:
    """What there is to say of a guest; `where` is put behind an address of a hypervisor."""
    if guest is None:
        return [("guest", f"not up; vexlab up{name_option(lab.name)}")]
    without = f"off ({guest['sandbox_reason']})" if guest["sandbox_reason"] else "off"
    return [
        ("QEMU", f"process {guest['pid']}, {guest['state']}, up {clock(guest['uptime_seconds'])}, {guest['qemu']}"),
        ("memory", f"{guest['memory_mb']} MiB; the process holds {guest['memory_mib']:.0f} MiB"),
        ("CPUs", str(guest["cpus"])),
        ("accelerator", f"{guest['accelerator']} ({guest['accelerator_reason']})"),
        ("QEMU's sandbox", "on" if guest["sandbox"] else without),
        ("ssh", f"127.0.0.1:{guest['ssh_port']}{where} → 22; vexlab ssh{name_option(lab.name)}"),
        ("share", f"{guest['share']} (read-only)" if guest["share"] else "none"),
    ]
