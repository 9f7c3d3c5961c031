//! The tests of the built host, in one program: each module is about one thing that people rely on. What a module needs
//! beside Rust is written in Cargo.toml, under `test-needs`.

mod access;
mod api;
mod assets;
mod changed_bytes;
mod changed_bytes_long;
mod configuration;
mod corpus;
mod corpus_image;
mod cut_off;
mod delivery;
mod ending;
mod endurance;
mod errors;
mod health;
mod idempotency;
mod image;
mod include;
mod limits;
mod linker_lock;
mod mail_parsed;
mod mutants;
mod records;
mod reload;
mod schemas;
mod smtp_answers;
mod smtp_server;
mod stalled_log;
mod support;
mod threads;
mod unruly;
