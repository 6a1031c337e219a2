//! What drawing an SVG would cost, before it is drawn: a small file may ask for more than any
//! computer has.
//!
//! In: a document, or the drawing that was read from it. Out: a refusal, or nothing. Never: a recursion
//! deeper than its limit, a count that a file makes long.

use std::collections::HashMap;

use resvg::usvg::roxmltree::{Document, Node, NodeId};
use resvg::usvg::{Group, Node as Drawn, Tree};

/// Most elements, texts and comments of a file.
pub(super) const MAX_NODES: u32 = 100_000;
/// Most elements that are drawn, each counted as often as it is used.
const MAX_ELEMENTS: u64 = 50_000;
/// Most elements in one another, also by use.
const MAX_DEPTH: u32 = 128;
/// Most masks, patterns and the like: each may draw the next one, and needs a picture meanwhile.
const MAX_DEFINITIONS: usize = 300;
/// Most steps of the filters that work at the same time: each needs a picture.
const MAX_FILTER_STEPS: usize = 20;
/// Elements that are drawn where another one names them.
const DEFINITIONS: [&str; 5] = ["mask", "pattern", "clipPath", "filter", "marker"];

/// Refuses a document that would be drawn for too long, or with too much memory.
pub(super) fn check(document: &Document<'_>) -> Result<(), String> {
    let named = document.descendants().filter_map(|node| Some((node.attribute("id")?, node)));
    let mut elements = Elements { named: named.collect(), measured: HashMap::new() };
    let whole = elements.measure(document.root_element(), 0)?;
    if whole > MAX_ELEMENTS {
        return Err(too_many(&format!("{whole} elements, counted as often as they are used")));
    }
    let is = |node: &Node<'_, '_>, names: &[&str]| names.contains(&node.tag_name().name());
    let definitions = document.descendants().filter(|node| is(node, &DEFINITIONS)).count();
    if definitions > MAX_DEFINITIONS {
        return Err(too_many(&format!("{definitions} masks, patterns, filters and markers")));
    }
    // Each point of each line may have a marker, which is drawn anew.
    let marker = document.descendants().filter(|node| is(node, &["marker"]));
    let marker = marker.map(|node| elements.measure(node, 0)).collect::<Result<Vec<_>, _>>()?;
    let lines = document.descendants().filter_map(|node| {
        Some(node.attribute("d").or_else(|| node.attribute("points"))?.len() as u64 / 2)
    });
    if marker.into_iter().max().unwrap_or(0).saturating_mul(lines.sum()) > MAX_ELEMENTS {
        return Err(too_many("markers on its lines"));
    }
    Ok(())
}

fn too_many(what: &str) -> String {
    format!("has too many parts for an icon ({what}); simplify it, or save it as a PNG")
}

struct Elements<'a, 'text> {
    named: HashMap<&'a str, Node<'a, 'text>>,
    measured: HashMap<NodeId, (u64, u32)>,
}

impl<'a, 'text> Elements<'a, 'text> {
    /// How many elements are drawn for this one, itself included.
    fn measure(&mut self, node: Node<'a, 'text>, depth: u32) -> Result<u64, String> {
        self.count(node, depth).map(|(count, _)| count)
    }

    /// How many elements are drawn for this one, and how many of them are in one another.
    fn count(&mut self, node: Node<'a, 'text>, depth: u32) -> Result<(u64, u32), String> {
        let too_deep = "has parts in one another too often, or in themselves; ungroup some of them, or save it as a PNG";
        if let Some((count, height)) = self.measured.get(&node.id()) {
            return if depth + height > MAX_DEPTH {
                Err(too_deep.into())
            } else {
                Ok((*count, *height))
            };
        }
        if depth >= MAX_DEPTH {
            return Err(too_deep.into());
        }
        let (mut count, mut height) = (1_u64, 0);
        let used = used(node).and_then(|name| self.named.get(name).copied());
        for inner in node.children().filter(Node::is_element).chain(used) {
            let (more, deeper) = self.count(inner, depth + 1)?;
            count = count.saturating_add(more);
            height = height.max(deeper);
        }
        self.measured.insert(node.id(), (count, height + 1));
        Ok((count, height + 1))
    }
}

/// The name of the element that a `use` draws.
fn used<'a>(node: Node<'a, '_>) -> Option<&'a str> {
    let link = node.attributes().find(|attribute| attribute.name() == "href");
    link.filter(|_| node.tag_name().name() == "use")?.value().trim().strip_prefix('#')
}

/// Refuses filters that hold too many pictures at the same time.
pub(super) fn check_filters(tree: &Tree) -> Result<(), String> {
    let steps = filter_steps(tree.root());
    if steps > MAX_FILTER_STEPS {
        return Err(too_many(&format!("filters with {steps} steps at the same time")));
    }
    Ok(())
}

/// Most steps of filters around one element.
fn filter_steps(group: &Group) -> usize {
    let own: usize = group.filters().iter().map(|filter| filter.primitives().len()).sum();
    let mut inner = 0;
    for child in group.children() {
        if let Drawn::Group(group) = child {
            inner = inner.max(filter_steps(group));
        }
        child.subroots(|root| inner = inner.max(filter_steps(root)));
    }
    own + inner
}
