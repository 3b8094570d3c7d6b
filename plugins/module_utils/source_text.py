"""The text of a module of Python, which may have come over a connection and be in no file; standard library only."""

from __future__ import annotations

from types import ModuleType


def text_of(module: ModuleType) -> str:
    """Return the text of a module that was imported; raises ImportError when who brought it doesn't know that."""
    loader = module.__spec__.loader if module.__spec__ else None
    text = getattr(loader, "get_source", lambda name: None)(module.__name__)
    if text is None:
        raise ImportError(f"the text of {module.__name__} can't be had", name=module.__name__)
    return str(text)
