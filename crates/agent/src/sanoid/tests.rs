use std::time::Duration;

use super::*;

const DEFAULTS: &str = include_str!("testdata/sanoid.defaults.conf");

struct World {
    folder: tempfile::TempDir,
    policies: Policies,
    datasets: Vec<DatasetName>,
}

impl World {
    /// sanoid is installed; nobody has configured it.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap();
        let files = Files {
            config: path.join("sanoid.conf"),
            defaults: vec![path.join("absent.conf"), path.join("defaults.conf")],
        };
        let datasets = ["tank", "tank/a"].map(|name| name.parse().unwrap()).to_vec();
        let world = Self { folder, policies: Policies::new(files), datasets };
        world.write("defaults.conf", DEFAULTS);
        world
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// `tank 48`: how many hourly snapshots are kept.
    async fn look(&mut self) -> Vec<String> {
        self.policies.look(self.datasets.iter()).await;
        let found = self.policies.found().iter();
        found.map(|(name, retention)| format!("{name} {}", retention.hourly)).collect()
    }
}

#[tokio::test]
async fn policies_follow_the_file_and_the_datasets() {
    let mut world = World::new();
    assert!(world.look().await.is_empty(), "not configured");
    world.write("sanoid.conf", "[tank]\nrecursive = yes\n");
    assert_eq!(world.look().await, ["tank 48", "tank/a 48"]);
    world.datasets.push("tank/b".parse().unwrap());
    assert_eq!(world.look().await, ["tank 48", "tank/a 48", "tank/b 48"]);
    world.write("sanoid.conf", "[tank]\nrecursive = yes\nhourly = 7\n");
    assert_eq!(world.look().await, ["tank 7", "tank/a 7", "tank/b 7"]);
    world.write("defaults.conf", &DEFAULTS.replace("hourly = 48", "hourly = 480"));
    world.write("sanoid.conf", "[tank]\n");
    assert_eq!(world.look().await, ["tank 480"]);
    std::fs::remove_file(world.folder.path().join("sanoid.conf")).unwrap();
    assert!(world.look().await.is_empty());
}

#[tokio::test]
async fn a_file_that_has_not_changed_is_not_read_again() {
    let mut world = World::new();
    world.write("sanoid.conf", "[tank]\nhourly = 1\n");
    assert_eq!(world.look().await, ["tank 1"]);
    let path = world.folder.path().join("sanoid.conf");
    let modified = path.metadata().unwrap().modified().unwrap();
    world.write("sanoid.conf", "[tank]\nhourly = 2\n");
    let set = |time| std::fs::File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
    set(modified);
    assert_eq!(world.look().await, ["tank 1"], "nothing tells that it is another text");
    world.datasets.push("tank/b".parse().unwrap());
    assert_eq!(world.look().await, ["tank 1"], "another dataset is no reason to read");
    set(modified + Duration::from_secs(1));
    assert_eq!(world.look().await, ["tank 2"]);
}

#[tokio::test]
async fn a_broken_file_says_nothing_of_retention_until_it_is_mended() {
    let mut world = World::new();
    world.write("sanoid.conf", "[tank]\n");
    assert_eq!(world.look().await, ["tank 48"]);
    let large = format!("[tank]\n#{}\n", "x".repeat(1 << 20));
    for broken in ["[tank\n", "hourly = 3\n", "[tank]\nhorly = 3\n", &large] {
        world.write("sanoid.conf", broken);
        assert!(world.look().await.is_empty(), "{broken:.20}");
    }
    world.write("sanoid.conf", "[tank]\nhourly = 3\n");
    assert_eq!(world.look().await, ["tank 3"]);
    world.write("defaults.conf", "nonsense");
    assert!(world.look().await.is_empty());
    world.write("defaults.conf", DEFAULTS);
    assert_eq!(world.look().await, ["tank 3"]);
}

#[tokio::test]
async fn without_its_defaults_sanoid_does_not_run() {
    let mut world = World::new();
    world.write("sanoid.conf", "[tank]\n");
    std::fs::remove_file(world.folder.path().join("defaults.conf")).unwrap();
    assert!(world.look().await.is_empty());
    world.write("absent.conf", &DEFAULTS.replace("hourly = 48", "hourly = 5"));
    world.write("defaults.conf", DEFAULTS);
    assert_eq!(world.look().await, ["tank 5"], "the first that exists counts");
}

#[tokio::test]
async fn what_is_no_file_is_not_read() {
    let mut world = World::new();
    std::fs::create_dir(world.folder.path().join("sanoid.conf")).unwrap();
    assert!(world.look().await.is_empty());
}
