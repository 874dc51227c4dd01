//! How ids of users leave the process.

use crate::records;
use ring::hmac::{HMAC_SHA256, Key, sign};

/// The longest id that is kept, in bytes.
pub(crate) const LONGEST: usize = 128;

/// As they are, or as hashes that only who has the key can tie to a user.
#[derive(Clone, Debug)]
pub(crate) enum UserIds {
    Raw,
    Hashed(Key),
}

impl UserIds {
    /// HMAC-SHA256 under `key`.
    pub(crate) fn hashed(key: &[u8]) -> Self {
        Self::Hashed(Key::new(HMAC_SHA256, key))
    }

    pub(crate) fn are_hashed(&self) -> bool {
        matches!(self, Self::Hashed(_))
    }

    /// The id as it is told to others, of which no more than 128 bytes matter.
    pub(crate) fn tell(&self, mut id: String) -> String {
        id.truncate(records::cut(&id, LONGEST).len());
        match self {
            Self::Raw => id,
            // Nobody is nobody still.
            Self::Hashed(_) if id.is_empty() => id,
            Self::Hashed(key) => {
                let hash = sign(key, id.as_bytes());
                // Half of it: no two users of a platform share one.
                let half = hash.as_ref().first_chunk().copied().unwrap_or_default();
                format!("{:032x}", u128::from_be_bytes(half))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_the_same_for_one_user_and_one_key_alone() {
        let tell = |key: &str, id: &str| UserIds::hashed(key.as_bytes()).tell(id.to_owned());
        let told = tell("k", "u-1");
        assert_eq!(told.len(), 32);
        assert_eq!(told, tell("k", "u-1"));
        assert_ne!(told, tell("k", "u-2"));
        assert_ne!(told, tell("other", "u-1"));
        assert_eq!(tell("k", ""), "");
    }
}
