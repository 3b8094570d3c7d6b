"""The fixtures of the end-to-end tests."""

from tests.e2e.conftest import vexlab

__all__ = ["vexlab"]
