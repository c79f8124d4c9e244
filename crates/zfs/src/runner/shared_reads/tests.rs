use futures::future::join_all;
use zfs_sync_core::{
    inventory::{Dataset, DatasetKind},
    time::SystemClock,
};

use super::*;
use crate::{features::Features, inventory::read_one, memory::Host};

/// Counts what reaches the host, and takes its time: others get to ask meanwhile.
#[derive(Debug)]
struct Slow {
    inner: Arc<dyn Runner>,
    commands: Mutex<Vec<Command>>,
}

#[async_trait]
impl Runner for Slow {
    fn host(&self) -> &str {
        self.inner.host()
    }

    async fn run(&self, command: &Command) -> Result<Output, Error> {
        lock(&self.commands).push(command.clone());
        tokio::task::yield_now().await;
        self.inner.run(command).await
    }

    fn start(
        &self,
        command: &Command,
        stdin: Option<PipeReader>,
        stdout: Option<PipeWriter>,
    ) -> Result<Box<dyn Stage>, Error> {
        self.inner.start(command, stdin, stdout)
    }
}

type Found = Result<Option<(Dataset, Option<String>)>, Error>;

struct World {
    host: Host,
    slow: Arc<Slow>,
    shared: SharedReads,
    features: Features,
}

impl World {
    /// `tank/0` and so on, with as many snapshots as their number says.
    async fn new(datasets: usize) -> Self {
        let host = Host::new("nas1", Arc::new(SystemClock), 1);
        host.create_pool("tank", 1 << 30).unwrap();
        for number in 0..datasets {
            host.create_dataset(&format!("tank/{number}"), DatasetKind::Filesystem).unwrap();
            for snapshot in 0..number % 5 {
                host.snapshot(&format!("tank/{number}@{snapshot}")).unwrap();
            }
        }
        let features = Features::probe(&*host.runner()).await.unwrap();
        let slow = Arc::new(Slow { inner: host.remote_runner(), commands: Mutex::default() });
        let shared = SharedReads::new(Arc::clone(&slow) as Arc<dyn Runner>);
        Self { host, slow, shared, features }
    }

    async fn read_all(&self, runner: &dyn Runner, names: &[String]) -> Vec<Found> {
        let names: Vec<DatasetName> = names.iter().map(|name| name.parse().unwrap()).collect();
        join_all(names.iter().map(|name| read_one(runner, name, &self.features))).await
    }

    fn commands(&self) -> usize {
        lock(&self.slow.commands).len()
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("tank/{number}")).collect()
}

#[tokio::test]
async fn many_questions_at_once_are_few_listings_with_the_same_answers() {
    let world = World::new(300).await;
    let alone = world.read_all(&*world.host.runner(), &names(300)).await;
    let together = world.read_all(&world.shared, &names(300)).await;
    for (alone, together) in alone.iter().zip(&together) {
        assert_eq!(alone.as_ref().unwrap(), together.as_ref().unwrap());
    }
    assert!(world.commands() <= 15, "{} commands for 300 datasets", world.commands());
}

#[tokio::test]
async fn what_does_not_exist_is_told_so_and_costs_the_others_one_more_listing() {
    let world = World::new(20).await;
    let mut names = names(20);
    names.insert(7, "tank/gone".to_owned());
    names.push("tank/gone too".to_owned());
    let found = world.read_all(&world.shared, &names).await;
    for (name, found) in names.iter().zip(found) {
        assert_eq!(found.unwrap().is_some(), !name.contains("gone"), "{name}");
    }
    assert!(world.commands() <= 12, "{}", world.commands());
    // As a listing of it alone says it.
    let command = Command::ListHistory { scope: Scope::Only("tank/gone".parse().unwrap()) };
    let other = Command::ListHistory { scope: Scope::Only("tank/1".parse().unwrap()) };
    let alone = world.host.runner().run(&command).await.unwrap_err();
    let asked = [&other, &command, &other];
    let together = join_all(asked.map(|command| world.shared.run(command))).await;
    let together = together[1].as_ref().unwrap_err();
    assert_eq!((together.kind, &together.command), (alone.kind, &alone.command));
    assert_eq!((&together.stderr, &together.status), (&alone.stderr, &alone.status));
}

#[tokio::test]
async fn what_fails_for_many_is_asked_for_each_alone() {
    let world = World::new(6).await;
    world.host.faults().fail_next(
        |command| matches!(command, Command::ListHistory { scope: Scope::These(_) }),
        "internal error: out of memory\n",
    );
    world.host.faults().fail_next(
        |command| matches!(command, Command::ListHistory { scope: Scope::Only(name) } if name.as_str() == "tank/3"),
        "cannot open 'tank/3': permission denied\n",
    );
    let found = world.read_all(&world.shared, &names(6)).await;
    for (number, found) in found.into_iter().enumerate() {
        match found {
            Ok(found) => assert!(number != 3 && found.is_some(), "{number}"),
            Err(error) => assert_eq!((number, error.kind), (3, Kind::Permission)),
        }
    }
}

#[tokio::test]
async fn that_a_host_can_not_be_reached_everybody_hears_at_once() {
    let world = World::new(10).await;
    world.host.faults().offline(true);
    let found = world.read_all(&world.shared, &names(10)).await;
    assert!(found.iter().all(|found| found.as_ref().unwrap_err().kind.is_transport()), "{found:?}");
    assert_eq!(world.commands(), 2);
}

#[tokio::test]
async fn when_whoever_reads_for_all_stops_the_others_are_answered() {
    let world = World::new(5).await;
    let names = names(5);
    let read = |number: usize| {
        let name: DatasetName = names[number].parse().unwrap();
        let (shared, features) = (&world.shared, &world.features);
        async move { read_one(shared, &name, features).await }
    };
    // The first reads alone, the second for the rest.
    let mut first = Box::pin(read(0));
    let mut second = Box::pin(read(1));
    assert!(futures::poll!(&mut first).is_pending());
    assert!(futures::poll!(&mut second).is_pending());
    let mut rest = Box::pin(join_all([read(2), read(3), read(4)]));
    assert!(futures::poll!(&mut rest).is_pending());
    while world.commands() < 2 {
        let _ = futures::poll!(&mut first);
        let _ = futures::poll!(&mut second);
        tokio::task::yield_now().await;
    }
    drop(second);
    let (first, rest) = tokio::join!(first, rest);
    assert!(first.unwrap().is_some());
    assert!(rest.into_iter().all(|found| found.unwrap().is_some()));
}
