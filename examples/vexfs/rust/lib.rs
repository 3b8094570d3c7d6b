// SPDX-License-Identifier: GPL-2.0-only
//! The distance kernel in Rust: what `kernel/vexfs_ffi.h` says, bit for bit.
//!
//! It runs in the kernel, so there is no standard library, no allocation, no
//! floating point, and nothing that can panic: the module links only if the
//! compiler has proven that away, since nobody provides what a panic calls.
#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]

use core::ffi::{c_char, c_int};
use core::slice;

const VERSION: u32 = 1;
const MAX_DIM: u32 = 1024;
const EINVAL: c_int = -22;

/// The two vectors, or `None` for arguments that the header forbids.
///
/// # Safety
///
/// A pointer that isn't null is aligned and good for `dim` elements.
unsafe fn vectors<'a>(a: *const i32, b: *const i32, dim: u32) -> Option<(&'a [i32], &'a [i32])> {
    if a.is_null() || b.is_null() || dim == 0 || dim > MAX_DIM {
        return None;
    }
    // SAFETY: neither is null, so both hold `dim` elements.
    Some(unsafe {
        (
            slice::from_raw_parts(a, dim as usize),
            slice::from_raw_parts(b, dim as usize),
        )
    })
}

/// Name of this implementation.
#[no_mangle]
pub extern "C" fn vexfs_ffi_name() -> *const c_char {
    c"rust".as_ptr()
}

/// Version of the interface.
#[no_mangle]
pub extern "C" fn vexfs_ffi_version() -> u32 {
    VERSION
}

/// Sum of the squared differences; stops at the largest number.
///
/// # Safety
///
/// `a` and `b` are null, or aligned and good for `dim` elements; `out` is null, or
/// aligned, writable and no part of them.
#[no_mangle]
pub unsafe extern "C" fn vexfs_ffi_l2_squared(
    a: *const i32,
    b: *const i32,
    dim: u32,
    out: *mut u64,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some((a, b)), Some(out)) = (unsafe { (vectors(a, b, dim), out.as_mut()) }) else {
        return EINVAL;
    };
    let mut sum = 0_u64;
    for (&x, &y) in a.iter().zip(b) {
        let difference = u64::from(x.abs_diff(y));
        sum = sum.saturating_add(difference * difference); // below 2^32 squared, so it fits
    }
    *out = sum;
    0
}

/// Sum of the products, exact, then limited to what 64 bits hold.
///
/// # Safety
///
/// `a` and `b` are null, or aligned and good for `dim` elements; `out` is null, or
/// aligned, writable and no part of them.
#[no_mangle]
pub unsafe extern "C" fn vexfs_ffi_dot(
    a: *const i32,
    b: *const i32,
    dim: u32,
    out: *mut i64,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some((a, b)), Some(out)) = (unsafe { (vectors(a, b, dim), out.as_mut()) }) else {
        return EINVAL;
    };
    let mut sum = 0_i128;
    for (&x, &y) in a.iter().zip(b) {
        sum += i128::from(i64::from(x) * i64::from(y));
    }
    *out = i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX });
    0
}
