//! Tests of the conversation, message by message.

use super::fields::fields;
use super::*;
use crate::messages::protocol::NoUpdate;

const NOW: Duration = Duration::from_secs(1000);

fn id(version: &str) -> ContainerId {
    format!("sample_{version}_Linux_x86_64").parse().unwrap()
}

fn message(id: i64, kind: &str, value: Value) -> Message {
    Message { protocol: PROTOCOL, id, kind: kind.to_owned(), fields: fields(value) }
}

fn hello(running: &str) -> Message {
    let container = id(running).to_string();
    message(
        0,
        "hello",
        json!({ "token": "t", "container": container, "in_use": [container], "up": false }),
    )
}

fn swap() -> Swap {
    Swap { container: id("2.0.0"), changes: Vec::new() }
}

/// The sent messages, in short: the kind, the number, and `ok` or the code of a refusal.
fn sent(effects: &[Effect]) -> Vec<String> {
    let short = |effect: &Effect| match effect {
        Effect::Send { id, kind: "answer", fields } => {
            let code = fields.get("error").map_or("ok", |error| error["code"].as_str().unwrap());
            format!("answer {id} {code}")
        }
        Effect::Send { id, kind, .. } => format!("{kind} {id}"),
        effect => format!("{effect:?}"),
    };
    effects.iter().map(short).collect()
}

struct Scene {
    conversation: Conversation,
    now: Duration,
}

impl Scene {
    fn new() -> Self {
        let mut scene = Self { conversation: Conversation::default(), now: NOW };
        let effects = scene.step(ConversationInput::Connected(hello("1.0.0")));
        assert_eq!(effects.last(), Some(&Effect::Runs(vec![id("1.0.0")])));
        assert_eq!(sent(&effects)[0], "answer 0 ok");
        scene
    }

    fn step(&mut self, input: ConversationInput) -> Vec<Effect> {
        self.conversation.step(self.now, input)
    }

    fn says(&mut self, id: i64, kind: &str, value: Value) -> Vec<Effect> {
        self.step(ConversationInput::Message(message(id, kind, value)))
    }

    fn enters(&mut self, phase: Phase) -> Vec<Effect> {
        self.step(ConversationInput::Event(Box::new(Event::Phase { phase })))
    }

    /// The number of the last request that the launcher sent.
    fn number(&self) -> i64 {
        self.conversation.number
    }

    /// A scene that has reached the request to swap.
    fn swapping() -> Self {
        let mut scene = Self::new();
        assert_eq!(sent(&scene.step(ConversationInput::Swap(swap()))), ["plan_swap 1"]);
        let plan = json!({ "ok": true, "plan": { "requires_restart": false, "reasons": [] } });
        assert_eq!(sent(&scene.says(1, "answer", plan)), ["swap 2"]);
        scene.says(2, "answer", json!({ "ok": true }));
        scene
    }
}

fn refused(effects: &[Effect]) -> String {
    match effects {
        [Effect::Swapped(Err(blockers)), ..] => blockers[0].code.clone(),
        effects => panic!("{effects:?}"),
    }
}

fn offered() -> Phase {
    Phase::Offered { offer: crate::messages::fixture::offer() }
}

#[test]
fn a_swap_is_planned_begun_and_reported_once() {
    let mut scene = Scene::swapping();
    let result = json!({
        "swap": 2, "ok": true, "swapped": ["a", "b"],
        "container": id("2.0.0").to_string(), "in_use": [id("1.0.0").to_string(), id("2.0.0").to_string()],
    });
    let effects = scene.says(9, "swap_result", result.clone());
    let swapped = Effect::Swapped(Ok(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(effects[..2], [Effect::Runs(vec![id("1.0.0"), id("2.0.0")]), swapped]);
    assert_eq!(sent(&effects[2..]), ["answer 9 ok"]);
    // The app sends it again, as after a new connection: it gets an answer, and no second outcome
    // follows.
    assert_eq!(sent(&scene.says(10, "swap_result", result))[1..], ["answer 10 ok"]);
}

#[test]
fn what_stands_against_a_swap_is_reported() {
    let reasons = json!([{ "code": "c-extension", "text": "compiled", "module": null, "path": "app/fast.so" }]);
    // A refusal in the plan.
    let mut scene = Scene::new();
    scene.step(ConversationInput::Swap(swap()));
    let plan = json!({ "ok": true, "plan": { "requires_restart": true, "reasons": reasons } });
    assert_eq!(refused(&scene.says(1, "answer", plan)), "c-extension");
    // An empty plan is no consent.
    let mut scene = Scene::new();
    scene.step(ConversationInput::Swap(swap()));
    assert_eq!(refused(&scene.says(1, "answer", json!({ "ok": true }))), "failed");
    // A refusal at the beginning of the swap.
    let mut scene = Scene::new();
    scene.step(ConversationInput::Swap(swap()));
    scene.says(1, "answer", json!({ "ok": true, "plan": { "requires_restart": false } }));
    let refusal = json!({ "ok": false, "error": { "code": "requires-restart", "text": "x" }, "plan": { "reasons": reasons } });
    assert_eq!(refused(&scene.says(2, "answer", refusal)), "c-extension");
    // A failure during the swap: the app has undone it.
    let mut scene = Scene::swapping();
    let result = json!({ "swap": 2, "ok": false, "reasons": [{ "code": "self-check", "text": "x" }], "container": id("1.0.0").to_string() });
    assert_eq!(refused(&scene.says(9, "swap_result", result)[1..]), "self-check");
    // The app runs that code already.
    let mut scene = Scene::new();
    scene.step(ConversationInput::Swap(swap()));
    let already = json!({ "ok": false, "error": { "code": "already", "text": "x" } });
    assert_eq!(scene.says(1, "answer", already), [Effect::Swapped(Ok(Vec::new()))]);
}

#[test]
fn a_swap_that_nobody_answers_ends_and_a_late_result_is_only_noted() {
    let mut scene = Scene::new();
    scene.step(ConversationInput::Swap(swap()));
    assert_eq!(refused(&scene.step(ConversationInput::Swap(swap()))), "busy");
    scene.now = scene.conversation.due().unwrap();
    assert_eq!(refused(&scene.step(ConversationInput::Tick)), "timeout");
    let mut scene = Scene::swapping();
    scene.says(8, "heartbeat", json!({ "main_thread_seconds": 42.4 }));
    scene.now = scene.conversation.due().unwrap();
    let effects = scene.step(ConversationInput::Tick);
    assert!(
        matches!(&effects[..], [Effect::Swapped(Err(why))] if why[0].text.contains("42 seconds")),
        "{effects:?}"
    );
    let late = json!({ "swap": 2, "ok": true, "swapped": ["a"], "container": id("2.0.0").to_string(), "in_use": [] });
    assert_eq!(scene.says(9, "swap_result", late)[0], Effect::Runs(vec![id("2.0.0")]));
    assert_eq!(scene.conversation.due(), None);
}

#[test]
fn a_swap_outlives_the_connection_once_it_has_begun() {
    let mut scene = Scene::new();
    scene.step(ConversationInput::Swap(swap()));
    let effects = scene.step(ConversationInput::Gone);
    assert_eq!(
        (&effects[0], refused(&effects[1..])),
        (&Effect::Disconnected, "not-connected".to_owned())
    );
    assert_eq!(refused(&scene.step(ConversationInput::Swap(swap()))), "not-connected");
    // After the begin: the next hello reveals the outcome by its container.
    let mut scene = Scene::swapping();
    assert_eq!(scene.step(ConversationInput::Gone), [Effect::Disconnected]);
    let effects = scene.step(ConversationInput::Connected(hello("2.0.0")));
    assert_eq!(effects[1..], [Effect::Runs(vec![id("2.0.0")]), Effect::Swapped(Ok(Vec::new()))]);
    // Or the app sends the result again.
    let mut scene = Scene::swapping();
    scene.step(ConversationInput::Gone);
    scene.step(ConversationInput::Connected(hello("1.0.0")));
    let result =
        json!({ "swap": 2, "ok": true, "swapped": ["a"], "container": id("2.0.0").to_string() });
    assert_eq!(scene.says(1, "swap_result", result)[1], Effect::Swapped(Ok(vec!["a".to_owned()])));
}

#[test]
fn a_check_is_answered_by_its_end() {
    let mut scene = Scene::new();
    let available = |effects: &[Effect], wanted: i64| {
        let answer = effects.iter().find_map(|effect| match effect {
            Effect::Send { id, kind: "answer", fields } if *id == wanted => {
                fields.get("available").cloned()
            }
            _ => None,
        });
        answer.unwrap_or_else(|| panic!("{effects:?}"))
    };
    assert_eq!(
        scene.says(1, "check_for_updates", json!({})),
        [Effect::Command(Command::Check(CheckTrigger::Schedule))]
    );
    scene.enters(Phase::Checking);
    assert_eq!(scene.says(2, "check_for_updates", json!({})), [], "one check answers both");
    let nothing = scene.enters(Phase::UpToDate { reason: NoUpdate::Newest, current: None });
    assert_eq!([available(&nothing, 1), available(&nothing, 2)], [Value::Null, Value::Null]);
    let why = |effects: &[Effect]| match effects {
        [Effect::Send { fields, .. }, ..] => fields["nothing"].clone(),
        _ => panic!("{effects:?}"),
    };
    assert_eq!(why(&nothing), json!({ "reason": "newest" }));
    scene.says(3, "check_for_updates", json!({}));
    scene.enters(Phase::Checking);
    let found = scene.enters(offered());
    assert_eq!(sent(&found)[0], "update_available 1");
    assert_eq!(available(&found, 3)["version"], "2.0.0");
    assert_eq!(available(&found, 3)["requires_restart"], true);
    // While an update is under way no new check begins.
    scene.enters(Phase::Downloading { version: "2.0.0".parse().unwrap() });
    assert_eq!(available(&scene.says(4, "check_for_updates", json!({})), 4)["version"], "2.0.0");
    // A check that never ends is answered too.
    scene.enters(Phase::Cancelled);
    scene.says(5, "check_for_updates", json!({}));
    scene.now = scene.conversation.due().unwrap();
    assert_eq!(sent(&scene.step(ConversationInput::Tick)), ["answer 5 failed"]);
}

/// A loop in one bad release does not flood the publisher's servers.
#[test]
fn an_app_that_checks_all_the_time_hears_what_was_found_last() {
    let mut scene = Scene::new();
    let mut checks = 0;
    for number in 0..2100 {
        scene.now += Duration::from_millis(30);
        let effects = scene.says(number, "check_for_updates", json!({}));
        if effects.contains(&Effect::Command(Command::Check(CheckTrigger::Schedule))) {
            checks += 1;
            scene.enters(Phase::Checking);
            scene.enters(offered());
        } else {
            assert_eq!(sent(&effects), [format!("answer {number} ok")], "answered at once");
            assert!(
                matches!(&effects[0], Effect::Send { fields, .. } if fields["available"]["version"] == "2.0.0")
            );
        }
    }
    assert_eq!(checks, 10 + 1, "ten at once, and one in the minute after");
    // Later the app may check again; a failure is reported as well.
    scene.now += Duration::from_secs(60);
    let effects = scene.says(3000, "check_for_updates", json!({}));
    assert_eq!(effects, [Effect::Command(Command::Check(CheckTrigger::Schedule))]);
}

#[test]
fn only_what_is_on_offer_can_be_begun() {
    let mut scene = Scene::new();
    assert_eq!(sent(&scene.says(1, "start_update", json!({}))), ["answer 1 nothing-available"]);
    scene.enters(offered());
    let effects = scene.says(2, "start_update", json!({}));
    assert_eq!(effects[1], Effect::Command(Command::Start));
    scene.enters(Phase::Downloading { version: "2.0.0".parse().unwrap() });
    assert_eq!(sent(&scene.says(3, "start_update", json!({}))), ["answer 3 busy"]);
    let effects = scene.says(4, "restart", json!({}));
    assert_eq!(
        (&effects[0], sent(&effects[1..])),
        (&Effect::Command(Command::RestartWhenEnded), vec!["answer 4 ok".to_owned()])
    );
}

#[test]
fn progress_is_reported_a_few_times_a_second() {
    let mut scene = Scene::new();
    let progress = |done| {
        ConversationInput::Event(Box::new(Event::Progress(Progress {
            done,
            ..Progress::default()
        })))
    };
    assert_eq!(scene.step(progress(1)), [], "of nothing");
    let begun = scene.enters(Phase::Downloading { version: "2.0.0".parse().unwrap() });
    assert_eq!(sent(&begun), ["update_progress 1"]);
    assert_eq!(scene.step(progress(2)), []);
    scene.now += BETWEEN_PROGRESS;
    assert_eq!(sent(&scene.step(progress(3))), ["update_progress 2"]);
    scene.step(ConversationInput::Gone);
    scene.now += BETWEEN_PROGRESS;
    assert_eq!(scene.step(progress(4)), [], "nobody is there to be told");
}

#[test]
fn an_app_that_comes_back_hears_what_is_on_offer() {
    let mut scene = Scene::new();
    scene.enters(offered());
    scene.step(ConversationInput::Gone);
    assert_eq!(
        sent(&scene.step(ConversationInput::Connected(hello("1.0.0"))))[2],
        "update_available 2"
    );
    scene.enters(Phase::Ready { version: "2.0.0".parse().unwrap(), running: true });
    scene.step(ConversationInput::Gone);
    assert_eq!(scene.step(ConversationInput::Connected(hello("1.0.0"))).len(), 2, "that is over");
}

#[test]
fn whether_the_app_hears_that_it_should_end_is_known_soon() {
    let mut scene = Scene::new();
    assert_eq!(sent(&scene.step(ConversationInput::End)), ["restart 1"]);
    assert_eq!(
        scene.says(scene.number(), "answer", json!({ "ok": true, "heard": true })),
        [Effect::EndConfirmed(true)]
    );
    scene.step(ConversationInput::End);
    assert_eq!(
        scene.says(scene.number(), "answer", json!({ "ok": true, "heard": false })),
        [Effect::EndConfirmed(false)]
    );
    scene.step(ConversationInput::End);
    scene.now = scene.conversation.due().unwrap();
    assert_eq!(scene.step(ConversationInput::Tick), [Effect::EndConfirmed(false)]);
    scene.step(ConversationInput::End);
    assert_eq!(
        scene.step(ConversationInput::Gone),
        [Effect::Disconnected, Effect::EndConfirmed(false)]
    );
    assert_eq!(scene.step(ConversationInput::End), [Effect::EndConfirmed(false)]);
}

#[test]
fn an_app_that_went_back_by_itself_says_so() {
    let mut scene = Scene::new();
    let back = json!({ "container": id("1.0.0").to_string(), "in_use": [id("2.0.0").to_string(), id("1.0.0").to_string()] });
    assert_eq!(scene.says(1, "runs", back)[0], Effect::Runs(vec![id("2.0.0"), id("1.0.0")]));
}

#[test]
fn what_makes_no_sense_is_answered_and_changes_nothing() {
    let mut scene = Scene::new();
    assert_eq!(sent(&scene.says(1, "format_disk", json!({}))), ["answer 1 unknown-type"]);
    let other = Message { protocol: 2, ..message(2, "start_update", json!({})) };
    assert_eq!(sent(&scene.step(ConversationInput::Message(other))), ["answer 2 protocol"]);
    assert_eq!(
        scene.says(77, "answer", json!({ "ok": true, "plan": { "requires_restart": false } })),
        [],
        "an answer to nothing"
    );
    let noise = json!({ "swap": "2", "ok": true, "swapped": 7, "container": "../../etc", "in_use": [1, "x", null] });
    assert_eq!(scene.says(3, "swap_result", noise)[0], Effect::Runs(Vec::new()));
    let many: Vec<_> = (0..40).map(|minor| id(&format!("1.{minor}.0")).to_string()).collect();
    let effects = scene.says(4, "swap_result", json!({ "container": many[0], "in_use": many }));
    assert!(
        matches!(&effects[0], Effect::Runs(runs) if runs.len() <= MAX_IN_USE && runs.last() == Some(&id("1.0.0")))
    );
    assert_eq!(scene.says(5, "heartbeat", json!({}))[..], [answer(5, json!({ "ok": true }))]);
    scene.enters(Phase::Checking);
    for number in 0..50 {
        scene.says(number, "check_for_updates", json!({}));
    }
    assert_eq!(scene.conversation.checks.len(), MAX_WAITING);
}

#[test]
fn a_wish_to_end_can_be_refused_and_taken_back() {
    let mut scene = Scene::new();
    assert_eq!(sent(&scene.step(ConversationInput::End)), ["restart 1"]);
    assert_eq!(
        scene.says(1, "answer", json!({ "ok": true, "heard": true })),
        [Effect::EndConfirmed(true)]
    );
    let effects = scene.says(9, "goes_on", json!({}));
    assert_eq!(
        (sent(&effects)[0].as_str(), effects.last()),
        ("answer 9 ok", Some(&Effect::EndRefused))
    );
    assert_eq!(sent(&scene.step(ConversationInput::KeepRunning)), ["goes_on 2"]);
    scene.step(ConversationInput::Gone);
    assert!(scene.step(ConversationInput::KeepRunning).is_empty(), "nobody is there to hear it");
}

#[test]
fn an_app_sees_the_channels_and_chooses_one_that_the_publisher_offers() {
    let mut scene = Scene::new();
    let answered = |effects: &[Effect]| match effects.last() {
        Some(Effect::Send { fields, kind: "answer", .. }) => fields.clone(),
        _ => panic!("{effects:?}"),
    };
    let none = answered(&scene.says(1, "channels", json!({})));
    assert_eq!((&none["channel"], &none["channels"]), (&Value::Null, &json!([])));
    let wish = json!({ "channel": "beta" });
    assert_eq!(
        answered(&scene.says(2, "choose_channel", wish.clone()))["error"]["code"],
        "unknown-channel"
    );
    let channels = vec!["stable".to_owned(), "beta".to_owned()];
    let event = Event::Channels { channel: "stable".to_owned(), channels };
    scene.step(ConversationInput::Event(Box::new(event)));
    let both = answered(&scene.says(3, "channels", json!({})));
    assert_eq!(
        (&both["channel"], &both["channels"]),
        (&json!("stable"), &json!(["stable", "beta"]))
    );
    let effects = scene.says(4, "choose_channel", wish);
    assert_eq!(effects[0], Effect::Command(Command::ChooseChannel("beta".to_owned())));
    assert_eq!(answered(&effects)["ok"], true);
    let other = json!({ "channel": "nightly" });
    assert_eq!(
        answered(&scene.says(5, "choose_channel", other))["error"]["code"],
        "unknown-channel"
    );
}
