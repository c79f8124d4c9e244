//! Reads zstd.

use std::{fmt, io};

use zstd::stream::raw::{DParameter, Decoder as RawDecoder, Operation as _};

/// What comes out of zstd in one call.
const SCRATCH: usize = 256 << 10;
/// Levels up to 19 refer back 8 MiB at most. A stream that wants more memory than 128 MiB is not one of ours.
const WINDOW_LOG_MAX: u32 = 27;

/// One frame after another, until the stream ends.
pub(super) struct Decoder {
    raw: RawDecoder<'static>,
    scratch: Vec<u8>,
    within_frame: bool,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Decoder").field("within_frame", &self.within_frame).finish_non_exhaustive()
    }
}

impl Decoder {
    pub(super) fn new() -> io::Result<Self> {
        let mut raw = RawDecoder::new()?;
        raw.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
        Ok(Self { raw, scratch: vec![0; SCRATCH], within_frame: false })
    }

    /// Adds to `output` all that `input` says.
    pub(super) fn push(&mut self, mut input: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let status = self.raw.run_on_buffers(input, &mut self.scratch)?;
            output.extend_from_slice(&self.scratch[..status.bytes_written]);
            input = &input[status.bytes_read..];
            self.within_frame = status.remaining != 0;
            // A full output may mean that there is more, though all input was taken.
            let may_have_more = status.bytes_written == self.scratch.len() && self.within_frame;
            if input.is_empty() && !may_have_more {
                return Ok(());
            }
        }
    }

    /// True where a stream may end.
    pub(super) const fn is_complete(&self) -> bool {
        !self.within_frame
    }
}
