//! Nodes: anything that answers HTTP range requests for the repository's files. The specification's
//! score and region priority are a first guess, used until this client has measured a node itself.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

/// One node, as `nodes.json`, `check_update` and `launcher.toml` give it. Everything here is a
/// hint: the bytes from a node are verified.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// A short, unique id, for example `ap-1`.
    pub id: String,
    /// Name for people, for example `Shanghai`.
    #[serde(default)]
    pub name: String,
    /// `Asia-Pacific`, `Europe`, `Americas` or `Global`.
    #[serde(default = "global")]
    pub region: String,
    /// Base address of the repository on the node; a missing `/` at its end is added.
    pub url: Url,
    /// Published bandwidth, Mbit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<f64>,
    /// The server's measurements of it.
    #[serde(default)]
    pub metrics: Metrics,
}

/// The specification's metrics; an absent one has the specification's default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metrics {
    /// Bandwidth, Mbit/s.
    pub bandwidth_mbps: Option<f64>,
    /// Latency, milliseconds.
    pub latency_ms: Option<f64>,
    /// Availability, 0 to 100.
    pub availability_percent: Option<f64>,
    /// CPU load, 0 to 100.
    pub cpu_usage_percent: Option<f64>,
}

/// For the log, so the password is left out.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, region, url, bandwidth, metrics } = self;
        let mut shown = f.debug_struct("Node");
        shown
            .field("id", id)
            .field("name", name)
            .field("region", region)
            .field("url", &redacted(url).as_str());
        shown.field("bandwidth", bandwidth).field("metrics", metrics).finish()
    }
}

fn global() -> String {
    "Global".to_owned()
}

impl Node {
    /// A node with an address and no other data.
    pub fn at(url: Url) -> Self {
        let id = url.port().map_or_else(
            || url.host_str().unwrap_or("node").to_owned(),
            |port| format!("{}:{port}", url.host_str().unwrap_or("node")),
        );
        Self {
            name: id.clone(),
            id,
            region: global(),
            url,
            bandwidth: None,
            metrics: Metrics::default(),
        }
    }

    /// The name for people; the id if there is none.
    pub fn label(&self) -> &str {
        if self.name.is_empty() { &self.id } else { &self.name }
    }

    /// The full address of a file of the repository, for example `targets/…`.
    pub fn address(&self, location: &str) -> Result<Url, url::ParseError> {
        let mut base = self.url.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        base.join(location)
    }

    /// The specification's weighted score, 0 to 100: bandwidth 0.4, latency 0.3, availability 0.2,
    /// load 0.1.
    pub fn score(&self) -> f64 {
        let metrics = &self.metrics;
        let bandwidth =
            (metrics.bandwidth_mbps.or(self.bandwidth).unwrap_or(0.0) / 10.0).clamp(0.0, 100.0);
        let latency = (100.0 - metrics.latency_ms.unwrap_or(1000.0) / 10.0).clamp(0.0, 100.0);
        let availability = metrics.availability_percent.unwrap_or(0.0).clamp(0.0, 100.0);
        let load = (100.0 - metrics.cpu_usage_percent.unwrap_or(100.0)).clamp(0.0, 100.0);
        bandwidth * 0.4 + latency * 0.3 + availability * 0.2 + load * 0.1
    }

    /// The distance of the node's region from `region` by the specification's table: 0 for the
    /// closest, 3 for any other.
    fn distance(&self, region: &str) -> usize {
        let order: &[&str] = match region {
            "Asia-Pacific" => &["Asia-Pacific", "Global", "Europe"],
            "Europe" => &["Europe", "Global", "Americas"],
            "Americas" => &["Americas", "Global", "Europe"],
            _ => &["Global"],
        };
        order.iter().position(|region| *region == self.region).unwrap_or(3)
    }
}

/// An address for display, log or output: without the user's name and password that it may contain.
pub fn redacted(url: &Url) -> Url {
    let mut shown = url.clone();
    if !shown.username().is_empty() || shown.password().is_some() {
        // An address that cannot have a password contains none.
        let _ = shown.set_username("").and_then(|()| shown.set_password(None));
    }
    shown
}

/// Serialises nodes for output of this program.
pub(super) fn without_passwords<S: serde::Serializer>(
    nodes: &[Node],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer
        .collect_seq(nodes.iter().map(|node| Node { url: redacted(&node.url), ..node.clone() }))
}

/// The range of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locality {
    /// Any other address in a network.
    Remote,
    /// Link-local addresses, such as the services of a cloud.
    SameWire,
    /// Loopback and unspecified addresses.
    ThisComputer,
}

/// The range of an address, by its text alone. Names are not resolved: that would take a look-up,
/// and the answer may change a moment later.
pub fn locality(url: &Url) -> Locality {
    match url.host() {
        Some(url::Host::Ipv4(address)) => locality_v4(address),
        Some(url::Host::Ipv6(address)) => match address.to_ipv4_mapped() {
            Some(mapped) => locality_v4(mapped),
            None if address.is_loopback() || address.is_unspecified() => Locality::ThisComputer,
            None if address.is_unicast_link_local() => Locality::SameWire,
            None => Locality::Remote,
        },
        Some(url::Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            if name == "localhost" || name.ends_with(".localhost") {
                Locality::ThisComputer
            } else {
                Locality::Remote
            }
        }
        None => Locality::Remote,
    }
}

fn locality_v4(address: std::net::Ipv4Addr) -> Locality {
    if address.is_loopback() || address.is_unspecified() {
        Locality::ThisComputer
    } else if address.is_link_local() {
        Locality::SameWire
    } else {
        Locality::Remote
    }
}

/// Sorts nodes by region priority, then by score, the best first. No node is removed: a distant
/// node is a last resort, not a failure.
pub fn rank(nodes: &mut [Node], region: &str) {
    nodes.sort_by(|a, b| {
        a.distance(region)
            .cmp(&b.distance(region))
            .then(b.score().total_cmp(&a.score()))
            .then(a.id.cmp(&b.id))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, region: &str, mbps: f64) -> Node {
        let metrics = Metrics {
            bandwidth_mbps: Some(mbps),
            latency_ms: Some(50.0),
            availability_percent: Some(99.0),
            cpu_usage_percent: Some(20.0),
        };
        Node {
            id: id.to_owned(),
            region: region.to_owned(),
            metrics,
            ..Node::at("http://127.0.0.1:1/repository".parse().unwrap())
        }
    }

    #[test]
    fn score_is_the_specifications() {
        let score = node("n", "Global", 500.0).score();
        assert!(
            (score - (50.0 * 0.4 + 95.0 * 0.3 + 99.0 * 0.2 + 80.0 * 0.1)).abs() < 1e-9,
            "{score}"
        );
        assert_eq!(Node::at("http://127.0.0.1:1/".parse().unwrap()).score(), 0.0);
    }

    #[test]
    fn regions_come_before_scores() {
        let mut nodes = vec![
            node("us", "Americas", 900.0),
            node("eu", "Europe", 900.0),
            node("cdn", "Global", 100.0),
            node("slow", "Asia-Pacific", 10.0),
            node("fast", "Asia-Pacific", 100.0),
        ];
        rank(&mut nodes, "Asia-Pacific");
        assert_eq!(
            nodes.iter().map(|node| node.id.as_str()).collect::<Vec<_>>(),
            ["fast", "slow", "cdn", "eu", "us"]
        );
    }

    #[test]
    fn a_password_is_not_shown() {
        let shown = |text: &str| redacted(&text.parse().unwrap()).to_string();
        assert_eq!(
            shown("https://deploy:hunter2@example.com:8443/r/?x=1"),
            "https://example.com:8443/r/?x=1"
        );
        assert_eq!(shown("https://token@example.com/"), "https://example.com/");
        let node = Node::at("https://deploy:hunter2@example.com/".parse().unwrap());
        assert!(
            format!("{node:?}").contains("example.com") && !format!("{node:?}").contains("hunter2")
        );
        assert_eq!(shown("https://:hunter2@example.com/"), "https://example.com/");
        assert_eq!(shown("https://example.com/a%20b"), "https://example.com/a%20b");
    }

    #[test]
    fn addresses_of_this_computer_and_of_its_wire_are_known() {
        let place_of = |text: &str| locality(&text.parse().unwrap());
        for inside in [
            "http://127.0.0.1:1/",
            "http://127.9.9.9/",
            "http://0.0.0.0/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://localhost/",
            "http://a.localhost./",
            "http://2130706433/",
        ] {
            assert_eq!(place_of(inside), Locality::ThisComputer, "{inside}");
        }
        for beside in
            ["http://169.254.169.254/latest", "http://[fe80::1]/", "http://[::ffff:169.254.1.1]/"]
        {
            assert_eq!(place_of(beside), Locality::SameWire, "{beside}");
        }
        for outside in [
            "http://10.0.0.1/",
            "http://192.168.1.2/",
            "https://example.com/",
            "http://[2001:db8::1]/",
        ] {
            assert_eq!(place_of(outside), Locality::Remote, "{outside}");
        }
    }

    #[test]
    fn addresses_keep_the_base() {
        assert_eq!(
            node("n", "Global", 1.0).address("targets/a").unwrap().as_str(),
            "http://127.0.0.1:1/repository/targets/a"
        );
    }
}
