//! Resume tokens, read without asking `zfs`.
//!
//! A token is `1-CHECKSUM-LENGTH-DATA`: the version, the first word of the Fletcher-4 checksum of the data, the length of the
//! data once inflated (both hexadecimal), and the zlib-compressed data itself as hexadecimal digits. Inside is a packed
//! name-value list. Whoever sends must look into a token before using it: it names the dataset to be sent, and it comes from the
//! receiver.

use std::io::{Read as _, Write as _};

use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use zfs_sync_core::{guid::Guid, inventory::PartialReceive};

use super::nvlist::{self, Pair, Value};

/// The only version there is.
const VERSION: &str = "1";

/// More than any real list has: ten numbers, flags and a name; redacted sends add lists of GUIDs.
const MAX_LENGTH: usize = 1 << 20;

/// What a resume token says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResumeToken {
    /// The object the stream goes on with.
    pub object: u64,
    /// The offset within that object.
    pub offset: u64,
    /// Bytes already received.
    pub bytes: u64,
    /// The snapshot that is being sent.
    pub to_guid: u64,
    /// Its name at the sender when the stream began: `tank/a@one`.
    pub to_name: String,
    /// The incremental source; `None` for a full stream.
    pub from_guid: Option<u64>,
    /// The stream may hold large blocks (`-L`).
    pub large_blocks: bool,
    /// The stream may hold embedded data (`-e`).
    pub embedded: bool,
    /// The stream may hold compressed blocks (`-c`).
    pub compressed: bool,
    /// The stream is raw (`-w`).
    pub raw: bool,
}

/// Why a text is no resume token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResumeTokenError {
    /// Not four parts, or another version.
    #[error("the resume token has not the form `1-CHECKSUM-LENGTH-DATA`")]
    Form,
    /// The digits are not hexadecimal or odd in number.
    #[error("the resume token's data is not hexadecimal")]
    Digits,
    /// The data is not what the checksum was made from.
    #[error("the resume token's checksum does not fit its data")]
    Checksum,
    /// The data can not be inflated to the stated length.
    #[error("the resume token's data does not inflate to the stated length")]
    Length,
    /// The list inside can not be read.
    #[error("the list inside the resume token can not be read")]
    List,
    /// The list lacks something every token has.
    #[error("the resume token lacks `{0}`")]
    Missing(&'static str),
}

impl ResumeToken {
    /// Reads a token.
    pub fn decode(token: &str) -> Result<Self, ResumeTokenError> {
        let mut parts = token.trim().split('-');
        let (Some(VERSION), Some(checksum), Some(length), Some(digits), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(ResumeTokenError::Form);
        };
        let checksum = u64::from_str_radix(checksum, 16).map_err(|_| ResumeTokenError::Form)?;
        let length = usize::from_str_radix(length, 16).map_err(|_| ResumeTokenError::Form)?;
        let compressed = from_hex(digits).ok_or(ResumeTokenError::Digits)?;
        if fletcher4_first_word(&compressed) != checksum {
            return Err(ResumeTokenError::Checksum);
        }
        let packed = inflate(&compressed, length).ok_or(ResumeTokenError::Length)?;
        let pairs = nvlist::unpack(&packed).ok_or(ResumeTokenError::List)?;
        Self::from_pairs(&pairs)
    }

    /// Writes a token as ZFS does.
    pub fn encode(&self) -> String {
        let packed = nvlist::pack(&self.to_pairs());
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(&packed).expect("writing to memory does not fail");
        let compressed = encoder.finish().expect("writing to memory does not fail");
        let checksum = fletcher4_first_word(&compressed);
        format!("{VERSION}-{checksum:x}-{:x}-{}", packed.len(), to_hex(&compressed))
    }

    /// What an inventory says of it.
    pub fn to_partial(&self) -> PartialReceive {
        PartialReceive {
            to_guid: Guid::new(self.to_guid),
            from_guid: self.from_guid.map(Guid::new),
            to_name: self.to_name.clone(),
            bytes: self.bytes,
            raw: self.raw,
        }
    }

    fn from_pairs(pairs: &[Pair]) -> Result<Self, ResumeTokenError> {
        let find = |name: &str| pairs.iter().find(|pair| pair.name == name).map(|pair| &pair.value);
        let number = |name: &str| match find(name) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        };
        let flag = |name: &str| matches!(find(name), Some(Value::Flag));
        let Some(Value::Text(to_name)) = find("toname") else {
            return Err(ResumeTokenError::Missing("toname"));
        };
        Ok(Self {
            object: number("object").unwrap_or_default(),
            offset: number("offset").unwrap_or_default(),
            bytes: number("bytes").unwrap_or_default(),
            to_guid: number("toguid").ok_or(ResumeTokenError::Missing("toguid"))?,
            to_name: to_name.clone(),
            from_guid: number("fromguid").filter(|guid| *guid != 0),
            large_blocks: flag("largeblockok"),
            embedded: flag("embedok"),
            compressed: flag("compressok"),
            raw: flag("rawok"),
        })
    }

    fn to_pairs(&self) -> Vec<Pair> {
        let Self {
            object,
            offset,
            bytes,
            to_guid,
            to_name,
            from_guid,
            large_blocks,
            embedded,
            compressed,
            raw,
        } = self;
        let pair = |name: &str, value| Pair { name: name.to_owned(), value };
        let mut pairs = Vec::new();
        if let Some(guid) = from_guid {
            pairs.push(pair("fromguid", Value::Number(*guid)));
        }
        pairs.push(pair("object", Value::Number(*object)));
        pairs.push(pair("offset", Value::Number(*offset)));
        pairs.push(pair("bytes", Value::Number(*bytes)));
        pairs.push(pair("toguid", Value::Number(*to_guid)));
        pairs.push(pair("toname", Value::Text(to_name.clone())));
        let flags = [
            ("largeblockok", large_blocks),
            ("embedok", embedded),
            ("compressok", compressed),
            ("rawok", raw),
        ];
        pairs.extend(flags.into_iter().filter(|(_, set)| **set).map(|(name, _)| pair(name, Value::Flag)));
        pairs
    }
}

/// The first word of Fletcher-4: the sum of all 32-bit words; bytes after the last whole word do not count.
fn fletcher4_first_word(data: &[u8]) -> u64 {
    data.chunks_exact(4).fold(0, |sum: u64, word| {
        sum.wrapping_add(u64::from(u32::from_le_bytes(word.try_into().expect("chunks of four"))))
    })
}

fn inflate(compressed: &[u8], length: usize) -> Option<Vec<u8>> {
    if length > MAX_LENGTH {
        return None;
    }
    let mut packed = Vec::with_capacity(length);
    let limit = u64::try_from(length).ok()? + 1;
    ZlibDecoder::new(compressed).take(limit).read_to_end(&mut packed).ok()?;
    (packed.len() == length).then_some(packed)
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        digits.chars().map(|digit| digit.to_digit(16).and_then(|value| u8::try_from(value).ok())).collect();
    let digits = digits?;
    if digits.len() % 2 != 0 {
        return None;
    }
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn to_hex(data: &[u8]) -> String {
    data.iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|value| char::from_digit(value.into(), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn token() -> ResumeToken {
        ResumeToken {
            object: 2,
            offset: 131_072,
            bytes: 1_234_567,
            to_guid: 9_652_651_086_130_804_799,
            to_name: "tank/media@auto 1".to_owned(),
            from_guid: Some(42),
            large_blocks: true,
            embedded: true,
            compressed: true,
            raw: false,
        }
    }

    #[test]
    fn a_token_reads_back() {
        assert_eq!(ResumeToken::decode(&token().encode()), Ok(token()));
        let full = ResumeToken { from_guid: None, raw: true, ..token() };
        assert_eq!(ResumeToken::decode(&full.encode()), Ok(full));
    }

    #[rstest]
    #[case("", ResumeTokenError::Form)]
    #[case("-", ResumeTokenError::Form)]
    #[case("2-0-0-", ResumeTokenError::Form)]
    #[case("1-0-0-00-00", ResumeTokenError::Form)]
    #[case("1-x-0-00", ResumeTokenError::Form)]
    #[case("1-0-0-0", ResumeTokenError::Digits)]
    #[case("1-0-0-zz", ResumeTokenError::Digits)]
    #[case("1-1-0-00", ResumeTokenError::Checksum)]
    #[case("1-0-0-00", ResumeTokenError::Length)]
    #[case("1-0-ffffffffffff-", ResumeTokenError::Length)]
    fn damage_is_named(#[case] text: &str, #[case] error: ResumeTokenError) {
        assert_eq!(ResumeToken::decode(text), Err(error));
    }

    #[test]
    fn another_length_than_stated_is_refused() {
        let text = token().encode();
        let mut parts: Vec<_> = text.split('-').collect();
        parts[2] = "10";
        assert_eq!(ResumeToken::decode(&parts.join("-")), Err(ResumeTokenError::Length));
    }

    #[test]
    fn a_list_without_a_name_is_refused() {
        let packed = nvlist::pack(&[Pair { name: "toguid".into(), value: Value::Number(1) }]);
        let pairs = nvlist::unpack(&packed).unwrap();
        assert_eq!(ResumeToken::from_pairs(&pairs), Err(ResumeTokenError::Missing("toname")));
    }

    /// Our check would look at the first snapshot, `zfs send -t` at the last.
    #[test]
    fn a_token_that_names_two_snapshots_is_refused() {
        let mut pairs = token().to_pairs();
        pairs.push(Pair { name: "toguid".into(), value: Value::Number(1) });
        let packed = nvlist::pack(&pairs);
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(&packed).unwrap();
        let compressed = encoder.finish().unwrap();
        let checksum = fletcher4_first_word(&compressed);
        let text = format!("1-{checksum:x}-{:x}-{}", packed.len(), to_hex(&compressed));
        assert_eq!(ResumeToken::decode(&text), Err(ResumeTokenError::List));
    }

    prop_compose! {
        fn tokens()(
            numbers in prop::array::uniform4(any::<u64>()),
            to_name in "[a-z/@ ]{0,80}",
            from_guid in prop::option::of(1..u64::MAX),
            flags in prop::array::uniform4(any::<bool>()),
        ) -> ResumeToken {
            let [object, offset, bytes, to_guid] = numbers;
            let [large_blocks, embedded, compressed, raw] = flags;
            ResumeToken { object, offset, bytes, to_guid, to_name, from_guid, large_blocks, embedded, compressed, raw }
        }
    }

    proptest! {
        #[test]
        fn every_token_reads_back(token in tokens()) {
            prop_assert_eq!(ResumeToken::decode(&token.encode()), Ok(token));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}", digits in "[0-9a-f-]{0,200}") {
            let _ = ResumeToken::decode(&text);
            let _ = ResumeToken::decode(&format!("1-{digits}"));
        }

        #[test]
        fn no_packed_list_makes_it_panic(mut packed in prop::collection::vec(any::<u8>(), 0..200), valid_start in any::<bool>()) {
            if valid_start {
                let start = nvlist::pack(&token().to_pairs());
                let keep = packed.len().min(start.len());
                packed[..keep / 2].copy_from_slice(&start[..keep / 2]);
            }
            let _ = nvlist::unpack(&packed);
        }

        #[test]
        fn a_changed_digit_never_gives_another_token(index in 0usize..400, digit in 0u32..16) {
            let text = token().encode();
            let index = index % text.len();
            let mut changed = text.clone().into_bytes();
            changed[index] = u8::try_from(char::from_digit(digit, 16).unwrap()).unwrap();
            let changed = String::from_utf8(changed).unwrap();
            if let Ok(read) = ResumeToken::decode(&changed) {
                prop_assert_eq!(read, token());
            }
        }
    }
}
