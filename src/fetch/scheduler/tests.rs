//! Tests with a discrete-event simulator: nodes with a rate, a latency, a limit per connection and
//! faults. Hundreds of random downloads run in a second or two of real time.

use super::*;
use crate::model::transfer::NodeState;

mod simulation;
mod slow;

use simulation::*;

const MB: f64 = 1e6;

#[test]
fn a_small_object_is_one_request_to_the_best_node() {
    let mut simulation =
        Simulation::new(200_000, vec![healthy(MB, 0.05), healthy(9.0 * MB, 0.01)], 1);
    simulation.run(10.0);
    simulation.assert_whole();
    assert_eq!((simulation.requests, simulation.max_requests), (1, 1));
}

#[test]
fn a_measured_fast_node_is_not_joined_by_slow_ones() {
    let prior = |rate: f64, latency| {
        Some(Prior { bytes_per_second: rate, latency_seconds: latency, connections: 2 })
    };
    let nodes = vec![healthy(0.1 * MB, 0.5), healthy(100.0 * MB, 0.01)];
    let mut simulation = Simulation::with_priors(
        4_000_000,
        &[prior(0.1 * MB, 0.5), prior(100.0 * MB, 0.01)],
        nodes,
        1,
    );
    simulation.run(10.0);
    simulation.assert_whole();
    assert_eq!(simulation.scheduler.view(Duration::from_secs(1), 0).unwrap().done, 0);
    assert!(simulation.now < 0.3, "{}", simulation.now);
}

#[test]
fn four_links_end_together() {
    let lossy = Model { request_rate: 0.12 * MB, ..healthy(MB, 0.2) };
    let nodes =
        vec![healthy(5.0 * MB, 0.02), healthy(2.5 * MB, 0.08), lossy, healthy(7.5 * MB, 0.01)];
    let mut simulation = Simulation::new(300_000_000, nodes, 1);
    simulation.run(100.0);
    simulation.assert_whole();
    let ideal = 300.0 / 16.0;
    assert!(simulation.now < ideal * 1.05, "{} s in place of {ideal}", simulation.now);
    assert!(simulation.overhead() < 1.01, "{}", simulation.overhead());
    let lossy = simulation.scheduler.measured(2).unwrap();
    assert!(lossy.connections >= 8, "{lossy:?}");
    assert!(simulation.scheduler.measured(0).unwrap().connections <= 8);
}

#[test]
fn a_liar_is_named_and_left_and_its_piece_comes_from_another() {
    let nodes = vec![with(Behaviour::Lies(3), 5.0 * MB), healthy(MB, 0.05)];
    let mut simulation = Simulation::new(20_000_000, nodes, 1);
    simulation.run(100.0);
    simulation.assert_whole();
    assert_eq!(simulation.faults, [(0, FaultKind::WrongBytes, true)]);
    assert_eq!(
        simulation.scheduler.view(Duration::from_secs(100), 0).unwrap().state,
        NodeState::Dropped
    );
}

#[test]
fn a_node_that_goes_dark_costs_little() {
    let nodes = vec![with(Behaviour::DarkFrom(3.0), 5.0 * MB), healthy(5.0 * MB, 0.05)];
    let mut simulation = Simulation::new(115_000_000, nodes, 1);
    simulation.run(100.0);
    simulation.assert_whole();
    // 15 MB from the node that goes dark, 100 MB from the other one.
    assert!(simulation.now < 20.0 + 1.5, "{}", simulation.now);
    assert!(
        simulation.faults.iter().all(|(node, kind, _)| (*node, *kind) == (0, FaultKind::Stalled))
    );
    assert!(
        simulation.faults.last().unwrap().2,
        "left at last: {:?} {}",
        simulation.faults,
        simulation.now
    );
}

#[test]
fn all_nodes_gone_for_a_while() {
    let gone = || with(Behaviour::DarkBetween(2.0, 30.0), 3.0 * MB);
    let mut simulation = Simulation::new(30_000_000, vec![gone(), gone()], 1);
    simulation.run(200.0);
    simulation.assert_whole();
    assert!((30.0..60.0).contains(&simulation.now), "{}", simulation.now);
    let mut simulation = Simulation::new(30_000_000, vec![with(Behaviour::DarkFrom(1.0), MB)], 1);
    assert_eq!(simulation.run(200.0), Some(false));
    assert!((60.0..75.0).contains(&simulation.now), "patience is a minute: {}", simulation.now);
}

#[test]
fn answers_cut_short_everywhere_still_converge() {
    let mut simulation = Simulation::new(1_000_000, vec![with(Behaviour::Cut(10_000), MB)], 1);
    simulation.run(600.0);
    simulation.assert_whole();
    assert!(simulation.overhead() < 1.01, "what came is kept: {}", simulation.overhead());
}

#[test]
fn a_node_without_ranges_is_a_last_resort() {
    let mut simulation = Simulation::new(
        20_000_000,
        vec![with(Behaviour::SendsWhole, 5.0 * MB), healthy(5.0 * MB, 0.05)],
        1,
    );
    simulation.run(100.0);
    simulation.assert_whole();
    assert_eq!(simulation.scheduler.view(Duration::from_secs(9), 0).unwrap().done, 0);
    let mut simulation = Simulation::new(
        20_000_000,
        vec![with(Behaviour::SendsWhole, 5.0 * MB), with(Behaviour::Different, MB)],
        1,
    );
    simulation.run(100.0);
    simulation.assert_whole();
}

#[test]
fn a_drip_holds_nobody_up() {
    // The only other node is so distant that it would not be asked to help a working node.
    for latency in [0.05, 2.0] {
        let mut simulation = Simulation::new(
            3_000_000,
            vec![healthy(2_000.0, 0.05), healthy(10.0 * MB, latency)],
            1,
        );
        simulation.run(300.0);
        simulation.assert_whole();
        assert!(simulation.now < 12.0 * (latency + 0.5), "{} s", simulation.now);
    }
}

#[test]
fn nobody_left_ends_at_once() {
    let mut simulation = Simulation::new(
        20_000_000,
        vec![with(Behaviour::Different, MB), with(Behaviour::Lies(0), MB)],
        1,
    );
    assert_eq!(simulation.run(100.0), Some(false));
    assert!(simulation.now < 5.0, "{}", simulation.now);
    assert_eq!(simulation.range_requests.len(), 0);
}

#[test]
fn pause_ends_all_requests_and_resume_goes_on() {
    let mut simulation =
        Simulation::new(30_000_000, vec![healthy(3.0 * MB, 0.05), healthy(MB, 0.05)], 1);
    simulation.run(2.0);
    simulation.step(SchedulerInput::Pause);
    assert_eq!((simulation.range_requests.len(), simulation.scheduler.range_requests()), (0, 0));
    assert_eq!(simulation.run(500.0), None, "a pause may be longer than patience");
    assert_eq!(simulation.range_requests.len(), 0);
    simulation.step(SchedulerInput::Resume);
    simulation.run(600.0);
    simulation.assert_whole();
    assert!(simulation.overhead() < 1.02, "{}", simulation.overhead());
}

#[test]
fn pieces_that_are_held_are_not_fetched() {
    let table = table(1_000_000);
    let limits = SchedulerLimits {
        first_requests: 4,
        max_requests: 16,
        timeout: Duration::from_secs(60),
        seed: 1,
        instance: 0,
    };
    let mut scheduler = Scheduler::new(Arc::clone(&table), 0..table.count(), &[None], &limits);
    assert_eq!(
        scheduler.step(Duration::ZERO, SchedulerInput::Tick { capped: false }),
        [Effect::Finished]
    );
    let mut scheduler =
        Scheduler::new(table, (0..16).filter(|piece| *piece != 7), &[None], &limits);
    let effects = scheduler.step(Duration::ZERO, SchedulerInput::Tick { capped: false });
    assert!(
        matches!(&effects[..], [Effect::Request(request)] if request.pieces == (7..8)),
        "{effects:?}"
    );
}

/// Random nodes, at least one of them healthy. The downloads complete, fetch little twice, and need
/// little more time than a perfect plan.
#[test]
fn random_downloads_converge() {
    let (mut spare_of_all, mut bytes_of_all) = (0.0, 0.0);
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let length = 10_f64.powf(4.0 + 4.0 * random.f64()) as u64;
        let node = |random: &mut fastrand::Rng| {
            let rate = 10_f64.powf(5.0 + 2.3 * random.f64());
            let request_rate = if random.u8(..4) == 0 {
                rate / f64::from(random.u8(2..10))
            } else {
                f64::INFINITY
            };
            Model {
                rate,
                request_rate,
                latency: 0.005 + 0.3 * random.f64() * random.f64(),
                behaviour: Behaviour::Healthy,
            }
        };
        let mut nodes = vec![node(&mut random)];
        for _ in 0..random.usize(0..5) {
            let behaviour = match random.u8(..16) {
                0 => Behaviour::DarkFrom(5.0 * random.f64()),
                1 => Behaviour::DarkBetween(random.f64(), 1.0 + 9.0 * random.f64()),
                2 => Behaviour::Cut(random.u64(20_000..2_000_000)),
                3 => Behaviour::Lies(random.u32(0..20)),
                4 => Behaviour::Refuses,
                5 => Behaviour::Different,
                6 => Behaviour::SendsWhole,
                _ => Behaviour::Healthy,
            };
            nodes.push(Model { behaviour, ..node(&mut random) });
        }
        random.shuffle(&mut nodes);
        let steady: Vec<&Model> =
            nodes.iter().filter(|node| node.behaviour == Behaviour::Healthy).collect();
        let rate: f64 = steady.iter().map(|node| node.rate.min(4.0 * node.request_rate)).sum();
        let latency = nodes.iter().map(|node| node.latency).fold(0.0, f64::max);
        let ideal = length as f64 / rate;
        let mut simulation = Simulation::new(length, nodes.clone(), seed);
        simulation.run(3000.0);
        let context =
            || format!("seed {seed}: {length} bytes, {nodes:#?}\n{:?}", simulation.faults);
        assert_eq!(simulation.finished, Some(true), "{}", context());
        simulation.assert_whole();
        // A start without knowledge of any node, a stall that must be waited out, and a margin.
        let bound = ideal * 1.3 + 6.0 + 10.0 * latency;
        assert!(
            simulation.now < bound,
            "{} s, bound {bound}, ideal {ideal}\n{}",
            simulation.now,
            context()
        );
        let spare = simulation.received.saturating_sub(length) as f64;
        assert!(spare < length as f64 * 0.15 + 2e6, "{spare} bytes too many\n{}", context());
        (spare_of_all, bytes_of_all) = (spare_of_all + spare, bytes_of_all + length as f64);
    }
    assert!(
        spare_of_all < bytes_of_all * 0.008,
        "{} of all bytes came twice",
        spare_of_all / bytes_of_all
    );
}
