"""Machines that work for this one over ssh: how they are prepared, what they are sent, a lab that is on one."""
