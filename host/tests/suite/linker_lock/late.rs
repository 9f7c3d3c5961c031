//! Preloaded into a host: who starts a thread goes on only once the plugin `unruly` is being loaded. Where that plugin's
//! initialiser blocks, nobody gets the dynamic linker's lock from then on.

use std::ffi::{c_char, c_int, c_void};
use std::{fs, mem, thread};

type Create = unsafe extern "C" fn(*mut c_void, *const c_void, *const c_void, *mut c_void) -> c_int;

/// `dlfcn.h`: the next definition after this library's own.
const RTLD_NEXT: *mut c_void = -1_isize as *mut c_void;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
}

/// # Safety
///
/// That of pthread_create(3), whose place it takes.
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_create(
    thread: *mut c_void,
    attributes: *const c_void,
    start: *const c_void,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: libc defines the symbol, with this type.
    let next: Create = unsafe { mem::transmute(dlsym(RTLD_NEXT, c"pthread_create".as_ptr())) };
    // SAFETY: the arguments are the caller's.
    let result = unsafe { next(thread, attributes, start, argument) };
    let mapped = || fs::read_to_string("/proc/self/maps").is_ok_and(|maps| maps.contains("unruly.prov"));
    while result == 0 && !mapped() {
        thread::yield_now();
    }
    result
}
