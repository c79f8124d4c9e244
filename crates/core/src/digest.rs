//! Short texts that stand for long ones.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// The first `bytes` of a SHA-256 digest in hexadecimal, two digits each.
pub(crate) fn hexadecimal(hash: Sha256, bytes: usize) -> String {
    let mut text = String::with_capacity(2 * bytes);
    for byte in hash.finalize().iter().take(bytes) {
        write!(text, "{byte:02x}").expect("a String takes whatever is written");
    }
    text
}
