"""The archive: a tar file, compressed with zstd, whose first member lists every other one with its hash.

Whoever reads one trusts nothing in it. Names, kinds, sizes and hashes are those of the list, or nothing is unpacked.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import secrets
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

import msgspec
import zstandard

from vexlab.bundle.manifest import SCHEMA, Manifest, Member
from vexlab.config.records import decode
from vexlab.errors import HostProblem, UsageProblem, VexlabError, write_problem

MANIFEST = "manifest.json"
LEVEL = 10  # of zstd: a second for what a run leaves
BLOCK = 1 << 16  # bytes; one that holds nothing but zeros becomes a hole
LONGEST_MANIFEST = 16 << 20  # bytes
SPARE = 64 << 20  # bytes that stay free on the disk
AGAIN = "get it again, and compare its sha256 with what `vexlab bundle` printed"
_ZEROS = bytes(BLOCK)


@dataclass(frozen=True)
class Piece:
    """What becomes a member: its name, and its content or the file that has it."""

    name: str
    content: bytes | Path
    executable: bool = False

    def open(self) -> IO[bytes]:
        """Open the content to be read."""
        return self.content.open("rb") if isinstance(self.content, Path) else io.BytesIO(self.content)

    def member(self) -> Member:
        """Read the piece; returns what the list says of it."""
        total, size, data = hashlib.sha256(), 0, 0
        with self.open() as stream:
            while block := stream.read(BLOCK):
                total.update(block)
                size += len(block)
                data += 0 if block == _ZEROS else len(block)
        return Member(total.hexdigest(), size, data, self.executable)


def write(path: Path, manifest: Manifest, pieces: Sequence[Piece]) -> str:
    """Write an archive in one step; returns its sha256. Raises as `write_problem` does.

    The same pieces give the same bytes: no times, no owners.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    text = json.dumps(msgspec.to_builtins(manifest), indent=1, ensure_ascii=True) + "\n"
    try:
        with (
            temporary.open("xb") as file,
            zstandard.ZstdCompressor(level=LEVEL).stream_writer(file) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
        ):
            for piece in (Piece(MANIFEST, text.encode()), *pieces):
                _add(tar, piece, manifest)
        digest = sha256_of(temporary)
        temporary.replace(path)
    except OSError as problem:
        raise write_problem(path, problem) from problem
    finally:
        temporary.unlink(missing_ok=True)
    return digest


def _add(tar: tarfile.TarFile, piece: Piece, manifest: Manifest) -> None:
    header = tarfile.TarInfo(piece.name)
    known = manifest.members.get(piece.name)
    header.size = known.size if known else len(piece.content) if isinstance(piece.content, bytes) else 0
    header.mode = 0o755 if piece.executable else 0o644
    with piece.open() as stream:
        tar.addfile(header, stream)


def sha256_of(path: Path) -> str:
    """sha256 of a file; raises UsageProblem when it can't be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as problem:
        raise UsageProblem(f"{path} can't be read: {problem.strerror}", "name a bundle") from problem


def read_manifest(path: Path) -> Manifest:
    """Read what an archive says of itself; raises UsageProblem when it is none, or of another version."""
    with _members(path, LONGEST_MANIFEST) as members:
        first = next(members, None)
        if first is None or first[0].name != MANIFEST or not first[0].isreg():
            raise UsageProblem(f"{path} is no bundle: its first member is not {MANIFEST}", AGAIN)
        content = first[1].read(LONGEST_MANIFEST)
    try:
        document = json.loads(content)
        version = document.get("schema") if isinstance(document, dict) else None
        if version != SCHEMA:
            raise UsageProblem(
                f"{path} is a bundle of version {version!r}, and this vexlab reads version {SCHEMA}",
                "replay it with the vexlab that made it",
            )
        manifest = decode(Manifest, document)
    except (ValueError, RecursionError) as problem:
        raise UsageProblem(f"{path}: {MANIFEST} is not JSON: {problem}", AGAIN) from problem
    except VexlabError as problem:
        if isinstance(problem, UsageProblem):
            raise
        raise UsageProblem(f"{path}: {MANIFEST}: {problem.message}", AGAIN) from problem
    _refuse_names(path, manifest)
    return manifest


def unpack(path: Path, manifest: Manifest, destination: Path) -> None:
    """Unpack an archive into a directory that isn't there yet; it is there whole or not at all.

    Raises UsageProblem for whatever isn't as the list says, HostProblem when there is no room, before anything is
    written, and a problem of writing.
    """
    try:
        destination.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_room(path, manifest, destination.parent)
        temporary = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=destination.parent))
    except OSError as problem:
        raise write_problem(destination, problem) from problem
    try:
        _unpack(path, manifest, temporary)
        for name, target in manifest.links.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).symlink_to(target)
        temporary.rename(destination)
    except OSError as problem:
        raise write_problem(destination, problem) from problem
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _unpack(path: Path, manifest: Manifest, directory: Path) -> None:
    """Write the members one by one, each compared with the list while it is written."""
    seen: set[str] = set()
    largest = sum(member.size for member in manifest.members.values())
    with _members(path, LONGEST_MANIFEST + largest + 4096 * (len(manifest.members) + 16)) as members:
        for header, stream in members:
            if header.name == MANIFEST and not seen:
                (directory / MANIFEST).write_bytes(stream.read(LONGEST_MANIFEST))
            else:
                _refuse_member(path, manifest, header, seen)
                target = directory / header.name
                target.parent.mkdir(parents=True, exist_ok=True)
                _write_member(path, stream, target, manifest.members[header.name])
            seen.add(header.name)
    missing = sorted(manifest.members.keys() - seen)
    if missing:
        raise UsageProblem(f"{path} was changed: {missing[0]!r} is gone", AGAIN)


def _refuse_member(path: Path, manifest: Manifest, header: tarfile.TarInfo, seen: set[str]) -> None:
    """Raise UsageProblem for a member that the list doesn't have like this."""
    if not header.isreg() or header.issparse():
        kind = "a link" if header.islnk() or header.issym() else "a device" if header.isdev() else "no file"
        raise UsageProblem(
            f"{path} is refused: {header.name!r} in it is {kind}",
            "a bundle holds nothing but files; ask for another one",
        )
    if _leads_outside(header.name):
        raise UsageProblem(
            f"{path} is refused: {header.name!r} names a path outside of it",
            "don't use it: whoever made it may mean harm",
        )
    if header.name in seen:
        raise UsageProblem(f"{path} was changed: it has {header.name!r} twice", AGAIN)
    if header.name not in manifest.members:
        raise UsageProblem(f"{path} was changed: {header.name!r} is not in its list", AGAIN)
    if header.size != manifest.members[header.name].size:
        raise UsageProblem(f"{path} was changed: {header.name!r} is not as long as its list says", AGAIN)


def _write_member(path: Path, stream: IO[bytes], target: Path, known: Member) -> None:
    """Write a file with holes for its zeros; raises UsageProblem when its content isn't the one of the list."""
    total, data = hashlib.sha256(), 0
    with target.open("xb") as file:
        while block := stream.read(BLOCK):
            total.update(block)
            if block == _ZEROS:
                file.seek(len(block), os.SEEK_CUR)
                continue
            data += len(block)
            if data > known.data:
                raise UsageProblem(f"{path} was changed: {target.name!r} takes more room than its list says", AGAIN)
            file.write(block)
        file.truncate(known.size)
    if total.hexdigest() != known.sha256:
        raise UsageProblem(f"{path} was changed: the content of {target.name!r} is another one", AGAIN)
    target.chmod(0o755 if known.executable else 0o644)


def problem_of(manifest: Manifest, directory: Path) -> str:
    """The first thing in an unpacked archive that isn't as its list says, as a part of a sentence; empty if all is."""
    for name, known in manifest.members.items():
        path = directory / name
        if path.is_symlink() or not path.is_file():
            return f"{name} is gone"
        if Piece(name, path).member().sha256 != known.sha256:
            return f"{name} was edited"
    return ""


def _require_room(path: Path, manifest: Manifest, place: Path) -> None:
    needed = sum(member.data for member in manifest.members.values()) + BLOCK * len(manifest.members) // 8 + SPARE
    free = shutil.disk_usage(place).free
    if needed > free:
        raise HostProblem(
            f"{path} takes {needed >> 20} MiB when it is unpacked, and {place} has {free >> 20} MiB free",
            "make room there, or name another directory: XDG_STATE_HOME",
        )


def _refuse_names(path: Path, manifest: Manifest) -> None:
    """Raise UsageProblem for names in the list that lead outside, and for links that do or that others lead through."""
    names = [*manifest.members, *manifest.links]
    for name in names:
        if _leads_outside(name) or name == MANIFEST:
            raise UsageProblem(
                f"{path} is refused: {name!r} names a path outside of it", "don't use it: whoever made it may mean harm"
            )
        above = {str(parent) for parent in PurePosixPath(name).parents}
        if above & (manifest.links.keys() | manifest.members.keys()) or (
            name in manifest.links and name in manifest.members
        ):
            raise UsageProblem(
                f"{path} is refused: {name!r} leads through something else in it",
                "don't use it: whoever made it may mean harm",
            )
    for name, target in manifest.links.items():
        if link_leads_outside(name, target):
            raise UsageProblem(
                f"{path} is refused: the link {name!r} leads outside of it",
                "don't use it: whoever made it may mean harm",
            )


def link_leads_outside(name: str, target: str) -> bool:
    """Whether a link in an archive leads out of the first directory of its own name."""
    if not target or target.startswith("/") or "\0" in target:
        return True
    top, *_ = PurePosixPath(name).parts
    reached = os.path.normpath(PurePosixPath(name).parent / target)
    return PurePosixPath(reached).parts[:1] != (top,)


def _leads_outside(name: str) -> bool:
    """Whether a name is anything but that of a file below a directory, in its shortest form."""
    return (
        not name
        or not name.isprintable()
        or name.startswith("/")
        or any(part in ("", ".", "..") for part in name.split("/"))
    )


class _Bounded(io.RawIOBase):
    """A stream that gives so many bytes at the most: what a header says of its size is no reason to keep all of it."""

    def __init__(self, stream: IO[bytes], most: int) -> None:
        super().__init__()
        self._stream = stream
        self._left = most

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise tarfile.ReadError("it holds more than its list says")
        return data


@contextlib.contextmanager
def _members(path: Path, most: int) -> Iterator[Iterator[tuple[tarfile.TarInfo, IO[bytes]]]]:
    """Go through an archive; what it can't be read with becomes a UsageProblem. `most` bytes are unpacked."""
    try:
        with (
            path.open("rb") as file,
            zstandard.ZstdDecompressor().stream_reader(file) as stream,
            tarfile.open(fileobj=cast(IO[bytes], _Bounded(stream, most)), mode="r|") as tar,
        ):
            yield ((header, (header.isreg() and tar.extractfile(header)) or io.BytesIO()) for header in tar)
    except (tarfile.TarError, zstandard.ZstdError, EOFError, UnicodeError, ValueError) as problem:
        raise UsageProblem(f"{path} can't be read as a bundle: {problem}", AGAIN) from problem
    except OSError as problem:
        if problem.filename != str(path):
            raise
        raise UsageProblem(f"{path} can't be read: {problem.strerror}", "name a bundle") from problem
