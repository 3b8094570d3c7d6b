"""A target file is refused by field and with a way out, before anything is started; a good one says what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.odd_files import OTHERS
from vexlab.config.target import load_target, schema
from vexlab.errors import UsageProblem

ROOT = Path(__file__).parents[2]
FIELDS: dict[str, Any] = schema()["properties"]
CAPABILITIES = {item["const"]: item["description"] for item in FIELDS["vexlab_capabilities"]["items"]["oneOf"]}
GOOD: dict[str, Any] = {
    "vexlab_target_name": "toyfs",
    "vexlab_source": "tree",
    "vexlab_build_command": 'make KDIR="$KDIR"',
    "vexlab_module_file": "src/toyfs.ko",
    "vexlab_module_name": "toyfs",
    "vexlab_filesystem_type": "toyfs",
    "vexlab_mkfs_command": './mkfs "$DEVICE"',
    "vexlab_superblock_magic": "53464556",
    "vexlab_superblock_magic_offset": 1024,
    "vexlab_capabilities": ["read-write"],
}

FIELD: dict[str, Any] = {"name": "version", "offset": 4, "size": 4}
CHECK = {"name": "unit tests", "stage": "build", "command": "make check"}
PROOF = {"has_symbols": ["toy.c"], "sysfs": {"parameters/kind": "c"}}
EXPECTED = {"fails": "build", "reason": "the VFS changed"}
KNOWN = {"check": "mount/rename.parent_follows", "reason": "issue 7"}
TIMES = {"vexlab_capabilities": ["read-write", "timestamps"]}
BOTH = {"vexlab_variants": ["c-only", "full"]}


def written(directory: Path, changes: dict[str, Any]) -> Path:
    """A target file: the good one with changes, None for a field left out."""
    path = directory / "toy.yml"
    fields = {name: value for name, value in (GOOD | changes).items() if value is not None}
    path.write_text(yaml.safe_dump(fields, sort_keys=False))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(UsageProblem) as caught:
        load_target(path)
    assert caught.value.exit_code == 2
    assert str(path) in caught.value.message
    assert "docs/targets.md" in caught.value.hint
    return caught.value.message


def test_good_file_is_returned_with_an_absolute_source(tmp_path: Path) -> None:
    assert load_target(written(tmp_path, {})) == GOOD | {"vexlab_source": str(tmp_path.resolve() / "tree")}


def test_file_that_says_its_version_is_as_good_as_one_that_does_not(tmp_path: Path) -> None:
    assert load_target(written(tmp_path, {"vexlab_target_version": 1}))["vexlab_target_version"] == 1
    assert "vexlab_target_version" not in load_target(written(tmp_path, {}))


def test_file_of_another_version_is_told_nothing_but_that(tmp_path: Path) -> None:
    """Its fields may mean something else, so that what is wrong with them isn't what is wrong."""
    message = refusal(written(tmp_path, {"vexlab_target_version": 2, "vexlab_new_field": 1, "vexlab_source": None}))
    first, *shown = message.splitlines()
    assert [line.strip() for line in shown] == ["vexlab_target_version: 2", "^"]
    assert first.endswith(
        "vexlab_target_version: the file is of version 2, and this vexlab reads version 1; get a vexlab that reads 2, "
        "or write 1 there and see which fields it doesn't know"
    )


@pytest.mark.parametrize("source", ["../tree", "./tree", "/srv/tree", "~/tree"])
def test_source_is_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    """A target keeps its meaning when vexlab is started from somewhere else."""
    monkeypatch.chdir("/")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "inner").mkdir()
    expected = {"../tree": tmp_path / "tree", "./tree": tmp_path / "inner/tree", "/srv/tree": Path("/srv/tree")}
    found = load_target(written(tmp_path / "inner", {"vexlab_source": source}))["vexlab_source"]
    assert found == str(expected.get(source, tmp_path / "home/tree").resolve())


@pytest.mark.parametrize("name", ["vexfs", "apfs"])
def test_examples_are_good(name: str) -> None:
    target = load_target(ROOT / f"examples/targets/{name}.yml")
    assert target["vexlab_target_name"] == name


@pytest.mark.parametrize("field", [name for name in GOOD if name != "vexlab_source"])
def test_missing_field_is_named_with_its_meaning(tmp_path: Path, field: str) -> None:
    message = refusal(written(tmp_path, {field: None}))
    assert f"{field}: is missing. {FIELDS[field]['description']}" in message


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vexlab_mkfs_comand": "x"}, "vexlab_mkfs_comand: unknown field; did you mean vexlab_mkfs_command?"),
        ({"module_dependencies": []}, "module_dependencies: unknown field; did you mean vexlab_module_dependencies?"),
        ({"sourc": "."}, "sourc: unknown field; did you mean vexlab_source?"),
        ({"vexlab_memory_mb": 64}, "vexlab_memory_mb: unknown field"),
        ({"vexlab_target_name": "Toy FS"}, "vexlab_target_name: 'Toy FS' doesn't fit. Name of the target"),
        ({"vexlab_target_name": "toyfs\n"}, "vexlab_target_name: 'toyfs\\n' doesn't fit"),
        ({"vexlab_superblock_magic": 53464556}, "must be text, not a number (53464556). Put it in quotes"),
        ({"vexlab_superblock_magic": "5346455"}, "vexlab_superblock_magic: '5346455' doesn't fit. The magic number"),
        ({"vexlab_superblock_magic": "0x53464556"}, "vexlab_superblock_magic: '0x53464556' doesn't fit"),
        ({"vexlab_superblock_magic_offset": "0"}, "vexlab_superblock_magic_offset: must be a whole number, not text"),
        ({"vexlab_superblock_magic_offset": -1}, "vexlab_superblock_magic_offset: -1 is out of range (minimum 0)"),
        ({"vexlab_superblock_magic_offset": True}, "must be a whole number, not true or false (True)"),
        ({"vexlab_device_size_mb": 64.0}, "vexlab_device_size_mb: must be a whole number, not a number (64.0)"),
        ({"vexlab_packages": "fio"}, "vexlab_packages: must be a list, not text"),
        ({"vexlab_packages": ["fio", "fio; rm"]}, "vexlab_packages[1]: 'fio; rm' doesn't fit"),
        ({"vexlab_packages": ["fio", "fio"]}, "vexlab_packages: names something twice"),
        ({"vexlab_packages": [7]}, "vexlab_packages[0]: must be text, not a number (7)"),
        ({"vexlab_capabilities": ["read-wrte"]}, "vexlab_capabilities[0]: 'read-wrte' is unknown; did"),
        ({"vexlab_capabilities": ["read-wrte"]}, "did you mean read-write?"),
        ({"vexlab_capabilities": {"rename": True}}, "vexlab_capabilities: must be a list, not a mapping"),
        ({"vexlab_variants": ["a b"]}, "vexlab_variants[0]: 'a b' doesn't fit. What the build command can build"),
        ({"vexlab_room_returns_seconds": 120}, "vexlab_room_returns_seconds: 120 is out of range (maximum 90). Within"),
        ({"vexlab_kernel_arguments": "a\nb"}, "vexlab_kernel_arguments: 'a\\nb' doesn't fit. Arguments that are added"),
        ({"vexlab_variants": []}, "vexlab_variants: [] doesn't fit"),
        ({"vexlab_variants": ["c-only", "full"]}, "vexlab_variant_proofs: has nothing for c-only, full; of several"),
        (BOTH | {"vexlab_variant_proofs": {"full": PROOF}}, "vexlab_variant_proofs: has nothing for c-only; of"),
        ({"vexlab_variant_proofs": {"full": PROOF}}, "vexlab_variant_proofs: proves full, which is not in vexlab_v"),
        ({"vexlab_variant_proofs": {"c-onyl": PROOF}}, "vexlab_variant_proofs: proves c-onyl, which is not in"),
        ({"vexlab_variant_proofs": {"c-onyl": PROOF}}, "which is not in vexlab_variants; did you mean c-only?"),
        ({"vexlab_variant_proofs": {1: PROOF}}, "vexlab_variant_proofs: proves 1, which is not in vexlab_variants"),
        ({"vexlab_variant_proofs": {"c-only": {}}}, "vexlab_variant_proofs.c-only: {} doesn't fit. For each variant"),
        ({"vexlab_variant_proofs": {"c-only": []}}, "vexlab_variant_proofs.c-only: must be a mapping, not a list"),
        ({"vexlab_variant_proofs": {"c-only": {"has_symbol": ["x"]}}}, "c-only.has_symbol: unknown field; did you"),
        ({"vexlab_variant_proofs": {"c-only": {"has_strings": []}}}, "c-only.has_strings: [] doesn"),
        ({"vexlab_variant_proofs": {"c-only": {"sysfs": {"../x": "y"}}}}, "c-only.sysfs: '../x' doesn't fit"),
        ({"vexlab_variant_proofs": {"c-only": {"sysfs": {"a": 1}}}}, "c-only.sysfs.a: must be text, not a number (1)"),
        ({"vexlab_variant_proofs": {"c-only": {"sysfs": {"a": "{{"}}}}, "vexlab_variant_proofs: '{{' holds {{"),
        ({"vexlab_checks": {"name": "x"}}, "vexlab_checks: must be a list, not a mapping"),
        ({"vexlab_checks": ["make check"]}, "vexlab_checks[0]: must be a mapping, not text"),
        ({"vexlab_checks": [{"name": "x", "stage": "build"}]}, "vexlab_checks[0].command: is missing. The target's"),
        ({"vexlab_checks": [CHECK | {"comand": "x"}]}, "vexlab_checks[0].comand: unknown field; did you mean command?"),
        ({"vexlab_checks": [CHECK | {"stage": "biuld"}]}, "vexlab_checks[0].stage: 'biuld' is none of build, mount; d"),
        ({"vexlab_checks": [CHECK | {"name": "a]b"}]}, "vexlab_checks[0].name: 'a]b' doesn't fit"),
        ({"vexlab_checks": [CHECK | {"command": " "}]}, "vexlab_checks[0].command: ' ' doesn't fit"),
        ({"vexlab_checks": [CHECK | {"command": "a {# b"}]}, "vexlab_checks: 'a {# b' holds {#"),
        ({"vexlab_checks": [CHECK, CHECK]}, "vexlab_checks: unit tests is there twice"),
        ({"vexlab_checks": [CHECK | {"command_after_remount": "x"}]}, "command_after_remount, which only stage mount"),
        ({"vexlab_checks": [CHECK | {"stage": "mount", "command_after_remount": "x"}]}, "persistent is not claimed"),
        ({"vexlab_known_failures": KNOWN}, "vexlab_known_failures: must be a list, not a mapping"),
        ({"vexlab_known_failures": ["mount/x"]}, "vexlab_known_failures[0]: must be a mapping, not text"),
        ({"vexlab_known_failures": [{"check": "mount/x"}]}, "_failures[0].reason: is missing. Why it is expected"),
        ({"vexlab_known_failures": [KNOWN | {"kernel": ">6"}]}, "[0].kernel: unknown field; did you mean kernels?"),
        ({"vexlab_known_failures": [KNOWN | {"check": "x"}]}, "_failures[0].check: 'x' doesn't fit. Stage and name"),
        ({"vexlab_known_failures": [KNOWN | {"check": "muont/x"}]}, "muont/x: there is no stage muont; did you mean m"),
        ({"vexlab_known_failures": [KNOWN | {"reason": " "}]}, "_failures[0].reason: ' ' doesn't fit. Why it is"),
        ({"vexlab_expected": [{"fails": "build"}]}, "vexlab_expected[0].reason: is missing. Why it is expected"),
        ({"vexlab_expected": [EXPECTED | {"fails": "mount"}]}, "_expected[0].fails: 'mount' is none of build, load"),
        ({"vexlab_expected": [EXPECTED | {"kernels": "7"}]}, "vexlab_expected[0].kernels: '7' doesn't fit. Kernels"),
        ({"vexlab_expected": [EXPECTED | {"kernel": ">7"}]}, "[0].kernel: unknown field; did you mean kernels?"),
        ({"vexlab_expected": [EXPECTED | {"variants": []}]}, "vexlab_expected[0].variants: [] doesn't fit. Variants"),
        (
            {"vexlab_expected": [EXPECTED | {"variants": ["c_only"]}]},
            "vexlab_expected[0].variants: c_only is not in vexlab_variants; did you mean c-only?",
        ),
        ({"vexlab_known_failures": [KNOWN | {"kernels": "6.1"}]}, "_failures[0].kernels: '6.1' doesn't fit. Kernels"),
        ({"vexlab_known_failures": [KNOWN | {"kernels": ">=6.1 <6.3"}]}, "_failures[0].kernels: '>=6.1 <6.3' doesn"),
        ({"vexlab_known_failures": [KNOWN | {"kernels": 6.1}]}, "kernels: must be text, not a number (6.1). Put it in"),
        ({"vexlab_known_failures": [KNOWN | {"issue": "7"}]}, "[0].issue: '7' doesn't fit. Address of the issue that"),
        ({"vexlab_known_failures": [KNOWN | {"sometimes": "yes"}]}, "[0].sometimes: must be true or false"),
        ({"vexlab_known_failures": [KNOWN, KNOWN]}, "vexlab_known_failures: names something twice"),
        ({"vexlab_module_file": "/lib/toyfs.ko"}, "vexlab_module_file: '/lib/toyfs.ko' doesn't fit. The built module"),
        ({"vexlab_module_file": "a/../../toyfs.ko"}, "vexlab_module_file"),
        ({"vexlab_module_file": "toyfs"}, "vexlab_module_file"),
        ({"vexlab_build_directory": ".."}, "vexlab_build_directory"),
        ({"vexlab_required_paths": ["/etc/passwd"]}, "vexlab_required_paths[0]"),
        ({"vexlab_build_command": " "}, "vexlab_build_command"),
        ({"vexlab_mkfs_command": "echo {{ x }}"}, "vexlab_mkfs_command: 'echo {{ x }}' holds {{, which Ansible"),
        ({"vexlab_build_before": ["ok", "echo ${#x}"]}, "vexlab_build_before: 'echo ${#x}' holds {#"),
        ({"vexlab_source_in_guest": "/usr/src/x"}, "exactly one says where the source is; both are given"),
        ({"vexlab_source": None}, "exactly one says where the source is; neither is given"),
        ({"vexlab_source": None, "vexlab_source_in_guest": "usr/src"}, "vexlab_source_in_guest: 'usr/src' doesn't fit"),
        ({"vexlab_capabilities": ["label"]}, "label is claimed, so vexlab_superblock_label_offset"),
        ({"vexlab_capabilities": ["persistent"]}, "persistent is claimed without read-write"),
        ({"vexlab_capabilities": ["read-write", "sync-mounts"]}, "sync-mounts is claimed without persistent"),
        ({"vexlab_capabilities": ["read-write", "crash-recovery"]}, "crash-recovery is claimed without persistent"),
        ({"vexlab_superblock_fields": {}}, "vexlab_superblock_fields: must be a list, not a mapping"),
        ({"vexlab_superblock_fields": ["magic"]}, "vexlab_superblock_fields[0]: must be a mapping, not text"),
        ({"vexlab_superblock_fields": [{"name": "x", "size": 4}]}, "_fields[0].offset: is missing. Place of the"),
        ({"vexlab_superblock_fields": [FIELD | {"siez": 4}]}, "[0].siez: unknown field; did you mean size?"),
        ({"vexlab_superblock_fields": [FIELD | {"size": 0}]}, "[0].size: 0 is out of range (minimum 1). Size of the"),
        ({"vexlab_superblock_fields": [FIELD | {"wrong": [0]}]}, "[0].wrong[0]: must be text, not a number (0). Put"),
        ({"vexlab_superblock_fields": [FIELD | {"wrong": ["fff"]}]}, "[0].wrong[0]: 'fff' doesn't fit. Values that"),
        ({"vexlab_superblock_fields": [FIELD | {"wrong": ["ffff"]}]}, "'ffff' has 4 digits, a field of 4 bytes has 8"),
        ({"vexlab_damages": {"refused": ["a"]}}, "names damages, so vexlab_damage_command must say how"),
        ({"vexlab_damages": {"refsued": ["a"]}}, "vexlab_damages.refsued: unknown field; did you mean refused?"),
        ({"vexlab_damages": {"refused": ["a b"]}}, "vexlab_damages.refused[0]: 'a b' doesn't fit. Names of damages"),
        ({"vexlab_damages": {"refused": ["a"], "noticed": ["a"]}}, "vexlab_damages: in more than one list: a"),
        ({"vexlab_target_version": "1"}, "vexlab_target_version: must be a whole number, not text"),
        ({"vexlab_modules": ["toycore"]}, "vexlab_modules[0]: must be a mapping, not text"),
        ({"vexlab_modules": [{"file": "a.ko"}]}, "vexlab_modules[0].name: is missing. Name of the"),
        ({"vexlab_modules": [{"name": "a", "file": "/a.ko"}]}, "modules[0].file: '/a.ko' doesn't fit. The built"),
        ({"vexlab_modules": [{"name": "a"}, {"name": "a"}]}, "vexlab_modules: a is there twice"),
        ({"vexlab_modules": [{"name": "toyfs"}]}, "vexlab_modules: toyfs is the module itself, which"),
        ({"vexlab_taints": ["D"]}, "vexlab_taints[0]: 'D' is none of P, C, K, N, X"),
        ({"vexlab_content_directory": "../x"}, "vexlab_content_directory: '../x' doesn't fit. Directory that mkfs"),
        ({"vexlab_content_directory": "x"}, "vexlab_content_directory: is for a filesystem that is never"),
        ({"vexlab_mkfs_refusal_codes": [0]}, "vexlab_mkfs_refusal_codes[0]: 0 is out of range (minimum 1). Exit codes"),
        ({"vexlab_mkfs_refusal_codes": ["1"]}, "vexlab_mkfs_refusal_codes[0]: must be a whole number, not text. Exit"),
        ({"vexlab_mkfs_refusal_codes": []}, "vexlab_mkfs_refusal_codes: [] doesn't fit. Exit codes with which mkfs"),
        ({"vexlab_blkid_type": "toyfs"}, "vexlab_blkid_type: is the filesystem's type, which is what blkid is taken"),
        ({"vexlab_fsck_command": " "}, "vexlab_fsck_command: ' ' doesn't fit. Shell command that looks at the"),
        ({"vexlab_damage_command": "x", "vexlab_damages": ["a"]}, "vexlab_damages: must be a mapping, not a list"),
        ({"vexlab_damage_command": "echo {{ x }}"}, "vexlab_damage_command: 'echo {{ x }}' holds {{, which Ansible"),
        ({"vexlab_damages": {"refused": ["{{ x }}"]}}, "vexlab_damages: '{{ x }}' holds {{, which Ansible"),
        ({"vexlab_source": "~nobody-of-that-name/x"}, "vexlab_source: no home directory for ~nobody-of-that-name"),
        ({"vexlab_limits": [28]}, "vexlab_limits: must be a mapping, not a list"),
        ({"vexlab_limits": {"name_byte": 28}}, "vexlab_limits.name_byte: unknown field; did you mean name_bytes?"),
        ({"vexlab_limits": {"name_bytes": 8}}, "vexlab_limits.name_bytes: 8 is out of range (minimum 11). The most"),
        ({"vexlab_limits": {"file_bytes": "4M"}}, "vexlab_limits.file_bytes: must be a whole number, not text"),
        ({"vexlab_limits": {"name_case": "upper"}}, "name_case: 'upper' is none of sensitive, preserving, insensitive"),
        ({"vexlab_limits": {"hard_links": 4}}, "hard_links: is about hard-links, which isn't claimed; claim it"),
        ({"vexlab_limits": {"owner_bits": 16}}, "owner_bits: is about permissions, which isn't claimed"),
        ({"vexlab_limits": {"name_characters": 20, "name_bytes": 16}}, "name_characters: 20 is more than name_bytes"),
        (TIMES | {"vexlab_limits": {"time_earliest": 9, "time_latest": 8}}, "time_earliest: 9 is more than time_lat"),
        (TIMES | {"vexlab_limits": {"time_latest": 9}}, "vexlab_limits.time_latest: 9 leaves out today ("),
        (TIMES | {"vexlab_limits": {"time_earliest": 1 << 40}}, "time_earliest: 1099511627776 leaves out today ("),
        ({"vexlab_limits": {"files": 40, "directory_entries": 20}}, "files: 40 is more than directory_ent"),
    ],
)  # fmt: skip
def test_wrong_field_is_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    assert said in refusal(written(tmp_path, changes))


def test_variants_that_are_proven_and_checks_are_taken(tmp_path: Path) -> None:
    after = {"name": "kept", "stage": "mount", "command": "a", "command_after_remount": "b"}
    fields = BOTH | {
        "vexlab_capabilities": ["read-write", "persistent"],
        "vexlab_variant_proofs": {"c-only": PROOF, "full": {"lacks_symbols": ["toy.c"]}},
        "vexlab_checks": [CHECK, after],
    }
    found = load_target(written(tmp_path, fields))
    assert {name: found[name] for name in fields} == fields


def test_known_failures_are_taken(tmp_path: Path) -> None:
    known = [KNOWN, KNOWN | {"kernels": ">=6.1,<6.13"}, KNOWN | {"check": "load/a.b[c d]", "kernels": "==6.12.1"}]
    assert load_target(written(tmp_path, {"vexlab_known_failures": known}))["vexlab_known_failures"] == known


def test_limits_that_go_with_the_claims_are_taken(tmp_path: Path) -> None:
    limits = {
        "name_bytes": 28,
        "name_characters": 28,
        "files": 64,
        "directory_entries": 16,
        "time_latest": (1 << 31) - 1,
    }
    fields = {"vexlab_capabilities": ["read-write", "directories", "timestamps"], "vexlab_limits": limits}
    assert load_target(written(tmp_path, fields))["vexlab_limits"] == limits


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, {"vexlab_module_name": None, "vexlab_typo": 1, "oops": 2, "vexlab_packages": "fio"})
    lines = [line for line in refusal(path).splitlines() if line.startswith(str(path))]
    assert len(lines) == 4
    assert all(re.match(rf"{path}(:\d+:\d+)?: vexlab_\w+|{path}:\d+:\d+: oops", line) for line in lines)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"# nothing\n---\n", "is empty"),
        (b"- a\n", "holds a list instead of fields"),
        (b"just words\n", "holds text instead of fields"),
        (b"vexlab_source: [1,\nb: 2", ":2:5: not YAML"),
        (b"a: 1\nb: c: d\n", ":2:5: not YAML"),
        (b"a: 1\nb: 2\na: 3\n", ":3:1: not YAML as a target file needs it: a is there twice"),
        (b"a: \xff\n", "not UTF-8"),
        (b"a: \x00\n", "not YAML"),
        (b"a: !!python/object/apply:os.getcwd []\n", "not YAML"),
        (b"a: 2026-13-45\n", "not YAML"),
        (b"1: x\n", "1: names of fields are text"),
        (b"[a]: x\n", "not YAML"),
        (b"a: *b\n", "not YAML"),
        (b"[" * 5000, "not YAML"),
    ],
)
def test_file_that_is_no_target_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "toy.yml"
    path.write_bytes(content)
    assert said in refusal(path)


def test_missing_file_and_directory_are_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "nowhere.yml")
    assert "Is a directory" in refusal(tmp_path)


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path, kind: str) -> None:
    OTHERS[kind](tmp_path / "toy.yml")
    assert "toy.yml: the target file is not a file" in refusal(tmp_path / "toy.yml")


# ---------------------------------------------------------------- what else must agree with the schema


def test_defaults_have_one_home() -> None:
    """The schema holds none, and each optional field has one in the lab contract."""
    contract = yaml.safe_load((ROOT / "inventory/group_vars/vexlab.yml").read_text())
    assert not [name for name, rule in FIELDS.items() if "default" in rule]
    optional = set(FIELDS) - set(schema()["required"])
    assert optional <= set(contract)
    assert not set(schema()["required"]) & set(contract)


def test_documentation_has_every_field_and_capability() -> None:
    """With its meaning and its default, so that nobody has to read the schema."""
    text = (ROOT / "docs/targets.md").read_text()
    headings = re.findall(r"^### `(vexlab_\w+)`", text, re.M)
    assert sorted(headings) == sorted(FIELDS)
    for name, demand in CAPABILITIES.items():
        assert f"| `{name}` | {demand} |" in text, name


def test_documented_defaults_are_the_real_ones() -> None:
    contract = yaml.safe_load((ROOT / "inventory/group_vars/vexlab.yml").read_text())
    text = (ROOT / "docs/targets.md").read_text()
    for name in FIELDS:
        part = re.split(r"^##", text.split(f"### `{name}`")[1], maxsplit=1, flags=re.M)[0]
        said = re.search(r"^Required|^Default: `(.*)`", part, re.M)
        assert said, name
        if name in schema()["required"]:
            assert said[0] == "Required", name
        else:
            assert yaml.safe_load(said[1] or "") == contract[name], name


def test_documented_examples_are_good(tmp_path: Path) -> None:
    text = (ROOT / "docs/targets.md").read_text()
    whole, *parts = re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S)
    path = tmp_path / "toy.yml"
    path.write_text(whole)
    load_target(path)
    assert {name for part in parts for name in yaml.safe_load(part)} == set(FIELDS)
    for part in parts:
        fields = yaml.safe_load(part)
        if {"vexlab_device_kind", "vexlab_mount_source", "vexlab_module_source"} & set(fields):
            continue  # they change which other fields there are: tried below
        clash = {"vexlab_source": None} if "vexlab_source_in_guest" in fields else {}
        needed = {"vexlab_superblock_label_offset": 32, "vexlab_damage_command": "x"}
        enough = {"vexlab_capabilities": ["read-write", "persistent"]}
        variants = {"vexlab_variants": list(fields.get("vexlab_variant_proofs", ["c-only"]))}
        load_target(written(tmp_path, needed | enough | variants | clash | fields))


NO_SOURCE: dict[str, Any] = dict.fromkeys(("vexlab_source", "vexlab_build_command", "vexlab_module_file"))
NO_DEVICE: dict[str, Any] = dict.fromkeys(
    ("vexlab_mkfs_command", "vexlab_superblock_magic", "vexlab_superblock_magic_offset")
)


@pytest.mark.parametrize(
    "changes",
    [
        NO_DEVICE | {"vexlab_device_kind": "none"},
        NO_DEVICE | {"vexlab_device_kind": "none", "vexlab_mount_source": "toy"},
        NO_DEVICE | {"vexlab_device_kind": "directory", "vexlab_capabilities": ["read-write", "persistent"]},
        NO_SOURCE | {"vexlab_module_source": "kernel"},
        NO_SOURCE
        | NO_DEVICE
        | {"vexlab_module_source": "kernel", "vexlab_device_kind": "none", "vexlab_module_name": None},
    ],
    ids=["in memory", "with a word", "stacked", "of the kernel", "part of the kernel"],
)  # fmt: skip
def test_other_shapes_are_good(tmp_path: Path, changes: dict[str, Any]) -> None:
    given = {name: value for name, value in changes.items() if value is not None}
    assert given.items() <= load_target(written(tmp_path, changes)).items()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vexlab_device_kind": "loop"}, "'loop' is none of block, none, directory"),
        ({"vexlab_device_kind": "none"}, "vexlab_mkfs_command: vexlab_device_kind is none, so nothing is formatted"),
        (NO_DEVICE | {"vexlab_device_kind": "none", "vexlab_fsck_command": "x"}, "vexlab_fsck_command: vexlab_device"),
        ({"vexlab_device_kind": "directory"}, "vexlab_superblock_magic: vexlab_device_kind is directory, so nothing"),
        (
            NO_DEVICE | {"vexlab_device_kind": "none", "vexlab_capabilities": ["read-write", "persistent"]},
            "persistent is claimed; vexlab_device_kind is none, so nothing keeps it",
        ),
        (
            NO_DEVICE | {"vexlab_device_kind": "none", "vexlab_capabilities": ["mkfs-refuses-small"]},
            "mkfs-refuses-small is claimed, which is about mkfs; vexlab_device_kind is none",
        ),
        (
            NO_DEVICE | {"vexlab_device_kind": "none", "vexlab_second_device_size_mb": 8},
            "vexlab_second_device_size_mb: vexlab_device_kind is none, so nothing is formatted",
        ),
        ({"vexlab_second_device_size_mb": 0}, "vexlab_second_device_size_mb: "),
        (
            {"vexlab_second_device_size_mb": 8},
            "vexlab_second_device_size_mb: no command names $SECOND_DEVICE; leave it out, or have one use it",
        ),
        (
            {"vexlab_fsck_command": 'fsck -j "$SECOND_DEVICE" "$DEVICE"'},
            "vexlab_fsck_command: names $SECOND_DEVICE, so vexlab_second_device_size_mb must say how large that is",
        ),
        ({"vexlab_mount_source": "toy"}, "vexlab_mount_source: vexlab_device_kind is block"),
        ({"vexlab_module_source": "kernel"}, "vexlab_source: vexlab_module_source is kernel, so nothing is built"),
        (
            NO_SOURCE | {"vexlab_module_source": "kernel", "vexlab_modules": [{"name": "a", "file": "a.ko"}]},
            "vexlab_modules: a has a file; vexlab_module_source is kernel",
        ),
        (
            NO_SOURCE | {"vexlab_module_source": "kernel", "vexlab_capabilities": ["module-alias"]},
            "module-alias is claimed, which stage build looks at; vexlab_module_source is kernel",
        ),
    ],
)  # fmt: skip
def test_contradiction_of_shape_is_told(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    """What a target can't have by its kind is refused before anything starts, with what contradicts what."""
    assert said in refusal(written(tmp_path, changes))


SLIPS = """\
vexlab_target_name: toyfs
vexlab_sorce: .
vexlab_build_command: make
vexlab_modul_file: [x.ko]
module_name: toyfs
vexlab_filesystem_type: toyfs
vexlab_mkfs_command: mkfs.toyfs
vexlab_superblock_magic: "00"
vexlab_superblock_magic_offset: 0
vexlab_capabilities:
  - read-write
  - teleport
vexlab_checks:
  - {name: one, stage: mount}
  - name: two
    stage: mount
    comand: "true"
"""


def test_each_problem_has_its_place_its_line_and_a_caret(tmp_path: Path) -> None:
    path = tmp_path / "toy.yml"
    path.write_text(SLIPS)
    said = refusal(path)
    assert f"{path}:2:1: vexlab_sorce: unknown field; did you mean vexlab_source?\n    vexlab_sorce: .\n    ^\n" in said
    assert f"{path}:12:5: vexlab_capabilities[1]: 'teleport' is none of read-write," in said
    assert "\n    - teleport\n      ^\n" in said
    assert f"{path}:14:5: vexlab_checks[0].command: is missing" in said
    assert f"{path}:17:5: vexlab_checks[1].comand: unknown field; did you mean command?" in said


def test_misspelt_field_is_told_once_and_judged_as_what_was_meant(tmp_path: Path) -> None:
    """Neither is the right name missing, nor does what hangs on it complain."""
    path = tmp_path / "toy.yml"
    path.write_text(SLIPS)
    said = refusal(path)
    assert f"{path}:5:1: module_name: unknown field; did you mean vexlab_module_name?" in said
    assert f"{path}:4:1: vexlab_module_file: must be text, not a list" in said
    told = [line for line in said.splitlines() if line.startswith(str(path))]
    assert len(told) == 7, said
    assert "vexlab_source, " not in said
    assert [line for line in told if "is missing" in line] == [line for line in told if "checks[0].command" in line]


def test_field_that_is_missing_has_no_place_of_another(tmp_path: Path) -> None:
    said = refusal(written(tmp_path, {"vexlab_module_name": None, "vexlab_source": None}))
    assert f"{tmp_path}/toy.yml: vexlab_module_name: is missing." in said
    assert f"{tmp_path}/toy.yml: vexlab_source, vexlab_source_in_guest: exactly one says" in said


def test_what_is_no_yaml_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "toy.yml"
    path.write_text("vexlab_target_name: toyfs\nvexlab_capabilities: [read-write\nvexlab_source: .\n")
    assert f"{path}:3:14: not YAML as a target file needs it: " in refusal(path)
    assert "\n    vexlab_source: .\n                 ^" in refusal(path)


def test_long_line_is_cut_around_the_place(tmp_path: Path) -> None:
    """A caret below the third line of a wrapped one would point at nothing."""
    path = tmp_path / "toy.yml"
    names = [f"capability-{number}" for number in range(40)]
    path.write_text(f"vexlab_capabilities: [{', '.join(names)}]\n")
    said = refusal(path).splitlines()
    [place] = [number for number, line in enumerate(said) if "vexlab_capabilities[30]" in line]
    line, caret = said[place + 1 : place + 3]
    assert len(line) <= 80
    assert line[caret.index("^") :].startswith("capability-30,")
    assert line.strip().startswith("…")
    assert line.endswith("…")
