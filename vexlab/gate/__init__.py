"""Whether a module may leave the VM, computed from sealed evidence and sign-offs."""
