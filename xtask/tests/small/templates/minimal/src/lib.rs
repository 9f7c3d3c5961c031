//! Says `{{Type}}`.

fn greet() -> String {
    "{{Type}}".to_owned()
}

greeter_sdk::export!(greet);
