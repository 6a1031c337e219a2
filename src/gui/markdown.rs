//! Release notes: the part of Markdown that notes use (headings, lists, emphasis, code, links),
//! laid out with egui.
//!
//! In: text of the publisher. Before verification it may be text of anyone who controls the nodes.
//! Never: HTML, images, or a link to anything but a web page.

use egui::text::{LayoutJob, TextFormat};
use egui::{Color32, Stroke, Ui};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::theme::{self, Palette};
use super::widgets;

/// Longer notes are cut, bytes: every frame lays them out.
const MAX_NOTES_BYTES: usize = 64 << 10;

/// A run of text with one style.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Span {
    text: String,
    bold: bool,
    italic: bool,
    struck: bool,
    code: bool,
    link: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Block {
    Heading(u8, Vec<Span>),
    Paragraph(Vec<Span>),
    Item { depth: u8, marker: String, spans: Vec<Span> },
    Code(String),
    Rule,
}

/// Parsed notes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Markdown(Vec<Block>);

impl Markdown {
    /// Reads Markdown. Every text is Markdown, so this cannot fail.
    pub(crate) fn parse(text: &str) -> Self {
        let text = &text[..text.floor_char_boundary(MAX_NOTES_BYTES)];
        let mut reader = Reader::default();
        for event in Parser::new_ext(text, Options::ENABLE_STRIKETHROUGH) {
            reader.take(event);
        }
        reader.end_block();
        Self(reader.blocks)
    }

    /// Whether there is nothing to show.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lays the blocks out one below the other.
    pub(crate) fn show(&self, ui: &mut Ui) {
        let colours = Palette::of(ui);
        for (index, block) in self.0.iter().enumerate() {
            match block {
                Block::Heading(level, spans) => {
                    if index > 0 {
                        ui.add_space(4.0);
                    }
                    line(ui, &colours, spans, Some(*level));
                }
                Block::Paragraph(spans) => line(ui, &colours, spans, None),
                Block::Item { depth, marker, spans } => {
                    ui.horizontal_top(|ui| {
                        ui.add_space(2.0 + 16.0 * f32::from(*depth));
                        ui.label(egui::RichText::new(marker).color(colours.muted));
                        ui.vertical(|ui| line(ui, &colours, spans, None));
                    });
                }
                Block::Code(text) => {
                    egui::Frame::new().fill(colours.track).corner_radius(6).inner_margin(8).show(
                        ui,
                        |ui| {
                            ui.take_available_width();
                            ui.label(egui::RichText::new(text.trim_end()).monospace());
                        },
                    );
                }
                Block::Rule => {
                    ui.separator();
                }
            }
        }
    }
}

/// Combines the parser's events into blocks.
#[derive(Default)]
struct Reader {
    blocks: Vec<Block>,
    spans: Vec<Span>,
    style: Span,
    heading: Option<u8>,
    /// The next number of each open list; `None` for bullets.
    lists: Vec<Option<u64>>,
    marker: Option<String>,
    code: Option<String>,
}

impl Reader {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => match &mut self.code {
                Some(code) => code.push_str(&text),
                None => self.push(&text, false),
            },
            Event::Code(text) => self.push(&text, true),
            Event::SoftBreak => self.push(" ", false),
            Event::HardBreak => self.push("\n", false),
            Event::Rule => {
                self.end_block();
                self.blocks.push(Block::Rule);
            }
            // HTML tags are left out, but the text between them stays. The other events need
            // options that are off.
            _ => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { level, .. } => {
                self.end_block();
                self.heading = Some(level as u8);
            }
            Tag::List(first) => {
                self.end_block();
                self.lists.push(first);
            }
            Tag::Item => {
                self.end_block();
                self.marker = Some(match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}.", *number - 1)
                    }
                    _ => "•".to_owned(),
                });
            }
            Tag::CodeBlock(_) => {
                self.end_block();
                self.code = Some(String::new());
            }
            Tag::Strong => self.style.bold = true,
            Tag::Emphasis => self.style.italic = true,
            Tag::Strikethrough => self.style.struck = true,
            Tag::Link { dest_url, .. } => self.style.link = web_page(&dest_url),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) | TagEnd::Paragraph | TagEnd::Item => self.end_block(),
            TagEnd::List(_) => {
                self.end_block();
                self.lists.pop();
            }
            TagEnd::CodeBlock => {
                if let Some(code) = self.code.take() {
                    self.blocks.push(Block::Code(code));
                }
            }
            TagEnd::Strong => self.style.bold = false,
            TagEnd::Emphasis => self.style.italic = false,
            TagEnd::Strikethrough => self.style.struck = false,
            TagEnd::Link => self.style.link = None,
            _ => {}
        }
    }

    fn push(&mut self, text: &str, code: bool) {
        self.spans.push(Span { text: text.to_owned(), code, ..self.style.clone() });
    }

    fn end_block(&mut self) {
        let heading = self.heading.take();
        if self.spans.is_empty() {
            return;
        }
        let spans = std::mem::take(&mut self.spans);
        let depth = u8::try_from(self.lists.len().saturating_sub(1)).unwrap_or(u8::MAX).min(6);
        self.blocks.push(match (heading, self.marker.take(), self.lists.is_empty()) {
            (Some(level), ..) => Block::Heading(level, spans),
            (None, Some(marker), _) => Block::Item { depth, marker, spans },
            // A further paragraph of the same item.
            (None, None, false) => Block::Item { depth, marker: " ".to_owned(), spans },
            (None, None, true) => Block::Paragraph(spans),
        });
    }
}

/// The address, if it belongs to a web page: a click must not open a `file:` or `javascript:` link
/// in notes.
fn web_page(address: &str) -> Option<String> {
    let url = url::Url::parse(address).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then(|| url.to_string())
}

/// Lays out and wraps one block's text; links are widgets of their own.
fn line(ui: &mut Ui, colours: &Palette, spans: &[Span], heading: Option<u8>) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 0.0;
        let strong =
            |span: &Span| (heading.is_some() || span.bold) && !span.code && span.link.is_none();
        for run in
            spans.chunk_by(|a, b| a.link.is_none() && b.link.is_none() && strong(a) == strong(b))
        {
            let mut job = LayoutJob::default();
            for span in run {
                job.append(&span.text, 0.0, format(span, colours, heading));
            }
            match run.first().and_then(|span| span.link.as_deref()) {
                Some(address) => {
                    ui.hyperlink_to(job, address).on_hover_text(address);
                }
                None if run.iter().any(strong) => {
                    widgets::strong(ui, job, size(heading));
                }
                None => {
                    ui.label(job);
                }
            }
        }
    });
}

fn size(heading: Option<u8>) -> f32 {
    match heading {
        Some(1) => 17.0,
        Some(2) => 15.0,
        _ => 14.0,
    }
}

fn format(span: &Span, colours: &Palette, heading: Option<u8>) -> TextFormat {
    let font_id =
        if span.code { egui::FontId::monospace(13.0) } else { theme::body(size(heading)) };
    let color = if span.link.is_some() { colours.accent_text } else { colours.text };
    TextFormat {
        font_id,
        color,
        italics: span.italic,
        background: if span.code { colours.track } else { Color32::TRANSPARENT },
        strikethrough: if span.struck { Stroke::new(1.0, color) } else { Stroke::NONE },
        ..TextFormat::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(block: &Block) -> String {
        match block {
            Block::Heading(level, spans) => format!("{level}# {}", joined(spans)),
            Block::Paragraph(spans) => joined(spans),
            Block::Item { depth, marker, spans } => format!("{depth} {marker} {}", joined(spans)),
            Block::Code(text) => format!("`{text}`"),
            Block::Rule => "---".to_owned(),
        }
    }

    fn joined(spans: &[Span]) -> String {
        spans.iter().map(|span| span.text.as_str()).collect()
    }

    fn read(text: &str) -> Vec<String> {
        Markdown::parse(text).0.iter().map(plain).collect()
    }

    #[test]
    fn notes_are_read() {
        let text = "# 1.8.6\nSome *text*\nover **two** lines.\n\n- one\n- two\n  1. inner\n  2. second\n\n---\n```\ncode\n```\n";
        assert_eq!(
            read(text),
            [
                "1# 1.8.6",
                "Some text over two lines.",
                "0 • one",
                "0 • two",
                "1 1. inner",
                "1 2. second",
                "---",
                "`code\n`"
            ]
        );
        let Markdown(blocks) = Markdown::parse("a **b** `c` ~~d~~ *e*");
        let Block::Paragraph(spans) = &blocks[0] else { panic!("{blocks:?}") };
        assert!(
            spans.iter().any(|s| s.bold && s.text == "b")
                && spans.iter().any(|s| s.code && s.text == "c")
        );
        assert!(
            spans.iter().any(|s| s.struck && s.text == "d")
                && spans.iter().any(|s| s.italic && s.text == "e")
        );
    }

    #[test]
    fn only_web_pages_are_links() {
        let link = |text: &str| {
            let Markdown(blocks) = Markdown::parse(text);
            let Block::Paragraph(spans) = &blocks[0] else { panic!("{blocks:?}") };
            spans[0].link.clone()
        };
        assert_eq!(link("[a](https://example.org/x)").as_deref(), Some("https://example.org/x"));
        for bad in [
            "[a](file:///etc/passwd)",
            "[a](javascript:alert(1))",
            "[a](notes.md)",
            "[a](\\\\host\\share)",
        ] {
            assert_eq!(link(bad), None, "{bad}");
        }
    }

    #[test]
    fn hostile_notes_are_only_text() {
        assert_eq!(read("<script>x</script>\n\n![alt](http://tracker.example/p.png)"), ["alt"]);
        assert!(read(&"- ".repeat(50_000)).len() <= MAX_NOTES_BYTES);
        assert!(Markdown::parse("").is_empty());
        let long = "中".repeat(MAX_NOTES_BYTES);
        assert!(read(&long)[0].len() <= MAX_NOTES_BYTES);
    }
}
