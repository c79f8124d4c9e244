//! Deciding from the dashboard: who may, from where, and what is asked of them.

use axum::body::Body;
use http::{Request, header};
use serde_json::json;
use zfs_sync_api::v1::key::Role;

use crate::testing::{Reply, Witness};

/// `nas2` has gone its own way: what both have is `s1`.
async fn diverged() -> Witness {
    let witness = Witness::start().await;
    let (nas1, nas2) = witness.pair(false).await;
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1, 2])]).await;
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[1, 7])]).await;
    witness.plan().await;
    witness
}

/// A browser with a session.
struct Browser<'a> {
    witness: &'a Witness,
    cookie: String,
}

impl<'a> Browser<'a> {
    async fn sign_in(witness: &'a Witness, role: Role) -> Self {
        let key = witness.key(role.as_str(), role).await;
        let request = Request::post("/login")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(format!("key={key}")))
            .unwrap();
        let reply = witness.send(request).await;
        let cookie = reply.headers[header::SET_COOKIE].to_str().unwrap();
        Self { witness, cookie: cookie.split(';').next().unwrap().to_owned() }
    }

    async fn get(&self, path: &str) -> Reply {
        let request = Request::get(path).header(header::COOKIE, &self.cookie);
        self.witness.send(request.body(Body::empty()).unwrap()).await
    }

    /// A form, sent from a page of this origin.
    async fn post_from(&self, origin: Option<&str>, path: &str, form: &str) -> Reply {
        let mut request = Request::post(path)
            .header(header::COOKIE, &self.cookie)
            .header(header::HOST, "witness:8000")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        self.witness.send(request.body(Body::from(form.to_owned())).unwrap()).await
    }

    async fn post(&self, path: &str, form: &str) -> Reply {
        self.post_from(Some("http://witness:8000"), path, form).await
    }

    /// Where a form leads.
    #[track_caller]
    fn location(reply: &Reply) -> String {
        assert_eq!(reply.status, 303, "{}", reply.text);
        reply.headers[header::LOCATION].to_str().unwrap().to_owned()
    }
}

async fn conflict(witness: &Witness) -> String {
    let id = witness.get("/conflicts").await.fine()[0]["id"].as_str().unwrap().to_owned();
    format!("/dashboard/conflicts/{id}")
}

#[tokio::test]
async fn a_viewer_reads_and_decides_nothing() {
    let witness = diverged().await;
    let page = conflict(&witness).await;
    let browser = Browser::sign_in(&witness, Role::Viewer).await;
    let shown = browser.get(&page).await;
    assert_eq!(shown.status, 200, "{}", shown.text);
    assert!(shown.text.contains("nas2 ends with backup/media@s7"), "{}", shown.text);
    assert!(!shown.text.contains("Show plan") && !shown.text.contains("Ignore it until"), "{}", shown.text);
    for (path, form) in [
        (format!("{page}/plan"), "strategy=keep_both"),
        (format!("{page}/ignore"), "until=2027-01-01"),
        (format!("{page}/unignore"), ""),
        (format!("{page}/withdraw"), ""),
        (format!("/dashboard/plans/{}/apply", uuid::Uuid::nil()), ""),
    ] {
        let refused = browser.post(&path, form).await;
        assert_eq!(refused.status, 403, "{path}: {}", refused.text);
        assert!(refused.text.contains("E_FORBIDDEN"), "{}", refused.text);
    }
    let nobody = witness.send(Request::get(&page).body(Body::empty()).unwrap()).await;
    assert_eq!(nobody.headers[header::LOCATION], "/login");
}

#[tokio::test]
async fn a_form_of_another_page_does_nothing() {
    let witness = diverged().await;
    let page = conflict(&witness).await;
    let browser = Browser::sign_in(&witness, Role::Operator).await;
    let path = format!("{page}/ignore");
    for origin in [None, Some("null"), Some("http://witness:9000"), Some("https://elsewhere.example")] {
        let refused = browser.post_from(origin, &path, "until=2027-01-01").await;
        assert_eq!(refused.status, 403, "{origin:?}: {}", refused.text);
    }
    assert_eq!(witness.get("/conflicts").await.fine().as_array().unwrap().len(), 1, "it is not ignored");
}

#[tokio::test]
async fn a_conflict_is_ignored_until_a_day_and_no_longer_when_asked() {
    let witness = diverged().await;
    let page = conflict(&witness).await;
    let browser = Browser::sign_in(&witness, Role::Operator).await;
    let open = browser.get("/dashboard/conflicts").await;
    assert!(open.text.contains(r#"<span class="count">1<"#), "{}", open.text);
    let past = browser.post(&format!("{page}/ignore"), "until=2020-01-01&note=").await;
    assert_eq!(past.status, 422, "{}", past.text);
    let ignored = browser.post(&format!("{page}/ignore"), "until=2026-03-01&note=Anna+knows").await;
    assert_eq!(Browser::location(&ignored), page);
    let shown = browser.get(&page).await.text;
    assert!(shown.contains("Ignored until 2026-03-01 00:00 UTC by key:operator: Anna knows"), "{shown}");
    let list = browser.get("/dashboard/conflicts").await.text;
    assert!(list.contains("No conflict waits for you") && !list.contains(r#"class="count""#), "{list}");
    for filter in ["ignored", "all"] {
        let list = browser.get(&format!("/dashboard/conflicts?state={filter}")).await.text;
        assert!(list.contains(&page), "{filter}: {list}");
    }
    let asked = browser.post(&format!("{page}/unignore"), "").await;
    assert_eq!(Browser::location(&asked), page);
    assert!(browser.get("/dashboard/conflicts").await.text.contains(&page));
    let audit = witness.state.store.audit(10).await.unwrap();
    let actions: Vec<&str> = audit.iter().map(|row| row.entry.action.as_str()).collect();
    assert!(actions.contains(&"conflict.ignore") && actions.contains(&"conflict.unignore"), "{actions:?}");
}

#[tokio::test]
async fn a_plan_is_applied_under_the_name_of_whoever_signed_in_and_with_the_datasets_name() {
    let witness = diverged().await;
    let page = conflict(&witness).await;
    let browser = Browser::sign_in(&witness, Role::Operator).await;
    let plan = Browser::location(&browser.post(&format!("{page}/plan"), "strategy=rollback_target").await);
    let shown = browser.get(&plan).await.text;
    assert!(shown.contains("backup/media@s7") && shown.contains("Destroy and apply"), "{shown}");
    for form in ["", "name=", "name=tank/media"] {
        let refused = browser.post(&format!("{plan}/apply"), form).await;
        assert_eq!(Browser::location(&refused), format!("{plan}?refused=name"), "{form}");
    }
    let id = plan.rsplit('/').next().unwrap();
    assert_eq!(witness.get(&format!("/plans/{id}")).await.fine()["applied_at"], json!(null));
    let applied = browser.post(&format!("{plan}/apply"), "name=+backup%2Fmedia+").await;
    assert_eq!(Browser::location(&applied), page);
    assert_eq!(witness.get(&format!("/plans/{id}")).await.fine()["applied_by"], "key:operator");
    let shown = browser.get(&page).await.text;
    assert!(shown.contains("Decided by key:operator"), "{shown}");
    // Pressed twice.
    let again = browser.post(&format!("{plan}/apply"), "name=backup/media").await;
    assert_eq!(Browser::location(&again), plan);
    assert!(browser.get(&plan).await.text.contains("by key:operator"));
}

#[tokio::test]
async fn what_can_not_be_used_says_why() {
    let witness = diverged().await;
    let page = conflict(&witness).await;
    let browser = Browser::sign_in(&witness, Role::Admin).await;
    let shown = browser.get(&page).await.text;
    assert!(shown.contains("Not possible here:"), "two members have no majority: {shown}");
    let refused = browser.post(&format!("{page}/plan"), "strategy=use_majority").await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert!(refused.text.contains("E_STRATEGY_REFUSED"), "{}", refused.text);
    let unknown = browser.get(&format!("/dashboard/conflicts/{}", uuid::Uuid::nil())).await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.text.contains("E_CONFLICT_NOT_FOUND"), "{}", unknown.text);
}

#[tokio::test]
async fn a_decision_is_withdrawn_where_it_is_shown() {
    let witness = diverged().await;
    let page = conflict(&witness).await;
    let browser = Browser::sign_in(&witness, Role::Operator).await;
    assert!(!browser.get(&page).await.text.contains("Withdraw"), "nothing is decided");
    let plan = Browser::location(&browser.post(&format!("{page}/plan"), "strategy=keep_both").await);
    Browser::location(&browser.post(&format!("{plan}/apply"), "").await);
    let viewer = Browser::sign_in(&witness, Role::Viewer).await;
    let shown = viewer.get(&page).await.text;
    assert!(shown.contains("nas2 follows nas1") && !shown.contains("Withdraw"), "{shown}");
    assert_eq!(viewer.post(&format!("{page}/withdraw"), "").await.status, 403);
    assert!(browser.get(&page).await.text.contains("Withdraw the decision"));
    // Twice: whoever was slower sees what has become of it.
    for _ in 0..2 {
        let withdrawn = browser.post(&format!("{page}/withdraw"), "").await;
        assert_eq!(Browser::location(&withdrawn), page);
        let shown = browser.get(&page).await.text;
        assert!(!shown.contains("Withdraw") && shown.contains("Show plan"), "{shown}");
    }
    let shown = browser.get(&plan).await.text;
    assert!(shown.contains("What it decided was withdrawn"), "{shown}");
}

#[tokio::test]
async fn a_difference_is_on_the_first_page_and_names_are_shown_to_operators_as_text() {
    let (witness, path) = crate::tests::verifications::differing("<img onerror=alert(1)>.mkv").await;
    let page = format!("/dashboard{path}");
    let operator = Browser::sign_in(&witness, Role::Operator).await;
    let overview = operator.get("/dashboard").await.text;
    assert!(overview.contains("One replica is not the same as the source"), "{overview}");
    assert!(!overview.contains("Nothing needs you"), "{overview}");
    let list = operator.get("/dashboard/verifications").await.text;
    assert!(list.contains("not the same") && list.contains(&page) && list.contains("backup/media"), "{list}");
    let shown = operator.get(&page).await.text;
    assert!(shown.contains("mkv: only on nas1") && !shown.contains("<img"), "{shown}");
    let why = operator.get("/dashboard/why?replica=backup/media@nas2").await.text;
    assert!(why.contains("not the same</span> as its source by content") && why.contains(&page), "{why}");
    let viewer = Browser::sign_in(&witness, Role::Viewer).await;
    let shown = viewer.get(&page).await.text;
    assert!(
        !shown.contains("mkv") && shown.contains("1 further difference") && shown.contains("operators"),
        "{shown}"
    );
    let unknown = operator.get(&format!("/dashboard/verifications/{}", uuid::Uuid::nil())).await;
    assert_eq!(unknown.status, 404);
    let stranger = witness.send(Request::get(&page).body(Body::empty()).unwrap()).await;
    assert_eq!(stranger.headers[header::LOCATION], "/login");
}

#[tokio::test]
async fn systems_show_how_their_pools_are() {
    let witness = Witness::start().await;
    let (nas1, _) = witness.pair(false).await;
    let pools = json!({ "pools": [{ "name": "tank", "state": "DEGRADED", "scan": "resilver in progress" }] });
    witness.agent(&nas1, "pools", pools).await.fine();
    let browser = Browser::sign_in(&witness, Role::Viewer).await;
    let shown = browser.get("/dashboard/systems").await.text;
    assert!(shown.contains("<strong>tank DEGRADED, resilver in progress</strong>"), "{shown}");
    assert!(shown.contains("unknown"), "nas2 has said nothing: {shown}");
}

#[tokio::test]
async fn every_head_of_a_mesh_is_shown() {
    let witness = Witness::start().await;
    witness.split_mesh().await;
    let browser = Browser::sign_in(&witness, Role::Viewer).await;
    let list = browser.get("/dashboard/conflicts").await.text;
    for head in ["nas1 @s7", "nas2 @s8", "nas3 @s9"] {
        assert_eq!(list.matches(head).count(), 2, "{head}: {list}");
    }
    let conflicts = witness.get("/conflicts").await.fine();
    for conflict in conflicts.as_array().unwrap() {
        let page =
            browser.get(&format!("/dashboard/conflicts/{}", conflict["id"].as_str().unwrap())).await.text;
        for head in
            ["nas1 ends with tank/media@s7", "nas2 ends with tank/media@s8", "nas3 ends with tank/media@s9"]
        {
            assert!(page.contains(head), "{head}: {page}");
        }
    }
}
