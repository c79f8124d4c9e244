//! Frames: four bytes of length, one of kind, and what they carry.
//!
//! Reading and writing may be dropped at any await point and go on afterwards: a frame that has begun to arrive stays in the reader, and a
//! writer knows when it has sent half of one.

use std::{io, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, timeout_at},
};

/// Bytes before what a frame carries.
pub(super) const HEADER: usize = 5;
/// What a frame of a stream carries at most; large, so that few system calls move much.
pub(super) const CHUNK: usize = 256 << 10;
/// What any frame carries at most. A longer one is no frame of ours.
const LARGEST: usize = 1 << 20;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A request or a reply, as JSON.
    Message,
    /// Bytes of a stream.
    Data,
    /// The stream has ended.
    End,
    /// Somebody is there.
    Ping,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Message => 1,
            Self::Data => 2,
            Self::End => 3,
            Self::Ping => 4,
        }
    }

    const fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Message),
            2 => Some(Self::Data),
            3 => Some(Self::End),
            4 => Some(Self::Ping),
            _ => None,
        }
    }
}

/// What came is nothing that was agreed on.
pub(super) fn unexpected(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the other side sent {what}"))
}

/// Reads a message.
pub(super) fn parse<T: DeserializeOwned>(payload: &[u8]) -> io::Result<T> {
    serde_json::from_slice(payload).map_err(|error| unexpected(&format!("a message that is none: {error}")))
}

/// The reading half of a connection.
#[derive(Debug)]
pub(super) struct FrameReader<R> {
    inner: R,
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
    /// Since when the next bytes are waited for.
    waiting_since: Option<Instant>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, buffer: vec![0; 64 << 10], begin: 0, end: 0, waiting_since: None }
    }

    /// The next frame. Silence for `patience` while it is waited for is an error; time in which nobody reads does not count.
    pub(super) async fn next(&mut self, patience: Duration) -> io::Result<(Kind, &[u8])> {
        loop {
            let wanted = match self.header()? {
                Some((kind, length)) if self.end - self.begin >= HEADER + length => {
                    let from = self.begin + HEADER;
                    self.begin = from + length;
                    return Ok((kind, &self.buffer[from..from + length]));
                }
                Some((_, length)) => HEADER + length,
                None => HEADER,
            };
            self.make_room(wanted);
            let since = *self.waiting_since.get_or_insert_with(Instant::now);
            let read = self.inner.read(&mut self.buffer[self.end..]);
            let read = timeout_at(since + patience, read).await.map_err(|_| {
                let seconds = patience.as_secs();
                io::Error::new(io::ErrorKind::TimedOut, format!("nothing was heard for {seconds} seconds"))
            })??;
            self.waiting_since = None;
            if read == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed"));
            }
            self.end += read;
        }
    }

    fn header(&self) -> io::Result<Option<(Kind, usize)>> {
        let Some(&[a, b, c, d, kind]) = self.buffer[self.begin..self.end].first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let kind = Kind::of(kind).ok_or_else(|| unexpected("a frame of no known kind"))?;
        if length > LARGEST {
            return Err(unexpected("a frame that is too long"));
        }
        Ok(Some((kind, length)))
    }

    fn make_room(&mut self, wanted: usize) {
        if self.begin == self.end {
            (self.begin, self.end) = (0, 0);
        }
        if self.buffer.len() - self.begin < wanted || self.end == self.buffer.len() {
            self.buffer.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
        }
        if self.buffer.len() < wanted {
            // Room for the frame after it as well: reads are then as large as they can be.
            self.buffer.resize(2 * wanted, 0);
        }
    }
}

/// The writing half of a connection.
#[derive(Debug)]
pub(super) struct FrameWriter<W> {
    inner: W,
    /// A frame was begun and not finished: nothing can follow it.
    torn: bool,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    pub(super) const fn new(inner: W) -> Self {
        Self { inner, torn: false }
    }

    /// True when no further frame can be sent.
    pub(super) const fn is_torn(&self) -> bool {
        self.torn
    }

    /// Sends a frame.
    pub(super) async fn send(&mut self, kind: Kind, payload: &[u8]) -> io::Result<()> {
        let mut frame = vec![0; HEADER + payload.len()];
        frame[HEADER..].copy_from_slice(payload);
        self.send_in_place(kind, &mut frame).await
    }

    /// Sends a message.
    pub(super) async fn message(&mut self, message: &impl Serialize) -> io::Result<()> {
        self.send(Kind::Message, &serde_json::to_vec(message)?).await
    }

    /// Sends a frame whose first [`HEADER`] bytes are still to be filled in.
    pub(super) async fn send_in_place(&mut self, kind: Kind, frame: &mut [u8]) -> io::Result<()> {
        let length = frame.len() - HEADER;
        if self.torn {
            return Err(io::Error::other("half a frame was sent before"));
        }
        let length = u32::try_from(length).ok().filter(|_| length <= LARGEST);
        let length = length.ok_or_else(|| io::Error::other("a frame would be too long"))?;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        frame[4] = kind.byte();
        let mut sent = 0;
        while sent < frame.len() {
            let more = self.inner.write(&frame[sent..]).await?;
            if more == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            sent += more;
            self.torn = sent < frame.len();
        }
        self.inner.flush().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(15);

    #[tokio::test]
    async fn frames_arrive_whole_however_they_are_cut() {
        let (near, far) = tokio::io::duplex(7);
        let long = vec![9; 300_000];
        let expected = long.clone();
        let sending = async move {
            let mut writer = FrameWriter::new(near);
            writer.message(&"hello").await.unwrap();
            writer.send(Kind::Ping, &[]).await.unwrap();
            writer.send(Kind::Data, &long).await.unwrap();
            writer.send(Kind::End, &[]).await.unwrap();
        };
        let reading = async move {
            let mut reader = FrameReader::new(far);
            let (kind, payload) = reader.next(PATIENCE).await.unwrap();
            assert_eq!((kind, parse::<String>(payload).unwrap().as_str()), (Kind::Message, "hello"));
            assert_eq!(reader.next(PATIENCE).await.unwrap(), (Kind::Ping, &[][..]));
            let (kind, payload) = reader.next(PATIENCE).await.unwrap();
            assert!(kind == Kind::Data && payload == expected);
            assert_eq!(reader.next(PATIENCE).await.unwrap().0, Kind::End);
            let closed = reader.next(PATIENCE).await.unwrap_err();
            assert_eq!(closed.kind(), io::ErrorKind::UnexpectedEof);
        };
        tokio::join!(sending, reading);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_noticed_although_the_wait_begins_anew() {
        let (_near, far) = tokio::io::duplex(64);
        let mut reader = FrameReader::new(far);
        let begun = Instant::now();
        let silent = loop {
            tokio::select! {
                read = reader.next(PATIENCE) => break read.unwrap_err(),
                () = tokio::time::sleep(Duration::from_secs(5)) => {}
            }
        };
        assert_eq!(silent.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed(), PATIENCE);
    }

    #[tokio::test]
    async fn what_is_no_frame_is_refused() {
        for bytes in [[0, 0, 0, 0, 9], [0xff, 0, 0, 0, 2]] {
            let (mut near, far) = tokio::io::duplex(64);
            near.write_all(&bytes).await.unwrap();
            let refused = FrameReader::new(far).next(PATIENCE).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
        }
    }

    #[tokio::test]
    async fn a_writer_knows_that_it_stopped_within_a_frame() {
        let (near, _far) = tokio::io::duplex(4);
        let mut writer = FrameWriter::new(near);
        tokio::select! {
            biased;
            _ = writer.send(Kind::Data, &[1; 100]) => panic!("nobody reads"),
            () = std::future::ready(()) => {}
        }
        assert!(writer.is_torn());
        assert!(writer.send(Kind::Ping, &[]).await.is_err());
    }
}
