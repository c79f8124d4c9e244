//! `zfs list -t filesystem,volume`.

use zfs_sync_core::{
    guid::{Guid, Txg},
    inventory::{DatasetKind, DatasetProperties},
    name::DatasetName,
};

use super::{Fields, ParseError, name, resume_token::ResumeToken};
use crate::command::ListColumns;

/// One file system or volume, without its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetRow {
    /// Its name.
    pub name: DatasetName,
    /// What replication looks at.
    pub properties: DatasetProperties,
    /// When its list of snapshots last changed, in seconds since 1970; `None` before OpenZFS 2.2 and where it never had one.
    pub snapshots_changed: Option<i64>,
    /// `receive_resume_token` as `zfs send -t` takes it.
    pub resume_token: Option<String>,
}

/// Reads a listing with these columns.
pub fn datasets(text: &str, columns: ListColumns) -> Result<Vec<DatasetRow>, ParseError> {
    let mut rows = Vec::new();
    for fields in Fields::lines(text, columns.names()) {
        let fields = fields?;
        let Some(name) = name::<DatasetName>(fields.get("name")) else { continue };
        rows.push(row(&fields, name)?);
    }
    Ok(rows)
}

fn row(fields: &Fields<'_>, name: DatasetName) -> Result<DatasetRow, ParseError> {
    let kind = match fields.get("type") {
        "filesystem" => DatasetKind::Filesystem,
        "volume" => DatasetKind::Volume,
        other => return Err(fields.error(format!("`type` is `{other}`"))),
    };
    let resume_token = fields.optional("receive_resume_token").map(str::to_owned);
    let partial = resume_token.as_deref().and_then(|text| {
        ResumeToken::decode(text)
            .inspect_err(|error| {
                tracing::warn!(dataset.name = %name, error = %error, "the resume token of `{name}` can not be read");
            })
            .ok()
    });
    let properties = DatasetProperties {
        guid: Guid::new(fields.number("guid")?),
        kind,
        createtxg: Txg::new(fields.number("createtxg")?),
        written: fields.size("written")?,
        used: fields.size("used")?,
        referenced: fields.size("referenced")?,
        available: fields.size("available")?,
        readonly: fields.get("readonly") == "on",
        mounted: fields.get("mounted") == "yes",
        // `-` on a pool without the feature.
        encrypted: fields.optional("encryption").is_some_and(|value| value != "off"),
        origin: fields.optional("origin").map(str::to_owned),
        partial: partial.map(|token| token.to_partial()),
    };
    // A convenience for polling, never a reason to fail: without it everything is listed.
    let snapshots_changed = fields.optional("snapshots_changed").and_then(|value| value.parse().ok());
    Ok(DatasetRow { name, properties, snapshots_changed, resume_token })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const LINE: &str = "tank/a b\t123\tfilesystem\t7\t0\t100\t90\t1000\ton\tyes\toff\t-\t-";

    fn with(column: usize, value: &str) -> String {
        let mut fields: Vec<_> = LINE.split('\t').collect();
        fields[column] = value;
        fields.join("\t")
    }

    #[test]
    fn a_line_becomes_a_row() {
        let rows = datasets(LINE, ListColumns::Dataset).unwrap();
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!(row.name.as_str(), "tank/a b");
        assert_eq!(row.snapshots_changed, None);
        assert_eq!(
            row.properties,
            DatasetProperties {
                guid: Guid::new(123),
                kind: DatasetKind::Filesystem,
                createtxg: Txg::new(7),
                written: 0,
                used: 100,
                referenced: 90,
                available: 1000,
                readonly: true,
                mounted: true,
                encrypted: false,
                origin: None,
                partial: None,
            }
        );
    }

    #[test]
    fn snapshots_changed_is_the_last_column_of_newer_systems() {
        let rows = datasets(&format!("{LINE}\t1763640000"), ListColumns::DatasetWithChanges).unwrap();
        assert_eq!(rows[0].snapshots_changed, Some(1_763_640_000));
        let rows = datasets(&format!("{LINE}\t-"), ListColumns::DatasetWithChanges).unwrap();
        assert_eq!(rows[0].snapshots_changed, None);
    }

    #[test]
    fn encryption_origin_and_volumes_are_told_apart() {
        assert!(datasets(&with(10, "aes-256-gcm"), ListColumns::Dataset).unwrap()[0].properties.encrypted);
        assert!(!datasets(&with(10, "-"), ListColumns::Dataset).unwrap()[0].properties.encrypted);
        let clone = datasets(&with(11, "tank/b@one"), ListColumns::Dataset).unwrap();
        assert_eq!(clone[0].properties.origin.as_deref(), Some("tank/b@one"));
        let volume = datasets(&with(2, "volume"), ListColumns::Dataset).unwrap();
        assert_eq!(volume[0].properties.kind, DatasetKind::Volume);
    }

    #[rstest]
    #[case(with(1, "x"), "`guid` is `x`, not a number")]
    #[case(with(1, "-1"), "`guid` is `-1`, not a number")]
    #[case(with(2, "snapshot"), "`type` is `snapshot`")]
    #[case(with(3, "-"), "`createtxg` is `-`, not a number")]
    #[case(with(4, "1.5K"), "`written` is `1.5K`, not a number")]
    #[case(with(7, "18446744073709551616"), "`available` is `18446744073709551616`, not a number")]
    #[case(format!("{LINE}\tmore"), "has 14 columns instead of 13")]
    #[case("tank".to_owned(), "has 1 columns instead of 13")]
    fn a_broken_column_is_named(#[case] text: String, #[case] what: &str) {
        let error = datasets(&format!("{LINE}\n{text}\n"), ListColumns::Dataset).unwrap_err();
        assert_eq!(error, ParseError { line: 2, what: what.to_owned() });
    }

    #[test]
    fn a_name_we_do_not_accept_is_left_out() {
        let text = format!("{}\n{LINE}\n", with(0, "tank/a/%recv"));
        let rows = datasets(&text, ListColumns::Dataset).unwrap();
        assert_eq!(rows.len(), 1);
    }

    #[test]
    fn an_unreadable_token_is_kept_but_not_decoded() {
        let rows = datasets(&with(12, "1-abc-de-nothex"), ListColumns::Dataset).unwrap();
        assert_eq!(rows[0].resume_token.as_deref(), Some("1-abc-de-nothex"));
        assert_eq!(rows[0].properties.partial, None);
    }

    proptest! {
        #[test]
        fn no_output_makes_it_panic(text in "([ -~]|\t|\n){0,200}") {
            let _ = datasets(&text, ListColumns::Dataset);
        }
    }
}
