"""Whether a failure came out the same when it was run again, and what was different on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vexlab.bundle.manifest import Failure, Manifest
from vexlab.results import causes
from vexlab.results.model import Check, Run, Verdict

SHOWN = 5  # packages that are named


@dataclass(frozen=True)
class Comparison:
    """The failure of a bundle beside what came of it here; `came` is None when it was not reached."""

    was: Failure
    came: Failure | None
    differences: list[str] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether it has the same verdict and the same cause: words that differ in numbers alone are the same."""
        return is_same(self.was, self.came)

    @property
    def words(self) -> str:
        """What came out, as a sentence."""
        if self.same:
            return f"it came out the same: {self.was.name} {self.was.verdict}: {causes.first_line(self.was.words)}"
        if self.came is None or self.came.verdict is Verdict.NOT_RUN:
            return f"{self.was.name} was not reached; in the bundle it is {self.was.verdict}"
        if self.came.verdict is Verdict.PASSED:
            return f"{self.was.name} passed here; in the bundle it is {self.was.verdict}"
        what = "other words" if self.came.verdict is self.was.verdict else f"{self.came.verdict}"
        return f"{self.was.name} came out otherwise, {what}: {causes.first_line(self.came.words)}"


def compare(manifest: Manifest, run: Run, here: Mapping[str, str], there: Mapping[str, str]) -> Comparison:
    """Compare a bundle with the run that repeated it; `here` and `there` are package versions of the two images."""
    return Comparison(manifest.failure, came_of(manifest.failure, run), _differences(manifest, run, here, there))


def came_of(was: Failure, run: Run) -> Failure | None:
    """What a failure of an earlier run came to in this one; None where it was not reached."""
    stage = next((stage for stage in run.stages if stage.name == was.stage), None)
    if stage is None:
        return None
    if not was.check:
        return Failure(stage.name, "", stage.verdict, stage.reason)
    check = next((check for check in stage.checks if check.name == was.check), None)
    if check is None:
        return None
    return Failure(stage.name, check.name, check.verdict, check.message)


def is_same(was: Failure, came: Failure | None) -> bool:
    """Whether a failure has the same verdict and the same cause: words that differ in numbers alone are the same."""
    if came is None or came.verdict is Verdict.NOT_RUN:
        return False
    return _signature(came) == _signature(was)


def _signature(failure: Failure) -> tuple[str, str]:
    return failure.verdict, causes.alike(Check(failure.check, failure.verdict, 0.0, failure.words))


def _differences(manifest: Manifest, run: Run, here: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    """What was not as it was where the bundle was made, each as a part of a sentence."""
    pairs = {
        "kernel": (manifest.machine.kernel, run.kernel),
        "accelerator": (manifest.machine.accelerator, run.guest.accelerator if run.guest else ""),
        "vexlab": (manifest.vexlab, run.suite_version),
        "module": (manifest.module_sha256[:16], run.module.sha256[:16] if run.module else ""),
    }
    found = [f"{what} {now or 'unknown'} here, {was} there" for what, (was, now) in pairs.items() if was and was != now]
    if manifest.vexlab == run.suite_version and manifest.suite != run.suite:
        found.append("the checks are others, of the same version of vexlab")
    if not here or not there:
        return [*found, "package versions are not known on both sides"]
    other = {name: version for name, version in there.items() if here.get(name) != version}
    names = [f"{name} {here.get(name, 'not')} here, {version} there" for name, version in sorted(other.items())]
    more = [f"{len(names) - SHOWN} more packages"] if len(names) > SHOWN else []
    return [*found, *names[:SHOWN], *more]
