//! What went wrong, in the form a person or a script gets it.

use std::fmt::Write as _;

use serde::Serialize;
use zfs_sync_api::{
    client::ClientError,
    codes::ErrorCode,
    problem::{FieldProblem, Problem},
};

/// A command that did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure(Box<Inner>);

#[derive(Debug, Serialize)]
struct Inner {
    #[serde(flatten)]
    problem: Problem,
    /// What it concerns: names with values.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    context: serde_json::Map<String, serde_json::Value>,
    /// What lies beneath, outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cause: Vec<String>,
    /// Commands that mend it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    commands: Vec<String>,
    /// True when it is certain that nothing was changed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    nothing_changed: bool,
    #[serde(skip)]
    exit: u8,
}

impl Failure {
    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self::from_problem(Problem::new(code, detail), code.exit_code())
    }

    /// For codes that a command of ZFS brought: an unknown one is shown as it is and counts as failed.
    pub(crate) fn from_code(code: &str, detail: impl Into<String>) -> Self {
        if let Some(known) = ErrorCode::from_code(code) {
            return Self::new(known, detail);
        }
        let mut failure = Self::new(ErrorCode::Internal, detail);
        code.clone_into(&mut failure.0.problem.code);
        failure
    }

    fn from_problem(problem: Problem, exit: u8) -> Self {
        let (context, cause, commands) = (serde_json::Map::new(), Vec::new(), Vec::new());
        Self(Box::new(Inner { problem, context, cause, commands, nothing_changed: false, exit }))
    }

    /// Says what to do.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.problem.hint = Some(hint.into());
        self
    }

    /// Adds a command that mends it.
    #[must_use]
    pub(crate) fn fix(mut self, command: impl Into<String>) -> Self {
        self.0.commands.push(command.into());
        self
    }

    /// Names the argument that is wrong, unless the witness has named a field already.
    #[must_use]
    pub(crate) fn argument(mut self, name: &str, what: impl Into<String>) -> Self {
        let Inner { problem, .. } = &mut *self.0;
        if problem.errors.is_empty() {
            let (pointer, code) = (name.to_owned(), problem.code.clone());
            problem.errors.push(FieldProblem { pointer, code, detail: what.into() });
        }
        self
    }

    /// Adds what it concerns.
    #[must_use]
    pub(crate) fn context(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.context.insert(name.to_owned(), serde_json::Value::String(value.into()));
        self
    }

    /// Adds an error and all that lies beneath it.
    #[must_use]
    pub(crate) fn cause(mut self, error: &dyn std::error::Error) -> Self {
        self.0.cause.push(error.to_string());
        let mut error = error;
        while let Some(next) = error.source() {
            self.0.cause.push(next.to_string());
            error = next;
        }
        self
    }

    /// Says that nothing was changed.
    #[must_use]
    pub(crate) fn unchanged(mut self) -> Self {
        self.0.nothing_changed = true;
        self
    }

    pub(crate) const fn exit(&self) -> u8 {
        self.0.exit
    }

    pub(crate) fn code(&self) -> &str {
        &self.0.problem.code
    }

    /// The first command that mends it.
    pub(crate) fn first_fix(&self) -> Option<String> {
        self.0.commands.first().cloned()
    }

    /// What happened, in one sentence.
    pub(crate) fn detail(&self) -> String {
        self.0.problem.detail_text()
    }

    /// For programs: one problem+json object.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(&self.0)
            .unwrap_or_else(|error| format!("{{\"code\":\"E_INTERNAL\",\"detail\":\"{error}\"}}"))
    }

    /// For people: the most important line first, what to do last.
    pub(crate) fn to_text(&self, bold: impl Fn(&str) -> String) -> String {
        let Inner { problem, context, cause, commands, nothing_changed, exit: _ } = &*self.0;
        // The old service has a list of fields in `detail`; `errors` says the same better.
        let detail = if problem.errors.is_empty() || problem.detail.is_string() {
            one_paragraph(&problem.detail_text())
        } else {
            problem.title.clone()
        };
        let mut text = format!("{}: {detail}\n", bold(&format!("error[{}]", problem.code)));
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "   {name:<8} {}", one_paragraph(value));
        };
        for FieldProblem { pointer, code, detail } in &problem.errors {
            let named = if *code == problem.code { String::new() } else { format!(" [{code}]") };
            line("field", &format!("{pointer}: {detail}{named}"));
        }
        for (name, value) in context {
            line(name, value.as_str().unwrap_or_default());
        }
        for cause in cause {
            line("because", cause);
        }
        if *nothing_changed {
            line("data", "nothing was changed");
        }
        if let Some(id) = &problem.request_id {
            line("request", id);
        }
        if let Some(hint) = &problem.hint {
            line("hint:", hint);
        }
        for command in commands {
            line("fix", command);
        }
        line("more", &format!("zfs-sync explain {}", problem.code));
        text
    }
}

/// Text from elsewhere on one line and without control characters, so that it can not draw on the terminal.
fn one_paragraph(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().map(printable).collect::<String>()
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let code = error.code();
        match error {
            ClientError::Refused(problem) => {
                let refused = (400..500).contains(&problem.status);
                let mut failure = Self::from_problem(*problem, code.exit_code());
                failure.0.nothing_changed = refused;
                failure
            }
            ClientError::Unreachable { ref address, .. } => {
                let root = address.trim_end_matches("/api/v1/").to_owned();
                Self::new(code, error.to_string())
                    .hint("check the address (--server or ZFS_SYNC_URL) and whether the witness runs there")
                    .fix(format!("zfs-sync doctor --server {root}"))
            }
            ClientError::NotAWitness { .. } => Self::new(code, error.to_string())
                .hint("check the address (--server or ZFS_SYNC_URL), and that program and witness are of one version"),
            ClientError::Address { .. } => Self::new(code, error.to_string()).unchanged(),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(ErrorCode::Internal, "writing the answer failed").cause(&error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::new(ErrorCode::Internal, "the answer could not be put into JSON").cause(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_comes_first_and_the_fix_last() {
        let failure = Failure::new(ErrorCode::CredentialUnsafe, "the key file /k can be read by others")
            .context("mode", "0644")
            .unchanged()
            .fix("chmod 600 /k");
        let expected = "\
error[E_CREDENTIAL_UNSAFE]: the key file /k can be read by others
   mode     0644
   data     nothing was changed
   fix      chmod 600 /k
   more     zfs-sync explain E_CREDENTIAL_UNSAFE
";
        assert_eq!(failure.to_text(str::to_owned), expected);
        assert_eq!(failure.exit(), 4);
    }

    #[test]
    fn text_from_elsewhere_can_not_draw_on_the_terminal() {
        let failure = Failure::new(ErrorCode::Internal, "a\x1b[2Jb\nerror[E_FAKE]: c");
        let text = failure.to_text(str::to_owned);
        assert!(!text.contains('\x1b'), "{text:?}");
        assert_eq!(text.lines().filter(|line| line.starts_with("error[")).count(), 1);
    }

    #[test]
    fn fields_are_named_with_their_pointers() {
        let problem = Problem::new(ErrorCode::GroupInvalid, "2 problems")
            .field("/systems", ErrorCode::GroupInvalid, "a group has at least two systems")
            .field("/datasets/0", ErrorCode::PatternInvalid, "empty");
        let failure = Failure::from(ClientError::Refused(Box::new(problem)));
        let text = failure.to_text(str::to_owned);
        assert!(text.contains("   field    /systems: a group has at least two systems\n"), "{text}");
        assert!(text.contains("   field    /datasets/0: empty [E_PATTERN_INVALID]\n"), "{text}");
        assert!(text.contains("nothing was changed"), "{text}");
        assert_eq!(failure.exit(), 12);
    }
}
