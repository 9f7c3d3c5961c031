//! Loads plugins into this process. This file has all of the host's `unsafe` code.
//!
//! It relies on the caller: a plugin's record was compared with the host's before. That makes loading sound.

use libloading::os::unix::{Library, RTLD_LAZY, RTLD_LOCAL, RTLD_NOW};
use provost_record::Exports;
use provost_sdk::abi;
use provost_sdk::plugin::{Plugin, SYMBOL};
use provost_sdk::with_causes;
use std::ffi::{CStr, OsStr};
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Loads the plugin in the file `path`, for as long as the process lives.
///
/// # Errors
///
/// What the dynamic linker says, such as which symbol is missing.
pub fn load(path: &Path) -> Result<&'static Plugin, libloading::Error> {
    // A bare name would be searched in the library paths; `--prov file.prov` means the file in the current directory.
    let path = Path::new(".").join(path);
    // SAFETY: opening runs the file's initialisers. The caller has compared its record, so it was built with this host
    // from one source tree, by somebody whose code is meant to run here.
    let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL)? };
    // Never closed: threads, thread-locals and log call sites point into its code.
    let library = mem::ManuallyDrop::new(library);
    // SAFETY: only `export!` defines the symbol, as a `static` of type `Plugin`, and the equal records say that plugin
    // and host were compiled by one compiler against one SDK, so it is the same type with the same layout.
    let plugin: *const Plugin = unsafe { *library.get::<*const Plugin>(SYMBOL.as_bytes())? };
    // SAFETY: the symbol is the address of a `static`, which lives as long as its library, which is never closed.
    Ok(unsafe { &*plugin })
}

/// Ends the process, and runs nothing that plugins left for its end: a finaliser need not come back. After an initialiser
/// that did not, the dynamic linker would wait for it.
pub fn end(code: i32) -> ! {
    // SAFETY: it takes any number, and no other code of this process runs after it.
    unsafe { libc::_exit(code) }
}

/// Whether somebody ends the process in order at a signal, and whether that has begun.
static SERVES: AtomicBool = AtomicBool::new(false);
static ENDS: AtomicBool = AtomicBool::new(false);

/// Whether SIGHUP has come.
static HUNG_UP: AtomicBool = AtomicBool::new(false);

/// Ends the process at SIGTERM and SIGINT, also where it is the first of a container, which the system ends at neither. After
/// [`serves`] the first of them is left to whoever waits for it. SIGHUP is remembered, and ends nothing.
pub fn handle_signals() {
    let handlers: [(_, extern "C" fn(libc::c_int)); 3] =
        [(libc::SIGTERM, signalled), (libc::SIGINT, signalled), (libc::SIGHUP, hung_up)];
    for (signal, handler) in handlers {
        // SAFETY: the handler is a function of the host, and does no more than a signal handler may.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
}

/// Says that somebody waits for the signals now, and ends the process in order at the first.
pub fn serves() {
    SERVES.store(true, Ordering::SeqCst);
}

/// Whether SIGHUP has come since this was last asked.
pub fn take_hang_up() -> bool {
    HUNG_UP.swap(false, Ordering::SeqCst)
}

extern "C" fn hung_up(_signal: libc::c_int) {
    HUNG_UP.store(true, Ordering::SeqCst);
}

/// With the exit code that shells give a program that a signal ended.
extern "C" fn signalled(signal: libc::c_int) {
    if !SERVES.load(Ordering::SeqCst) || ENDS.swap(true, Ordering::SeqCst) {
        end(128 + signal);
    }
}

/// Lets the process have as many files as the system allows it, and returns how many these are: shells and container engines set the
/// soft limit to 1024 for programs that use select(2).
pub fn raise_file_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: it fills the struct, which lives here.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return u64::MAX;
    }
    let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
    // SAFETY: it reads the struct. Where the system refuses, the limit stays as it is.
    let refused = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raised) } != 0;
    if refused { limit.rlim_cur } else { raised.rlim_cur }
}

/// Has `handler` called when somebody ends the process by exit(3), on the thread that does.
///
/// # Errors
///
/// When there is no memory to remember it in.
pub fn at_exit(handler: extern "C" fn()) -> Result<(), &'static str> {
    // SAFETY: the handler is a function of the host, which is never unloaded.
    if unsafe { libc::atexit(handler) } == 0 { Ok(()) } else { Err("watching for an exit: no memory is left") }
}

/// The mangled name of the link anchor of the SDK that is really loaded.
///
/// Asked of the dynamic linker, which needs no file: `--check` may run where there is no /proc.
///
/// # Errors
///
/// When the linker cannot say, as in a host that was linked statically.
pub fn anchor() -> Result<String, String> {
    let name =
        info(abi::provost_link_anchor as fn() -> &'static abi::Built as *const libc::c_void).map(|info| info.dli_sname);
    let Some(name) = name.filter(|name| !name.is_null()) else {
        return Err("the dynamic linker does not know the SDK's link anchor: this host was not linked with \
            `-C prefer-dynamic`; rebuild it with `cargo xtask image`"
            .to_owned());
    };
    // SAFETY: `dli_sname` is not null, so it is a string of the SDK's string table, which stays loaded.
    let name = unsafe { CStr::from_ptr(name) };
    Ok(name.to_string_lossy().into_owned())
}

/// The files that the SDK and std were loaded from; they are one where std is a part of the SDK.
///
/// # Errors
///
/// When the linker cannot say.
pub fn libraries() -> Result<[PathBuf; 2], String> {
    let sdk = abi::provost_link_anchor as fn() -> &'static abi::Built as *const libc::c_void;
    let std = std::thread::yield_now as fn() as *const libc::c_void;
    let file = |address| {
        let name = info(address).map(|info| info.dli_fname).filter(|name| !name.is_null());
        let name = name.ok_or("the dynamic linker does not know which files the SDK and std are in")?;
        // SAFETY: `dli_fname` is not null, so it is the name of a file that stays loaded.
        let name = unsafe { CStr::from_ptr(name) };
        Ok::<_, String>(PathBuf::from(OsStr::from_bytes(name.to_bytes())))
    };
    Ok([file(sdk)?, file(std)?])
}

/// What the dynamic linker knows of an address, if it does.
fn info(address: *const libc::c_void) -> Option<libc::Dl_info> {
    let mut info = mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: `dladdr` takes any address and a pointer to a `Dl_info`, which it fills when it returns other than zero.
    let found = unsafe { libc::dladdr(address, info.as_mut_ptr()) };
    // SAFETY: all fields are pointers, for which the zeroes put there are valid values, whether or not it was filled.
    let info = unsafe { info.assume_init() };
    (found != 0).then_some(info)
}

/// What is loaded into this process, and what a plugin can be linked with: host, SDK, std, libc and what they need.
///
/// Asked of the dynamic linker: a file beside the host may be another one than the one that was loaded, and where the
/// toolchain has no std of its own it is in the SDK. Whoever asks does so before the first plugin is loaded.
pub struct Process(Library);

impl Process {
    /// # Errors
    ///
    /// When there is no dynamic linker, as in a host that was linked statically.
    pub fn this() -> Result<Self, String> {
        // SAFETY: with no name nothing is loaded and no initialiser runs.
        let this = unsafe { Library::open(None::<&Path>, RTLD_LAZY) };
        this.map(Self).map_err(|error| format!("asking the dynamic linker what is loaded: {}", with_causes(&error)))
    }
}

impl Exports for Process {
    fn has(&self, library: &str) -> bool {
        // SAFETY: RTLD_NOLOAD loads nothing, hence no initialiser runs.
        unsafe { Library::open(Some(library), RTLD_LAZY | libc::RTLD_NOLOAD) }.is_ok()
    }

    fn exports(&self, symbol: &str) -> bool {
        // SAFETY: the symbol is looked up and never used, so it does not matter what it is.
        unsafe { self.0.get::<*const libc::c_void>(symbol.as_bytes()) }.is_ok()
    }
}
