//! Reads snapshots for verifications: answers the witness's questions until it has no more.
//!
//! A session may wait long for the other side's agent, and costs nothing meanwhile; so an agent takes many, and only reading is limited.
//! Nothing of it is remembered on disk: when this process dies the witness begins the verification anew.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::OwnedSemaphorePermit,
    time::{MissedTickBehavior, timeout},
};
use zfs_sync_api::{
    codes::ErrorCode,
    v1::verification::{ExchangeAnswer, ExchangeRequest, VerificationTask},
};
use zfs_sync_core::verify::{Answer, Question};

use super::{Shared, backoff::Backoff, log_witness_error};
use crate::verify::{Control, Session};

/// How long the witness may hold an answer back: below the usual 30 s after which proxies give up.
const WAIT: Duration = Duration::from_secs(20);
/// While it reads, the witness hears of it this often; three times within a shorter lease.
const TELL_EVERY: Duration = Duration::from_secs(4);
/// Within which a thread that is told to stop has stopped, if its disks are alive: it looks after each megabyte. Longer than a device is
/// waited for, after which what was set for it is taken back.
const LET_GO: Duration = Duration::from_secs(30);

/// Why a session ends before the witness says so.
#[derive(Debug)]
struct Stopped;

/// One side of a verification.
struct Work {
    shared: Arc<Shared>,
    task: VerificationTask,
    control: Arc<Control>,
}

/// Takes a side and starts to work on it.
pub(super) fn accept(shared: &Arc<Shared>, task: VerificationTask) {
    // What is not taken is leased again when the lease ends.
    let Ok(place) = Arc::clone(&shared.sessions).try_acquire_owned() else { return };
    shared.transfers.spawn(run(Arc::clone(shared), task, place));
}

async fn run(shared: Arc<Shared>, task: VerificationTask, place: OwnedSemaphorePermit) {
    let VerificationTask { id, ref snapshot, rate, .. } = task;
    tracing::info!(verification.id = %id, "verification {id} of {snapshot} begins");
    let control = Arc::new(Control::new(rate));
    let scratch = &shared.data_dir;
    let mut session =
        Session::new(Arc::clone(&shared.local), snapshot.clone(), scratch, Arc::clone(&control));
    let work = Work { shared: Arc::clone(&shared), task, control };
    let ended = work.converse(&mut session).await;
    if let Err(error) = session.close().await {
        tracing::warn!(verification.id = %id, code = error.code(), "could not tidy up after verification {id}; the next start does: {error}");
    }
    if ended.is_ok() {
        tracing::info!(verification.id = %id, "verification {id} is over");
    }
    drop(place);
}

impl Work {
    /// Answers until nothing more is asked.
    async fn converse(&self, session: &mut Session) -> Result<(), Stopped> {
        let (mut round, mut answers) = (0, None);
        loop {
            let ExchangeAnswer { over, round: present, questions } =
                self.say(round, answers.take(), WAIT).await?;
            if over {
                return Ok(());
            }
            if present == round {
                continue;
            }
            round = present;
            answers = Some(self.answer(session, round, &questions).await?);
        }
    }

    /// Says something until the witness has heard it.
    async fn say(
        &self,
        round: u32,
        answers: Option<Vec<Answer>>,
        wait: Duration,
    ) -> Result<ExchangeAnswer, Stopped> {
        let (entries, bytes) = self.control.progress();
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let VerificationTask { id, side, generation, .. } = self.task;
        let request = ExchangeRequest { generation, side, round, answers, entries, bytes, wait_ms };
        let mut backoff = Backoff::witness();
        loop {
            let said = self.shared.client.exchange_verification(id, &request);
            match self.shared.unless_shutdown(said).await.ok_or(Stopped)? {
                Ok(answer) => return Ok(answer),
                Err(error) if error.is_retryable() => {
                    log_witness_error(&format!("answer for verification {id}"), &error);
                    if !self.shared.sleep(backoff.delay()).await {
                        return Err(Stopped);
                    }
                }
                Err(error) => {
                    if error.code() == ErrorCode::LeaseLost {
                        tracing::info!(verification.id = %id, "verification {id} begins anew");
                    } else {
                        log_witness_error(&format!("answer for verification {id}"), &error);
                    }
                    return Err(Stopped);
                }
            }
        }
    }

    /// Works on the questions, and lets the witness know meanwhile.
    async fn answer(
        &self,
        session: &mut Session,
        round: u32,
        questions: &[Question],
    ) -> Result<Vec<Answer>, Stopped> {
        let every =
            (Duration::from_millis(self.task.lease_ms) / 3).clamp(Duration::from_millis(10), TELL_EVERY);
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let working = async {
            // One reader at a time: disks are fastest so, and transfers have them to themselves for the rest.
            let _reading = self.shared.reading.acquire().await.expect("the places are never closed");
            let mut answers = Vec::with_capacity(questions.len());
            for question in questions {
                answers.push(session.answer(question).await);
            }
            answers
        };
        tokio::pin!(working);
        let telling = async {
            loop {
                ticks.tick().await;
                if self.say(round, None, Duration::ZERO).await?.over {
                    return Err::<(), Stopped>(Stopped);
                }
            }
        };
        tokio::select! {
            answers = &mut working => Ok(answers),
            stopped = telling => {
                self.control.cancel();
                // The thread that reads notices soon, and then its content can be closed; unless it waits for a disk that answers no more.
                if timeout(LET_GO, working).await.is_err() {
                    let id = self.task.id;
                    tracing::warn!(verification.id = %id, "what reads for verification {id} does not stop: a disk does not answer");
                }
                stopped.map(|()| Vec::new())
            }
        }
    }
}
