//! Signatures of Standard Webhooks: keys, and the value of `webhook-signature`. Knows nothing of HTTP.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// What the specification allows for the size of a key, in bytes.
const SIZES: std::ops::RangeInclusive<usize> = 24..=64;

/// A key of one receiver.
pub(crate) struct Key(hmac::Key);

impl Key {
    /// Reads `whsec_...`; the prefix may be left out.
    pub(crate) fn parse(secret: &str) -> Result<Self, String> {
        let bytes = STANDARD
            .decode(secret.strip_prefix("whsec_").unwrap_or(secret))
            .map_err(|_| "not base64 after `whsec_`: copy the receiver's secret as it is")?;
        if !SIZES.contains(&bytes.len()) {
            let (least, most) = SIZES.into_inner();
            return Err(format!("the key has {} bytes, and must have {least} to {most}", bytes.len()));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }
}

/// The value of `webhook-signature`: one signature for each key. `timestamp` is in seconds since 1970.
pub(crate) fn sign(keys: &[Key], id: &str, timestamp: u64, body: &str) -> String {
    let content = format!("{id}.{timestamp}.{body}");
    let signature = |key: &Key| format!("v1,{}", STANDARD.encode(hmac::sign(&key.0, content.as_bytes())));
    keys.iter().map(signature).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn the_reference_example() {
        let key = Key::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a valid secret");
        let signature = sign(&[key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_key_signs() {
        let keys = ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"];
        let keys: Vec<Key> = keys.into_iter().map(|key| Key::parse(key).expect("a valid secret")).collect();
        let signature = sign(&keys, "a", 1, "{}");
        assert_eq!(signature.split(' ').filter(|part| part.starts_with("v1,")).count(), 2);
    }

    #[test]
    fn errors_do_not_show_the_secret() {
        for (secret, expected) in [
            ("whsec_hunter2!", "not base64 after `whsec_`: copy the receiver's secret as it is"),
            ("whsec_AAAA", "the key has 3 bytes, and must have 24 to 64"),
        ] {
            assert_eq!(Key::parse(secret).err().as_deref(), Some(expected));
        }
    }
}
