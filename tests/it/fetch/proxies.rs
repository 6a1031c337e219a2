//! Proxies between launcher and nodes.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_used() {
    let (content, folder) = (content(100_000), tempfile::tempdir().unwrap());
    // A client asks a proxy with the whole address; this one answers by itself.
    let proxy = FaultyNode::start(&content, Behaviour::Healthy);
    let options =
        ClientOptions { proxy: Some(proxy.url().parse().unwrap()), ..ClientOptions::default() };
    let unreachable =
        kuzflow::testing::model::Node::at("http://node.invalid/repository/".parse().unwrap());
    let work = DownloadJob { nodes: vec![unreachable], ..job(&content, &[], folder.path()) };
    let (_control, orders) = watch::channel(Control::default());
    let outcome = run_with(work, Client::new(&options).unwrap(), orders).await;
    assert_whole(&outcome, &content, folder.path());
    assert!(
        proxy.heads()[0].starts_with("GET http://node.invalid/repository/targets/package "),
        "{}",
        proxy.heads()[0]
    );
}

/// The environment is read once in a process, so this test runs itself again as a child.
#[test]
fn a_proxy_of_the_environment_is_used() {
    const CHILD: &str = "KUZFLOW_TEST_PROXY_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime
            .block_on(client().get(&"http://node.invalid/x".parse().unwrap(), 100_000))
            .unwrap();
        assert_eq!(answer.len(), 5000);
        return;
    }
    let content = content(5000);
    let proxy = FaultyNode::start(&content, Behaviour::Healthy);
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "fetch::proxies::a_proxy_of_the_environment_is_used"])
        .env(CHILD, "1")
        .env("http_proxy", proxy.url())
        .env_remove("no_proxy")
        .env_remove("NO_PROXY")
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert_eq!(proxy.requests(), 1);
}
