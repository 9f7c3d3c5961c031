//! Resolves names, and leaves out the addresses that nothing may be sent to. Knows nothing of messages.
//!
//! The connection is opened to what this returns, so a name that resolves to something else a moment later changes nothing.

use crate::addresses::Whitelist;
use provost_sdk::reqwest::Url;
use provost_sdk::reqwest::dns::{Addrs, Name, Resolve, Resolving};
use provost_sdk::tokio::net::lookup_host;
use std::error::Error;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Nothing may be sent to this address.
#[derive(Debug)]
pub(crate) struct Refused {
    address: IpAddr,
    /// `loopback`
    kind: &'static str,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, kind } = self;
        write!(f, "{address} ({kind}), which is not on the internet: if it is meant, add it to `whitelist_subnets`")
    }
}

impl Error for Refused {}

/// Why nothing may be sent to the address that stands in `url` itself: no resolver is asked about one.
pub(crate) fn refused_literal(url: &Url, whitelist: &Whitelist) -> Option<Refused> {
    let address = url.host_str()?.trim_matches(['[', ']']).parse().ok()?;
    whitelist.refuses(address).map(|kind| Refused { address, kind })
}

/// Finds the error of the resolver among the causes of an HTTP client's.
pub(crate) fn refused<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Refused> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref())
}

/// Resolves the name of the receiver, and those of proxies.
pub(crate) struct Resolver {
    /// The receiver's.
    host: String,
    whitelist: Arc<Whitelist>,
}

impl Resolver {
    /// The resolver of a client that asks `url` only.
    pub(crate) fn new(url: &Url, whitelist: Whitelist) -> Self {
        Self { host: url.host_str().unwrap_or_default().to_owned(), whitelist: Arc::new(whitelist) }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        // Other names are those of proxies: whoever runs the host put them into its environment, and they may well be private.
        let is_receiver = name.as_str().eq_ignore_ascii_case(&self.host);
        let whitelist = is_receiver.then(|| Arc::clone(&self.whitelist));
        Box::pin(async move {
            let found = lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<SocketAddr> = match whitelist {
                Some(whitelist) => allowed(found, &whitelist)?,
                None => found.collect(),
            };
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// The addresses that are allowed; an error if all there are is refused.
fn allowed(found: impl Iterator<Item = SocketAddr>, whitelist: &Whitelist) -> Result<Vec<SocketAddr>, Refused> {
    let (mut allowed, mut refused) = (Vec::new(), None);
    for found in found {
        let address = found.ip();
        match whitelist.refuses(address) {
            Some(kind) => refused = refused.or(Some(Refused { address, kind })),
            None => allowed.push(found),
        }
    }
    match refused {
        Some(refused) if allowed.is_empty() => Err(refused),
        _ => Ok(allowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use provost_sdk::tokio;

    #[test]
    fn what_is_allowed_is_left() {
        let found = |addresses: &[&str]| -> Vec<SocketAddr> {
            addresses.iter().map(|text| SocketAddr::new(text.parse().expect("an address"), 0)).collect()
        };
        let check = |addresses: &[&str], expected: Result<&[&str], &str>| {
            let left = allowed(found(addresses).into_iter(), &Whitelist::default());
            let expected = expected.map(found).map_err(str::to_owned);
            assert_eq!(left.map_err(|refused| refused.address.to_string()), expected);
        };
        check(&["10.0.0.1", "1.1.1.1", "::1", "2606:4700::1"], Ok(&["1.1.1.1", "2606:4700::1"]));
        check(&["::1", "127.0.0.1"], Err("::1"));
        check(&[], Ok(&[]));
    }

    #[tokio::test(crate = "provost_sdk::tokio")]
    async fn a_proxy_may_be_private() {
        let url = Url::parse("http://LocalHost:1/").expect("a URL");
        let resolves = async |name: &str| {
            let resolver = Resolver::new(&url, Whitelist::default());
            resolver.resolve(name.parse().expect("a name")).await.map(|_| ()).map_err(|error| error.is::<Refused>())
        };
        assert_eq!(resolves("localhost").await, Err(true));
        assert_eq!(resolves("LOCALHOST").await, Err(true));
        let other = Url::parse("http://example.org/").expect("a URL");
        let resolver = Resolver::new(&other, Whitelist::default());
        assert!(resolver.resolve("localhost".parse().expect("a name")).await.is_ok());
    }

    #[test]
    fn addresses_in_urls() {
        for (url, expected) in [
            ("http://127.0.0.1:8080/", Some("127.0.0.1")),
            ("http://0x7f.1/", Some("127.0.0.1")),
            ("http://2130706433/", Some("127.0.0.1")),
            ("http://[::1]/", Some("::1")),
            ("http://[::ffff:127.0.0.1]/", Some("::ffff:127.0.0.1")),
            ("http://169.254.169.254/", Some("169.254.169.254")),
            ("http://1.1.1.1/", None),
            ("http://localhost/", None),
        ] {
            let refused = refused_literal(&Url::parse(url).expect("a URL"), &Whitelist::default());
            assert_eq!(refused.map(|refused| refused.address.to_string()).as_deref(), expected, "{url}");
        }
    }
}
