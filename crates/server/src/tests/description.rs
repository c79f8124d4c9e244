//! The description is committed; whoever changes the API changes it too.

use std::{env, fs, path::Path};

use crate::{openapi::openapi_json, testing::Witness};

#[test]
fn the_committed_description_is_that_of_the_routes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi/zfs-sync-v1.json");
    if env::var_os("ZFS_SYNC_UPDATE_OPENAPI").is_some() {
        fs::write(&path, openapi_json()).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == openapi_json(),
        "openapi/zfs-sync-v1.json differs from the routes; run the tests once with ZFS_SYNC_UPDATE_OPENAPI=1 and review the difference"
    );
}

#[test]
fn operations_are_named_by_verb_and_resource_and_each_name_is_used_once() {
    let document: serde_json::Value = serde_json::from_str(openapi_json()).unwrap();
    let mut names = std::collections::BTreeSet::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{name} is used twice");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
            assert!(operation["summary"].is_string(), "{name} has no summary");
            assert!(
                operation["description"].as_str().unwrap().contains("Needs "),
                "{name} says what it needs"
            );
        }
    }
}

#[tokio::test]
async fn the_description_its_pages_and_the_codes_are_served_without_a_key() {
    let witness = Witness::start().await;
    let description = witness.call("GET", "/api/v1/openapi.json", None, None).await;
    assert_eq!((description.status, description.text.as_str()), (200, openapi_json()));
    let pages = witness.call("GET", "/docs/", None, None).await;
    assert_eq!(pages.status, 200);
    assert!(pages.text.contains("swagger-ui"), "{}", pages.text);
    let code = witness.call("GET", "/docs/codes/E_FORBIDDEN", None, None).await;
    assert_eq!(code.status, 200);
    assert!(code.text.starts_with("# E_FORBIDDEN"), "{}", code.text);
    let unknown = witness.call("GET", "/docs/codes/E_NONSENSE", None, None).await;
    assert_eq!(unknown.refusal(), (404, "E_CODE_UNKNOWN".into()));
}
