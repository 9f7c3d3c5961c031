//! Says hello.

fn greet() -> String {
    "hello".to_owned()
}

greeter_sdk::export!(greet);
