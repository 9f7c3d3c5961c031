//! Loads the plugins that it is given and prints what each one says.

use std::ffi::{CString, c_char, c_int, c_void};

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

greeter_sdk::record!();

const RTLD_NOW: c_int = 2;

fn main() {
    let mut args = std::env::args().skip(1);
    let (mut greetings, mut settings, mut dry_run) = (Vec::new(), String::new(), false);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--settings" => settings = args.next().expect("a file"),
            "--plugin" => greetings.push(load(&args.next().expect("a file"))),
            "--dry-run" => dry_run = true,
            "--schema" => {
                println!("{{\"title\":{:?}}}", args.next().expect("a plugin"));
                return;
            }
            other => panic!("unknown argument {other}"),
        }
    }
    let settings = std::fs::read_to_string(settings).expect("the settings");
    if dry_run {
        println!("{} plugins loaded", greetings.len());
        return;
    }
    print!("{settings}");
    for greeting in greetings {
        println!("{}", greeting());
    }
}

fn load(path: &str) -> greeter_sdk::Greeting {
    let path = if path.contains('/') { path.to_owned() } else { format!("./{path}") };
    let path = CString::new(path).expect("a path");
    // SAFETY: plugins are built together with this host, and GREETING is what their export macro makes.
    unsafe {
        let library = dlopen(path.as_ptr(), RTLD_NOW);
        assert!(!library.is_null(), "loading {path:?}");
        let symbol = dlsym(library, c"GREETING".as_ptr());
        assert!(!symbol.is_null(), "{path:?} exports nothing");
        *symbol.cast::<greeter_sdk::Greeting>()
    }
}
