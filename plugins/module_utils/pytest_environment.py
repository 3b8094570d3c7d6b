"""What a person has set for the pytest of their own work, and the checks must not get."""

PLAIN = {"PYTEST_ADDOPTS": "", "PYTEST_PLUGINS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": ""}
"""What is put into the environment of pytest: options there leave checks out, and a stage would pass without them."""
