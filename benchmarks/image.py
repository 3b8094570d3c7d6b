"""The image from nothing, against mmdebstrap alone."""

from __future__ import annotations

import json
import os
import shutil

from benchmarks.labs import Bench, default_cache, mebibytes_of
from benchmarks.measure import Contestant, interleave, run
from benchmarks.table import Row, at_most, mebibytes, ratio, seconds

IMAGE, ALONE = "vexlab image build", "mmdebstrap alone"
OPTIONS = (
    "--mode=unshare", "--variant=minbase", "--architectures=amd64", "--format=directory",
    "--aptopt=Acquire::Languages \"none\"", "--aptopt=Acquire::Retries \"3\"",
    "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright",
)  # fmt: skip


class Builds:
    """Builds of both kinds, each with what it made removed at once."""

    def __init__(self, bench: Bench) -> None:
        """Nothing is built yet."""
        self.bench = bench
        self.packages: list[str] = []
        self.suite = ""
        self.sizes: list[float] = []

    def image(self) -> float:
        """The command, with an empty cache of its own."""
        cache = self.bench.new_directory("cache")
        environment = self.bench.environment | {"XDG_CACHE_HOME": str(cache)}
        took = self.bench.vexlab("image", "build", "--name", "image", env=environment).seconds
        (manifest,) = cache.glob("vexlab/images/*/manifest.json")
        known = json.loads(manifest.read_text())
        self.packages, self.suite = known["packages"], known["suite"]
        self.sizes.append(mebibytes_of(manifest.parent))
        shutil.rmtree(cache)
        return took

    def alone(self) -> float:
        """The same packages by the same options, into a directory and no further."""
        directory = self.bench.new_directory("mmdebstrap")
        directory.chmod(0o777)  # as an ordinary user: root of the user namespace is somebody else
        # The kernel's package makes no initramfs here either: that alone would take 20 seconds.
        environment = self.bench.environment | {"INITRD": "No"}
        environment.pop("TMPDIR")  # ours lets nobody else in
        include = f"--include={','.join(self.packages)}"
        # In a PID namespace: all of it ends with the first process.
        command = ["setpriv", "--pdeathsig", "KILL", "--", "mmdebstrap", "--unshare-helper", "mmdebstrap"]
        try:
            return run([*command, *OPTIONS, include, self.suite, directory / "root"], env=environment).seconds
        finally:
            self._remove(directory)

    def _remove(self, directory: os.PathLike[str]) -> None:
        """Files of subordinate ids can only be removed from within the user namespace."""
        if os.geteuid():
            command = ["mmdebstrap", "--unshare-helper", "rm", "-rf", "--one-file-system", f"{directory}/root"]
            run(command, env=self.bench.environment)
        shutil.rmtree(directory)


def measure(bench: Bench, runs: int) -> list[Row]:
    """Image against mmdebstrap; the image is first, so that a cache of packages on the way favours the other."""
    builds = Builds(bench)
    times = interleave([Contestant(IMAGE, builds.image), Contestant(ALONE, builds.alone)], runs)
    states = [mebibytes_of(path.parent) for path in default_cache().glob("*/warm/*/manifest.json")]
    rows = [
        seconds("image from nothing, `vexlab image build`", times[IMAGE]),
        seconds("mmdebstrap alone, the same packages", times[ALONE]),
        ratio("image ÷ mmdebstrap alone", times[IMAGE], times[ALONE], at_most(1.25)),
        mebibytes("disk of an image", builds.sizes),
    ]
    return [*rows, mebibytes("disk of the saved state of a booted guest", states)] if states else rows
