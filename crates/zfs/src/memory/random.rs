//! Deterministic numbers and payload bytes: the same seed gives the same world.

/// The odd constant by which the generator's state moves.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes 64 bits so that neighbouring inputs give unrelated outputs.
pub(super) const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A sequence of numbers that depends on nothing but its seed.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }
}

/// Folds bytes into a checksum.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(8);
    let mut sum = bytes.len() as u64;
    for word in words.by_ref() {
        sum = mix(sum ^ u64::from_le_bytes(word.try_into().expect("chunks_exact gives eight bytes")));
    }
    words.remainder().iter().fold(sum, |sum, byte| mix(sum ^ u64::from(*byte)))
}

/// Writes the bytes that the block `seed` has from `offset` on; `offset` is a multiple of eight.
pub(super) fn fill_payload(seed: u64, offset: u64, target: &mut [u8]) {
    for (word, chunk) in (offset / 8..).zip(target.chunks_mut(8)) {
        let bytes = mix(seed.wrapping_add(word.wrapping_mul(STEP))).to_le_bytes();
        chunk.copy_from_slice(&bytes[..chunk.len()]);
    }
}
