"""Which kernels a matrix is of, and which of them can't be had: told before anything is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.vexfs.vexlab.plugins.module_utils.image import kernel_word, kernels, package_lists
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.store import ImageError, Spec

from vexlab.errors import HostProblem, UsageProblem, VexlabError

Say = Callable[[str], None]


def all_series(contract: Mapping[str, Any], say: Say) -> list[str]:
    """Every series of kernels of the suites that a release is looked for in, the oldest first.

    Those without headers are left out. Raises HostProblem when the package lists can't be had, or have none with.
    """
    there, suites = _store(contract), contract["vexlab_kernel_suites"]
    try:
        _say_what_is_fetched(there, suites, say)
        lists = there.lists(suites, refresh=False)
    except ImageError as problem:
        raise HostProblem(problem.message, problem.hint) from None
    offered = [kernel for suite, packages in lists.items() for kernel in package_lists.offered(suite, packages)]
    found = {package_lists.series(kernel.version) for kernel in offered if kernel.has_headers}
    if not found:
        raise HostProblem(f"none of {', '.join(suites)} has a kernel with headers", "vexlab kernel list --refresh")
    return sorted(found, key=package_lists.age)


def refused(words: Sequence[str], contract: Mapping[str, Any], say: Say) -> dict[str, VexlabError]:
    """The kernels of these that this machine can't have now, a mirror being away, say, and why.

    Raises UsageProblem for one that nobody has.
    """
    there, found = _store(contract), dict[str, VexlabError]()
    for word in words:
        if word == contract["vexlab_kernel_suite"]:
            continue  # the kernel of the user space itself
        try:
            if not kernel_word.is_paths(word) and not there.knows_of(word):
                say(f"looking for kernel {word} in Debian's package lists")
            there.refuse(word)
        except ImageError as problem:
            if problem.of_request:
                raise UsageProblem(problem.message, problem.hint) from None
            found[word] = HostProblem(problem.message, problem.hint)
    return found


def _store(contract: Mapping[str, Any]) -> kernels.Store:
    cache = Path(contract["vexlab_cache_directory"]).expanduser()
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise HostProblem(
            f"the image cache {cache} can't be written: {problem.strerror}", "set XDG_CACHE_HOME"
        ) from None
    return kernels.Store(cache, Spec("", (), (), 0), tuple(contract["vexlab_kernel_suites"]), cache, headers_only=True)


def _say_what_is_fetched(there: kernels.Store, suites: Sequence[str], say: Say) -> None:
    if missing := [suite for suite in suites if not there.knows([suite])]:
        say(f"fetching the package lists of {', '.join(missing)}")
