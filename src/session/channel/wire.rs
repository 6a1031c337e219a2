//! Encodes and decodes messages: four bytes of length, little-endian, and a JSON object
//! (`assets/runtime/PROTOCOL.md`).
//!
//! Pure. In: bytes as they arrive. Out: objects that have a `type` and an `id`. Never: uses more
//! memory than one message of the maximal length.

use serde_json::{Map, Value};

/// The protocol version of this launcher.
pub(crate) const PROTOCOL: u64 = 1;
/// Longest message, bytes.
pub(crate) const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// Longest message of a connection that has not shown the token, bytes.
pub(crate) const MAX_GREETING_BYTES: usize = 16 << 10;

/// A request or an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    /// The message's protocol version; 0 if it has none.
    pub protocol: u64,
    /// The number that the asking side chose.
    pub id: i64,
    /// The field `type`.
    pub kind: String,
    /// All its fields, these three included.
    pub fields: Map<String, Value>,
}

/// What ends a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// The length field is above the limit.
    #[error("a message of {length} bytes is announced, {limit} are allowed")]
    TooLong {
        /// Bytes by the length field.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The bytes are not JSON.
    #[error("not a message")]
    Form(#[from] serde_json::Error),
    /// The JSON is not an object with `type` and `id`.
    #[error("a message without a type or an id")]
    Nameless,
}

/// The bytes of a message of `kind` with number `id`.
///
/// # Errors
/// [`WireError::TooLong`] if it has more than [`MAX_MESSAGE_BYTES`] bytes.
pub(crate) fn encode(
    id: i64,
    kind: &str,
    mut fields: Map<String, Value>,
) -> Result<Vec<u8>, WireError> {
    fields.insert("protocol".to_owned(), PROTOCOL.into());
    fields.insert("id".to_owned(), id.into());
    fields.insert("type".to_owned(), kind.into());
    let json = serde_json::to_vec(&fields)?;
    if json.len() > MAX_MESSAGE_BYTES {
        return Err(WireError::TooLong { length: json.len(), limit: MAX_MESSAGE_BYTES });
    }
    let length = u32::try_from(json.len()).unwrap_or(u32::MAX);
    Ok([&length.to_le_bytes()[..], &json].concat())
}

/// Decodes messages from bytes as they arrive.
#[derive(Debug)]
pub(crate) struct Decoder {
    held: Vec<u8>,
    limit: usize,
}

impl Decoder {
    /// A decoder for messages of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { held: Vec::new(), limit }
    }

    /// Sets another limit for the following messages.
    pub(crate) fn allow(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Takes in received bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next complete message.
    ///
    /// # Errors
    /// [`WireError`]: after it no later byte can be decoded.
    pub(crate) fn next_message(&mut self) -> Result<Option<Message>, WireError> {
        let Some((head, rest)) = self.held.split_first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_le_bytes(*head)).unwrap_or(usize::MAX);
        if length > self.limit {
            return Err(WireError::TooLong { length, limit: self.limit });
        }
        let Some(json) = rest.get(..length) else { return Ok(None) };
        let message = message(json)?;
        self.held.drain(..4 + length);
        Ok(Some(message))
    }
}

fn message(json: &[u8]) -> Result<Message, WireError> {
    let fields: Map<String, Value> = match serde_json::from_slice(json)? {
        Value::Object(fields) => fields,
        _ => return Err(WireError::Nameless),
    };
    let id = fields.get("id").and_then(Value::as_i64).ok_or(WireError::Nameless)?;
    let kind = fields.get("type").and_then(Value::as_str).ok_or(WireError::Nameless)?.to_owned();
    let protocol = fields.get("protocol").and_then(Value::as_u64).unwrap_or(0);
    Ok(Message { protocol, id, kind, fields })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(json: &[u8]) -> Vec<u8> {
        [&u32::try_from(json.len()).unwrap().to_le_bytes()[..], json].concat()
    }

    #[test]
    fn what_is_no_message_is_refused_and_what_is_too_long_is_not_waited_for() {
        let refused = |bytes: &[u8]| {
            let mut decoder = Decoder::new(100);
            decoder.feed(bytes);
            decoder.next_message().unwrap_err().to_string()
        };
        for json in [
            &b"[]"[..],
            b"{}",
            b"{\"id\": 1}",
            b"{\"id\": \"1\", \"type\": \"x\"}",
            b"{\"id\": 1.5, \"type\": \"x\"}",
            b"1",
        ] {
            assert_eq!(refused(&frame(json)), "a message without a type or an id", "{json:?}");
        }
        for json in [&b""[..], b"{", b"\xff\xfe", b"{\"id\": 1, \"type\": \"x\"} {}"] {
            assert_eq!(refused(&frame(json)), "not a message", "{json:?}");
        }
        let deep = [&b"["[..]; 90].concat();
        assert_eq!(refused(&frame(&deep)), "not a message");
        assert_eq!(
            refused(&101_u32.to_le_bytes()),
            "a message of 101 bytes is announced, 100 are allowed"
        );
        assert!(refused(&u32::MAX.to_le_bytes()).contains("4294967295"));
    }

    #[test]
    fn what_is_too_long_is_not_sent() {
        let fields = Map::from_iter([("text".to_owned(), "x".repeat(MAX_MESSAGE_BYTES).into())]);
        assert!(matches!(encode(1, "x", fields), Err(WireError::TooLong { .. })));
    }

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in_however_the_bytes_are_cut(
            texts in proptest::collection::vec(".{0,40}", 1..6), cuts in proptest::collection::vec(1_usize..30, 1..60)
        ) {
            let fields = |text: &String| Map::from_iter([("text".to_owned(), text.clone().into())]);
            let bytes: Vec<u8> = texts.iter().zip(0..).flat_map(|(text, id)| encode(id, "say", fields(text)).unwrap()).collect();
            let (mut decoder, mut rest, mut found) = (Decoder::new(MAX_MESSAGE_BYTES), bytes.as_slice(), Vec::new());
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                decoder.feed(now);
                while let Some(message) = decoder.next_message().unwrap() {
                    found.push((message.protocol, message.id, message.kind, message.fields["text"].as_str().unwrap().to_owned()));
                }
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            let wanted: Vec<_> = texts.into_iter().zip(0..).map(|(text, id)| (PROTOCOL, id, "say".to_owned(), text)).collect();
            prop_assert_eq!(found, wanted);
        }
    }
}
