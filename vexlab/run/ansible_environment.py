"""What Ansible gets of an environment, and what of it is written down: as little as can be."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.vexfs.vexlab.plugins.module_utils import pytest_environment

from vexlab.config import installation

PASSED_ON = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TZ", "TMPDIR", "LANG", "LANGUAGE", "NO_COLOR", "SSH_AUTH_SOCK",
    "KRB5CCNAME", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip
PASSED_ON_BEGINNINGS = ("LC_", "XDG_", "ANSIBLE_", "VEXLAB_")
PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")


def settings(sockets: Path, local: Path) -> dict[str, str]:
    """Return what is put into the environment of an execution; sockets and temporary files go to these directories."""
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "ANSIBLE_CONFIG": str(installation.root() / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(installation.collections()),
        "VEXLAB_SOCKET_DIRECTORY": str(sockets),
        "ANSIBLE_LOCAL_TEMP": str(local),
        # ansible-runner would switch it off, and a host that isn't the one it says it is would be let in.
        "ANSIBLE_HOST_KEY_CHECKING": os.environ.get("ANSIBLE_HOST_KEY_CHECKING", "True"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
    } | strategy()


def of_checks(directory: Path) -> dict[str, str]:
    """Return the environment of a pytest that we start ourselves; sockets and temporary files go to the directory."""
    return os.environ | settings(directory, directory) | pytest_environment.PLAIN


def passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """What Ansible gets of an environment: what it needs of ours, and what was put in for it.

    ansible-runner writes it into a file, and the environment of a CI job is full of secrets.
    """

    def is_needed(name: str) -> bool:
        return name in PASSED_ON or name.startswith(PASSED_ON_BEGINNINGS) or name.lower() in PROXIES

    return {name: value for name, value in environment.items() if is_needed(name) or os.environ.get(name) != value}


def strategy() -> dict[str, str]:
    """Environment that makes Ansible use mitogen, where it is installed and nobody asked for another strategy.

    The same tasks take a fifth of the time with it in an emulated guest, since Python isn't started anew for each.
    """
    if importlib.util.find_spec("ansible_mitogen") is None or "ANSIBLE_STRATEGY" in os.environ:
        return {}
    plugins = installation.root() / "playbooks" / "strategy"
    return {"ANSIBLE_STRATEGY": "mitogen_linear", "ANSIBLE_STRATEGY_PLUGINS": str(plugins)}
