//! Whose fault it was.
//!
//! When a pipeline breaks every part of it complains. The receiver's own complaint comes first, then the sender's, then
//! the connection's; being cut off by a neighbour is a symptom and only counts where nobody has a cause.

use super::{StageName, pump};
use crate::{
    error::{Error, Kind},
    runner::StageEnd,
};

/// How both stages and the pump ended.
#[derive(Debug)]
pub(super) struct Ends<'a> {
    pub(super) send: &'a StageEnd,
    pub(super) receive: &'a StageEnd,
    pub(super) pump: &'a pump::Ended,
}

/// The culprit and what it said, or `None` where everything went well.
///
/// `send_error` and `receive_error` make an [`Error`] of a stage's end.
pub(super) fn blame(
    ends: &Ends<'_>,
    send_error: impl FnOnce() -> Error,
    receive_error: impl FnOnce() -> Error,
) -> Option<(StageName, Error)> {
    let Ends { send, receive, pump } = ends;
    match (send.success, receive.success) {
        (true, true) => match pump {
            // A receiver that has its last record may be gone before the sender closes the stream.
            pump::Ended::Finished | pump::Ended::ReceiverGone => None,
            pump::Ended::Stopped | pump::Ended::Failed(_) => {
                let mut error = receive_error();
                error.kind = Kind::StreamCut;
                error.status = match pump {
                    pump::Ended::Failed(cause) => format!("ended before the stream did: {cause}"),
                    _ => "ended before the stream did".to_owned(),
                };
                Some((StageName::Transport, error))
            }
        },
        (true, false) => {
            let mut error = receive_error();
            // "checksum mismatch or incomplete stream", and it was complete.
            if error.kind == Kind::StreamCut && matches!(pump, pump::Ended::Finished) {
                error.kind = Kind::StreamDamaged;
            }
            Some(named(StageName::Receive, error))
        }
        (false, true) => {
            let mut error = send_error();
            if send.broken_pipe {
                // The receiver was content with a part of the stream.
                error.kind = Kind::StreamCut;
                return Some((StageName::Transport, error));
            }
            Some(named(StageName::Send, error))
        }
        (false, false) => {
            let (send_error, receive_error) = (send_error(), receive_error());
            if !is_symptom_of_receiver(receive, &receive_error) || is_symptom_of_sender(send, &send_error) {
                Some(named(StageName::Receive, receive_error))
            } else {
                Some(named(StageName::Send, send_error))
            }
        }
    }
}

/// A failing connection is nobody's `zfs`.
fn named(stage: StageName, error: Error) -> (StageName, Error) {
    if error.kind.is_transport() { (StageName::Transport, error) } else { (stage, error) }
}

/// The receiver complains only that the stream ended.
fn is_symptom_of_receiver(receive: &StageEnd, error: &Error) -> bool {
    receive.broken_pipe || matches!(error.kind, Kind::StreamCut | Kind::Interrupted)
}

/// The sender complains only that nobody listens.
fn is_symptom_of_sender(send: &StageEnd, error: &Error) -> bool {
    send.broken_pipe || error.kind == Kind::Interrupted
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::command::{Command, Scope};

    const CUT: &str = "cannot receive incremental stream: checksum mismatch or incomplete stream.\n";
    const NO_HEADER: &str = "cannot receive: failed to read from stream\n";
    const FULL: &str = "cannot receive incremental stream: out of space\n";
    const GONE: &str = "cannot open 'tank/a@x': dataset does not exist\n";
    const PIPE: &str = "warning: cannot send 'tank/a@x': Broken pipe\n";
    const SIGNAL: &str = "warning: cannot send 'tank/a@x': signal received\n";
    const REFUSED: &str = "ssh: connect to host nas2 port 22: Connection refused\n";
    const LOST: &str = "Timeout, server nas2 not responding.\n";
    const INPUT: &str = "warning: cannot send 'tank/a@x': Input/output error\n";

    fn end(stderr: Option<&str>) -> StageEnd {
        let Some(stderr) = stderr else {
            return StageEnd {
                success: true,
                status: "exited with 0".into(),
                stderr: String::new(),
                broken_pipe: false,
            };
        };
        let broken_pipe = [PIPE, SIGNAL].contains(&stderr);
        StageEnd { success: false, status: "exited with 1".into(), stderr: stderr.into(), broken_pipe }
    }

    fn blamed(send: &StageEnd, receive: &StageEnd, pump: &pump::Ended) -> Option<(StageName, Kind)> {
        let command = Command::ListHistory { scope: Scope::Everything };
        let ends = Ends { send, receive, pump };
        blame(&ends, || Error::ended("a", &command, send), || Error::ended("b", &command, receive))
            .map(|(stage, error)| (stage, error.kind))
    }

    #[rstest]
    #[case::nothing_wrong(None, None, None)]
    #[case::receiver_full(Some(PIPE), Some(FULL), Some((StageName::Receive, Kind::NoSpace)))]
    #[case::receiver_full_sender_signalled(Some(SIGNAL), Some(FULL), Some((StageName::Receive, Kind::NoSpace)))]
    #[case::receiver_alone(None, Some(FULL), Some((StageName::Receive, Kind::NoSpace)))]
    #[case::snapshot_gone(Some(GONE), Some(NO_HEADER), Some((StageName::Send, Kind::NotFound)))]
    #[case::snapshot_gone_receiver_content(Some(GONE), None, Some((StageName::Send, Kind::NotFound)))]
    #[case::unreadable_block(Some(INPUT), Some(CUT), Some((StageName::Send, Kind::SourceUnreadable)))]
    #[case::both_cut(Some(PIPE), Some(CUT), Some((StageName::Receive, Kind::StreamCut)))]
    #[case::whole_and_yet_unreadable(None, Some(CUT), Some((StageName::Receive, Kind::StreamDamaged)))]
    #[case::receiver_unreachable(Some(PIPE), Some(REFUSED), Some((StageName::Transport, Kind::SshUnreachable)))]
    #[case::sender_unreachable(Some(LOST), Some(CUT), Some((StageName::Transport, Kind::SshUnreachable)))]
    #[case::both_have_causes(Some(GONE), Some(FULL), Some((StageName::Receive, Kind::NoSpace)))]
    #[case::receiver_content_too_early(Some(PIPE), None, Some((StageName::Transport, Kind::StreamCut)))]
    fn the_first_cause_is_found(
        #[case] send: Option<&str>,
        #[case] receive: Option<&str>,
        #[case] expected: Option<(StageName, Kind)>,
    ) {
        assert_eq!(blamed(&end(send), &end(receive), &pump::Ended::Finished), expected);
    }

    #[test]
    fn a_stream_that_the_pump_did_not_hand_on_is_no_success() {
        let expected = Some((StageName::Transport, Kind::StreamCut));
        assert_eq!(blamed(&end(None), &end(None), &pump::Ended::Stopped), expected);
        let failed = pump::Ended::Failed(std::io::Error::other("x"));
        assert_eq!(blamed(&end(None), &end(None), &failed), expected);
    }

    #[test]
    fn a_receiver_that_leaves_first_with_everything_is_a_success() {
        assert_eq!(blamed(&end(None), &end(None), &pump::Ended::ReceiverGone), None);
    }
}
