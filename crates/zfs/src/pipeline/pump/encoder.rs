//! Writes zstd: frames of some megabytes, each at the level that suits the moment, or with its data as it is.

use std::{fmt, io};

use zfs_sync_core::flow::Compression;
use zstd::stream::raw::{CParameter, Encoder as RawEncoder, Operation as _, OutBuffer};

use super::adapt::{Adapt, Mode, Spent};
use crate::pipeline::progress::{Packed, ProgressCounter, Waits};

/// Input of a frame. Long enough to be measured, short enough to follow a change; each costs some ten bytes.
const FRAME: u64 = 4 << 20;
/// What comes out of zstd in one call.
const SCRATCH: usize = 256 << 10;
/// A frame with stored blocks begins so: magic number, no size and no checksum, a window of 128 KiB (RFC 8878, 3.1.1).
const STORED_HEADER: [u8; 6] = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x38];
/// The largest stored block within that window.
const STORED_BLOCK: usize = 128 << 10;

/// Compresses a stream.
pub(super) struct Encoder {
    raw: RawEncoder<'static>,
    scratch: Vec<u8>,
    adapt: Adapt,
    mode: Mode,
    /// The frame that is being written, if any.
    frame: Option<Frame>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    input: u64,
    output: u64,
    waits: Waits,
    /// Something of it is still within zstd.
    kept_back: bool,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Encoder")
            .field("mode", &self.mode)
            .field("frame", &self.frame)
            .finish_non_exhaustive()
    }
}

impl Encoder {
    pub(super) fn new(compression: Compression) -> io::Result<Self> {
        let adapt = Adapt::new(compression);
        let mode = adapt.first();
        Ok(Self { raw: RawEncoder::new(1)?, scratch: vec![0; SCRATCH], adapt, mode, frame: None })
    }

    /// Takes `input` in; what is ready goes to the end of `output`.
    pub(super) fn push(
        &mut self,
        mut input: &[u8],
        output: &mut Vec<u8>,
        progress: &ProgressCounter,
    ) -> io::Result<()> {
        while !input.is_empty() {
            let frame = match self.frame {
                Some(frame) => frame,
                None => self.begin(output, progress)?,
            };
            let room = usize::try_from(FRAME - frame.input).unwrap_or(usize::MAX);
            let (now, later) = input.split_at(input.len().min(room));
            let before = output.len();
            match self.mode {
                Mode::Stored(_) => store(now, output),
                Mode::Level(_) => self.compress(now, output)?,
            }
            self.count(now.len(), output.len() - before);
            input = later;
            if self.frame.is_some_and(|frame| frame.input >= FRAME) {
                self.end_frame(output, progress)?;
            }
        }
        Ok(())
    }

    /// Hands out what was kept back.
    pub(super) fn flush(&mut self, output: &mut Vec<u8>) -> io::Result<()> {
        if !self.frame.is_some_and(|frame| frame.kept_back) {
            return Ok(());
        }
        let before = output.len();
        loop {
            let mut out = OutBuffer::around(&mut self.scratch[..]);
            let remaining = self.raw.flush(&mut out)?;
            output.extend_from_slice(out.as_slice());
            if remaining == 0 {
                break;
            }
        }
        self.count(0, output.len() - before);
        if let Some(frame) = &mut self.frame {
            frame.kept_back = false;
        }
        Ok(())
    }

    /// Ends the stream.
    pub(super) fn finish(&mut self, output: &mut Vec<u8>, progress: &ProgressCounter) -> io::Result<()> {
        if self.frame.is_some() { self.end_frame(output, progress) } else { Ok(()) }
    }

    fn begin(&mut self, output: &mut Vec<u8>, progress: &ProgressCounter) -> io::Result<Frame> {
        let packed = match self.mode {
            Mode::Level(level) => {
                self.raw.reinit()?;
                self.raw.set_parameter(CParameter::CompressionLevel(level))?;
                Packed::Level(level)
            }
            Mode::Stored(why) => {
                output.extend_from_slice(&STORED_HEADER);
                why.packed()
            }
        };
        if progress.packed().as_ref() != Some(&packed) {
            progress.set_packed(packed);
        }
        let frame = Frame { input: 0, output: 0, waits: progress.waits(), kept_back: false };
        self.frame = Some(frame);
        Ok(frame)
    }

    fn compress(&mut self, mut input: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
        while !input.is_empty() {
            let status = self.raw.run_on_buffers(input, &mut self.scratch)?;
            output.extend_from_slice(&self.scratch[..status.bytes_written]);
            input = &input[status.bytes_read..];
        }
        if let Some(frame) = &mut self.frame {
            frame.kept_back = true;
        }
        Ok(())
    }

    fn count(&mut self, input: usize, output: usize) {
        if let Some(frame) = &mut self.frame {
            frame.input += u64::try_from(input).unwrap_or(u64::MAX);
            frame.output += u64::try_from(output).unwrap_or(u64::MAX);
        }
    }

    fn end_frame(&mut self, output: &mut Vec<u8>, progress: &ProgressCounter) -> io::Result<()> {
        let before = output.len();
        match self.mode {
            // An empty block that is the last one.
            Mode::Stored(_) => output.extend_from_slice(&[1, 0, 0]),
            Mode::Level(_) => loop {
                let mut out = OutBuffer::around(&mut self.scratch[..]);
                let remaining = self.raw.finish(&mut out, false)?;
                output.extend_from_slice(out.as_slice());
                if remaining == 0 {
                    break;
                }
            },
        }
        self.count(0, output.len() - before);
        if let Some(frame) = self.frame.take() {
            let spent = Spent::between(frame.input, frame.output, &frame.waits, &progress.waits());
            self.mode = self.adapt.next(&spent);
        }
        Ok(())
    }
}

fn store(input: &[u8], output: &mut Vec<u8>) {
    for block in input.chunks(STORED_BLOCK) {
        // Not the last block, type 0 (raw), and the size from the fourth bit on.
        let header = u32::try_from(block.len()).expect("a block is small") << 3;
        output.extend_from_slice(&header.to_le_bytes()[..3]);
        output.extend_from_slice(block);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{adapt::Why, decoder::Decoder},
        *,
    };

    fn decoded(packed: &[u8]) -> Vec<u8> {
        let (mut decoder, mut plain) = (Decoder::new().unwrap(), Vec::new());
        // Cut anywhere, as pipes do.
        for piece in packed.chunks(1000) {
            decoder.push(piece, &mut plain).unwrap();
        }
        assert!(decoder.is_complete());
        plain
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut word = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        (0..length.div_ceil(8)).flat_map(|_| word()).take(length).collect()
    }

    fn encoded(compression: Compression, pieces: &[Vec<u8>]) -> Vec<u8> {
        let progress = ProgressCounter::new();
        let (mut encoder, mut packed) = (Encoder::new(compression).unwrap(), Vec::new());
        for piece in pieces {
            encoder.push(piece, &mut packed, &progress).unwrap();
        }
        encoder.finish(&mut packed, &progress).unwrap();
        packed
    }

    #[test]
    fn what_shrinks_is_smaller_and_what_does_not_is_stored() {
        let zeros = encoded(Compression::Auto, &[vec![0; 20 << 20]]);
        assert!(zeros.len() < 100_000, "{}", zeros.len());
        assert!(decoded(&zeros) == vec![0; 20 << 20]);

        let progress = ProgressCounter::new();
        let noise = noise(20 << 20);
        let (mut encoder, mut packed) = (Encoder::new(Compression::Auto).unwrap(), Vec::new());
        encoder.push(&noise, &mut packed, &progress).unwrap();
        assert_eq!(encoder.mode, Mode::Stored(Why::DoesNotShrink));
        encoder.finish(&mut packed, &progress).unwrap();
        assert!(packed.len() < noise.len() + noise.len() / 1000, "{} of {}", packed.len(), noise.len());
        assert!(decoded(&packed) == noise);
        assert_eq!(progress.packed(), Some(Packed::DoesNotShrink));
    }

    #[test]
    fn what_is_flushed_can_be_read_though_nothing_follows() {
        let progress = ProgressCounter::new();
        let (mut encoder, mut packed) = (Encoder::new(Compression::Level(3)).unwrap(), Vec::new());
        encoder.push(b"a record of a stream", &mut packed, &progress).unwrap();
        encoder.flush(&mut packed).unwrap();
        let (mut decoder, mut plain) = (Decoder::new().unwrap(), Vec::new());
        decoder.push(&packed, &mut plain).unwrap();
        assert_eq!(plain, b"a record of a stream");
        assert!(!decoder.is_complete(), "the frame goes on");
    }

    #[test]
    fn a_cut_stream_gives_all_that_had_come() {
        let noise = noise(3 << 20);
        let packed = encoded(Compression::Level(1), std::slice::from_ref(&noise));
        let (mut decoder, mut plain) = (Decoder::new().unwrap(), Vec::new());
        decoder.push(&packed[..packed.len() / 2], &mut plain).unwrap();
        assert!(!decoder.is_complete());
        assert!(plain.len() > noise.len() / 2 - (256 << 10), "{}", plain.len());
        assert!(noise.starts_with(&plain));
    }

    #[test]
    fn what_is_no_zstd_is_an_error_and_no_panic() {
        let mut decoder = Decoder::new().unwrap();
        assert!(decoder.push(b"cannot open 'tank/a': dataset does not exist", &mut Vec::new()).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn everything_comes_back(
            pieces in prop::collection::vec((any::<bool>(), 0usize..900_000), 1..20),
            level in prop::option::of(1u8..6),
        ) {
            let pieces: Vec<Vec<u8>> = pieces
                .into_iter()
                .map(|(random, length)| if random { noise(length) } else { vec![7; length] })
                .collect();
            let compression = level.map_or(Compression::Auto, Compression::Level);
            prop_assert!(decoded(&encoded(compression, &pieces)) == pieces.concat());
        }
    }
}
