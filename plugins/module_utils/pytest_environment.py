"""What a person has set for the pytest and the Python of their own work, and the checks must not get."""

PLAIN = dict.fromkeys(
    (
        "PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD",
        "PYTHONOPTIMIZE", "PYTHONINSPECT", "PYTHONWARNINGS",
    ),
    "",
)  # fmt: skip
"""What is put into the environment of pytest, where empty is as good as unset.

Options there leave checks out, and without assertions no check fails: a stage would pass. Python would end with another
exit code after it was inspected, and a warning that is made an error fails a check.
"""
