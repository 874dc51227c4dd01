//! The session that a request says it is of.

use crate::catalog::sessions::Carrier;
use ::http::{HeaderMap, header};
use ring::digest::{SHA256, digest};

/// `None`: it does not say.
pub(super) fn named(headers: &HeaderMap, carrier: &Carrier) -> Option<String> {
    let named = match carrier {
        Carrier::Cookie(name) => hashed(cookie(headers, name)?),
        Carrier::Header(name) => headers.get(name)?.to_str().ok()?.trim().to_owned(),
    };
    (!named.is_empty()).then_some(named)
}

/// Over HTTP/2 they may come in several headers.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let pairs = headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let values = pairs.filter_map(|pair| {
        let (given, value) = pair.trim_ascii().split_at_checked(name.len())?;
        (given == name.as_bytes()).then(|| value.strip_prefix(b"="))?
    });
    values
        .map(<[u8]>::trim_ascii)
        .find(|value| !value.is_empty())
}

/// Who has the cookie is the user, so it leaves as what nobody can make it of.
fn hashed(value: &[u8]) -> String {
    let hash = digest(&SHA256, value);
    let half = hash.as_ref().first_chunk().copied().unwrap_or_default();
    format!("{:032x}", u128::from_be_bytes(half))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(carrier: &Carrier, given: &[(&'static str, &str)]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(*name, value.parse().unwrap());
        }
        named(&headers, carrier)
    }

    #[test]
    fn a_cookie_names_a_session_by_its_hash_wherever_it_stands_among_others() {
        let sid = Carrier::Cookie("sid".to_owned());
        let cookie = |value| by(&sid, &[("cookie", value)]);
        let told = cookie("sid=abc").unwrap();
        // The first half of the SHA-256 of "abc", as FIPS 180-4 has it.
        assert_eq!(told, "ba7816bf8f01cfea414140de5dae2223");
        for line in [
            "a=b; sid=abc",
            "sid2=x;sid=abc ;z=1",
            "sid=; sid=abc",
            " sid=abc",
        ] {
            assert_eq!(cookie(line).as_ref(), Some(&told), "{line}");
        }
        assert_eq!(
            by(&sid, &[("cookie", "a=b"), ("cookie", "sid=abc")]),
            Some(told)
        );
        for line in ["", "sid", "sid=", "xsid=abc", "SID=abc", "a=sid=abc"] {
            assert_eq!(cookie(line), None, "{line}");
        }
    }

    #[test]
    fn a_header_names_a_session_as_it_is_where_it_is_visible_ascii() {
        let header = Carrier::Header("X-Session-Id".to_owned());
        let given = |value| by(&header, &[("x-session-id", value)]);
        assert_eq!(given("s-77").as_deref(), Some("s-77"));
        assert_eq!(given(" "), None);
        assert_eq!(given("s\u{fc}"), None);
        assert_eq!(by(&header, &[]), None);
    }
}
