//! Keys, tokens and sessions: random, shown once, kept as a hash.

use rand::RngCore as _;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zfs_sync_store::SecretHash;

/// Characters by which a key is found in the database and recognised by people.
const PREFIX_LENGTH: usize = 8;
/// 32 bytes in six-bit characters.
const SECRET_LENGTH: usize = 43;
/// The characters of RFC 4648's URL-safe alphabet.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What a secret is for; part of its text, so that one kind is never taken for another and scanners of repositories can find them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An API key.
    Key,
    /// An enrolment token.
    Token,
    /// A session of the dashboard.
    Session,
}

impl Kind {
    const fn tag(self) -> &'static str {
        match self {
            Self::Key => "zsk_",
            Self::Token => "zst_",
            Self::Session => "zss_",
        }
    }
}

/// A fresh secret and what is stored of it.
#[derive(Debug)]
pub(crate) struct Minted {
    /// The whole text, for its owner only.
    pub(crate) secret: SecretString,
    /// How it begins, after the tag.
    pub(crate) prefix: String,
    /// SHA-256 of the whole text. The secret has 256 random bits, so a slow hash would cost time and add nothing.
    pub(crate) hash: SecretHash,
}

/// Makes a secret.
pub(crate) fn mint(kind: Kind) -> Minted {
    let mut random = [0_u8; PREFIX_LENGTH + 32];
    rand::rng().fill_bytes(&mut random);
    let (for_prefix, for_secret) = random.split_at(PREFIX_LENGTH);
    // Letters and digits only: people read the prefix aloud and select it with a double click.
    let prefix: String =
        for_prefix.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 26) + 26])).collect();
    let text = format!("{}{prefix}_{}", kind.tag(), six_bit_characters(for_secret));
    Minted { hash: hash(&text), prefix, secret: SecretString::from(text) }
}

fn six_bit_characters(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for position in 0..=chunk.len() {
            let six = usize::try_from(bits >> (18 - 6 * position) & 63).unwrap_or_default();
            text.push(char::from(ALPHABET[six]));
        }
    }
    text
}

/// SHA-256 of the whole text.
pub(crate) fn hash(text: &str) -> SecretHash {
    SecretHash(Sha256::digest(text).into())
}

/// The prefix of a text that has the form of such a secret.
pub(crate) fn prefix(kind: Kind, text: &str) -> Option<&str> {
    let rest = text.strip_prefix(kind.tag())?;
    let well_formed = rest.len() == PREFIX_LENGTH + 1 + SECRET_LENGTH
        && rest.bytes().all(|byte| ALPHABET.contains(&byte))
        && rest.as_bytes()[PREFIX_LENGTH] == b'_';
    well_formed.then(|| &rest[..PREFIX_LENGTH])
}

/// True when `text` has this hash. Takes the same time wherever they differ.
pub(crate) fn matches(text: &str, stored: &SecretHash) -> bool {
    hash(text).0.ct_eq(&stored.0).into()
}

impl Minted {
    /// The whole text, to be handed to its owner.
    pub(crate) fn expose(&self) -> String {
        self.secret.expose_secret().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_form_and_differ() {
        let (one, two) = (mint(Kind::Key), mint(Kind::Key));
        let text = one.expose();
        assert_eq!(text.len(), 4 + 8 + 1 + 43);
        assert_eq!(prefix(Kind::Key, &text), Some(one.prefix.as_str()));
        assert_eq!(prefix(Kind::Token, &text), None, "a key is no token");
        assert_ne!(text, two.expose());
        assert!(matches(&text, &one.hash));
        assert!(!matches(&two.expose(), &one.hash));
        assert!(!format!("{one:?}").contains(&text), "a secret is never printed");
    }

    #[test]
    fn six_bits_are_written_as_the_standard_says() {
        assert_eq!(six_bit_characters(b"foobar"), "Zm9vYmFy");
        assert_eq!(six_bit_characters(b"fooba"), "Zm9vYmE");
        assert_eq!(six_bit_characters(b"foob"), "Zm9vYg");
        assert_eq!(six_bit_characters(&[255; 32]).len(), 43);
        assert_eq!(six_bit_characters(&[0xfb, 0xff]), "-_8");
    }

    #[test]
    fn texts_of_another_form_have_no_prefix() {
        for text in ["", "zsk_", "zsk_abcdefgh", "zsk_äbcdefg_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(prefix(Kind::Key, text), None, "{text}");
        }
    }
}
