"""How a tree is built for the kernel of the guest: by DKMS's instructions, by its own Makefile, or by kbuild directly.

Its own Makefile is taken where the kernel can be named to it and where its default goal does nothing but build.
`uname -r` in a recipe can't be overruled: it names the kernel of the machine that builds, which need not be the
guest's.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from vexlab.source import makefile, recipes
from vexlab.source.facts import Facts
from vexlab.source.makefile import Demand
from vexlab.source.programs import Program
from vexlab.source.recipes import KbuildCall, Line, Make

_REFERENCE = re.compile(r"\$[({](\w+)[)}](/build/?)?")
_RELEASE = re.compile(r"/lib/modules/\$[({](\w+)[)}]/build/?")
_KERNEL_WORDS = re.compile(r"k(?:ernel)?_?(?:dir|src|build|path|root|tree)|linux|ksrc|kernel", re.IGNORECASE)
# Libraries of programs by the header that is included: the package that Debian has them in, and what links them.
LIBRARIES = {
    "uuid/uuid.h": ("uuid-dev", "-luuid"),
    "blkid/blkid.h": ("libblkid-dev", "-lblkid"),
    "zlib.h": ("zlib1g-dev", "-lz"),
    "openssl/": ("libssl-dev", "-lcrypto"),
    "fuse": ("libfuse3-dev", ""),
    "bsd/": ("libbsd-dev", "-lbsd"),
}


@dataclass(frozen=True)
class Build:
    """Commands as a target file has them, with the reason for each choice."""

    directory: str
    before: tuple[str, ...]
    command: str
    packages: tuple[str, ...]
    reasons: tuple[str, ...]
    doubts: tuple[str, ...]


def plan(facts: Facts) -> Build:
    """Decide how the module of a tree, and its mkfs, are built."""
    extra = list(dict.fromkeys(program for program in (facts.mkfs, facts.fsck) if program and not program.script))
    packages = tuple(dict.fromkeys(package for program in extra for package, _ in _libraries(facts, program)))
    own = _own_makefile(facts)
    if facts.dkms is not None and not (own and not facts.dkms.command and not facts.dkms.before):
        command = facts.dkms.command or _direct(facts)
        before = tuple(_script(facts, facts.dkms.before)) if facts.dkms.before else ()
        reasons = [f"as DKMS builds it ({facts.dkms.path})"]
        return _with_programs(facts, Build(".", before, command, packages, tuple(reasons), ()), extra, built=())
    if own:
        make, call, assignment = own
        made = tuple(program for program in extra if _key(program) in make.targets)
        demands, doubts = _demanded(facts, make.directory, assignment)
        command = " ".join(["make", '-j"$JOBS"', assignment, *demands])
        reason = f"{call.line.place} calls kbuild; its kernel is named by {assignment.partition('=')[0]}"
        return _with_programs(
            facts, Build(make.directory or ".", (), command, packages, (reason,), doubts), extra, made
        )
    reason = f"kbuild directly: {_why_not_own(facts)}"
    return _with_programs(facts, Build(".", (), _direct(facts), packages, (reason,), ()), extra, built=())


def demanded(facts: Facts, directory: str) -> list[Demand]:
    """The variables without which the makefiles of a directory stop."""
    return [
        demand
        for one in facts.directories.get(directory, [])
        for demand in one.demands
        if demand.variable != "KERNELRELEASE"
    ]


def makes(facts: Facts) -> list[Make]:
    """What plain `make` does in each directory from the root down to the module's."""
    inner = posixpath.dirname(facts.module.makefile)
    parts = inner.split("/") if inner else []
    above = ["/".join(parts[:depth]) for depth in range(len(parts) + 1)]
    return [recipes.plain_make(directory, facts.directories) for directory in above if directory in facts.directories]


def _own_makefile(facts: Facts) -> tuple[Make, KbuildCall, str] | None:
    """What plain `make` does, its call of kbuild, and what names the kernel to it; None where none will do.

    Of several directories it is the outermost where mkfs is made too, else the one that is nearest to the module.
    """
    usable: list[tuple[Make, KbuildCall, str]] = []
    for make in makes(facts):
        calls = _calls(facts, make.lines)
        if not calls or any(line.privileged for line in make.lines) or any(call.root_variable != "M" for call in calls):
            continue
        assignments = {_named(call) for call in calls}
        if len(assignments) == 1 and "" not in assignments:
            usable.append((make, calls[0], assignments.pop()))
    both = [one for one in usable if facts.mkfs and _key(facts.mkfs) in one[0].targets]
    return both[0] if both else usable[-1] if usable else None


def _key(program: Program) -> tuple[str, str]:
    """A program as what make does names it: the directory of its makefile, and its target."""
    return posixpath.dirname(program.makefile), program.target


def _why_not_own(facts: Facts) -> str:
    """Why the tree's own Makefile isn't taken."""
    seen = ""
    for make in makes(facts):
        calls = _calls(facts, make.lines)
        if bad := next((line for line in make.lines if line.privileged), None):
            return f"{bad.place} runs {bad.privileged}"
        if old := next((call for call in calls if call.root_variable != "M"), None):
            return f"{old.line.place} has SUBDIRS=, which kbuild ignores since Linux 5.3"
        if calls:
            seen = f"{calls[0].line.place} names the kernel itself ({calls[0].kernel})"
    return seen or "no Makefile's default goal calls it"


def _calls(facts: Facts, lines: list[Line]) -> list[KbuildCall]:
    found = []
    for line in lines:
        values = makefile.variables(facts.directories.get(posixpath.dirname(line.path), []))
        if call := recipes.kbuild_call(line, values):
            found.append(call)
    return found


def _named(call: KbuildCall) -> str:
    """The assignment by which make is told the kernel; empty when the recipe names it for good."""
    if (found := _REFERENCE.fullmatch(call.kernel)) and found[1] not in ("PWD", "CURDIR"):
        return f'{found[1]}="/lib/modules/$KERNEL_RELEASE"' if found[2] else f'{found[1]}="$KDIR"'
    if (found := _RELEASE.fullmatch(call.kernel)) and found[1] != "KERNELRELEASE":
        return f'{found[1]}="$KERNEL_RELEASE"'
    return ""


def _direct(facts: Facts) -> str:
    """Call kbuild on the directory whose makefile names the module."""
    root = posixpath.dirname(facts.module.makefile)
    options = f" {facts.module.option}=m" if facts.module.option else ""
    return f'make -C "$KDIR" M="$PWD{f"/{root}" if root else ""}" -j"$JOBS"{options} modules'


def _demanded(facts: Facts, directory: str, given: str) -> tuple[list[str], tuple[str, ...]]:
    """Assignments for what the Makefile demands: of the kernel's directory, and doubts for what nobody can tell."""
    found, doubts = [], []
    for demand in demanded(facts, directory):
        if demand.variable == given.partition("=")[0]:
            continue
        if _KERNEL_WORDS.search(demand.variable):
            found.append(f'{demand.variable}="$KDIR"')
        else:
            doubts.append(
                f"not found: a value for {demand.variable}, without which make stops"
                f" ({demand.path}:{demand.line}: {demand.words})"
            )
    return list(dict.fromkeys(found)), tuple(doubts)


def _script(facts: Facts, command: str) -> Iterator[str]:
    """A command of dkms.conf as the shell runs it in the tree."""
    name, _, arguments = command.partition(" ")
    text = facts.tree.texts.get(name.removeprefix("./"), "")
    shell = "sh " if not text.startswith("#!") or re.match(r"#!\s*/bin/sh\b", text) else "./"
    yield f"{shell}{name.removeprefix('./')}{f' {arguments}' if arguments else ''}"


def _with_programs(facts: Facts, build: Build, programs: list[Program], built: tuple[Program, ...]) -> Build:
    """Add what makes each program that the command doesn't make."""
    command, reasons = build.command, list(build.reasons)
    for program in programs:
        if program in built:
            continue
        relative = posixpath.relpath(posixpath.dirname(program.makefile) or ".", build.directory)
        into = "" if relative == "." else f" -C {shlex.quote(relative)}"
        if program.target and not program.recipe:
            command += f" && make{into} {shlex.quote(program.target)}"
        elif program.recipe and "$" not in program.recipe:
            command += (
                f" && {program.recipe}" if relative == "." else f" && (cd {shlex.quote(relative)} && {program.recipe})"
            )
        else:
            command += f" && {_compile(facts, program, build.directory)}"
            reasons.append(f"guessed: no Makefile makes {program.path}, so {program.source} is compiled as it is")
    return Build(build.directory, build.before, command, build.packages, tuple(reasons), build.doubts)


def _compile(facts: Facts, program: Program, directory: str) -> str:
    """Compile a program of one file."""
    compiler = "cc" if program.source.endswith(".c") else "c++"
    libraries = "".join(f" {flag}" for _, flag in _libraries(facts, program) if flag)
    output, source = (shlex.quote(posixpath.relpath(path, directory)) for path in (program.path, program.source))
    return f"{compiler} -O2 -o {output} {source}{libraries}"


def _libraries(facts: Facts, program: Program) -> list[tuple[str, str]]:
    """The packages and flags that a program's headers ask for."""
    text = facts.c_files.get(program.source, "")
    includes = re.findall(r"^\s*#\s*include\s+<([^>]+)>", text, re.MULTILINE)
    return [library for header, library in LIBRARIES.items() if any(name.startswith(header) for name in includes)]
