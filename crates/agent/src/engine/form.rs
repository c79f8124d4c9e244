//! How a stream carries its blocks: chosen when a replica begins, by what both ends can do, and kept for its life. Pure.
//!
//! A replica remembers its form itself ([`PIN`](zfs_sync_core::stream::PIN)). What contradicts that is refused: `zfs receive` takes some of
//! it without a word (a plain stream on a raw replica, large blocks where there were none; OpenZFS 2.3.9), and the damage shows later.

use zfs_sync_api::codes::ErrorCode;
use zfs_sync_core::{plan::Warning, stream::StreamForm};
use zfs_sync_zfs::{
    features::{Ability, Features},
    parse::PoolFeatures,
};

use super::failure::Failure;

/// Something that is done otherwise than wished for, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caution {
    /// `W_…`.
    pub code: Warning,
    /// In words.
    pub detail: String,
}

impl Caution {
    pub(super) fn new(code: Warning, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

/// A source dataset's properties that decide what its blocks need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SourceFacts {
    pub(super) record_size: Option<u64>,
    pub(super) compression: Option<String>,
    pub(super) dnode_size: Option<String>,
    pub(super) long_names: bool,
}

/// What a replica that exists says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TargetFacts {
    /// What it remembers.
    pub(super) pinned: Option<StreamForm>,
    pub(super) encrypted: bool,
    /// Whose key it is encrypted with.
    pub(super) encryption_root: Option<String>,
}

/// Both ends of a stream that begins a replica.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends<'a> {
    pub(super) source: &'a Features,
    pub(super) target: &'a Features,
    /// Of the pool that receives; unknown where its tools do not list any.
    pub(super) target_pool: &'a PoolFeatures,
    /// Its name.
    pub(super) pool: &'a str,
}

/// The form of a replica that begins now.
pub(super) fn at_birth(
    raw: bool,
    ends: Ends<'_>,
    source: &SourceFacts,
    parent_encrypted: bool,
) -> Result<(StreamForm, Vec<Caution>), Failure> {
    let pool = ends.pool;
    // An old implementation is asked by what it can do; its pools have no features.
    let allows = |feature: &str| ends.target_pool.is_unknown() || ends.target_pool.allows(feature);
    let missing = |feature: &str, why: &str| {
        let detail = format!(
            "{why}, and pool {pool} may not have that: `zpool set feature@{feature}=enabled {pool}` allows it"
        );
        Failure::new(ErrorCode::StreamFeature, detail)
    };
    if source.dnode_size.as_deref().is_some_and(|size| size != "legacy") && !allows("large_dnode") {
        return Err(missing("large_dnode", "the source has large dnodes"));
    }
    if source.long_names && !allows("longname") {
        return Err(missing("longname", "the source may have names of more than 255 bytes"));
    }
    let large = source.record_size.is_some_and(|size| size > 128 << 10);
    let zstd = source.compression.as_deref().is_some_and(|name| name.starts_with("zstd"));
    if raw {
        if !ends.source.can(Ability::Raw) || !ends.target.can(Ability::Raw) {
            let detail = "the source is encrypted, and one of both versions knows nothing of that";
            return Err(Failure::new(ErrorCode::ZfsUnsupported, detail));
        }
        let needs = [
            ("encryption", true, "the source is encrypted"),
            (
                "large_blocks",
                large,
                "the source has blocks of more than 128 KiB, which a raw stream can not split",
            ),
            ("zstd_compress", zstd, "the source is compressed by zstd, which a raw stream can not undo"),
        ];
        if let Some((feature, _, why)) = needs.into_iter().find(|(name, needed, _)| *needed && !allows(name))
        {
            return Err(missing(feature, why));
        }
        return Ok((StreamForm::Raw, Vec::new()));
    }
    let mut cautions = Vec::new();
    let mut keep = |ability: Ability, code: Warning, feature: &str, what: &str| {
        let why = if !ends.source.can(ability) {
            format!("the source's version can not send them so ({})", ends.source.userland)
        } else if !ends.target.can(ability) {
            format!("the target's version does not know them ({})", ends.target.userland)
        } else if !allows(feature) {
            format!("pool {pool} lacks feature@{feature}")
        } else {
            return true;
        };
        cautions.push(Caution::new(code, format!("{what}: {why}")));
        false
    };
    let large_blocks = keep(
        Ability::LargeBlocks,
        Warning::FeatureLargeBlocks,
        "large_blocks",
        "blocks of more than 128 KiB are split",
    );
    let by = if zstd { "zstd_compress" } else { "lz4_compress" };
    let compressed =
        keep(Ability::Compressed, Warning::FeatureCompressed, by, "compressed blocks travel expanded");
    let mut embedded =
        keep(Ability::Embedded, Warning::FeatureEmbedded, "embedded_data", "embedded data travels as blocks");
    if embedded && parent_encrypted {
        // zfs-send(8): a stream with embedded data is refused by an encrypted dataset.
        embedded = false;
        cautions.push(Caution::new(
            Warning::FeatureEmbedded,
            "embedded data travels as blocks: the replica is encrypted by its parent",
        ));
    }
    Ok((StreamForm::Plain { large_blocks, compressed, embedded }, cautions))
}

/// The form in which a replica goes on.
pub(super) fn later(
    raw: bool,
    source: &Features,
    target: &TargetFacts,
    source_record_size: Option<u64>,
) -> Result<(StreamForm, Vec<Caution>), Failure> {
    let refused = |detail: String| Failure::new(ErrorCode::StreamPinned, detail);
    if raw && !target.encrypted {
        let detail = "the source is encrypted and its replica is not: it was begun in the clear, and takes no raw stream";
        return Err(Failure::new(ErrorCode::EncryptionMismatch, detail));
    }
    let Some(pinned) = target.pinned else { return Ok(unknown(raw, source, target, source_record_size)) };
    let mut cautions = Vec::new();
    match pinned {
        StreamForm::Raw if !raw => {
            Err(refused(format!("the replica was begun with `{pinned}`, and this stream would be plain")))
        }
        StreamForm::Plain { .. } if raw => {
            Err(refused(format!("the replica was begun with `{pinned}`, and this stream would be raw")))
        }
        StreamForm::Raw => Ok((pinned, cautions)),
        StreamForm::Plain { large_blocks, compressed, embedded } => {
            if large_blocks && !source.can(Ability::LargeBlocks) {
                let detail = format!(
                    "the replica was begun with `{pinned}`, and the source's version ({}) has no `-L`",
                    source.userland
                );
                return Err(refused(detail));
            }
            // These two may change: what arrives is the same.
            let mut keep = |wanted: bool, ability: Ability, code: Warning| {
                if wanted && !source.can(ability) {
                    let detail = format!("the source's version ({}) can not do it", source.userland);
                    cautions.push(Caution::new(code, detail));
                }
                wanted && source.can(ability)
            };
            let compressed = keep(compressed, Ability::Compressed, Warning::FeatureCompressed);
            let embedded = keep(embedded && !target.encrypted, Ability::Embedded, Warning::FeatureEmbedded);
            Ok((StreamForm::Plain { large_blocks, compressed, embedded }, cautions))
        }
    }
}

/// A replica that somebody else began, or a version of ours that did not write it down.
fn unknown(
    raw: bool,
    source: &Features,
    target: &TargetFacts,
    record_size: Option<u64>,
) -> (StreamForm, Vec<Caution>) {
    if raw {
        return (StreamForm::Raw, Vec::new());
    }
    let form = StreamForm::Plain {
        large_blocks: source.can(Ability::LargeBlocks),
        compressed: source.can(Ability::Compressed),
        embedded: source.can(Ability::Embedded) && !target.encrypted,
    };
    // Where no block is large, nothing can be toggled.
    let risky = record_size.is_none_or(|size| size > 128 << 10);
    let caution = risky.then(|| {
        Caution::new(
            Warning::StreamNotPinned,
            format!("the replica does not say how it was begun; `{form}` is taken for it"),
        )
    });
    (form, caution.into_iter().collect())
}

/// Whose key a raw replica has: openzfs#12614. A raw stream brings the key of its source along and puts it in the place of the one that is
/// there; where that one was changed, the replica can not be read any more.
pub(super) fn refuse_changed_key(target: &str, is_clone: bool, facts: &TargetFacts) -> Result<(), Failure> {
    match &facts.encryption_root {
        // Received raw, a dataset is the root of its own key; a clone has that of its origin.
        Some(root) if root != target && !is_clone => {
            let detail = format!(
                "{target} was received raw and has the key of {root} now (`zfs change-key -i`): the next raw stream would make it unreadable"
            );
            Err(Failure::new(ErrorCode::EncryptionRoot, detail))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rstest::rstest;
    use zfs_sync_zfs::parse::pool_features;

    use super::*;

    fn features(missing: &[Ability]) -> Features {
        Features {
            userland: "2.3.9-1".into(),
            kernel: "2.3.9-1".into(),
            snapshots_changed: true,
            resumable: true,
            missing: missing.iter().copied().collect::<BTreeSet<_>>(),
        }
    }

    fn pool(disabled: &str) -> PoolFeatures {
        let all =
            ["large_blocks", "lz4_compress", "zstd_compress", "embedded_data", "encryption", "large_dnode"];
        let line = |name: &&str| {
            let state = if *name == disabled { "disabled" } else { "enabled" };
            format!("backup\tfeature@{name}\t{state}\tlocal\n")
        };
        pool_features(&all.iter().map(line).collect::<String>())
    }

    fn born(
        raw: bool,
        (source, target): (&[Ability], &[Ability]),
        target_pool: &PoolFeatures,
        facts: &SourceFacts,
    ) -> Result<(String, Vec<Warning>), (String, String)> {
        let (source, target) = (features(source), features(target));
        let ends = Ends { source: &source, target: &target, target_pool, pool: "backup" };
        match at_birth(raw, ends, facts, false) {
            Ok((form, cautions)) => {
                Ok((form.to_string(), cautions.into_iter().map(|caution| caution.code).collect()))
            }
            Err(Failure::Failed { code, detail, .. }) => Err((code, detail)),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn equal_ends_keep_everything_whole() {
        let facts = SourceFacts::default();
        assert_eq!(born(false, (&[], &[]), &pool(""), &facts), Ok(("-L -c -e".into(), vec![])));
        assert_eq!(born(true, (&[], &[]), &pool(""), &facts), Ok(("-w".into(), vec![])));
    }

    #[rstest]
    #[case("large_blocks", "-c -e", Warning::FeatureLargeBlocks)]
    #[case("lz4_compress", "-L -e", Warning::FeatureCompressed)]
    #[case("embedded_data", "-L -c", Warning::FeatureEmbedded)]
    fn what_only_an_option_needs_is_left_out_and_named(
        #[case] disabled: &str,
        #[case] form: &str,
        #[case] code: Warning,
    ) {
        let found = born(false, (&[], &[]), &pool(disabled), &SourceFacts::default());
        assert_eq!(found, Ok((form.to_owned(), vec![code])));
    }

    #[test]
    fn zstd_travels_compressed_only_where_it_is_known() {
        let facts = SourceFacts { compression: Some("zstd-3".into()), ..SourceFacts::default() };
        let found = born(false, (&[], &[]), &pool("zstd_compress"), &facts);
        assert_eq!(found, Ok(("-L -e".into(), vec![Warning::FeatureCompressed])));
        let (code, detail) = born(true, (&[], &[]), &pool("zstd_compress"), &facts).unwrap_err();
        assert_eq!(code, "E_STREAM_FEATURE");
        assert!(detail.contains("zpool set feature@zstd_compress=enabled backup"), "{detail}");
    }

    #[test]
    fn what_can_not_be_left_out_is_refused_with_the_way_to_allow_it() {
        let facts = SourceFacts { dnode_size: Some("auto".into()), ..SourceFacts::default() };
        let (code, detail) = born(false, (&[], &[]), &pool("large_dnode"), &facts).unwrap_err();
        assert_eq!(code, "E_STREAM_FEATURE");
        assert!(detail.contains("feature@large_dnode=enabled"), "{detail}");
        let large = SourceFacts { record_size: Some(1 << 20), ..SourceFacts::default() };
        assert_eq!(born(true, (&[], &[]), &pool("large_blocks"), &large).unwrap_err().0, "E_STREAM_FEATURE");
        assert_eq!(
            born(true, (&[], &[]), &pool("encryption"), &SourceFacts::default()).unwrap_err().0,
            "E_STREAM_FEATURE"
        );
    }

    #[test]
    fn an_old_end_gets_a_stream_without_options() {
        let old = Ability::ALL;
        let codes = vec![Warning::FeatureLargeBlocks, Warning::FeatureCompressed, Warning::FeatureEmbedded];
        let unknown = PoolFeatures::default();
        let facts = SourceFacts::default();
        assert_eq!(born(false, (&[], &old), &unknown, &facts), Ok(("none".into(), codes.clone())));
        assert_eq!(born(false, (&old, &[]), &pool(""), &facts), Ok(("none".into(), codes)));
        assert_eq!(born(true, (&[], &old), &unknown, &facts).unwrap_err().0, "E_ZFS_UNSUPPORTED");
    }

    #[test]
    fn embedded_data_does_not_go_into_what_its_parent_encrypts() {
        let (ends, pool) = (features(&[]), pool(""));
        let ends = Ends { source: &ends, target: &ends, target_pool: &pool, pool: "backup" };
        let (form, cautions) = at_birth(false, ends, &SourceFacts::default(), true).unwrap();
        assert_eq!(form.to_string(), "-L -c");
        assert_eq!(cautions[0].code, Warning::FeatureEmbedded);
    }

    fn facts(pinned: Option<&str>, encrypted: bool) -> TargetFacts {
        TargetFacts {
            pinned: pinned.map(|text| text.parse().unwrap()),
            encrypted,
            encryption_root: encrypted.then(|| "backup/a".to_owned()),
        }
    }

    fn code_of(result: Result<(StreamForm, Vec<Caution>), Failure>) -> String {
        match result {
            Err(Failure::Failed { code, retryable: false, .. }) => code,
            other => panic!("{other:?}"),
        }
    }

    #[rstest]
    #[case("none")]
    #[case("-c -e")]
    #[case("-L -c -e")]
    fn what_was_pinned_is_kept(#[case] pinned: &str) {
        let (form, cautions) = later(false, &features(&[]), &facts(Some(pinned), false), None).unwrap();
        assert_eq!((form.to_string().as_str(), cautions), (pinned, vec![]));
    }

    #[test]
    fn raw_and_plain_are_never_mixed() {
        let all = features(&[]);
        assert_eq!(code_of(later(true, &all, &facts(Some("-L -c -e"), true), None)), "E_STREAM_PINNED");
        assert_eq!(code_of(later(false, &all, &facts(Some("-w"), true), None)), "E_STREAM_PINNED");
        assert_eq!(code_of(later(true, &all, &facts(Some("-w"), false), None)), "E_ENCRYPTION_MISMATCH");
        assert!(later(true, &all, &facts(Some("-w"), true), None).is_ok());
    }

    #[test]
    fn large_blocks_are_not_given_up_and_the_rest_may_be() {
        let without = |ability| features(&[ability]);
        let pinned = facts(Some("-L -c -e"), false);
        assert_eq!(code_of(later(false, &without(Ability::LargeBlocks), &pinned, None)), "E_STREAM_PINNED");
        let (form, cautions) = later(false, &without(Ability::Compressed), &pinned, None).unwrap();
        assert_eq!((form.to_string().as_str(), cautions[0].code), ("-L -e", Warning::FeatureCompressed));
    }

    #[test]
    fn a_replica_that_remembers_nothing_is_named_where_it_matters() {
        let unpinned = facts(None, false);
        let codes = |size| {
            let (form, cautions) = later(false, &features(&[]), &unpinned, size).unwrap();
            assert_eq!(form, StreamForm::WHOLE);
            cautions.into_iter().map(|caution| caution.code).collect::<Vec<_>>()
        };
        assert_eq!(codes(Some(128 << 10)), []);
        assert_eq!(codes(Some(1 << 20)), [Warning::StreamNotPinned]);
        assert_eq!(codes(None), [Warning::StreamNotPinned]);
    }

    #[test]
    fn a_raw_replica_with_another_key_takes_nothing() {
        let facts = |root: &str| TargetFacts { encryption_root: Some(root.to_owned()), ..facts(None, true) };
        assert!(refuse_changed_key("backup/a", false, &facts("backup/a")).is_ok());
        assert!(refuse_changed_key("backup/a", true, &facts("backup/o")).is_ok());
        assert!(refuse_changed_key("backup/a", false, &TargetFacts::default()).is_ok());
        let refused = refuse_changed_key("backup/a", false, &facts("backup")).unwrap_err();
        assert!(
            matches!(refused, Failure::Failed { code, retryable: false, .. } if code == "E_ENCRYPTION_ROOT")
        );
    }
}
