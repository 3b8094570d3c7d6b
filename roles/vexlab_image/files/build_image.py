r"""Build a guest image, or find it in the cache. Prints one line of JSON: the result, or an error and what to do.

    python3 -m roles.vexlab_image.files.build_image --cache ~/.cache/vexlab/images --suite trixie \
        --disk-size-mb 8192 --package linux-image-amd64 --package …

Exit status: 0 the image is there (or gone, with --state absent), 1 it is not, 130 ended by a signal.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from . import image_store as store
from .image_store import ImageError, Spec
from .image_worker import Job, build_log, check_host

FILES = Path(__file__).resolve().parent


@dataclasses.dataclass(frozen=True)
class Result:
    """What a run did, or with --check would do."""

    changed: bool
    built: bool
    directory: str
    key: str
    kernel_release: str
    reason: str
    waited: bool = False
    leftovers: tuple[str, ...] = ()


class Interrupted(BaseException):
    """A signal asked this process to end. Not an Exception, so that nothing on the way mistakes it for a failure."""


def ensure(cache: Path, spec: Spec, *, check: bool) -> Result:
    """Make sure that the image is in the cache and whole."""
    key = spec.key(FILES)
    directory = cache / key
    if check:
        reason = _defect(directory, key, stamp=False)
        release = "" if reason else store.kernel_release(directory)
        return Result(bool(reason), False, str(directory), key, release, reason or "in the cache")
    _make_cache(cache)
    waited: list[str] = []
    with store.locked(cache, key, lambda holder: waited.append(_say_waiting(cache, key, holder))) as lock:
        assert lock is not None
        leftovers = tuple(store.remove_leftovers(cache, held=key))
        reason = _defect(directory, key, stamp=True)
        if reason:
            check_host(cache)
            store.discard(directory)
            Job(cache, key, spec, FILES, lock).build()
        release = store.kernel_release(directory)
    done = bool(reason)
    return Result(done, done, str(directory), key, release, reason or "in the cache", bool(waited), leftovers)


def remove(cache: Path, spec: Spec, *, check: bool) -> Result:
    """Remove the image of this key, with its log and lock."""
    key = spec.key(FILES)
    directory = cache / key
    there = directory.exists()
    reason = "removed" if there else "was not there"
    if check or not cache.is_dir():
        return Result(there, False, str(directory), key, "", reason)
    with store.locked(cache, key, lambda holder: print(_waiting(holder), file=sys.stderr)):
        leftovers = tuple(store.remove_leftovers(cache, held=key))
        store.discard(directory)
        (cache / f"{key}.log").unlink(missing_ok=True)
        (cache / f"{key}.lock").unlink(missing_ok=True)
    return Result(there or bool(leftovers), False, str(directory), key, "", reason, False, leftovers)


def prune(cache: Path, keep: frozenset[str], *, check: bool) -> dict[str, object]:
    """Remove every image that isn't to be kept, that no guest runs on and that nobody works on.

    Each that was removed, or with `check` would be, is told with the MiB that it took; each other one with the reason.
    """
    removed: dict[str, int] = {}
    kept: dict[str, str] = {}
    for directory in sorted(cache.glob("[0-9a-f]*")) if cache.is_dir() else []:
        key = directory.name
        if not (directory.is_dir() and store.KEY.fullmatch(key)):
            continue
        with store.locked(cache, key) as lock:
            reason = (
                "a lab uses it" if key in keep else "somebody works on it" if lock is None else store.user(directory)
            )
            if reason:
                kept[key] = reason
                continue
            removed[key] = store.size_mib(directory)
            if not check:
                store.discard(directory)
                for ending in ("log", "lock"):
                    (cache / f"{key}.{ending}").unlink(missing_ok=True)
    return {"changed": bool(removed), "removed": removed, "kept": kept}


def _defect(directory: Path, key: str, *, stamp: bool) -> str | None:
    if not directory.exists():
        return "not in the cache"
    damage = store.damage(directory, key, stamp=stamp)
    return f"the image was damaged: {damage}" if damage else None


def _make_cache(cache: Path) -> None:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=cache).close()
    except OSError as error:
        raise ImageError(
            f"The image cache {cache} cannot be written: {error.strerror}.",
            "Set vexlab_image_cache to a directory that you can write.",
        ) from error


def _waiting(holder: str) -> str:
    return f"vexlab: waiting for process {holder}, which works on the same image"


def _say_waiting(cache: Path, key: str, holder: str) -> str:
    text = _waiting(holder)
    with build_log(cache / f"{key}.log", fresh=False) as log:
        log.line(text)
    print(text, file=sys.stderr, flush=True)
    return text


def _starters() -> list[tuple[int, int]]:
    """Those whose end means that nobody waits for this process any more, as pairs of child and parent.

    They are its ancestors up to the leader of its session, and that one's parent: under Ansible, and under sshd, each
    command is a session, and killing ansible-playbook or the connection leaves the session running.
    """
    pairs: list[tuple[int, int]] = []
    child, session = os.getpid(), os.getsid(0)
    while (parent := _parent(child)) > 1:
        pairs.append((child, parent))
        if child == session:
            break
        child = parent
    return pairs


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _watch(starters: list[tuple[int, int]]) -> None:
    # A child gets another parent at the moment its own ends, even if that one is not reaped or its number used again.
    while all(_parent(child) == parent for child, parent in starters):
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def _ends(deadline: int) -> Iterator[None]:
    """Turn everything that ends this process into an exception, so that what is under way is cleaned up."""
    ends = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}

    def ended(number: int, frame: FrameType | None) -> None:
        for other in (*ends, signal.SIGALRM):
            signal.signal(other, signal.SIG_IGN)  # a second Ctrl-C must not cut the clean-up short
        if number == signal.SIGALRM:
            raise ImageError(
                f"The image was not ready within {deadline} seconds.",
                "Give it more time with vexlab_image_deadline; the log beside the image says how far it came.",
            )
        raise Interrupted(ends[signal.Signals(number)])

    for number in (*ends, signal.SIGALRM):
        signal.signal(number, ended)
    starters = _starters()
    if starters:
        threading.Thread(target=_watch, args=(starters,), daemon=True).start()
    signal.alarm(deadline)
    yield
    signal.alarm(0)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Build a guest image, or find it in the cache.")
    parser.add_argument("--cache", required=True)
    parser.add_argument("--suite", default="")
    parser.add_argument("--disk-size-mb", default=0, type=int)
    parser.add_argument("--package", action="append", default=[], help="install it (again for more)")
    parser.add_argument("--source-package", action="append", default=[], help="only unpack it (again for more)")
    parser.add_argument("--state", choices=["present", "absent", "pruned"], default="present")
    parser.add_argument(
        "--keep", action="append", default=[], help="key of an image that isn't pruned (again for more)"
    )
    parser.add_argument("--deadline", type=int, default=1800, help="seconds")
    parser.add_argument("--check", action="store_true", help="change nothing, say what would be done")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Do what the arguments say, and print one line of JSON about it."""
    options = _arguments(argv)
    cache = Path(options.cache).expanduser().absolute()
    spec = Spec(options.suite, tuple(options.package), tuple(options.source_package), options.disk_size_mb)
    act = ensure if options.state == "present" else remove
    try:
        with _ends(options.deadline):
            if options.state == "pruned":
                print(json.dumps(prune(cache, frozenset(options.keep), check=options.check)))
            else:
                print(json.dumps(dataclasses.asdict(act(cache, spec, check=options.check))))
        return 0
    except ImageError as error:
        print(json.dumps({"error": error.message, "hint": error.hint}))
        return 1
    except Interrupted as end:
        print(json.dumps({"error": f"Ended by {end}; nothing half-built was kept.", "hint": "Run it again."}))
        return 130


if __name__ == "__main__":
    sys.exit(main())
