//! What waits for a receiver.

use std::io::{self, PipeReader, PipeWriter};

use rustix::io::{Errno, read, retry_on_intr, write};

/// A ring of bytes. Its memory is taken when it is first needed.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    capacity: usize,
    start: usize,
    length: usize,
}

impl Buffer {
    pub(super) const fn new(capacity: usize) -> Self {
        Self { bytes: Vec::new(), capacity, start: 0, length: 0 }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(super) const fn has_room(&self) -> bool {
        self.length < self.capacity
    }

    /// Reads what is there, which must be known not to block; 0 is the end of the stream.
    pub(super) fn fill(&mut self, source: &PipeReader) -> io::Result<Option<usize>> {
        if self.bytes.is_empty() {
            self.bytes = vec![0; self.capacity];
        }
        if self.length == 0 {
            self.start = 0;
        }
        let begin = (self.start + self.length) % self.capacity;
        let end = if begin < self.start { self.start } else { self.capacity };
        match read(source, &mut self.bytes[begin..end]) {
            Ok(length) => {
                self.length += length;
                Ok(Some(length))
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what the target takes, at most `most`.
    pub(super) fn drain(&mut self, target: &PipeWriter, most: u64) -> io::Result<u64> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let length = self.length.min(self.capacity - self.start).min(most);
        match retry_on_intr(|| write(target, &self.bytes[self.start..self.start + length])) {
            Ok(written) => {
                self.start = (self.start + written) % self.capacity;
                self.length -= written;
                Ok(u64::try_from(written).unwrap_or(u64::MAX))
            }
            Err(Errno::AGAIN) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}
