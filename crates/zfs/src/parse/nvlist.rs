//! Packed name-value lists in native encoding, as far as resume tokens need them.
//!
//! Four bytes of header (encoding, byte order of the writer, two reserved), then version and flags, then pairs exactly as they lie in
//! the writer's memory: size of the whole (32 bits), size of the name with its NUL (16), reserved (16), number of elements (32),
//! type (32), the name and the value, each padded to eight bytes. A size of zero ends the list.

use std::collections::BTreeSet;

/// `NV_ENCODE_NATIVE`.
const ENCODING_NATIVE: u8 = 0;
const LITTLE_ENDIAN: u8 = 1;
const BIG_ENDIAN: u8 = 0;
/// `NV_UNIQUE_NAME`.
const UNIQUE_NAME: u32 = 1;
/// Bytes before the name.
const PAIR_HEADER: usize = 16;

const TYPE_BOOLEAN: u32 = 1;
const TYPE_UINT64: u32 = 8;
const TYPE_STRING: u32 = 9;

/// One pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) value: Value,
}

/// A value of one of the types that occur.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Flag,
    Number(u64),
    Text(String),
    /// Something else, such as the arrays of GUIDs in redacted sends.
    Unknown,
}

/// Reads a list; `None` when it is cut or malformed, or names something twice.
///
/// ZFS never writes a name twice, and of two it takes the last. A list from a receiver that was looked at here under one value and used
/// there under another could ask for any snapshot.
pub(super) fn unpack(packed: &[u8]) -> Option<Vec<Pair>> {
    let (&[encoding, order, _, _], rest) = packed.split_first_chunk()?;
    let order = match (encoding, order) {
        (ENCODING_NATIVE, LITTLE_ENDIAN) => Order::Little,
        (ENCODING_NATIVE, BIG_ENDIAN) => Order::Big,
        _ => return None,
    };
    // Version and flags.
    let mut rest = rest.get(8..)?;
    let mut pairs = Vec::new();
    let mut names = BTreeSet::new();
    loop {
        let size = usize::try_from(order.word(rest, 0)?).ok()?;
        if size == 0 {
            return Some(pairs);
        }
        // At least a header, so that every round goes on; and only what lies as ZFS lays it, so that it is read there as here.
        if size < PAIR_HEADER || size % 8 != 0 {
            return None;
        }
        let (pair, after) = rest.split_at_checked(size)?;
        let pair = order.pair(pair)?;
        if !names.insert(pair.name.clone()) {
            return None;
        }
        pairs.push(pair);
        rest = after;
    }
}

/// Writes a list as a little-endian system does.
pub(super) fn pack(pairs: &[Pair]) -> Vec<u8> {
    let mut packed = vec![ENCODING_NATIVE, LITTLE_ENDIAN, 0, 0];
    packed.extend(0u32.to_le_bytes());
    packed.extend(UNIQUE_NAME.to_le_bytes());
    for Pair { name, value } in pairs {
        let (kind, elements, mut value) = match value {
            Value::Flag | Value::Unknown => (TYPE_BOOLEAN, 0u32, Vec::new()),
            Value::Number(number) => (TYPE_UINT64, 1, number.to_le_bytes().to_vec()),
            Value::Text(text) => (TYPE_STRING, 1, [text.as_bytes(), b"\0"].concat()),
        };
        let mut name = [name.as_bytes(), b"\0"].concat();
        let name_size = u16::try_from(name.len()).unwrap_or(u16::MAX);
        // The header has sixteen bytes, so that padding each part alone is padding as it lies in memory.
        name.resize(name.len().next_multiple_of(8), 0);
        value.resize(value.len().next_multiple_of(8), 0);
        let size = u32::try_from(PAIR_HEADER + name.len() + value.len()).unwrap_or(u32::MAX);
        packed.extend(size.to_le_bytes());
        packed.extend(name_size.to_le_bytes());
        packed.extend(0u16.to_le_bytes());
        packed.extend(elements.to_le_bytes());
        packed.extend(kind.to_le_bytes());
        packed.extend(name);
        packed.extend(value);
    }
    packed.extend(0u32.to_le_bytes());
    packed
}

/// The byte order of the writer.
#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn half(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        })
    }

    fn word(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        })
    }

    fn number(self, bytes: &[u8]) -> Option<u64> {
        let bytes = *bytes.first_chunk()?;
        Some(match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        })
    }

    fn pair(self, pair: &[u8]) -> Option<Pair> {
        let name_size = usize::from(self.half(pair, 4)?);
        let kind = self.word(pair, 12)?;
        let name = text(pair.get(PAIR_HEADER..PAIR_HEADER + name_size)?)?;
        let value = pair.get(PAIR_HEADER + name_size.next_multiple_of(8)..)?;
        let value = match kind {
            TYPE_BOOLEAN => Value::Flag,
            TYPE_UINT64 => Value::Number(self.number(value)?),
            TYPE_STRING => Value::Text(text(value)?),
            _ => Value::Unknown,
        };
        Some(Pair { name, value })
    }
}

/// What stands before the first NUL.
fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    String::from_utf8(bytes[..end].to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(name: &str, number: u64) -> Pair {
        Pair { name: name.into(), value: Value::Number(number) }
    }

    #[test]
    fn a_pair_has_the_bytes_it_has_in_memory() {
        let packed = pack(&[number("object", 2)]);
        let expected = [
            &[0, 1, 0, 0][..],
            &[0, 0, 0, 0, 1, 0, 0, 0],
            &[32, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0],
            b"object\0\0",
            &[2, 0, 0, 0, 0, 0, 0, 0],
            &[0, 0, 0, 0],
        ];
        assert_eq!(packed, expected.concat());
    }

    #[test]
    fn the_list_of_a_big_endian_system_is_read() {
        let packed = [
            &[0, 0, 0, 0][..],
            &[0, 0, 0, 0, 0, 0, 0, 1],
            &[0, 0, 0, 32, 0, 7, 0, 0, 0, 0, 0, 1, 0, 0, 0, 8],
            b"object\0\0",
            &[0, 0, 0, 0, 0, 0, 0, 2],
            &[0, 0, 0, 0],
        ];
        assert_eq!(unpack(&packed.concat()), Some(vec![number("object", 2)]));
    }

    #[test]
    fn a_name_that_occurs_twice_is_refused_whatever_it_says() {
        let flag = || Pair { name: "rawok".into(), value: Value::Flag };
        for twice in [
            [number("toguid", 7), number("toguid", 8)],
            [number("toguid", 7), number("toguid", 7)],
            [flag(), flag()],
            [flag(), number("rawok", 0)],
        ] {
            assert_eq!(unpack(&pack(&twice)), None, "{twice:?}");
        }
    }

    #[test]
    fn a_pair_that_does_not_lie_as_in_memory_is_refused() {
        let packed = pack(&[number("object", 2)]);
        for size in [1_u8, 8, 15, 31, 33] {
            let mut wrong = packed.clone();
            wrong[12] = size;
            assert_eq!(unpack(&wrong), None, "size {size}");
        }
    }

    #[test]
    fn a_cut_list_is_refused_wherever_it_is_cut() {
        let flag = Pair { name: "rawok".into(), value: Value::Flag };
        let text = Pair { name: "toname".into(), value: Value::Text("tank@a".into()) };
        let pairs = [number("toguid", 7), text, flag];
        let packed = pack(&pairs);
        assert_eq!(unpack(&packed).as_deref(), Some(&pairs[..]));
        for length in 0..packed.len() {
            assert_eq!(unpack(&packed[..length]), None, "cut at {length}");
        }
    }
}
