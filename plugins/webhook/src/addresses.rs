//! Which addresses messages may be sent to. Knows nothing of names and of HTTP.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use provost_sdk::{ConfigError, SHOWN, excerpt};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is no address of one host on the internet, by the registries of special addresses of IANA: the first network counts.
const SPECIAL_V4: [(Ipv4Net, &str); 16] = [
    (v4([0, 0, 0, 0], 8), "unspecified"),
    (v4([10, 0, 0, 0], 8), "private"),
    (v4([100, 64, 0, 0], 10), "shared by a carrier's customers"),
    (v4([127, 0, 0, 0], 8), "loopback"),
    (v4([169, 254, 0, 0], 16), "link-local"),
    (v4([172, 16, 0, 0], 12), "private"),
    (v4([192, 0, 0, 0], 24), "reserved"),
    (v4([192, 0, 2, 0], 24), "documentation"),
    (v4([192, 88, 99, 0], 24), "reserved"),
    (v4([192, 168, 0, 0], 16), "private"),
    (v4([198, 18, 0, 0], 15), "benchmarks"),
    (v4([198, 51, 100, 0], 24), "documentation"),
    (v4([203, 0, 113, 0], 24), "documentation"),
    (v4([224, 0, 0, 0], 4), "multicast"),
    (v4([255, 255, 255, 255], 32), "broadcast"),
    (v4([240, 0, 0, 0], 4), "reserved"),
];

/// The same of IPv6.
const SPECIAL_V6: [(Ipv6Net, &str); 11] = [
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "unspecified"),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "loopback"),
    (v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), "IPv4-mapped"),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "unique local"),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "link-local"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "site-local"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "reserved"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "documentation"),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "6to4"),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "documentation"),
];

/// Where hosts on the internet are (RFC 4291 section 2.4, and what IANA has given out of it).
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// IPv4 addresses as a network of IPv6 alone shows them (RFC 6052): public names resolve to these there.
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

/// The networks that are allowed beside the internet.
#[derive(Debug, Default)]
pub(crate) struct Whitelist(Vec<IpNet>);

impl Whitelist {
    /// Reads networks, such as `10.0.0.0/8`, and single addresses.
    ///
    /// # Errors
    ///
    /// Each text that is neither.
    pub(crate) fn parse(texts: &[String]) -> Result<Self, ConfigError> {
        let networks = texts.iter().map(|text| text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)));
        let (networks, wrong): (Vec<_>, Vec<_>) = networks.zip(texts).partition(|(network, _)| network.is_ok());
        let wrong = wrong.into_iter().map(|(_, text)| {
            let message = format!("`{}` is not a network such as \"10.0.0.0/8\", or an address", excerpt(text, SHOWN));
            ConfigError::new("whitelist_subnets", message).into_errors()
        });
        ConfigError::all(wrong.flatten().collect())?;
        Ok(Self(networks.into_iter().filter_map(|(network, _)| network.ok()).collect()))
    }

    /// What `address` is if nothing may be sent there: `loopback`.
    pub(crate) fn refuses(&self, address: IpAddr) -> Option<&'static str> {
        let stands_for = stands_for(address);
        let allows = |network: &IpNet| network.contains(&address) || network.contains(&stands_for);
        if self.0.iter().any(allows) { None } else { special(address) }
    }
}

/// What `address` is if it is none of a host on the internet.
fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => of_network(&SPECIAL_V4, |network| network.contains(&address)),
        IpAddr::V6(address) if NAT64.contains(&address) => special(stands_for(address.into())),
        IpAddr::V6(address) => of_network(&SPECIAL_V6, |network| network.contains(&address))
            .or_else(|| (!GLOBAL_V6.contains(&address)).then_some("reserved")),
    }
}

fn of_network<N>(networks: &[(N, &'static str)], contains: impl Fn(&N) -> bool) -> Option<&'static str> {
    networks.iter().find(|(network, _)| contains(network)).map(|(_, kind)| *kind)
}

/// The IPv4 address that is written as one of IPv6, or the address itself.
fn stands_for(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) if NAT64.contains(&address) => {
            let [.., a, b, c, d] = address.octets();
            Ipv4Addr::new(a, b, c, d).into()
        }
        address => address.to_canonical(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whitelist(texts: &[&str]) -> Whitelist {
        Whitelist::parse(&texts.iter().map(ToString::to_string).collect::<Vec<_>>()).expect("networks")
    }

    fn check(allowed: &[&str], address: &str, expected: Option<&str>) {
        let found = whitelist(allowed).refuses(address.parse().expect("an address"));
        assert_eq!(found, expected, "{address} with {allowed:?}");
    }

    #[test]
    fn only_the_internet_is_allowed() {
        for address in ["1.1.1.1", "100.63.255.255", "172.32.0.1", "192.0.1.1", "223.255.255.255"] {
            check(&[], address, None);
        }
        for address in ["2606:4700:4700::1111", "2001:4860:4860::8888", "2a00::1", "64:ff9b::101:101"] {
            check(&[], address, None);
        }
        for (address, kind) in [
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("10.255.255.255", "private"),
            ("100.64.0.1", "shared by a carrier's customers"),
            ("100.127.255.255", "shared by a carrier's customers"),
            ("127.0.0.2", "loopback"),
            ("169.254.169.254", "link-local"),
            ("172.31.0.1", "private"),
            ("192.0.0.8", "reserved"),
            ("192.168.1.1", "private"),
            ("198.19.0.1", "benchmarks"),
            ("203.0.113.1", "documentation"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::7f00:1", "reserved"),
            ("::ffff:127.0.0.1", "IPv4-mapped"),
            ("::ffff:1.1.1.1", "IPv4-mapped"),
            ("64:ff9b::7f00:1", "loopback"),
            ("64:ff9b::a9fe:a9fe", "link-local"),
            ("64:ff9b:1::1", "reserved"),
            ("100::1", "reserved"),
            ("2001::1", "reserved"),
            ("2001:db8::1", "documentation"),
            ("2002:7f00:1::", "6to4"),
            ("3fff::1", "documentation"),
            ("5f00::1", "reserved"),
            ("fc00::1", "unique local"),
            ("fd12:3456::1", "unique local"),
            ("fe80::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
        ] {
            check(&[], address, Some(kind));
        }
    }

    #[test]
    fn a_whitelist_adds_to_it() {
        check(&["10.1.0.0/16", "::1"], "10.1.2.3", None);
        check(&["10.1.0.0/16", "::1"], "::1", None);
        check(&["10.1.0.0/16", "::1"], "10.2.0.1", Some("private"));
        check(&["10.1.0.0/16", "::1"], "1.1.1.1", None);
        check(&["10.1.0.0/16"], "::ffff:10.1.2.3", None);
        check(&["10.1.0.0/16"], "64:ff9b::a01:203", None);
        check(&["127.0.0.1"], "127.0.0.2", Some("loopback"));
        for address in ["127.0.0.1", "169.254.169.254", "fe80::1", "::ffff:127.0.0.1"] {
            check(&["0.0.0.0/0", "::/0"], address, None);
        }
        let error = Whitelist::parse(&["10.0.0.0/33".into(), "::1".into(), "lan".into()]).expect_err("two are none");
        assert_eq!(
            error.to_string(),
            "whitelist_subnets: `10.0.0.0/33` is not a network such as \"10.0.0.0/8\", or an address; \
            whitelist_subnets: `lan` is not a network such as \"10.0.0.0/8\", or an address"
        );
    }
}
