//! Sentences of the planner with commands in them.

/// A sentence in parts, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prose(Vec<Part>);

/// A part of a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) text: String,
    /// It stood between backticks: a command or a name.
    pub(super) is_code: bool,
}

impl Prose {
    pub(super) fn new(text: &str) -> Self {
        // A backtick without its fellow is one that means nothing.
        if text.matches('`').count() % 2 == 1 {
            return Self(vec![Part { text: text.to_owned(), is_code: false }]);
        }
        let parts = text.split('`').enumerate().filter(|(_, part)| !part.is_empty());
        Self(parts.map(|(index, part)| Part { text: part.to_owned(), is_code: index % 2 == 1 }).collect())
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_backticks_is_code() {
        let parts = |text: &str| -> Vec<(String, bool)> {
            Prose::new(text).parts().iter().map(|part| (part.text.clone(), part.is_code)).collect()
        };
        let expected =
            [("say ", false), ("zfs list", true), (".", false)].map(|(text, code)| (text.to_owned(), code));
        assert_eq!(parts("say `zfs list`."), expected);
        assert_eq!(parts("`a`"), [("a".to_owned(), true)]);
        assert_eq!(parts("plain"), [("plain".to_owned(), false)]);
        assert_eq!(parts("a ` b"), [("a ` b".to_owned(), false)]);
        assert_eq!(parts(""), []);
    }
}
