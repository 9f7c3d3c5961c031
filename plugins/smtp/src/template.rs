//! What the configuration makes of a message: subject, text and HTML by templates (minijinja). Knows nothing of mails.

use crate::mail::Content;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind};
use provost_sdk::{ConfigError, DeliveryError, KeyError, Message, SHOWN, excerpt};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Templates, by which a message becomes a mail.
#[provost_sdk::config]
#[cfg_attr(test, derive(Debug))]
#[derive(Clone, Default)]
#[serde(default)]
pub(crate) struct Sources {
    /// Template of the subject, which has to be one line. Without it the message's own.
    subject: Option<String>,
    /// Template of the text. Without it the message's own.
    text: Option<String>,
    /// Template of the HTML beside the text, in which values are escaped. Without it the message's own, if it has one.
    html: Option<String>,
}

const SUBJECT: &str = "subject";
const TEXT: &str = "text";
const HTML: &str = "html";

/// What a template can use of a message. `html` is there if the message has it, metadata as far as the message has them.
const VARIABLES: [&str; 6] = ["html", "id", "metadata", "subject", "text", "to"];

/// How much a template may do, whatever the message: instructions, each also worth 64 bytes that are written or pass through a filter.
const FUEL: u64 = 100_000;

/// How many bytes of a message let a template do one more: so it may write eight times the bytes of the message, as a text of quotes
/// has six times in HTML.
const BYTES: usize = 8;

/// How much more it may do for each recipient and each pair of the metadata, over which it may loop.
const ITEM: usize = 16;

/// How much of a template's error is repeated, in characters.
const DETAIL: usize = 500;

/// The templates of a provider.
pub(crate) struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    /// Compiles all.
    ///
    /// # Errors
    ///
    /// What is wrong in each, with its line.
    pub(crate) fn new(sources: Sources) -> Result<Self, ConfigError> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|name| if name == HTML { AutoEscape::Html } else { AutoEscape::None });
        let mut errors = Vec::new();
        for (name, source) in [(SUBJECT, sources.subject), (TEXT, sources.text), (HTML, sources.html)] {
            let Some(source) = source else { continue };
            let result = environment.add_template_owned(name, source).map_err(|error| shown(&error));
            if let Err(message) = result.and_then(|()| names_exist(&environment, name)) {
                errors.push(KeyError { key: format!("template.{name}"), message });
            }
        }
        ConfigError::all(errors)?;
        Ok(Self { environment })
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.environment.templates().next().is_none()
    }

    /// What the mail of a message says.
    ///
    /// # Errors
    ///
    /// When a template cannot be rendered for this message, or makes a subject of more than one line.
    pub(crate) fn render<'a>(&self, message: &'a Message) -> Result<Content<'a>, DeliveryError> {
        let mut content = Content::from(message);
        if self.is_empty() {
            return Ok(content);
        }
        let mut environment = self.environment.clone();
        // A longer message may make a longer mail.
        let items = message.to.len() + message.metadata.len();
        environment.set_fuel(Some(FUEL.saturating_add((size(message) / BYTES + items * ITEM) as u64)));
        let values = values(message);
        let render = |name: &str| {
            let Ok(template) = environment.get_template(name) else { return Ok(None) };
            let rendered = template.render(values.clone()).map(|text| Some(Cow::Owned(text)));
            rendered.map_err(|error| DeliveryError::permanent(format!("`template.{name}`: {}", shown(&error))))
        };
        if let Some(subject) = render(SUBJECT)? {
            content.subject = subject;
        }
        if content.subject.contains(char::is_control) {
            let reason = "`template.subject` must make one line, and made one with control characters";
            return Err(DeliveryError::permanent(reason));
        }
        if let Some(text) = render(TEXT)? {
            content.text = text;
        }
        content.html = render(HTML)?.or(content.html);
        Ok(content)
    }
}

/// The bytes that a template can repeat of a message.
fn size(message: &Message) -> usize {
    let html = message.html.as_ref().map_or(0, String::len);
    let metadata: usize = message.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
    message.subject.len() + message.text.len() + html + metadata + message.to.iter().map(String::len).sum::<usize>()
}

fn values(message: &Message) -> Value {
    let Message { id, to, subject, text, html, metadata, .. } = message;
    let metadata: BTreeMap<&str, Value> = metadata.iter().map(|(key, value)| (key.as_str(), value.into())).collect();
    let to: Vec<Value> = to.iter().map(Value::from).collect();
    let mut values = BTreeMap::from([
        ("id", Value::from(id)),
        ("to", Value::from(to)),
        ("subject", Value::from(subject)),
        ("text", Value::from(text)),
        ("metadata", Value::from(metadata)),
    ]);
    if let Some(html) = html {
        values.insert(HTML, Value::from(html));
    }
    Value::from(values)
}

/// Whether all that a template names exists: what does not is found at the start, and not by the first message.
fn names_exist(environment: &Environment, name: &str) -> Result<(), String> {
    let template = environment.get_template(name).map_err(|error| shown(&error))?;
    let functions: Vec<&str> = environment.globals().map(|(name, _)| name).collect();
    let is_known = |name: &String| VARIABLES.contains(&name.as_str()) || functions.contains(&name.as_str());
    let mut unknown: Vec<String> =
        template.undeclared_variables(false).into_iter().filter(|name| !is_known(name)).collect();
    unknown.sort_unstable();
    if let Some(unknown) = unknown.first() {
        return Err(format!("there is no `{}`; use one of {}", excerpt(unknown, SHOWN), VARIABLES.join(", ")));
    }
    // Filters and tests are looked up when they are used, so a message is tried. What else it lacks another may have.
    let mut environment = environment.clone();
    environment.set_fuel(Some(FUEL));
    match environment.get_template(name).and_then(|template| template.render(values(&Message::default()))) {
        Err(error) if is_of_template(&error) => Err(shown(&error)),
        _ => Ok(()),
    }
}

/// Whether an error comes with every message.
fn is_of_template(error: &Error) -> bool {
    use ErrorKind::{UnknownFilter, UnknownFunction, UnknownMethod, UnknownTest};
    matches!(error.kind(), UnknownFilter | UnknownFunction | UnknownMethod | UnknownTest)
}

/// `line 3: unknown filter: filter uper is unknown`.
fn shown(error: &Error) -> String {
    let line = error.line().map(|line| format!("line {line}: ")).unwrap_or_default();
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    let hint = if error.kind() == ErrorKind::OutOfFuel { ", since it does or writes too much" } else { "" };
    excerpt(&format!("{line}{}{detail}{hint}", error.kind()), DETAIL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(subject: &str, text: &str, html: &str) -> Sources {
        let given = |source: &str| (!source.is_empty()).then(|| source.to_owned());
        Sources { subject: given(subject), text: given(text), html: given(html) }
    }

    fn message() -> Message {
        Message {
            id: "m1".to_owned(),
            to: vec!["a@example.org".to_owned(), "b@example.org".to_owned()],
            subject: "Disk <full>".to_owned(),
            text: "90 % & more".to_owned(),
            metadata: [("host".to_owned(), "\"db1\"".to_owned())].into(),
            ..Message::default()
        }
    }

    fn check(sources: Sources, message: &Message, expected: Result<[Option<&str>; 3], &str>) {
        let templates = Templates::new(sources).expect("templates without faults");
        let found = templates.render(message).map_err(|error| error.to_string());
        let found =
            found.as_ref().map(|Content { subject, text, html }| [Some(&**subject), Some(&**text), html.as_deref()]);
        assert_eq!(found.map_err(String::as_str), expected);
    }

    #[test]
    fn what_is_not_there_stays() {
        let mut message = message();
        check(Sources::default(), &message, Ok([Some("Disk <full>"), Some("90 % & more"), None]));
        message.html = Some("<b>90</b>".to_owned());
        check(sources("{{ id }}", "", ""), &message, Ok([Some("m1"), Some("90 % & more"), Some("<b>90</b>")]));
        let html = "{% if html %}{{ html|safe }}{% else %}{{ text }}{% endif %}";
        check(sources("", "", html), &message, Ok([Some("Disk <full>"), Some("90 % & more"), Some("<b>90</b>")]));
        message.html = None;
        check(sources("", "", html), &message, Ok([Some("Disk <full>"), Some("90 % & more"), Some("90 % &amp; more")]));
    }

    #[test]
    fn all_of_a_message_is_there() {
        let all = "{{ id }} {{ to|join(', ') }} {{ subject }} {{ text }} {{ metadata.host }}[{{ metadata.none }}]\n";
        let plain = "m1 a@example.org, b@example.org Disk <full> 90 % & more \"db1\"[]";
        let escaped = "m1 a@example.org, b@example.org Disk &lt;full&gt; 90 % &amp; more &quot;db1&quot;[]";
        check(sources(all, all, all), &message(), Ok([Some(plain), Some(plain), Some(escaped)]));
        let pairs = "{% for key, value in metadata|items %}{{ loop.index }} {{ key }}={{ value }}{% endfor %}";
        check(sources(pairs, "", ""), &message(), Ok([Some("1 host=\"db1\""), Some("90 % & more"), None]));
    }

    #[test]
    fn what_refuses_a_message() {
        let two = "`template.subject` must make one line, and made one with control characters";
        check(sources("a\nb", "", ""), &message(), Err(two));
        check(sources("", "\n{{ metadata.a.b }}", ""), &message(), Err("`template.text`: line 2: undefined value"));
        let endless = "{% for i in range(10000) %}{% for j in range(10000) %}a{% endfor %}{% endfor %}";
        let fuel = "line 1: engine ran out of fuel, since it does or writes too much";
        check(sources("", endless, ""), &message(), Err(&format!("`template.text`: {fuel}")));
        let wide = "{% for i in range(100) %}{{ 'a' * 1000000 }}{% endfor %}";
        check(sources("", "", wide), &message(), Err(&format!("`template.html`: {fuel}")));
    }

    #[test]
    fn a_large_message_has_its_place() {
        let large = "\"".repeat(10_000_000);
        let message = Message { text: large.clone(), ..message() };
        let html = |template| {
            let made = Templates::new(sources("", "", template)).expect("a template").render(&message);
            made.map(|made| made.html.map(|html| html.len()))
        };
        assert_eq!(html("{{ text }}"), Ok(Some(large.len() * "&quot;".len())));
        assert!(html("{{ text }}{{ text }}").is_err());
    }

    #[test]
    fn faults_are_those_of_the_configuration() {
        let error = |sources| Templates::new(sources).err().expect("a fault").to_string();
        assert_eq!(
            error(sources("{{ subjct }}", "a\n{{ text", "{% if text %}")),
            "template.subject: there is no `subjct`; use one of html, id, metadata, subject, text, to; \
            template.text: line 2: syntax error: unexpected end of input, expected end of variable block; \
            template.html: line 1: syntax error: unexpected end of input, expected end of block"
        );
        assert_eq!(
            error(sources("{{ text|uper }}", "{% include 'a' %}", "{{ text.upper() }}")),
            "template.subject: line 1: unknown filter: filter uper is unknown; \
            template.text: line 1: syntax error: unknown statement include; \
            template.html: line 1: unknown method: string has no method named upper"
        );
    }
}
