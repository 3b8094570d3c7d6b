"""A readiness file for tests that use what asks for one; the complete run behind a real one takes minutes.

Usage: python -m tests.e2e.ready FILE NAME JSON, with the `module` of role vexfs_build's result.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vexlab.gate import decision, hash_chain
from vexlab.gate.decision import Subject


def write_readiness(path: Path, module: Subject) -> Path:
    """What `vexlab gate` writes of a module when all is met for a device; tests/e2e/test_gate.py sees it write one."""
    now = datetime.now(UTC)
    criteria = [
        {"key": key, "level": level, "text": decision.TEXTS[key], "met": level != "production", "why": "for a test"}
        for level, key in (("vm", "tests"), ("device", "backup"), ("production", "phase-1"))
    ]
    contract = {"module_parameters": "", "mount_options_ro": "ro", "mount_options_rw": "rw"}
    sources = [{"what": "a-run-for-a-test", "sha256": "", "made": now.isoformat()}]
    document = {
        "schema": 2, "level": "device", "kernel": module.kernel, "suite": "", "suite_version": "", "sources": sources,
        "contract": contract, "not_claimed": [],
        "module": {"name": module.name, "sha256": module.sha256, "srcversion": module.srcversion},
        "criteria": criteria, "made": now.isoformat(), "valid_until": (now + timedelta(days=1)).isoformat(),
    }  # fmt: skip
    path.write_text(json.dumps(document | {"sha256": hash_chain.content_hash(document)}))
    return path


if __name__ == "__main__":
    built = json.loads(sys.argv[3])
    module = Subject(sys.argv[2], built["sha256"], built["srcversion"], built["vermagic"].split()[0])
    write_readiness(Path(sys.argv[1]), module)
