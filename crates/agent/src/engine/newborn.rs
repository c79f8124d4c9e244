//! A replica that has just begun: is it what was promised?
//!
//! `zfs receive -o` and `-x` do not always do what they say (openzfs#17240), older implementations know neither, and encryption is a
//! promise that has broken before (zrepl#504). So everything is read back before anybody can mount it, and corrected where that
//! takes nothing away.

use zfs_sync_api::codes::ErrorCode;
use zfs_sync_core::{
    inventory::DatasetKind,
    plan::{Send, Warning},
    stream::PIN,
};
use zfs_sync_zfs::{
    command::{Command, NotReceived, Setting},
    features::Ability,
    parse::Property,
};

use super::{
    Run, Side,
    facts::{Chosen, get, is_encrypted, pin_of, value_of},
    failure::{Failure, in_words},
};

/// Looks at the replica, corrects its properties, and fails when it is not encrypted as it was to be. What has arrived stays in any case.
pub(super) async fn inspect(run: &Run<'_>, send: &Send, chosen: &Chosen) -> Result<(), Failure> {
    let (step, features) = (run.step, run.sides.target_features);
    let is_filesystem = step.kind == DatasetKind::Filesystem;
    let own_affairs: Vec<NotReceived> = NotReceived::ALL
        .into_iter()
        .filter(|property| {
            is_filesystem || matches!(property, NotReceived::Reservation | NotReceived::RefReservation)
        })
        .collect();
    let mut asked = vec!["readonly", PIN];
    asked.extend(is_filesystem.then_some("canmount"));
    asked.extend(own_affairs.iter().map(|property| property.as_str()));
    if features.can(Ability::Raw) {
        asked.extend(["encryption", "encryptionroot"]);
    }
    let found = get(run.sides.target, &step.target, &asked).await;
    let found =
        found.map_err(|error| Failure::command(&format!("look at the new {}", step.target), &error))?;
    let Some(found) = found else {
        return Err(Failure::stale(format!("{} does not exist any more", step.target)));
    };
    for setting in
        corrections(&found, is_filesystem, &own_affairs, chosen, features.can(Ability::ReceiveProperties))
    {
        correct(run, setting).await;
    }
    if features.can(Ability::Raw) {
        check_encryption(run, send, chosen, &found)?;
    }
    Ok(())
}

/// What is to be set so that the replica is as it should be.
fn corrections(
    found: &[Property],
    is_filesystem: bool,
    own_affairs: &[NotReceived],
    chosen: &Chosen,
    came_with_the_stream: bool,
) -> Vec<Setting> {
    let mut settings = Vec::new();
    if value_of(found, "readonly") != Some("on") {
        settings.push(Setting::ReadOnly);
    }
    if is_filesystem && value_of(found, "canmount") == Some("on") {
        settings.push(Setting::NotMountedByItself);
    }
    if pin_of(found) != Some(chosen.form) {
        settings.push(Setting::Stream(chosen.form));
    }
    for &property in own_affairs {
        let from_source = |seen: &&Property| {
            seen.name == property.as_str()
                && (seen.source == "local" || seen.source == "received")
                && !["0", "none", "off", "-"].contains(&seen.value.as_str())
        };
        settings.extend(found.iter().find(from_source).map(|_| Setting::Cleared(property)));
    }
    if !came_with_the_stream {
        let copied = chosen.properties.iter();
        settings.extend(copied.map(|(property, value)| Setting::Copied(property.clone(), value.clone())));
    }
    settings
}

/// Of an old implementation it is known that it takes no properties with a stream; anywhere else a correction is worth a word.
async fn correct(run: &Run<'_>, setting: Setting) {
    let target = &run.step.target;
    let expected = !run.sides.target_features.can(Ability::ReceiveProperties);
    let what = setting.to_string();
    match run.run(Side::Target, Command::Set { dataset: target.clone(), setting }).await {
        Ok(()) if expected => {}
        Ok(()) => {
            let detail = format!("the first receive did not leave {target} with {what}; it has that now");
            run.watcher.caution(Warning::PropertyNotSet, &detail);
        }
        Err(error) => {
            let detail = format!("could not give {target} {what}: {}", in_words(&error));
            run.watcher.caution(Warning::PropertyNotSet, &detail);
        }
    }
}

fn check_encryption(run: &Run<'_>, send: &Send, chosen: &Chosen, found: &[Property]) -> Result<(), Failure> {
    let target = &run.step.target;
    let encrypted = is_encrypted(found);
    let broken = |what: String| {
        let detail = format!("{what}. It stays as it is; nothing more is sent to it");
        Err(Failure::new(ErrorCode::EncryptionMismatch, detail))
    };
    match (send.raw, encrypted) {
        (true, false) => {
            broken(format!("{target} was to be encrypted as its source is, and lies there in the clear"))
        }
        (false, false) if chosen.parent_encrypted => {
            broken(format!("{target} was to be encrypted with its parent's key, and lies there in the clear"))
        }
        // A clone has the key of its origin.
        (true, true) if send.target_origin.is_none() => match value_of(found, "encryptionroot") {
            Some(root) if root == target.as_str() => Ok(()),
            root => {
                let root = root.unwrap_or("nobody");
                broken(format!("{target} was to have its source's key, and has that of {root}"))
            }
        },
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use zfs_sync_core::stream::StreamForm;

    use super::*;

    fn property(name: &str, value: &str, source: &str) -> Property {
        Property { name: name.into(), value: value.into(), source: source.into() }
    }

    fn chosen() -> Chosen {
        Chosen {
            form: StreamForm::WHOLE,
            cautions: vec![],
            properties: vec![],
            parent_encrypted: false,
            keeps_partial: true,
        }
    }

    fn texts(found: &[Property]) -> Vec<String> {
        let settings = corrections(found, true, &NotReceived::ALL, &chosen(), true);
        settings.iter().map(ToString::to_string).collect()
    }

    fn as_it_should_be() -> Vec<Property> {
        vec![
            property("readonly", "on", "local"),
            property("canmount", "noauto", "local"),
            property(PIN, "-L -c -e", "local"),
            property("mountpoint", "/backup/a", "inherited from backup"),
            property("sharenfs", "off", "local"),
            property("quota", "0", "local"),
        ]
    }

    #[test]
    fn what_is_right_is_left_alone() {
        assert_eq!(texts(&as_it_should_be()), Vec::<String>::new());
    }

    #[test]
    fn what_came_along_with_the_stream_is_taken_off() {
        let mut found = as_it_should_be();
        found[1].value = "on".into();
        found[3] = property("mountpoint", "/var", "received");
        found[5] = property("quota", "1000", "received");
        let expected = ["canmount=noauto", "mountpoint inherited", "quota=none"];
        assert_eq!(texts(&found), expected);
    }

    #[test]
    fn what_only_the_parent_remembers_is_written_on_the_replica() {
        let mut found = as_it_should_be();
        found[2].source = "inherited from backup".into();
        found[0].value = "off".into();
        assert_eq!(texts(&found), ["readonly=on", "zfs-sync:stream=-L -c -e"]);
    }
}
