//! What others than the two systems of a ticket can not do, nor these two beyond it.

use tokio::net::TcpStream;

use super::*;

#[tokio::test]
async fn whoever_connects_and_says_nothing_keeps_nobody_out() {
    let world = World::new(false);
    let (served, step) = (world.serve(2).await, world.step().await);
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(served.address).await.unwrap());
    }
    world.runner(&served, &step, 1).run(&Command::Version).await.unwrap();
    drop(silent);
    served.stop().await;
}

#[tokio::test]
async fn nothing_begins_after_a_ticket_has_ended_unless_it_is_renewed() {
    let world = World::new(false);
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let (served, step) = (world.serve_at(2, clock.clone()).await, world.step().await);
    let signed = || world.authority.sign(&ticket(step.clone(), system(1), served.instance, clock.now()));
    let pass = Arc::new(Pass::new(signed()));
    let runner = TlsRunner::new(world.connections(1), served.at(2), "nas2".to_owned(), Arc::clone(&pass));
    runner.run(&Command::Version).await.unwrap();
    clock.advance(Duration::from_mins(16));
    let refusal = refused(&runner, &Command::Version).await;
    assert_eq!(refusal.kind, Kind::TlsTicket, "{}", refusal.stderr);
    let abort = Command::AbortReceive { dataset: step.target.clone() };
    assert_eq!(refused(&runner, &abort).await.kind, Kind::TlsTicket);
    pass.renew(signed());
    runner.run(&Command::Version).await.unwrap();
    served.stop().await;
}

#[tokio::test]
async fn of_all_that_is_held_over_there_only_what_the_steps_hold_is_told() {
    let world = World::new(false);
    for name in ["tank/secret", "tank/moved"] {
        world.source.create_dataset(name, DatasetKind::Filesystem).unwrap();
        world.source.snapshot(&format!("{name}@x")).unwrap();
    }
    let (served, step) = (world.serve(1).await, world.step().await);
    world.source.hold("somebody", "tank/secret@x").unwrap();
    world.source.hold(step.protection().step_hold().as_str(), "tank/moved@x").unwrap();
    let remote = world.runner(&served, &step, 1);
    let of = |name: &str| Command::ListHistory { scope: Scope::Only(name.parse().unwrap()) };
    let listed = remote.run(&Command::ListHistory { scope: Scope::Everything }).await.unwrap().stdout;
    assert!(listed.contains("tank/moved@x") && !listed.contains("secret"), "{listed}");
    assert_eq!(refused(&remote, &of("tank/secret")).await.kind, Kind::TlsForbidden);
    remote.run(&of("tank/moved")).await.unwrap();
    served.stop().await;
}
