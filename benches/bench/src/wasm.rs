//! The same plugin in wasmtime, as WASM plugins work: the message is written into the guest's memory, the guest is called, and its answer
//! is read.

use std::hint::black_box;

use provost_sdk::Message;
use wasmtime::{Engine, Instance, Module, Store};

/// A guest that delivers nothing: it says with `0` that it is done.
const GUEST: &str = r#"
(module
  (memory (export "memory") 1)
  (func (export "deliver") (param $at i32) (param $length i32) (result i32) (i32.const 0)))
"#;

/// What calls it.
pub fn caller(message: &Message) -> impl FnMut() {
    let engine = Engine::default();
    let module = Module::new(&engine, GUEST).expect("the guest is a module");
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).expect("the guest starts");
    let memory = instance.get_memory(&mut store, "memory").expect("its memory");
    let deliver = instance.get_typed_func::<(i32, i32), i32>(&mut store, "deliver").expect("its function");
    move || {
        let bytes = serde_json::to_vec(black_box(message)).expect("plain data");
        memory.write(&mut store, 0, &bytes).expect("it fits");
        black_box(deliver.call(&mut store, (0, bytes.len() as i32)).expect("the guest answers"));
    }
}
