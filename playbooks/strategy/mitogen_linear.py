"""mitogen's strategy without its placement of processes on CPUs.

mitogen keeps one CPU of two, or two of four, for itself, and whatever a task starts inherits that: a QEMU that is to
outlive the playbook, its build and the tests would share what is left. It chooses its policy when its module is loaded.

Its socket is made where VEXLAB_SOCKET_DIRECTORY says, if that is set: whoever sets it removes the directory, also when
Ansible was killed.
"""

from __future__ import annotations

import os
import tempfile

import ansible_mitogen.affinity
import ansible_mitogen.loaders
import ansible_mitogen.strategy
import mitogen.unix

ansible_mitogen.affinity.policy = ansible_mitogen.affinity.Policy()  # type: ignore[assignment]
mitogen.unix.make_socket_path = lambda: tempfile.mktemp(  # noqa: S306  nobody else can write to the directory
    prefix="mitogen-", dir=os.environ.get("VEXLAB_SOCKET_DIRECTORY")
)
Base = ansible_mitogen.loaders.strategy_loader.get("linear", class_only=True)


class StrategyModule(ansible_mitogen.strategy.StrategyMixin, Base):  # type: ignore[misc, valid-type]
    """The `linear` strategy, with mitogen's connections."""
