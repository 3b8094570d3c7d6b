"""The kernels that were fetched, each once, whatever user space it is put under later.

They are kept in `kernels/` among the images: `<key>/` is a kernel, named after its content, with its files as they lie
in a guest (`tree/`) and `kernel.json`; `lists/` holds what Debian's package lists said. In `headers/` are those of
which there is only what building a module needs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ansible_collections.vexfs.vexlab.plugins.module_utils.source_text import text_of

from . import build_tree, downloads, kernel_config, kernel_tree, kernel_word, package_lists, store, userspace
from .downloads import Download, OutdatedError
from .package_lists import Kernel, Package
from .store import ImageError, Spec
from .worker import BuildLog, build_log

FORMAT = 1
DIRECTORY, HEADERS = "kernels", "headers"
MANIFEST = "kernel.json"
NEEDED_MB, NEEDED_OF_HEADERS_MB = 1500, 400  # packages and what is unpacked of them exist side by side


@dataclass(frozen=True)
class Layer:
    """A kernel that is there: its key, its directory, and what its manifest says."""

    key: str
    directory: Path
    release: str
    compiler: str
    origin: str
    fresh: bool = False

    @property
    def tree(self) -> Path:
        """Its files as they lie in a guest."""
        return self.directory / "tree"

    @property
    def image(self) -> Path:
        """What boots."""
        return self.directory / str(manifest_of(self.directory)["image"])


@dataclass(frozen=True)
class _Recipe:
    """How a kernel is made: where it comes from, what its key is of, and who fills the tree in a work directory.

    `has_debug`: its modules have debug information, which is ten times the rest of them.
    """

    origin: str
    content: Sequence[str]
    fill: Callable[[Download, Path, Path, BuildLog], None]
    has_debug: bool = False


@dataclass(frozen=True)
class Store:
    """The kernels of a cache, and what a wanted one is prepared with: `base` is a guest's user space, unpacked.

    `headers_only`: of each there is only what building a module needs.
    """

    cache: Path
    spec: Spec
    suites: tuple[str, ...]
    base: Path
    headers_only: bool = False

    @property
    def directory(self) -> Path:
        """Where they are."""
        return self.cache / (HEADERS if self.headers_only else DIRECTORY)

    @property
    def listed(self) -> Path:
        """Where the package lists are kept."""
        return self.cache / DIRECTORY

    def ensure(self, word: str) -> Layer:
        """Have the kernel there that a person wrote; raises ImageError."""
        self.directory.mkdir(parents=True, exist_ok=True)
        try:
            return self._made(self._recipe(word, refresh=False))
        except OutdatedError:
            return self._made(self._recipe(word, refresh=True))

    def refuse(self, word: str) -> None:
        """Raise ImageError for a kernel that can't be had, as far as that shows without fetching or copying it."""
        if said := kernel_word.problem(word):
            raise ImageError(f"{said}.", f"It can be {kernel_word.FORMS}.", of_request=True)
        if kernel_word.is_paths(word):
            self._of_paths(kernel_word.paths(word))
        else:
            self.chosen(word, refresh=False)

    def find(self, word: str) -> Layer | None:
        """The kernel that a person wrote, if it is there; nothing is fetched."""
        if not kernel_word.is_paths(word) and not self.knows_of(word):
            return None
        return read(self.directory / self._key(self._recipe(word, refresh=False)))

    def knows_of(self, word: str) -> bool:
        """Whether the package lists are there that tell which kernel of Debian a person wrote."""
        for suite in self.suites if kernel_word.is_release(word) else (word,):
            if not self.knows([suite]):
                return False
            if package_lists.has(word, suite, self.lists([suite], refresh=False)[suite]):
                break
        return True

    def knows(self, suites: Sequence[str]) -> bool:
        """Whether the package lists of all these suites are there."""
        return all(downloads.read_list(downloads.list_file(self.listed, suite)) for suite in suites)

    def lists(self, suites: Sequence[str], *, refresh: bool) -> dict[str, dict[str, Package]]:
        """What the package lists of suites say, fetched if they are not known or are to be fetched anew.

        Raises ImageError.
        """
        for suite in suites:
            kernel_word.refuse_suite(suite)
        (self.listed / "lists").mkdir(parents=True, exist_ok=True)
        found = {}
        for suite in suites:
            with store.locked(self.listed, f"lists-{suite}", lambda _: None) as lock:
                job = Download(self.listed, suite, self.spec, {}, cast("int", lock))
                found[suite] = downloads.lists_of(job, suite, refresh=refresh)
        return found

    def _recipe(self, word: str, *, refresh: bool) -> _Recipe:
        if kernel_word.is_paths(word):
            return self._of_paths(kernel_word.paths(word))
        return self._of_debian(word, refresh=refresh)

    def _of_debian(self, word: str, *, refresh: bool) -> _Recipe:
        kernel, packages = self.chosen(word, refresh=refresh)
        parts = package_lists.packages_of(kernel, packages, self._has, headers_only=self.headers_only)

        def fill(job: Download, work: Path, tree: Path, log: BuildLog) -> None:
            debs = downloads.fetch_packages(job, kernel.suite, parts, work / "debs", log)
            log.line(f"vexlab: unpacking kernel {kernel.release}")
            kernel_tree.unpack(debs, tree)
            shutil.rmtree(work / "debs", ignore_errors=True)

        return _Recipe(kernel.suite, [part.sha256 for part in parts], fill)

    def chosen(self, word: str, *, refresh: bool) -> tuple[Kernel, Mapping[str, Package]]:
        """The kernel of Debian that a person wrote, and the packages of its suite; raises ImageError."""
        if kernel_word.is_release(word):
            lists: dict[str, dict[str, Package]] = {}
            for suite in self.suites:  # as far as need be: the mirror of a later one may be away
                lists |= self.lists([suite], refresh=refresh)
                if package_lists.has(word, suite, lists[suite]):
                    break
            kernel = package_lists.of_release(word, lists)
            return kernel, lists[kernel.suite]
        packages = self.lists([word], refresh=refresh)[word]
        return package_lists.newest(word, packages), packages

    def _of_paths(self, paths: Sequence[Path]) -> _Recipe:
        if len(paths) == 1 and paths[0].is_dir() and not any(paths[0].glob("*.deb")):
            return self._of_build_tree(paths[0])
        debs = kernel_tree.debs_of(paths, headers_only=self.headers_only)

        def fill(job: Download, work: Path, tree: Path, log: BuildLog) -> None:
            log.line(f"vexlab: unpacking {', '.join(deb.name for deb in debs)}")
            kernel_tree.unpack(debs, tree)

        return _Recipe(",".join(map(str, paths)), [store.sha256(deb) for deb in debs], fill)

    def _of_build_tree(self, build: Path) -> _Recipe:
        release = build_tree.release_of(build, headers_only=self.headers_only)
        files = ["arch/x86/boot/bzImage", ".config", "Module.symvers"]
        files = build_tree.headers_of(build) if self.headers_only else files + build_tree.modules_of(build)

        def fill(job: Download, work: Path, tree: Path, log: BuildLog) -> None:
            log.line(f"vexlab: copying kernel {release} from {build}")
            (build_tree.take_headers if self.headers_only else build_tree.take)(build, tree)

        return _Recipe(str(build), [release, *(store.sha256(build / name) for name in files)], fill, has_debug=True)

    def _has(self, compiler: str) -> bool:
        return (self.base / "usr" / "bin" / compiler).exists()

    def _key(self, recipe: _Recipe) -> str:
        texts = [text_of(module) for module in (kernel_tree, build_tree, kernel_config)]
        described = json.dumps([FORMAT, *recipe.content, *texts])
        return hashlib.sha256(described.encode()).hexdigest()[:16]

    def _made(self, recipe: _Recipe) -> Layer:
        key = self._key(recipe)
        with store.locked(self.directory, key, lambda _: None) as lock:
            store.remove_leftovers(self.directory, held=key)
            known = read(self.directory / key)
            return known or self._make(key, recipe, cast("int", lock))

    def _make(self, key: str, recipe: _Recipe, lock: int) -> Layer:
        """Make it. It appears under its name when it is whole, or not at all."""
        what = ("the headers of a kernel", NEEDED_OF_HEADERS_MB) if self.headers_only else ("a kernel", NEEDED_MB)
        check_room(self.cache, what[1], what[0])
        store.discard(self.directory / key)
        try:
            work = Path(tempfile.mkdtemp(prefix=f".{key}.", suffix=".tmp", dir=self.directory))
            try:
                with build_log(self.directory / f"{key}.log", fresh=True) as log:
                    job = Download(self.directory, key, self.spec, {}, lock)
                    recipe.fill(job, work, work / "tree", log)
                    self._finish(work, recipe, log)
                work.rename(self.directory / key)
            finally:
                store.remove_tree(work)
        except OSError as problem:
            raise ImageError(
                f"The kernel can't be kept in {self.directory}: {problem}.", "Free some space there."
            ) from problem
        made = read(self.directory / key)
        if made is None:
            raise ImageError(
                f"The kernel in {self.directory / key} is gone.",
                "Another command may have removed it, such as vexlab image prune; run this one again.",
            )
        return dataclasses.replace(made, fresh=True)

    def _finish(self, work: Path, recipe: _Recipe, log: BuildLog) -> None:
        tree = work / "tree"
        if self.headers_only:
            release, compiler = kernel_tree.inspect_headers(tree)
            shutil.rmtree(tree / "boot", ignore_errors=True)
            self._describe(work, recipe, kernel_tree.Contents(release, work, compiler))
        else:
            contents = kernel_tree.inspect(tree)
            self._prepare_modules(tree, recipe, contents.release, log)
            self._describe(work, recipe, contents)
        log.line("vexlab: done")

    def _prepare_modules(self, tree: Path, recipe: _Recipe, release: str, log: BuildLog) -> None:
        log.line(f"vexlab: listing the modules of kernel {release}")
        strip = ["find", str(kernel_tree.MODULES), "-name", "*.ko", "-exec", "strip", "--strip-debug", "{}", "+"]
        for command in ([strip] if recipe.has_debug else []) + [["depmod", release]]:
            done = userspace.run(
                self.base, tree, command, binds={f"/{kernel_tree.MODULES}": tree / kernel_tree.MODULES}
            )
            if done.returncode:
                said = done.stderr.strip()[-300:]
                raise ImageError(
                    f"{command[0]} failed on the modules of kernel {release}: {said}",
                    "The modules may be damaged or incomplete; get them again.",
                )

    def _describe(self, work: Path, recipe: _Recipe, contents: kernel_tree.Contents) -> None:
        manifest = {
            "format": FORMAT, "release": contents.release, "compiler": contents.compiler, "origin": recipe.origin,
            "image": str(contents.image.relative_to(work)), "files": count(work / "tree"),
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }  # fmt: skip
        store.write_whole(work / MANIFEST, json.dumps(manifest, indent=2) + "\n")
        work.chmod(0o755)


def count(tree: Path) -> list[int]:
    """How many files a tree has, and their bytes: what is left of it where somebody removed or cut one."""
    sizes = [path.lstat().st_size for path in tree.rglob("*") if not path.is_dir() or path.is_symlink()]
    return [len(sizes), sum(sizes)]


def read(directory: Path) -> Layer | None:
    """The kernel of a directory; None when it isn't there, or isn't whole."""
    manifest = manifest_of(directory)
    if not manifest or count(directory / "tree") != manifest["files"]:
        return None
    return Layer(directory.name, directory, manifest["release"], manifest["compiler"], manifest["origin"])


def manifest_of(directory: Path) -> dict[str, Any]:
    """What is written down of a kernel; empty for what is none."""
    return store.written_down(directory / MANIFEST, FORMAT)


def cached(cache: Path) -> list[dict[str, Any]]:
    """The kernels that are there: key, release, where it came from, MiB that it takes, and when it was made."""
    found = []
    for directory in sorted((cache / DIRECTORY).glob("[0-9a-f]*")):
        if manifest := manifest_of(directory):
            names = ("release", "origin", "created")
            found.append(
                {"key": directory.name, **{name: manifest[name] for name in names}, "mib": store.size_mib(directory)}
            )
    return found


def is_of(release: str, word: str) -> bool:
    """Whether a kernel is the one that a person wrote a release for."""
    return kernel_word.is_release(word) and package_lists.is_of(Kernel("", release, release, has_headers=True), word)


def check_room(cache: Path, needed_mb: int, what: str) -> None:
    """Raise ImageError when the disk has no room, with what takes it that can go."""
    free = shutil.disk_usage(cache).free // 1_000_000
    if free >= needed_mb:
        return
    # Images, and beside them kernels, headers, and user spaces for builds: what prune removes, as it names them.
    keyed = [
        path for path in (*cache.iterdir(), *cache.glob("*/*")) if store.KEY.fullmatch(path.name) and path.is_dir()
    ]
    taken = ", ".join(f"{path.relative_to(cache)} {store.size_mib(path)} MiB" for path in sorted(keyed))
    raise ImageError(
        f"There is no space for {what}: {cache} has {free} MB free, and it needs {needed_mb} MB.",
        f"`vexlab image prune` removes of these what no lab uses: {taken or 'there is nothing'}.",
    )
