//! Compares two sides without a witness.

use std::fmt;

use async_trait::async_trait;
use zfs_sync_core::verify::{Answer, Comparison, Question, Verdict};
use zfs_sync_zfs::error::Error;

use super::Session;

/// Who answers for one side.
#[async_trait]
pub trait Side: Send + fmt::Debug {
    /// Answers all questions, in their order.
    async fn answer(&mut self, questions: &[Question]) -> Vec<Answer>;

    /// It is not asked any more.
    async fn close(self: Box<Self>) -> Result<(), Error>;
}

#[async_trait]
impl Side for Session {
    async fn answer(&mut self, questions: &[Question]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(questions.len());
        for question in questions {
            answers.push(Self::answer(self, question).await);
        }
        answers
    }

    async fn close(self: Box<Self>) -> Result<(), Error> {
        Self::close(*self).await
    }
}

/// Asks both, at the same time, until there is a verdict.
pub async fn compare(left: &mut dyn Side, right: &mut dyn Side, deep: bool) -> Verdict {
    let mut comparison = Comparison::new(deep);
    loop {
        if let Some(verdict) = comparison.verdict() {
            return verdict.clone();
        }
        let questions = comparison.questions().to_vec();
        let (left, right) = tokio::join!(left.answer(&questions), right.answer(&questions));
        comparison.answer(left, right);
    }
}
