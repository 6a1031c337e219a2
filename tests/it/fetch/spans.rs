//! Single spans and small documents, beside whole downloads.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn small_documents_are_bounded() {
    let content = content(10_000);
    let node = FaultyNode::start(&content, Behaviour::Healthy);
    let url = format!("{}metadata/timestamp.json", node.url()).parse().unwrap();
    let client = client();
    assert_eq!(client.get(&url, 10_000).await.unwrap(), content.as_slice());
    assert!(matches!(client.get(&url, 9_999).await, Err(FetchError::TooLarge { .. })));
    node.becomes(Behaviour::Endless);
    assert!(matches!(client.get(&url, 1_000_000).await, Err(FetchError::TooLarge { .. })));
    node.becomes(Behaviour::Status(404));
    assert!(client.get(&url, 10_000).await.unwrap_err().is_not_found());
    node.becomes(Behaviour::Status(500));
    assert!(!client.get(&url, 10_000).await.unwrap_err().is_not_found());
    node.becomes(Behaviour::Drip(10));
    assert!(matches!(client.get(&url, 10_000).await, Err(FetchError::TimedOut { .. })));
    node.becomes(Behaviour::Redirect(node.url()));
    assert!(
        matches!(client.get(&url, 10_000).await, Err(FetchError::Http { .. })),
        "endless redirects"
    );
    let target = FaultyNode::start(&content, Behaviour::Healthy);
    node.becomes(Behaviour::Redirect(target.url()));
    assert_eq!(client.get(&url, 10_000).await.unwrap(), content.as_slice());
    node.becomes(Behaviour::Portal);
    assert!(
        client.get(&url, 10_000).await.unwrap().starts_with(b"<html>"),
        "the caller judges what it is"
    );
    node.becomes(Behaviour::Dead);
    assert!(client.get(&url, 10_000).await.unwrap_err().to_string().contains("timestamp.json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_span_comes_from_the_first_node_that_has_it() {
    let content = content(300_000);
    let span = 250_000..299_000;
    let wanted = &content[250_000..299_000];
    let accept = |bytes: &[u8]| bytes == wanted;
    let client = client();
    let fetch = async |nodes: &[&FaultyNode]| {
        let nodes: Vec<_> = nodes.iter().map(|node| node.node()).collect();
        fetch_span(&client, &nodes, &Span::new("targets/package", 300_000, span.clone(), &accept))
            .await
    };
    let good = FaultyNode::start(&content, Behaviour::Healthy);
    assert_eq!(fetch(&[&good]).await.unwrap(), wanted);
    for behaviour in [
        Behaviour::LieAt(260_000),
        Behaviour::Gzip,
        Behaviour::WrongContentRange,
        Behaviour::Portal,
        Behaviour::Dead,
        Behaviour::CutAfter(1000),
        Behaviour::StallAfter(1000),
        Behaviour::Size(300_001),
    ] {
        let bad = FaultyNode::start(&content, behaviour.clone());
        assert_eq!(fetch(&[&bad, &good]).await.unwrap(), wanted, "{behaviour:?}");
    }
    // The whole file in place of a range is fine while little must be thrown away.
    good.becomes(Behaviour::IgnoreRange);
    assert_eq!(fetch(&[&good]).await.unwrap(), wanted);
    good.becomes(Behaviour::LieAt(260_000));
    assert!(
        matches!(fetch(&[&good]).await, Err(FetchError::NoneAcceptable { reasons, .. }) if reasons.len() == 1)
    );
    assert!(matches!(fetch(&[]).await, Err(FetchError::NoNodes { .. })));
}

/// The behaviour of the simplest static hosts. Much must be thrown away, so the download does it
/// only if a setting allows it.
#[tokio::test(flavor = "multi_thread")]
async fn a_span_can_be_had_of_nodes_that_send_whole_files() {
    let content = content(1_000_000);
    let span = 900_000..950_000;
    let wanted = &content[900_000..950_000];
    let accept = |bytes: &[u8]| bytes == wanted;
    let (client, length) = (client(), content.len() as u64);
    let node = FaultyNode::start(&content, Behaviour::IgnoreRange);
    let wanted_of =
        |whole| Span { whole, ..Span::new("targets/package", length, span.clone(), &accept) };
    let refused = fetch_span(&client, &[node.node()], &wanted_of(false)).await;
    assert!(
        matches!(refused, Err(FetchError::NoneAcceptable { whole: true, unreachable: false, .. })),
        "{refused:?}"
    );
    let fetch = async |nodes: &[&FaultyNode]| {
        let nodes: Vec<_> = nodes.iter().map(|node| node.node()).collect();
        fetch_span(&client, &nodes, &wanted_of(true)).await
    };
    assert_eq!(fetch(&[&node]).await.unwrap(), wanted);
    for behaviour in [
        Behaviour::Portal,
        Behaviour::Dead,
        Behaviour::Size(999_999),
        Behaviour::Endless,
        Behaviour::LieAt(900_001),
    ] {
        let bad = FaultyNode::start(&content, behaviour.clone());
        assert_eq!(fetch(&[&bad, &node]).await.unwrap(), wanted, "{behaviour:?}");
    }
    let healthy = FaultyNode::start(&content, Behaviour::Healthy);
    assert_eq!(fetch(&[&healthy]).await.unwrap(), wanted);
    assert_eq!(healthy.sent(), 50_000, "who sends parts sends no more");
    node.becomes(Behaviour::Dead);
    let refused = fetch(&[&node]).await;
    assert!(
        matches!(refused, Err(FetchError::NoneAcceptable { reasons, whole: false, .. }) if reasons.len() == 1)
    );
}

/// The bad nodes come first. The download asks each for a span, and for a span that lies behind
/// many bytes to skip.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_are_silent_or_drip_do_not_hold_up_those_behind_them() {
    let content = content(1_000_000);
    let span = 900_000..950_000;
    let accept = |bytes: &[u8]| bytes == &content[900_000..950_000];
    let client = client();
    for whole in [false, true] {
        let shape = if whole { Behaviour::IgnoreRange } else { Behaviour::Healthy };
        let slow = [
            Behaviour::StallAfter(0),
            Behaviour::Drip(1),
            Behaviour::Fades(20_000),
            Behaviour::Late(60_000),
        ];
        let slow: Vec<FaultyNode> =
            slow.into_iter().map(|behaviour| FaultyNode::start(&content, behaviour)).collect();
        let good = FaultyNode::start(&content, shape);
        let nodes: Vec<_> = slow.iter().chain([&good]).map(FaultyNode::node).collect();
        let wanted =
            Span { whole, ..Span::new("targets/package", 1_000_000, span.clone(), &accept) };
        let began = Instant::now();
        assert_eq!(fetch_span(&client, &nodes, &wanted).await.unwrap(), content[900_000..950_000]);
        // This takes some seconds; one after another these nodes would take a minute.
        assert!(began.elapsed() < Duration::from_secs(45), "{whole}: {:?}", began.elapsed());
    }
}

/// A span that is cut again and again, and one that comes in small portions, continue where they
/// stopped.
#[tokio::test(flavor = "multi_thread")]
async fn a_span_goes_on_where_its_answer_broke() {
    let content = content(300_000);
    let span = 50_000..290_000;
    let accept = |bytes: &[u8]| bytes == &content[50_000..290_000];
    for behaviour in [Behaviour::CutAfter(30_000), Behaviour::AtMost(30_000), Behaviour::Tags] {
        let node = FaultyNode::start(&content, behaviour.clone());
        let wanted = Span::new("targets/package", 300_000, span.clone(), &accept);
        let fetched = fetch_span(&client(), &[node.node()], &wanted).await;
        assert_eq!(fetched.unwrap(), content[50_000..290_000], "{behaviour:?}");
        assert!(node.sent() < 300_000, "{behaviour:?}");
    }
}
