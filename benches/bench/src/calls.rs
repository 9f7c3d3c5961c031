//! What a call into a plugin costs, against the same call of a provider that is compiled into this program.

use std::hint::black_box;
use std::path::Path;
use std::pin::pin;
use std::task::{Context as Polling, Poll, Waker};
use std::time::{Duration, Instant};

use libloading::Library;
use provost_sdk::plugin::{AnyProvider, Plugin, SYMBOL};
use provost_sdk::{Context, Message, Provider};

use crate::noop::Noop;
use crate::report::{Bound, Report};
use crate::statistics::{median, nanoseconds};
use crate::{Places, grpc, wasm};

/// The plugin that was built together with this program.
const FILE: &str = "libnoop.so";

pub fn measure(_places: &Places, report: &mut Report) {
    let beside = std::env::current_exe().expect("this program has a path");
    let loaded = load(&beside.with_file_name(FILE));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let context = || Context::new("noop", Duration::from_secs(1), "assets", "", runtime.handle().clone());
    let make = |plugin: &Plugin| plugin.construct(toml::Table::new(), context()).expect("a provider");
    let (there, here) = (make(loaded), make(&Plugin::new::<Noop>()));
    let message = Message { id: "1".to_owned(), text: "text".to_owned(), ..Message::default() };

    let validate = |provider: &mut &dyn AnyProvider| drop(black_box(black_box(*provider).validate()));
    let [across, inside] = nanoseconds([&*there, &*here], validate);
    report.row("plugin: sync call across the boundary", across, "ns", Some(Bound::AtMost(5.0)));
    report.row("plugin: sync call across / within one program", across / inside, "", Some(Bound::AtMost(1.2)));

    let deliver = |provider: &mut &dyn AnyProvider| {
        let mut delivery = black_box(*provider).deliver(black_box(&message));
        drop(black_box(delivery.as_mut().poll(&mut Polling::from_waker(Waker::noop()))));
    };
    let direct = |_: &mut ()| {
        let delivery = pin!(Provider::deliver(black_box(&Noop), black_box(&message)));
        let polled: Poll<_> = delivery.poll(&mut Polling::from_waker(Waker::noop()));
        drop(black_box(polled));
    };
    let [across, inside] = nanoseconds([&*there, &*here], deliver);
    let [plain] = nanoseconds([()], direct);
    report.row("plugin: async deliver across the boundary", across, "ns", Some(Bound::AtMost(25.0)));
    report.row("plugin: async deliver within one program", inside, "ns", None);
    report.row("plugin: the same as a plain async fn, not boxed", plain, "ns", None);
    let [guest] = nanoseconds([wasm::caller(&message)], |call| call());
    report.row("plugin: the same in wasmtime", guest, "ns", None);
    report.row("plugin: the same over gRPC on a unix socket", processes(&message), "ns", None);
}

/// Nanoseconds for a delivery by a process of its own.
fn processes(message: &Message) -> f64 {
    const CALLS: u32 = 2000;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut plugin = grpc::Running::start(dir.path(), message).await;
        let mut samples = Vec::new();
        for _ in 0..11 {
            let begin = Instant::now();
            for _ in 0..CALLS {
                plugin.deliver().await;
            }
            samples.push(begin.elapsed().as_nanos() as f64 / f64::from(CALLS));
        }
        median(samples)
    })
}

fn load(path: &Path) -> &'static Plugin {
    // SAFETY: cargo built it together with this program, from one SDK.
    let library = unsafe { Library::new(path) };
    let library = Box::leak(Box::new(library.unwrap_or_else(|error| panic!("loading {}: {error}", path.display()))));
    // SAFETY: `export!` defines the symbol, as a `static` of this type.
    let plugin: *const Plugin = unsafe { *library.get::<*const Plugin>(SYMBOL.as_bytes()).expect("the export") };
    // SAFETY: it is a `static` of a library that is never closed.
    unsafe { &*plugin }
}
