//! `zpool get -H all POOL`: which features a pool has.

use std::collections::BTreeMap;

/// How far a pool has a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FeatureState {
    /// It may not be used.
    Disabled,
    /// It may be used.
    Enabled,
    /// Something uses it.
    Active,
}

/// The features of one pool, by their names without `feature@`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolFeatures(BTreeMap<String, FeatureState>);

impl PoolFeatures {
    /// True when something that needs this feature can be received there. What the pool has never heard of can not.
    pub fn allows(&self, feature: &str) -> bool {
        self.0.get(feature).is_some_and(|state| *state >= FeatureState::Enabled)
    }

    /// True when no feature at all was named: a pool from before there were any, or a tool that does not list them.
    pub fn is_unknown(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads them. Everything that is no line about a feature is left out.
pub fn pool_features(text: &str) -> PoolFeatures {
    let feature = |line: &str| {
        let mut columns = line.split('\t').skip(1);
        let name = columns.next()?.strip_prefix("feature@")?;
        let state = match columns.next()? {
            "disabled" => FeatureState::Disabled,
            "enabled" => FeatureState::Enabled,
            "active" => FeatureState::Active,
            _ => return None,
        };
        Some((name.to_owned(), state))
    };
    PoolFeatures(text.lines().filter_map(feature).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enabled_and_active_are_allowed_and_nothing_else_is() {
        let text = "tank\tsize\t1G\t-\ntank\tfeature@large_blocks\tenabled\tlocal\ntank\tfeature@lz4_compress\tactive\tlocal\n\
                    tank\tfeature@zstd_compress\tdisabled\tlocal\ntank\tcomment\tfeature@x\tlocal\n";
        let features = pool_features(text);
        assert!(features.allows("large_blocks") && features.allows("lz4_compress"));
        assert!(!features.allows("zstd_compress") && !features.allows("longname") && !features.allows("x"));
        assert!(!features.is_unknown());
    }

    #[test]
    fn a_tool_that_lists_none_tells_nothing() {
        assert!(pool_features("bad property list: invalid property '-H'\n").is_unknown());
        assert!(pool_features("").is_unknown());
    }
}
