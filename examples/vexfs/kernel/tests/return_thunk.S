/* SPDX-License-Identifier: GPL-2.0-only */
/* What functions built for the kernel jump to instead of returning. */
	.text
	.globl	__x86_return_thunk
	.type	__x86_return_thunk, @function
__x86_return_thunk:
	ret
	.size	__x86_return_thunk, . - __x86_return_thunk
	.section .note.GNU-stack, "", @progbits
