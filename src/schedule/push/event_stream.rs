//! A pure parser of server-sent events, `text/event-stream` (WHATWG HTML, section 9.2.6). It takes
//! the stream in parts.
//!
//! In: bytes as they arrive, cut anywhere, in any encoding. Out: [`ServerSentEvent`]. Never: more
//! memory than [`MAX_LINE_BYTES`] and [`MAX_EVENT_BYTES`], whatever the server sends.

use std::time::Duration;

/// Maximum length of a line, bytes.
pub(super) const MAX_LINE_BYTES: usize = 4 << 10;
/// Maximum length of an event's data, bytes.
pub(super) const MAX_EVENT_BYTES: usize = 16 << 10;
/// Maximum length of an event's id, characters. The parser ignores longer ids, and ids that are not
/// plain text.
const MAX_ID_CHARACTERS: usize = 128;

/// A complete message of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ServerSentEvent {
    Event {
        /// The event's kind; `message` if it has none.
        name: String,
        /// The event's data lines, joined by line feeds.
        data: String,
    },
    /// The server asks for this wait before the next connection.
    Retry(Duration),
}

/// A line or an event is longer than its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line of more than {MAX_LINE_BYTES} bytes, or an event of more than {MAX_EVENT_BYTES}")]
pub(super) struct TooLong;

/// The state of one connection's parsing.
#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    lines: u64,
    after_return: bool,
    name: String,
    data: Option<String>,
    id: Option<String>,
    /// The id at the end of the last complete event.
    last_id: Option<String>,
}

impl Parser {
    /// Takes in the next bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<ServerSentEvent>, TooLong> {
        let mut events = Vec::new();
        for byte in bytes {
            let after_return = std::mem::replace(&mut self.after_return, *byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => events.extend(self.end_of_line()?),
                byte if self.line.len() < MAX_LINE_BYTES => self.line.push(*byte),
                _ => return Err(TooLong),
            }
        }
        Ok(events)
    }

    /// The id of the last complete event, or the one that the stream began with.
    pub(super) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    fn end_of_line(&mut self) -> Result<Option<ServerSentEvent>, TooLong> {
        let bytes = std::mem::take(&mut self.line);
        self.lines = self.lines.saturating_add(1);
        let line = String::from_utf8_lossy(&bytes);
        let line =
            if self.lines == 1 { line.strip_prefix('\u{feff}').unwrap_or(&line) } else { &line };
        if line.is_empty() {
            return Ok(self.end_of_event());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                let data = match self.data.take() {
                    Some(before) => format!("{before}\n{value}"),
                    None => value.to_owned(),
                };
                if data.len() > MAX_EVENT_BYTES {
                    return Err(TooLong);
                }
                self.data = Some(data);
            }
            "id" if value.len() <= MAX_ID_CHARACTERS
                && value.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                self.id = Some(value.to_owned()).filter(|id| !id.is_empty());
            }
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Ok(value.parse().ok().map(|milliseconds| {
                    ServerSentEvent::Retry(Duration::from_millis(milliseconds))
                }));
            }
            // A comment has no field name; the parser must ignore unknown fields.
            _ => {}
        }
        Ok(None)
    }

    fn end_of_event(&mut self) -> Option<ServerSentEvent> {
        self.last_id.clone_from(&self.id);
        let name = std::mem::take(&mut self.name);
        let data = self.data.take()?;
        Some(ServerSentEvent::Event {
            name: if name.is_empty() { "message".to_owned() } else { name },
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &[u8]) -> Vec<ServerSentEvent> {
        Parser::default().feed(text).unwrap()
    }

    fn event(name: &str, data: &str) -> ServerSentEvent {
        ServerSentEvent::Event { name: name.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn events_as_the_standard_has_them() {
        let stream = ": hello\n\ndata: first\nid: 1\n\ndata:second\nid\n\ndata:  third\n\n";
        assert_eq!(
            parse(stream.as_bytes()),
            [event("message", "first"), event("message", "second"), event("message", " third")]
        );
        let stream = "data\n\ndata\ndata\n\ndata:";
        assert_eq!(
            parse(stream.as_bytes()),
            [event("message", ""), event("message", "\n")],
            "the last one is not complete"
        );
        assert_eq!(
            parse(b"event: release\ndata: {}\n\nevent: x\n\ndata: y\n\n"),
            [event("release", "{}"), event("message", "y")]
        );
        assert_eq!(parse("\u{feff}data: bom\n\n".as_bytes()), [event("message", "bom")]);
        assert_eq!(parse(b"data: \xff\n\n"), [event("message", "\u{fffd}")]);
        assert_eq!(
            parse(b"retry: 10000\nretry: soon\nretry: -1\nretry:\n"),
            [ServerSentEvent::Retry(Duration::from_secs(10))]
        );
        assert_eq!(parse(b"retry: 99999999999999999999999\nother: x\nnothing\n"), []);
    }

    #[test]
    fn all_ends_of_lines() {
        for end in ["\n", "\r", "\r\n"] {
            let stream = format!("event: a{end}data: b{end}{end}data: c{end}{end}");
            assert_eq!(
                parse(stream.as_bytes()),
                [event("a", "b"), event("message", "c")],
                "{end:?}"
            );
        }
    }

    #[test]
    fn ids_are_retained_with_complete_events() {
        let mut parser = Parser::default();
        let mut id = |text: &str| {
            parser.feed(text.as_bytes()).unwrap();
            parser.last_id().map(str::to_owned)
        };
        assert_eq!(id("id: 1\n"), None);
        assert_eq!(id("\n"), Some("1".to_owned()), "an event without data has an id all the same");
        assert_eq!(id("data: x\n\n"), Some("1".to_owned()));
        assert_eq!(
            id(&format!(
                "id: {}\n\nid: a b\n\nid: é\n\nid: \0\n\n",
                "x".repeat(MAX_ID_CHARACTERS + 1)
            )),
            Some("1".to_owned())
        );
        assert_eq!(id("id\n\n"), None);
    }

    #[test]
    fn length_is_bounded() {
        let mut parser = Parser::default();
        parser.feed(&vec![b'a'; MAX_LINE_BYTES]).unwrap();
        assert_eq!(parser.feed(b"a"), Err(TooLong));
        let line = format!("data: {}\n", "x".repeat(4000));
        let mut parser = Parser::default();
        let lines = (0..10).map(|_| parser.feed(line.as_bytes())).take_while(Result::is_ok).count();
        assert_eq!(lines, 4, "16 KiB of data");
    }

    proptest! {
        #[test]
        fn cuts_make_no_difference(text in "(data|event|id|retry|x)?(: ?)?[a-z0-9\u{e9}\r\n]{0,12}(\n|\r|\r\n|\n\n)?{0,40}", cuts in prop::collection::vec(0_usize..40, 0..10)) {
            let mut parser = Parser::default();
            let mut events = Vec::new();
            let mut rest = text.as_bytes();
            for cut in cuts {
                let (part, after) = rest.split_at(cut.min(rest.len()));
                events.extend(parser.feed(part).unwrap());
                rest = after;
            }
            events.extend(parser.feed(rest).unwrap());
            prop_assert_eq!(events, parse(text.as_bytes()));
        }

        #[test]
        fn garbage_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..20_000)) {
            let mut parser = Parser::default();
            let _ = parser.feed(&bytes);
            prop_assert!(parser.line.len() <= MAX_LINE_BYTES && parser.data.unwrap_or_default().len() <= MAX_EVENT_BYTES);
        }
    }
}
