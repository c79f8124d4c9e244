//! Bytes that are compressed or decompressed on their way through.

use std::{io, time::Instant};

use rustix::io::{Errno, read, retry_on_intr, write};
use zfs_sync_core::flow::Compression;

use super::{
    Mover, TICK, Turn,
    decoder::Decoder,
    encoder::Encoder,
    ends::{Ends, Ready},
};
use crate::pipeline::progress::WaitFor;

/// What is read in one call: two blocks of zstd.
const PIECE: usize = 256 << 10;

/// Decodes what comes, encodes what goes, or both.
#[derive(Debug)]
pub(super) struct Coded {
    decoder: Option<Decoder>,
    encoder: Option<Encoder>,
    input: Vec<u8>,
    /// What is on its way to the receiver, and how much of it has arrived.
    output: Vec<u8>,
    written: usize,
    /// Bytes of the stream that `output` stands for.
    stream: u64,
    ended: bool,
}

impl Coded {
    pub(super) fn new(decode: bool, encode: Compression) -> io::Result<Self> {
        let encoder = match encode {
            Compression::Off => None,
            Compression::Auto | Compression::Level(_) => Some(Encoder::new(encode)?),
        };
        let decoder = decode.then(Decoder::new).transpose()?;
        let (input, output) = (vec![0; PIECE], Vec::with_capacity(2 * PIECE));
        Ok(Self { decoder, encoder, input, output, written: 0, stream: 0, ended: false })
    }

    fn deliver(&mut self, ends: &Ends<'_>, allowed: u64) -> io::Result<Turn> {
        match ends.writable(TICK)? {
            Ready::Yes => {}
            Ready::NotYet => return Ok(Turn::Again),
            Ready::ReceiverGone => return Ok(Turn::ReceiverGone),
        }
        // What leaves this host compressed is what travels. What came compressed has travelled already.
        let travels = self.encoder.is_some();
        let most = if travels { usize::try_from(allowed).unwrap_or(usize::MAX) } else { usize::MAX };
        let rest = &self.output[self.written..];
        let rest = &rest[..rest.len().min(most)];
        let written = match retry_on_intr(|| write(ends.target, rest)) {
            Ok(written) => written,
            Err(Errno::AGAIN) => return Ok(Turn::Again),
            Err(error) => return Err(error.into()),
        };
        self.written += written;
        let wire = if travels { u64::try_from(written).unwrap_or(u64::MAX) } else { 0 };
        let mut stream = 0;
        if self.written == self.output.len() {
            self.output.clear();
            self.written = 0;
            stream = std::mem::take(&mut self.stream);
        }
        Ok(Turn::Moved { stream, wire })
    }

    /// What the encoder has kept back is worth sending when nothing follows for a while.
    fn flush(&mut self) -> io::Result<()> {
        let Some(encoder) = &mut self.encoder else { return Ok(()) };
        encoder.flush(&mut self.output)
    }

    fn take_in(&mut self, length: usize, ends: &Ends<'_>) -> io::Result<()> {
        let begun = Instant::now();
        let input = &self.input[..length];
        match (&mut self.decoder, &mut self.encoder) {
            (Some(decoder), None) => {
                decoder.push(input, &mut self.output)?;
                self.stream += u64::try_from(self.output.len()).unwrap_or(u64::MAX);
            }
            (Some(decoder), Some(encoder)) => {
                let mut plain = Vec::new();
                decoder.push(input, &mut plain)?;
                self.stream += u64::try_from(plain.len()).unwrap_or(u64::MAX);
                encoder.push(&plain, &mut self.output, ends.progress)?;
            }
            (None, Some(encoder)) => {
                self.stream += u64::try_from(length).unwrap_or(u64::MAX);
                encoder.push(input, &mut self.output, ends.progress)?;
            }
            (None, None) => {
                self.output.extend_from_slice(input);
                self.stream += u64::try_from(length).unwrap_or(u64::MAX);
            }
        }
        ends.progress.waited(WaitFor::Packing, begun.elapsed());
        Ok(())
    }

    fn end(&mut self, ends: &Ends<'_>) -> io::Result<()> {
        self.ended = true;
        if let Some(encoder) = &mut self.encoder {
            encoder.finish(&mut self.output, ends.progress)?;
        }
        // What had come of it has gone out: a stream of zstd that is cut ends as a stream of zfs that is cut.
        match &self.decoder {
            Some(decoder) if !decoder.is_complete() => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the compressed stream was cut"))
            }
            _ => Ok(()),
        }
    }
}

impl Mover for Coded {
    fn turn(&mut self, ends: &Ends<'_>, allowed: u64) -> io::Result<Turn> {
        if self.written < self.output.len() {
            return self.deliver(ends, allowed);
        }
        if self.ended {
            return Ok(Turn::Finished);
        }
        match ends.readable(TICK)? {
            Ready::Yes => {}
            Ready::NotYet => {
                self.flush()?;
                return Ok(Turn::Again);
            }
            Ready::ReceiverGone => return Ok(Turn::ReceiverGone),
        }
        // Where what comes is what travels, the limit holds here.
        let travels = self.encoder.is_none();
        let most = if travels { usize::try_from(allowed).unwrap_or(PIECE).min(PIECE) } else { PIECE };
        let length = match read(ends.source, &mut self.input[..most]) {
            Ok(length) => length,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(Turn::Again),
            Err(error) => return Err(error.into()),
        };
        if length == 0 {
            self.end(ends)?;
        } else {
            self.take_in(length, ends)?;
        }
        let wire = if travels { u64::try_from(length).unwrap_or(u64::MAX) } else { 0 };
        Ok(if wire > 0 { Turn::Moved { stream: 0, wire } } else { Turn::Again })
    }
}
