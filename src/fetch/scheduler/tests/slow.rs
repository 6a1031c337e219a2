//! Nodes and peers that hold pieces and send next to nothing, beside one good node. They cost
//! little, however many they are and whenever they join.

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::*;

/// Seconds that it takes to notice that unknown nodes and peers send nothing. Beside a short download
/// they count.
const PROBE: f64 = 1.5;
/// Bytes a second: a byte each half second on every request, so it is never silent and never done.
const DRIP: f64 = 2.0;

fn dripping(random: &mut fastrand::Rng) -> Model {
    Model {
        request_rate: DRIP * (0.5 + random.f64()),
        ..healthy(f64::INFINITY, 0.005 + 0.05 * random.f64())
    }
}

/// A node that drips more or less: from the beginning, or after a good start of each answer.
fn crawling(random: &mut fastrand::Rng) -> Model {
    match random.u8(..3) {
        0 => dripping(random),
        1 => Model { request_rate: 10f64.powf(3.5 * random.f64()), ..dripping(random) },
        _ => Model { request_rate: MB, ..with(Behaviour::Fades(random.u64(..200_000)), 5.0 * MB) },
    }
}

/// One good node among so many dripping ones.
fn nodes(random: &mut fastrand::Rng, dripping_nodes: usize, rate: f64) -> Vec<Model> {
    let mut nodes: Vec<Model> = (0..dripping_nodes).map(|_| dripping(random)).collect();
    nodes.insert(random.usize(0..=nodes.len()), healthy(rate, 0.03));
    nodes
}

/// Seconds of a download from the good node alone.
fn alone(length: u64, rate: f64, seed: u64) -> f64 {
    let mut simulation = Simulation::new(length, vec![healthy(rate, 0.03)], seed);
    simulation.run(300.0);
    simulation.assert_whole();
    simulation.now
}

/// Runs the simulation, and checks that it took at most half as long again as the good node alone.
fn compare(mut simulation: Simulation, alone: f64, context: &str) {
    simulation.joining.sort_by(|a, b| b.0.total_cmp(&a.0));
    simulation.run(alone * 20.0);
    assert_eq!(
        simulation.finished,
        Some(true),
        "{context}: not done after {:.1} s, alone {alone:.1} s",
        simulation.now
    );
    simulation.assert_whole();
    assert!(simulation.now < alone * 1.5, "{context}: {:.1} s, alone {alone:.1} s", simulation.now);
    assert!(simulation.overhead() < 1.15, "{context}: {} times the bytes", simulation.overhead());
}

const LENGTH: u64 = 60_000_000;

#[test]
fn dripping_nodes_never_hold_up_a_good_one() {
    for seed in 0..2 {
        let alone = alone(LENGTH, 10.0 * MB, seed);
        for count in 1..=8 {
            let mut random = fastrand::Rng::with_seed(seed);
            let nodes = nodes(&mut random, count, 10.0 * MB);
            compare(
                Simulation::new(LENGTH, nodes, seed),
                alone,
                &format!("{count} nodes, seed {seed}"),
            );
        }
    }
}

#[test]
fn dripping_peers_never_hold_up_a_good_node() {
    for seed in 0..2 {
        let alone = alone(LENGTH, 10.0 * MB, seed);
        for count in [1, 2, 3, 4, 8, 24] {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut simulation = Simulation::new(LENGTH, vec![healthy(10.0 * MB, 0.03)], seed);
            simulation.joining = (0..count).map(|_| (0.0, dripping(&mut random))).collect();
            compare(simulation, alone, &format!("{count} peers, seed {seed}"));
        }
    }
}

#[test]
fn holders_that_come_and_come_back_under_new_names_do_not_either() {
    for seed in 0..5 {
        let mut random = fastrand::Rng::with_seed(seed);
        let alone = alone(LENGTH, 10.0 * MB, seed);
        let mut nodes: Vec<Model> =
            (0..random.usize(0..8)).map(|_| crawling(&mut random)).collect();
        nodes.insert(random.usize(0..=nodes.len()), healthy(10.0 * MB, 0.03));
        let mut simulation = Simulation::new(LENGTH, nodes, seed);
        let (first, pause) = (random.usize(0..8), 0.2 + random.f64());
        let joining =
            (0..first).map(|_| 0.0).chain((0..30).map(|number| f64::from(number) * pause));
        simulation.joining = joining.map(|when| (when, crawling(&mut random))).collect();
        compare(simulation, alone, &format!("seed {seed}"));
    }
}

#[test]
fn peers_that_claim_everything_and_have_nothing_cost_little() {
    let alone = alone(LENGTH, 10.0 * MB, 1);
    for count in [1, 3, 24] {
        let mut simulation = Simulation::new(LENGTH, vec![healthy(10.0 * MB, 0.03)], 1);
        simulation.joining = (0..count).map(|_| (0.0, with(Behaviour::Hoards, MB))).collect();
        compare(simulation, alone, &format!("{count} peers"));
    }
}

/// Requests in flight do not clear a node's fault: it stays until the node sends something.
#[test]
fn a_dead_node_that_is_asked_again_is_not_shown_at_work() {
    let gone = with(Behaviour::DarkBetween(0.0, 30.0), MB);
    let mut simulation = Simulation::new(3_000_000, vec![gone], 1);
    simulation.run(4.5);
    for step in 45..290 {
        let now = f64::from(step) / 10.0;
        simulation.run(now);
        let view = simulation.scheduler.view(Duration::from_secs_f64(now), 0).unwrap();
        assert_eq!(view.state, NodeState::Waiting, "{now}");
    }
    simulation.run(60.0);
    simulation.assert_whole();
}

/// Each answer begins after so many seconds, and there is no other node.
#[test]
fn a_node_that_is_slow_to_answer_is_waited_for_longer_each_time() {
    for latency in [3.0, 5.0, 10.0, 20.0] {
        let mut simulation = Simulation::new(5_000_000, vec![healthy(MB, latency)], 1);
        simulation.timeout(120.0);
        simulation.run(400.0);
        assert_eq!(simulation.finished, Some(true), "{latency} s: {:?}", simulation.faults);
        simulation.assert_whole();
    }
}

/// A connection of 150 bytes a second gets there. A download at less than a byte a second ends
/// within the timeout.
#[test]
fn a_slow_steady_line_gets_there_and_a_drip_ends() {
    let mut simulation = Simulation::new(600_000, vec![healthy(150.0, 0.5)], 1);
    simulation.run(10_000.0);
    simulation.assert_whole();
    let mut simulation =
        Simulation::new(600_000, vec![dripping(&mut fastrand::Rng::with_seed(1))], 1);
    assert_eq!(simulation.run(500.0), Some(false));
    assert!(simulation.now < 65.0, "{} s", simulation.now);
}

#[test]
fn a_request_that_is_stuck_is_helped_by_its_own_node() {
    // One of the two servers behind one name is all but dead.
    let nodes = vec![Model { request_rate: MB, ..with(Behaviour::Fades(30_000_000), 8.0 * MB) }];
    let mut simulation = Simulation::new(6_000_000, nodes, 1);
    simulation.run(0.5);
    let id = *simulation.range_requests.keys().next().unwrap();
    simulation.range_requests.get_mut(&id).unwrap().part = f64::NEG_INFINITY;
    simulation.run(60.0);
    simulation.assert_whole();
    assert!(simulation.now < 12.0, "{} s", simulation.now);
}

/// The nodes besides the good one: how each is slow, and when a peer joins.
fn holders() -> impl Strategy<Value = Vec<(Model, f64)>> {
    let drips = (0.5..1.5, 0.005..0.055)
        .prop_map(|(rate, latency)| Model { request_rate: DRIP * rate, ..healthy(MB, latency) });
    let crawls = (0.0..3.5f64)
        .prop_map(|power| Model { request_rate: 10f64.powf(power), ..healthy(5.0 * MB, 0.02) });
    let fades = (0u64..60_000).prop_map(|after| with(Behaviour::Fades(after), 5.0 * MB));
    let turns = (0.1..8.0).prop_map(|from| with(Behaviour::DripsFrom(from), 5.0 * MB));
    let falls = (0.1..8.0).prop_map(|from| with(Behaviour::DarkFrom(from), 5.0 * MB));
    let cuts = (1u64..100_000).prop_map(|after| with(Behaviour::Cut(after), MB));
    let silent = Just(with(Behaviour::DarkFrom(0.0), MB));
    let any = prop_oneof![drips, crawls, fades, turns, falls, cuts, silent];
    proptest::collection::vec((any, 0.0..8.0), 0..8)
}

/// Other nodes may be on the internet (an operator's aliases among them) or peers, and may turn
/// slow at any time: the download takes at most half as long again as with the good node alone. The
/// cases are the same each time.
#[test]
fn a_good_node_is_held_up_by_nobody() {
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let seconds = prop_oneof![1.0..12.0, 12.0..16.0f64];
    let cases = (holders(), holders(), 0usize..8, 2.0..6.0f64, seconds, 0u64..1000);
    let outcome = TestRunner::new_with_rng(config, random).run(&cases, |case| {
        let context = format!("{case:?}");
        let (nodes, peers, place, rate, seconds, seed) = case;
        let length = (rate * seconds * MB) as u64;
        let alone = alone(length, rate * MB, seed);
        let mut all: Vec<Model> = nodes.into_iter().map(|(model, _)| model).collect();
        all.insert(place.min(all.len()), healthy(rate * MB, 0.03));
        let mut simulation = Simulation::new(length, all, seed);
        simulation.joining = peers.into_iter().map(|(model, when)| (when, model)).collect();
        simulation.joining.sort_by(|a, b| b.0.total_cmp(&a.0));
        simulation.run(alone * 20.0);
        simulation.assert_whole();
        let bound = alone * 1.5 + if seconds < 12.0 { PROBE } else { 0.0 };
        prop_assert!(
            simulation.now < bound,
            "{context}: {:.1} s, alone {alone:.1} s",
            simulation.now
        );
        prop_assert!(simulation.overhead() < 1.5, "{context}: {}", simulation.overhead());
        Ok(())
    });
    outcome.unwrap();
}

/// A peer keeps the beginning of the last piece, and others take the piece in turn without
/// answering. (In the past, a silent request with few bytes left seemed to be about to end for as
/// long as its timeout lasted.)
#[test]
fn the_last_piece_is_not_handed_from_one_silent_peer_to_the_next() {
    let rate = 3.0 * MB;
    let length = (rate * 12.0) as u64;
    let alone = alone(length, rate, 1);
    for after in [11_000, 40_000, 60_000] {
        let mut simulation = Simulation::new(length, vec![healthy(rate, 0.03)], 1);
        let silent = |number: u8| (f64::from(number) + 3.0, with(Behaviour::DarkFrom(0.0), MB));
        let ends = (2.0, with(Behaviour::Cut(after), MB));
        simulation.joining = (0..6).map(silent).chain([ends]).collect();
        compare(simulation, alone, &format!("after {after} bytes"));
    }
}

/// Each peer is as fast as the good node, and stops as soon as all is asked of it. It costs a
/// second or two until that is noticed, but not for each of any number of peers.
#[test]
fn peers_that_stop_one_after_another_cost_a_share_of_the_time() {
    let rate = 4.0 * MB;
    let length = (rate * 20.0) as u64;
    let alone = alone(length, rate, 1);
    for pause in [1.0, 2.0, 3.0] {
        let mut simulation = Simulation::new(length, vec![healthy(rate, 0.03)], 1);
        let stops = |number: u8| {
            let joins = f64::from(number) * pause + 0.5;
            (joins, with(Behaviour::DarkFrom(joins + 0.6), rate))
        };
        simulation.joining = (0..20).map(stops).collect();
        compare(simulation, alone, &format!("one each {pause} s"));
    }
}

/// The peer claims to take part, has everything, and ends each answer at once. The scheduler leaves
/// it, and this client fetches the peer's share. (In the past, the wait for the peer began anew
/// each time one of this client's own requests ended, and the good node idled for most of the
/// time.)
#[test]
fn a_peer_that_ends_each_answer_at_once_is_not_waited_for() {
    for (rate, bytes) in [(4.0, 1), (4.0, 5000), (10.0, 60_000)] {
        let length = (rate * 10.0 * MB) as u64;
        let alone = alone(length, rate * MB, 1);
        let mut simulation = Simulation::new(length, vec![healthy(rate * MB, 0.03)], 1);
        simulation.joining = vec![(0.0, with(Behaviour::Cut(bytes), MB))];
        compare(simulation, alone, &format!("{bytes} bytes"));
    }
}

/// Under a rate limit all requests send in bursts. None of them is stuck, and none is asked for
/// twice.
#[test]
fn bursts_under_a_rate_limit_are_no_silence() {
    for period in [0.8, 2.0] {
        let node = || with(Behaviour::Bursts(period), 10.0 * MB);
        let mut simulation = Simulation::new(30_000_000, vec![node(), node()], 1);
        simulation.capped = true;
        simulation.run(100.0);
        simulation.assert_whole();
        assert_eq!(simulation.faults, [], "every {period} s");
        assert!(simulation.overhead() < 1.1, "every {period} s: {}", simulation.overhead());
    }
}
