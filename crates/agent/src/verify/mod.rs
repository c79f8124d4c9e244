//! Answers questions about the content of a snapshot on this host ([`zfs_sync_core::verify`]).
//!
//! A [`Session`] is about one snapshot. Asked for the digest of everything, it opens the snapshot, reads all of it once, and keeps a
//! `manifest`: per directory what is in it. Questions about directories are answered from there, questions about bytes by
//! reading again. The manifest lies in a file without a name, so that nothing of it survives this process.
//!
//! Memory: the names in the directories on the way from the root to where the walk is, and one record for each file with several
//! names of which not all were seen yet. What is not compared: access times, holes, inode numbers, file flags, project numbers.

mod blocks;
mod control;
mod inspect;
mod manifest;
mod pair;
#[cfg(test)]
mod tests;
mod walk;

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
pub use control::Control;
pub use pair::{Side, compare};
use zfs_sync_core::{
    guid::Guid,
    inventory::DatasetKind,
    name::SnapshotName,
    verify::{Answer, ByteText, Entry, EntryKind, Question, Summary},
};
use zfs_sync_zfs::{
    content::Content,
    error::{Error, Kind},
    runner::Runner,
};

use self::manifest::Manifest;

/// Reads one snapshot for comparisons. [`Session::close`] gives back what was changed to reach it.
#[derive(Debug)]
pub struct Session {
    runner: Arc<dyn Runner>,
    snapshot: SnapshotName,
    scratch: Utf8PathBuf,
    control: Arc<Control>,
    /// Which snapshot it was when it was looked at.
    found: Option<(Guid, DatasetKind)>,
    opened: Option<Opened>,
}

#[derive(Debug)]
struct Opened {
    /// Shared with the thread that reads; `None` when that thread died.
    content: Arc<Content>,
    /// Of a file system.
    manifest: Option<Arc<Manifest>>,
}

/// Why a question has no answer.
#[derive(Debug)]
struct Refusal {
    code: String,
    detail: String,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        // What can not be read here is not unknown to ZFS.
        let code = if error.kind == Kind::Unsupported { "E_VERIFY_UNSUPPORTED" } else { error.code() };
        Self { code: code.to_owned(), detail: error.to_string() }
    }
}

fn refusal(code: &str, detail: impl Into<String>) -> Refusal {
    Refusal { code: code.to_owned(), detail: detail.into() }
}

fn unread(what: &str, error: &std::io::Error) -> Refusal {
    refusal("E_VERIFY_READ", format!("{what}: {error}"))
}

impl Session {
    /// About one snapshot. Nothing is opened yet; `scratch` is where the manifest may lie.
    pub fn new(
        runner: Arc<dyn Runner>,
        snapshot: SnapshotName,
        scratch: &Utf8Path,
        control: Arc<Control>,
    ) -> Self {
        Self { runner, snapshot, scratch: scratch.to_owned(), control, found: None, opened: None }
    }

    /// Answers one question; what can not be answered is refused with a code.
    pub async fn answer(&mut self, question: &Question) -> Answer {
        let answered = match question {
            Question::Inspect => self.inspect().await,
            Question::Digest { access_lists } => self.digest(*access_lists).await,
            Question::Directory { path, prefix, split } => self.directory(path, prefix, *split).await,
            Question::Content { path, offset, length, block } => {
                self.blocks(path, (*offset, *length, *block)).await
            }
        };
        answered.unwrap_or_else(|Refusal { code, detail }| Answer::Refused { code, detail })
    }

    async fn inspect(&mut self) -> Result<Answer, Refusal> {
        let inspected = inspect::inspect(&*self.runner, &self.snapshot).await?;
        self.found = Some((inspected.guid, inspected.kind));
        Ok(Answer::Inspected(Box::new(inspected)))
    }

    async fn digest(&mut self, access_lists: bool) -> Result<Answer, Refusal> {
        if let Some(opened) = self.opened.take() {
            self.put_back(opened).await?;
        }
        let (guid, kind) =
            self.found.ok_or_else(|| refusal("E_VERIFY_ANSWER", "nothing was looked at yet"))?;
        let content = Arc::new(self.runner.open_content(&self.snapshot, kind).await?);
        self.opened = Some(Opened { content: Arc::clone(&content), manifest: None });
        // It is opened by its name. From now on nobody can destroy it; but before, somebody may have made another one of that name.
        let present = inspect::guid(&*self.runner, &self.snapshot).await?;
        if present != guid {
            let detail = format!(
                "{} with the GUID {guid} is gone: another one, {present}, has its name now",
                self.snapshot
            );
            return Err(refusal(Kind::NotFound.code(), detail));
        }
        let (control, scratch) = (Arc::clone(&self.control), self.scratch.clone());
        let read = in_thread(move || match &*content {
            Content::Tree(tree) => {
                let (manifest, summary) = walk::read(tree.root(), &scratch, access_lists, &control)?;
                Ok((Some(manifest), summary))
            }
            Content::Volume(volume) => {
                let digest = blocks::digest(volume.device(), volume.size(), &control)?;
                let mut root = Entry::new(ByteText::default(), EntryKind::Volume);
                (root.size, root.content) = (volume.size(), Some(digest));
                Ok((None, Summary { root, entries: 1, bytes: volume.size() }))
            }
        });
        let (manifest, summary) = read.await.map_err(|error| unread("reading all of it", &error))?;
        if let Some(opened) = &mut self.opened {
            opened.manifest = manifest.map(Arc::new);
        }
        Ok(Answer::Summary(Box::new(summary)))
    }

    async fn directory(&self, path: &ByteText, prefix: &[u8], split: bool) -> Result<Answer, Refusal> {
        let manifest = self.opened.as_ref().and_then(|opened| opened.manifest.clone());
        let manifest = manifest.ok_or_else(|| refusal("E_VERIFY_ANSWER", "no file system was read yet"))?;
        let (path, prefix) = (path.clone(), prefix.to_vec());
        let answer = in_thread(move || manifest.directory(&path, &prefix, split)).await;
        answer.map_err(|error| unread("looking into a directory", &error))
    }

    async fn blocks(&self, path: &ByteText, range: (u64, u64, u64)) -> Result<Answer, Refusal> {
        let opened =
            self.opened.as_ref().ok_or_else(|| refusal("E_VERIFY_ANSWER", "nothing was read yet"))?;
        let (content, control, path) = (Arc::clone(&opened.content), Arc::clone(&self.control), path.clone());
        let digests = in_thread(move || match &*content {
            Content::Tree(tree) => {
                let file = walk::open_file(tree.root(), &path)?;
                blocks::digests(&file, range, &control)
            }
            Content::Volume(volume) => blocks::digests(volume.device(), range, &control),
        });
        let digests = digests.await.map_err(|error| unread("reading a part again", &error))?;
        Ok(Answer::Blocks { digests })
    }

    /// Gives back what was changed to reach the content.
    pub async fn close(mut self) -> Result<(), Error> {
        match self.opened.take() {
            Some(Opened { content, .. }) => match Arc::into_inner(content) {
                Some(content) => self.runner.close_content(content).await,
                // A thread still reads: it was told to stop, and what it leaves is found at the next start.
                None => Ok(()),
            },
            None => Ok(()),
        }
    }

    async fn put_back(&self, Opened { content, .. }: Opened) -> Result<(), Refusal> {
        match Arc::into_inner(content) {
            Some(content) => Ok(self.runner.close_content(content).await?),
            None => Err(refusal("E_VERIFY_READ", "an earlier reading of it has not ended")),
        }
    }
}

/// Each level of directories takes a piece of it; enough for as many as the walk goes down.
const STACK: usize = 64 << 20;

/// Runs what reads files on a thread of its own with low priority: it takes hours, and must not take the places of others.
async fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("verify".to_owned()).stack_size(STACK);
    thread.spawn(move || {
        control::be_nice();
        // Nobody listens any more: then nobody needs it.
        let _ = sender.send(work());
    })?;
    receiver.await.unwrap_or_else(|_| Err(std::io::Error::other("the thread that reads has died")))
}
