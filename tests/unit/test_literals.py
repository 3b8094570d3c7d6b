"""Whatever a person or a tree can name is data to Ansible: a real one is asked, with names that try to be more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.test_device import WHERE
from vexlab.config import installation, literals, settings
from vexlab.config.settings import Options
from vexlab.errors import UsageProblem
from vexlab.guest import hardware
from vexlab.guest.lab import Lab
from vexlab.run.playbook import Playbook

ROOT = Path(__file__).parents[2]
HOSTILE = [
    "{{ lookup('pipe', 'touch PWNED') }}", "{% set x = lookup('pipe', 'touch PWNED') %}", "{# comment #}",
    "{% raw %}{{ 1 }}{% endraw %}", "#jinja2: variable_start_string:'[['\n[[ lookup('pipe', 'touch PWNED') ]]",
    "- a: b", "!!python/object:os.system", "*alias", "&anchor", "yes", "0123", "1e3", "~", "", "'", '"', "a\nb",
    "\ttab", "!unsafe x", "x: !vault |", "---", "$(touch PWNED)", "`touch PWNED`", "ünï", "\x1b[31m", "@at", "%x",
    "{", "}}",
]  # fmt: skip
WIRED = """
- hosts: all
  gather_facts: false
  vars_files: [{root}/playbooks/vars/wiring.yml]
  vars:
    vexlab_image_result: {{directory: ""}}
  tasks:
    - ansible.builtin.command:
        argv: [{python}, -c, "import sys; open('told', 'w').write(sys.argv[1])", "{{{{ told | to_json }}}}"]
        chdir: "{here}"
        expand_argument_vars: false
      vars:
        told:
          share: "{{{{ vexlab_guest_source }}}}"
          push: "{{{{ vexfs_structure_push }}}}"
          tree: "{{{{ vexfs_build_sandbox_tree }}}}"
          command: "{{{{ vexfs_mkfs_command }}}}"
          device: "{{{{ vexfs_mkfs_device }}}}"
          serial: "{{{{ vexfs_mkfs_serial }}}}"
          joined: "{{{{ vexlab_recover_fetch }}}}"
          list: "{{{{ vexfs_structure_required_paths }}}}"
          map: "{{{{ vexlab_damages }}}}"
"""


def ansible(here: Path, inventory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"ANSIBLE_LOCAL_TEMP": str(here / "tmp"), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    program, *rest = words
    command = [str(Path(sys.executable).with_name(program)), "-i", str(inventory), *rest]
    return subprocess.run(command, cwd=here, capture_output=True, text=True, check=False, env=environment)


def told_by_ansible(here: Path, inventory: Path) -> dict[str, Any]:
    """What the roles would be given."""
    (here / "wired.yml").write_text(WIRED.format(root=ROOT, python=sys.executable, here=here))
    done = ansible(here, inventory, "ansible-playbook", "wired.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads((here / "told").read_text()))


def test_what_the_roles_get_is_what_was_named(tmp_path: Path) -> None:
    """Through the inventory and the map from the contract to the inputs of roles; nothing of it is run."""
    names = ("vexlab_source", "vexlab_device", "vexlab_device_serial", "vexlab_run_directory")
    contract = installation.contract_defaults() | dict.fromkeys(names, HOSTILE[0]) | {
        "vexlab_required_paths": HOSTILE, "vexlab_damages": {"found": HOSTILE[:3]}, "vexlab_hardware": True,
        "vexlab_capabilities": [], "vexlab_mkfs_command": HOSTILE[4],
    }  # fmt: skip
    lab = Lab("lab", tmp_path / "lab")
    lab.write_inventory(settings.Settings("lab", lab.directory, contract), sys.executable)
    assert told_by_ansible(tmp_path, lab.inventory) == {
        "share": HOSTILE[0], "push": HOSTILE[0], "tree": HOSTILE[0], "device": HOSTILE[0], "serial": HOSTILE[0],
        "command": HOSTILE[4], "joined": f"{HOSTILE[0]}/recover.txt", "list": HOSTILE, "map": {"found": HOSTILE[:3]},
    }  # fmt: skip
    assert list(tmp_path.rglob("PWNED")) == []


def test_the_checks_read_what_was_named(tmp_path: Path) -> None:
    """testinfra reads an inventory through ansible-inventory, which shows the tag."""
    lab = Lab("lab", tmp_path / "lab")
    contract = {"vexlab_required_paths": HOSTILE, "vexlab_damages": {"x": {"y": HOSTILE}}}
    lab.write_inventory(settings.Settings("lab", lab.directory, contract), sys.executable)
    code = (
        "import json; from vexlab.guest.testing.inventory import host_variables;"
        "found = host_variables('ansible://localhost', 'lab/inventory');"
        "print(json.dumps([found['vexlab_required_paths'], found['vexlab_damages']['x']['y']]))"
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True,
        env=os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert json.loads(done.stdout) == [HOSTILE, HOSTILE]


def test_text_that_no_file_can_hold_is_refused() -> None:
    with pytest.raises(UsageProblem, match="is not UTF-8 text"):
        literals.to_yaml({"vexlab_source": os.fsdecode(b"/tmp/\xff")})


@pytest.mark.parametrize("variable", ["XDG_STATE_HOME", "XDG_CACHE_HOME"])
def test_directories_that_must_not_be_templates_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "{{ x }}"))
    with pytest.raises(UsageProblem, match="template") as raised:
        settings.make("lab", Options())
    assert variable in raised.value.hint


def test_extra_variables_that_would_be_templates_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="template"):
        Playbook("up", Lab("lab", tmp_path), {"vexlab_run_directory": HOSTILE[0]}, tmp_path / "log")


# --- an inventory of a person

THEIRS = """
hardware:
  vars:
    vexlab_hardware: true
    ansible_become_password: "{{ lookup('pipe', 'cat sudo-password') }}"
    ansible_ssh_pass: top-secret
    site_secret: top-secret
    vexlab_required_paths: [!unsafe "{{ 1 }}"]
  hosts:
    bench1:
      ansible_connection: local
      vexlab_module_parameters: !unsafe "{{ lookup('pipe', 'touch PWNED') }}"
    bench2: {}
"""


TOLD = """
- hosts: hardware
  gather_facts: false
  tasks:
    - ansible.builtin.copy:
        dest: {here}/told
        content: "{{{{ [ansible_become_password, site_secret, vexlab_device, vexlab_module_parameters] | to_json }}}}"
"""


def prepared(tmp_path: Path, text: str, name: str = "bench1", **of_device: Any) -> Lab:
    inventory = tmp_path / "theirs.yml"
    inventory.write_text(text)
    host = hardware.find(inventory, name)
    hardware.prepare(host, Options(), of_device)
    return host.lab


def test_no_secret_is_kept_and_ansible_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    lab = prepared(tmp_path, THEIRS, vexlab_device=HOSTILE[0], vexlab_device_serial=HOSTILE[0])
    kept = "".join(path.read_text() for path in (tmp_path / "state").rglob("*") if path.is_file())
    assert "vexlab_module_parameters" in kept
    for secret in ("top-secret", "site_secret", "ansible_become_password", "ansible_ssh_pass"):
        assert secret not in kept
    (tmp_path / "sudo-password").write_text("become-secret")
    told = tmp_path / "told.yml"
    told.write_text(TOLD.format(here=tmp_path))
    monkeypatch.setattr(installation, "playbook", lambda name: told)
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "ansible.log"
    outcome = Playbook("told", lab, {}, log).run()
    assert outcome.ok, log.read_text()
    parameters = "{{ lookup('pipe', 'touch PWNED') }}"
    assert json.loads((tmp_path / "told").read_text()) == ["become-secret", "top-secret", HOSTILE[0], parameters]
    assert list(tmp_path.rglob("PWNED")) == []
    assert "bench2" not in log.read_text()  # the other host of the person's inventory is not meant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hardware: {hosts: {bench1: {ansible_host: '{{ x }}'}}}", "ansible_host of bench1 holds {{"),
        ("hardware: {hosts: {bench1: {vexlab_source: '{% x %}'}}}", "vexlab_source of bench1 holds {%"),
        ("hardware: {hosts: {bench1: {ansible_user: !vault '$ANSIBLE_VAULT;1.1;AES256\n3030'}}}", "is encrypted"),
    ],
)  # fmt: skip
def test_what_the_checks_could_not_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with pytest.raises(UsageProblem, match=said):
        prepared(tmp_path, text)


@pytest.mark.parametrize("name", ["..", "a/b", "!all", "{{ x }}", "a:b", "-x", "a b"])
def test_host_whose_name_could_be_more(name: str) -> None:
    listed = {"_meta": {"hostvars": {}}, "hardware": {"hosts": [name]}}
    with pytest.raises(UsageProblem, match="can't be the name of a host"):
        hardware.choose(listed, name, WHERE)


def test_plain_values_stay_plain() -> None:
    document = {"a": [1, True, None, "x y", {"b": "c: d"}], "e": "é"}
    text = literals.to_yaml(document)
    assert "!unsafe" not in text
    assert yaml.safe_load(text) == document
