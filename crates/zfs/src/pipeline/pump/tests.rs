use std::{
    io::{Read as _, Write as _},
    sync::Arc,
};

use rstest::rstest;

use super::*;

/// What passes, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// Pages alone.
    Pages,
    /// With a buffer, smaller than what is sent, so that it goes round.
    Buffer,
    /// Compressed by one pump and decompressed by another.
    Zstd,
}

struct Running {
    into: PipeWriter,
    out: PipeReader,
    progress: ProgressCounter,
    stop: Arc<AtomicBool>,
    pumps: Vec<thread::JoinHandle<Ended>>,
}

impl Running {
    /// How the last pump ended, of which the others' ends follow.
    fn ended(self) -> Ended {
        drop(self.into);
        let mut ends: Vec<Ended> = self.pumps.into_iter().map(|pump| pump.join().unwrap()).collect();
        ends.pop().unwrap()
    }
}

fn start(by: By, limits: Vec<Limiter>) -> Running {
    let (source, into) = io::pipe().unwrap();
    let (out, target) = io::pipe().unwrap();
    let progress = ProgressCounter::new();
    let stop = Arc::new(AtomicBool::new(false));
    let pump = |source, target, buffer, way, progress: &ProgressCounter, limits| {
        let pump = Pump { source, target, progress: progress.clone(), limits, buffer, way };
        let stop = Arc::clone(&stop);
        thread::spawn(move || pump.run(&stop))
    };
    let pumps = match by {
        By::Pages => vec![pump(source, target, 0, Way::AsIs, &progress, limits)],
        By::Buffer => vec![pump(source, target, 3_000_001, Way::AsIs, &progress, limits)],
        By::Zstd => {
            let (between, packed) = io::pipe().unwrap();
            let encode = Way::Through { decode: false, encode: Compression::Auto };
            let decode = Way::Through { decode: true, encode: Compression::Off };
            vec![
                pump(source, packed, 0, encode, &ProgressCounter::new(), Vec::new()),
                pump(between, target, 0, decode, &progress, limits),
            ]
        }
    };
    Running { into, out, progress, stop, pumps }
}

#[rstest]
fn every_byte_arrives_in_order_and_is_counted(#[values(By::Pages, By::Buffer, By::Zstd)] by: By) {
    let Running { mut into, mut out, progress, stop, pumps } = start(by, Vec::new());
    let sent: Vec<u8> = (0..5_000_000u32).flat_map(u32::to_le_bytes).collect();
    let copy = sent.clone();
    let writer = thread::spawn(move || into.write_all(&copy).map(|()| into));
    let mut received = vec![0; sent.len()];
    // A receiver that is busy now and then: what it does not take waits in pipes, or in the buffer.
    for (index, piece) in received.chunks_mut(1 << 20).enumerate() {
        if index % 4 == 0 {
            thread::sleep(Duration::from_millis(20));
        }
        out.read_exact(piece).unwrap();
    }
    let into = writer.join().unwrap().unwrap();
    assert!(received == sent);
    let running = Running { into, out, progress: progress.clone(), stop, pumps };
    assert!(matches!(running.ended(), Ended::Finished));
    assert_eq!(progress.bytes(), 20_000_000);
    let wire = progress.wire_bytes();
    assert!(if by == By::Zstd { wire < 20_000_000 } else { wire == 20_000_000 }, "{wire}");
}

#[rstest]
fn it_stops_while_the_sender_is_silent(#[values(By::Pages, By::Buffer, By::Zstd)] by: By) {
    let Running { into, out, stop, pumps, .. } = start(by, Vec::new());
    stop.store(true, Ordering::Relaxed);
    for pump in pumps {
        assert!(!matches!(pump.join().unwrap(), Ended::Failed(_)));
    }
    drop((into, out));
}

#[rstest]
fn it_stops_while_the_receiver_does_not_read(#[values(By::Pages, By::Buffer)] by: By) {
    let Running { mut into, out, stop, pumps, .. } = start(by, Vec::new());
    // More than the pipes and the buffer hold: the writer itself blocks until the pump has gone.
    let writer = thread::spawn(move || into.write_all(&vec![0; 16 << 20]));
    stop.store(true, Ordering::Relaxed);
    for pump in pumps {
        assert!(matches!(pump.join().unwrap(), Ended::Stopped));
    }
    assert_eq!(writer.join().unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    drop(out);
}

#[rstest]
fn a_receiver_that_goes_away_is_noticed_while_the_sender_is_silent(
    #[values(By::Pages, By::Buffer, By::Zstd)] by: By,
) {
    let Running { into, out, mut pumps, .. } = start(by, Vec::new());
    drop(out);
    assert!(matches!(pumps.pop().unwrap().join().unwrap(), Ended::ReceiverGone));
    drop(into);
}

#[rstest]
fn what_was_read_is_handed_on_though_nothing_follows(#[values(By::Pages, By::Buffer, By::Zstd)] by: By) {
    let Running { mut into, mut out, progress, stop, pumps } = start(by, Vec::new());
    // More than one pipe holds, so that some of it has to wait for the receiver; then silence.
    let sent = vec![7; 600 << 10];
    let size = sent.len();
    let writer = thread::spawn(move || into.write_all(&sent).map(|()| into));
    let mut received = vec![0; size];
    out.read_exact(&mut received).unwrap();
    let into = writer.join().unwrap().unwrap();
    let running = Running { into, out, progress, stop, pumps };
    assert!(matches!(running.ended(), Ended::Finished));
}

#[rstest]
fn what_a_busy_receiver_does_not_take_waits_in_the_buffer() {
    let Running { mut into, out, pumps, progress, .. } = start(By::Buffer, Vec::new());
    // Two pipes of a megabyte, the buffer, and one more piece: the sender gets rid of it although nobody reads.
    let piece = vec![1; 1 << 20];
    for _ in 0..4 {
        into.write_all(&piece).unwrap();
    }
    drop(into);
    let mut received = Vec::new();
    { out }.read_to_end(&mut received).unwrap();
    assert_eq!(received.len(), 4 << 20);
    for pump in pumps {
        assert!(matches!(pump.join().unwrap(), Ended::Finished));
    }
    assert_eq!(progress.bytes(), 4 << 20);
}

#[rstest]
fn a_limited_pump_hands_on_everything_too(#[values(By::Pages, By::Buffer, By::Zstd)] by: By) {
    let limits = vec![Limiter::new(Some(2 << 20)), Limiter::new(None)];
    let Running { mut into, mut out, progress, pumps, .. } = start(by, limits);
    let writer = thread::spawn(move || into.write_all(&vec![7; 1 << 20]));
    let mut received = Vec::new();
    out.read_to_end(&mut received).unwrap();
    writer.join().unwrap().unwrap();
    for pump in pumps {
        assert!(matches!(pump.join().unwrap(), Ended::Finished));
    }
    assert_eq!(progress.bytes(), 1 << 20);
    let waits = progress.waits();
    // All but one bucket had to wait; compressed, all of it fits into one.
    assert!(by == By::Zstd || !waits.limit.is_zero(), "{waits:?}");
}

#[test]
fn a_compressed_stream_that_is_cut_ends_the_pump_as_a_failure_after_all_that_had_come() {
    let (source, mut into) = io::pipe().unwrap();
    let (mut out, target) = io::pipe().unwrap();
    let way = Way::Through { decode: true, encode: Compression::Off };
    let progress = ProgressCounter::new();
    let pump = Pump { source, target, progress: progress.clone(), limits: Vec::new(), buffer: 0, way };
    let running = thread::spawn(move || pump.run(&AtomicBool::new(false)));
    let plain: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
    let packed = zstd::encode_all(&plain[..], 1).unwrap();
    into.write_all(&packed[..packed.len() - 10]).unwrap();
    drop(into);
    let mut received = Vec::new();
    out.read_to_end(&mut received).unwrap();
    assert!(!received.is_empty() && plain.starts_with(&received), "{} bytes", received.len());
    assert!(matches!(running.join().unwrap(), Ended::Failed(_)));
    assert_eq!(progress.bytes(), u64::try_from(received.len()).unwrap());
}
