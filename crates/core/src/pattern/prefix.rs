//! Prefixes of dataset names, whole components: `tank` of `tank/media`. Every name begins with the empty prefix.

use std::{collections::BTreeMap, ops::Range};

/// What follows a prefix: empty for the prefix itself, else from the slash on; everything for the empty prefix.
pub(crate) fn below<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(prefix)?;
    (prefix.is_empty() || rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// What has to be added to each of two prefixes to make them equal, where one lies within the other.
pub(crate) fn align<'a>(one: &'a str, two: &'a str) -> Option<(&'a str, &'a str)> {
    below(two, one).map(|rest| (rest, "")).or_else(|| below(one, two).map(|rest| ("", rest)))
}

/// A prefix, all that it lies within, and the empty one.
pub(crate) fn upward(prefix: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(prefix), |text| match text.rsplit_once('/') {
        Some((above, _)) => Some(above),
        None => (!text.is_empty()).then_some(""),
    })
}

/// The range of what lies strictly below a prefix: `0` is the byte after `/`.
pub(crate) fn beneath(prefix: &str) -> Range<String> {
    if prefix.is_empty() {
        "\u{1}".to_owned().."\u{7f}".to_owned()
    } else {
        format!("{prefix}/")..format!("{prefix}0")
    }
}

/// Things by the prefix of the names that they are about.
pub(crate) type ByPrefix<T> = BTreeMap<String, Vec<T>>;

/// Those that may be about names with this prefix: its own, of what lies above it, and of what lies below it.
pub(crate) fn near<'a, T>(places: &'a ByPrefix<T>, prefix: &'a str) -> impl Iterator<Item = &'a T> {
    let above = upward(prefix).filter_map(|above| places.get(above));
    above.chain(places.range(beneath(prefix)).map(|(_, things)| things)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_whole_components() {
        assert_eq!(below("tank/media", "tank"), Some("/media"));
        assert_eq!(below("tank", "tank"), Some(""));
        assert_eq!(below("tank2", "tank"), None);
        assert_eq!(below("tank/a", ""), Some("tank/a"));
        assert_eq!(align("tank", "tank/a/b"), Some(("/a/b", "")));
        assert_eq!(align("tank/a", "tank"), Some(("", "/a")));
        assert_eq!(align("tank/a", "tank/b"), None);
        assert_eq!(upward("tank/a/b").collect::<Vec<_>>(), ["tank/a/b", "tank/a", "tank", ""]);
        assert_eq!(upward("").collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn what_is_near_lies_above_or_below() {
        let names =
            ["", "tank", "tank/a", "tank/a b", "tank/a/b", "tank/a/b/c", "tank/a0", "tank/ab", "vault"];
        let places: ByPrefix<&str> = names.into_iter().map(|name| (name.to_owned(), vec![name])).collect();
        let found = |prefix: &str| near(&places, prefix).copied().collect::<Vec<_>>();
        assert_eq!(found("tank/a"), ["tank/a", "tank", "", "tank/a/b", "tank/a/b/c"]);
        assert_eq!(found("tank/a/b"), ["tank/a/b", "tank/a", "tank", "", "tank/a/b/c"]);
        assert_eq!(found("vault/x"), ["vault", ""]);
        assert_eq!(found("").len(), names.len());
    }
}
