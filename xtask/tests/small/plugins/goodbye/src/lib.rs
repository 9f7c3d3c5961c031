//! Says goodbye.

fn greet() -> String {
    "goodbye".to_owned()
}

greeter_sdk::export!(greet);
