"""What the tests of a stage stand on: the connection to the guest, the resources they act on, what records them.

tests/stages alone imports it. It needs pytest and testinfra beside the standard library, and nothing else that vexlab
has installed: an installed collection judges without vexlab.
"""
