//! Release notes as HTML: headings, paragraphs, lists, emphasis, code and links to web pages.
//!
//! In: Markdown of the publisher. Out: HTML of a fixed set of elements. Never: HTML that stands in
//! the notes, a picture, a link that is none to a web page.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::escape::escaped;

/// The notes as HTML. Headings are below those of the page.
pub(super) fn to_html(markdown: &str) -> String {
    let mut html = String::new();
    // Ends of links that are left out are left out as well.
    let mut is_link_shown = false;
    for event in Parser::new_ext(markdown, Options::ENABLE_STRIKETHROUGH) {
        match event {
            Event::Start(Tag::Link { dest_url, .. }) => {
                is_link_shown = ["https://", "http://"].iter().any(|it| dest_url.starts_with(it));
                if is_link_shown {
                    html += &format!("<a rel=\"nofollow\" href=\"{}\">", escaped(&dest_url));
                }
            }
            Event::End(TagEnd::Link) if is_link_shown => html += "</a>",
            Event::Start(tag) => {
                html += &element(&tag.to_end()).map(|it| format!("<{it}>")).unwrap_or_default()
            }
            Event::End(end) => {
                html += &element(&end).map(|it| format!("</{it}>")).unwrap_or_default()
            }
            Event::Text(text) => html += &escaped(&text),
            Event::Code(text) => html += &format!("<code>{}</code>", escaped(&text)),
            Event::SoftBreak => html.push('\n'),
            Event::HardBreak => html += "<br>",
            Event::Rule => html += "<hr>",
            _ => {}
        }
    }
    html
}

/// The element for what ends here; `None` if its content stands by itself.
fn element(end: &TagEnd) -> Option<&'static str> {
    Some(match end {
        TagEnd::Paragraph => "p",
        TagEnd::Heading(_) => "h4",
        TagEnd::List(true) => "ol",
        TagEnd::List(false) => "ul",
        TagEnd::Item => "li",
        TagEnd::Emphasis => "em",
        TagEnd::Strong => "strong",
        TagEnd::Strikethrough => "s",
        TagEnd::CodeBlock => "pre",
        TagEnd::BlockQuote(_) => "blockquote",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_become_plain_elements_and_their_own_html_is_left_out() {
        let html = to_html("# 1.2\n\n- *new* `a<b`\n- [page](https://example.com/?a=\"b)\n");
        assert_eq!(
            html,
            "<h4>1.2</h4><ul><li><em>new</em> <code>a&lt;b</code></li><li><a rel=\"nofollow\" href=\"https://example.com/?a=&quot;b\">page</a></li></ul>"
        );
        let html = to_html(
            "<script>alert(1)</script>\n\n[x](javascript:alert(1)) ![p](https://example.com/p.png)",
        );
        assert!(
            !html.contains("<script") && !html.contains("javascript:") && !html.contains("<img"),
            "{html}"
        );
    }
}
