"""What vexlab takes from the results of the collection's modules, and nothing else of them."""

from __future__ import annotations

from typing import Any

import pytest

from vexlab.run import events
from vexlab.run.events import TaskEnded

MODULE = {"file": "/var/lib/vexlab/build/m.ko", "sha256": "00"}


def facts_of(module: str, outcome: str, result: dict[str, Any]) -> dict[str, Any]:
    data = {"task_action": f"vexfs.vexlab.{module}", "role": "vexfs.vexlab.vexfs_build", "host": "guest", "res": result}
    event = events.of_runner({"event": f"runner_on_{outcome}", "event_data": data}, 1.0)
    assert isinstance(event, TaskEnded)
    return dict(event.facts)


@pytest.mark.parametrize(
    ("module", "outcome", "result", "facts"),
    [
        ("build", "ok", {"module": MODULE, "stamp": "s", "changed": True}, {events.BUILD: {"module": MODULE}}),
        ("sandbox", "ok", {"module": MODULE, "invocation": {}}, {events.BUILD: {"module": MODULE}}),
        ("sandbox", "failed", {"msg": "no", "host_problem": "no"}, {events.BUILD: {"host_problem": "no"}}),
        ("build", "failed", {"msg": "x", "guest_problem": "no"}, {events.BUILD: {"guest_problem": "no"}}),
        ("sandbox", "failed", {"msg": "a.c:1: error"}, {}),
        ("sandbox", "ok", {"ansible_job_id": "j1", "started": 1}, {}),
        ("image", "ok", {"key": "46", "directory": "/i", "built": True}, {events.IMAGE: {"key": "46"}}),
        ("image", "ok", {"removed": {"a": 1}, "kept": {}}, {events.IMAGE: {"removed": {"a": 1}, "kept": {}}}),
        ("image", "failed", {"msg": "The disk is full."}, {}),
        ("mkfs", "ok", {"device": {"path": "/dev/sdb"}, "changed": True}, {events.DEVICE: {"path": "/dev/sdb"}}),
        ("mkfs", "ok", {"device": {}, "changed": True}, {}),
        ("guest", "ok", {"guest": {"uuid": "u"}, "module": MODULE, "key": "46"}, {}),
    ],
)
def test_told(module: str, outcome: str, result: dict[str, Any], facts: dict[str, Any]) -> None:
    assert facts_of(module, outcome, result) == facts
