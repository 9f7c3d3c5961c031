//! malloc of the whole process, by mimalloc: musl's own has one lock for all threads, and glibc's is slow for what one thread allocates
//! and another frees, as a message on its way to a provider.
//!
//! The dynamic linker finds these names before libc's, so that host, plugins, std, C code and libc itself use them. (With a shared std,
//! `#[global_allocator]` has no effect; and it would not count for C code.) The names are those that glibc's manual lists under
//! "Replacing malloc"; musl's ldso knows such replacements, too.

#![allow(unsafe_code, reason = "functions of libc, with what malloc(3) and posix_memalign(3) say of them")]

use libmimalloc_sys::{mi_free, mi_malloc, mi_realloc};
use std::ffi::{c_int, c_void};

unsafe extern "C" {
    fn mi_aligned_alloc(alignment: usize, size: usize) -> *mut c_void;
    fn mi_calloc(count: usize, size: usize) -> *mut c_void;
    fn mi_malloc_usable_size(block: *const c_void) -> usize;
    fn mi_memalign(alignment: usize, size: usize) -> *mut c_void;
    fn mi_posix_memalign(out: *mut *mut c_void, alignment: usize, size: usize) -> c_int;
    fn mi_pvalloc(size: usize) -> *mut c_void;
    fn mi_valloc(size: usize) -> *mut c_void;
}

/// Defines functions of libc by those of mimalloc that do the same.
macro_rules! replace {
    ($($name:ident by $by:ident($($argument:ident: $of:ty),*) $(-> $result:ty)?;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($argument: $of),*) $(-> $result)? {
            // SAFETY: it asks of its caller what this function does.
            unsafe { $by($($argument),*) }
        }
    )*};
}

replace! {
    aligned_alloc by mi_aligned_alloc(alignment: usize, size: usize) -> *mut c_void;
    calloc by mi_calloc(count: usize, size: usize) -> *mut c_void;
    free by mi_free(block: *mut c_void);
    malloc by mi_malloc(size: usize) -> *mut c_void;
    malloc_usable_size by mi_malloc_usable_size(block: *const c_void) -> usize;
    memalign by mi_memalign(alignment: usize, size: usize) -> *mut c_void;
    posix_memalign by mi_posix_memalign(out: *mut *mut c_void, alignment: usize, size: usize) -> c_int;
    pvalloc by mi_pvalloc(size: usize) -> *mut c_void;
    realloc by mi_realloc(block: *mut c_void, size: usize) -> *mut c_void;
    valloc by mi_valloc(size: usize) -> *mut c_void;
}

/// Counts bits for mimalloc: of libgcc, which not every compiler links into a library.
#[unsafe(no_mangle)]
extern "C" fn __popcountdi2(bits: u64) -> c_int {
    bits.count_ones().cast_signed()
}
