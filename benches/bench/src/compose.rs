//! What it costs to make a mail of a message: as much for each byte of a large one as of a small one.

use std::hint::black_box;
use std::time::Instant;

use provost_sdk::{Attachment, Message};

use crate::report::{Bound, Report};
use crate::statistics::median;

// The plugin's own code.
#[path = "../../../plugins/smtp/src/address.rs"]
mod address;
#[path = "../../../plugins/smtp/src/mail.rs"]
mod mail;
#[path = "../../../plugins/smtp/src/parts.rs"]
mod parts;

/// The largest body that the host takes where nothing else is configured, and a hundredth of it.
const SIZES: [usize; 2] = [10_000, 1_000_000];
const SAMPLES: usize = 21;

/// Larger may be slower by caches and by what the system does for memory, not by more work.
const FLAT: f64 = 2.0;

pub fn measure(report: &mut Report) {
    let text = |text: String| Message { to: vec!["bob@example.org".to_owned()], text, ..Message::default() };
    let messages: [(&str, &dyn Fn(usize) -> Message); 5] = [
        ("text", &|size| text("All quiet on the eastern front.\n".repeat(size / 32))),
        ("line feeds", &|size| text("\n".repeat(size))),
        ("HTML", &|size| Message { html: Some("<p>All quiet.</p>\n".repeat(size / 18)), ..text(String::new()) }),
        ("an attachment", &|size| {
            let (name, content_type) = ("a.bin".to_owned(), "application/octet-stream".to_owned());
            let attachments = vec![Attachment { name, content_type, content: vec![255; size] }];
            Message { attachments, ..text(String::new()) }
        }),
        ("recipients", &|size| {
            let to = (0..size / 10).map(|number| format!("a{number}@b.org")).collect();
            Message { to, text: "a".to_owned(), ..Message::default() }
        }),
    ];
    let from = "Provost <provost@example.org>".parse().expect("an address");
    for (what, message) in messages {
        let [small, large] = SIZES.map(|size| {
            let message = message(size);
            let samples = (0..SAMPLES).map(|_| {
                let begin = Instant::now();
                let composed = mail::compose(&from, black_box(&message), &(&message).into(), false).expect("a mail");
                black_box(composed.formatted());
                begin.elapsed().as_nanos() as f64 / size as f64
            });
            median(samples.collect())
        });
        report.row(&format!("mail: a byte of a megabyte of {what}"), large, "ns", None);
        let flat = format!("mail: a byte of a megabyte of {what} / of 10 kB");
        report.row(&flat, large / small, "", Some(Bound::AtMost(FLAT)));
    }
}
