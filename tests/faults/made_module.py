"""A kernel module that does one thing when it is loaded."""

from __future__ import annotations

_SCRIPT = r"""
mkdir -p /root/{name}
cd /root/{name}
printf 'obj-m := {name}.o\n' >Makefile
cat >{name}.c <<'END'
#include <linux/irqflags.h>
#include <linux/module.h>
#include <linux/processor.h>
static int __init {name}_init(void)
{{
	{statements}
	return 0;
}}
module_init({name}_init);
MODULE_LICENSE("GPL");
END
make -s -C "/lib/modules/$(uname -r)/build" M="$PWD" modules >/dev/null
"""


def made_module(name: str, statements: str) -> str:
    """Return a script for the guest that makes /root/NAME/NAME.ko; the statements are run when it is loaded."""
    return _SCRIPT.format(name=name, statements=statements)
