//! The availability message: what a peer has of an object, as one small JSON document. Reading it
//! checks its content. A pure core.

use serde::{Deserialize, Serialize};

use super::roster::{digits, number};
use crate::fetch::Availability;
use crate::model::PieceSet;

/// Largest message that is read, bytes: a set has a digit for four pieces.
pub(super) const MAX_MESSAGE_BYTES: u64 = 32 << 10;

/// What a peer has of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AvailabilityMessage {
    /// The peer's number, in hexadecimal digits.
    pub instance: String,
    /// Whether the object is here as a file of an installed version.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// Whether the object is a document that is being fetched from the internet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub soon: bool,
    /// The pieces, if the object is here in pieces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pieces: Option<Pieces>,
}

/// Which pieces of an object a peer has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pieces {
    pub held: String,
    #[serde(rename = "coming")]
    pub in_flight: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub takes_part: bool,
    pub received: u64,
}

impl AvailabilityMessage {
    /// The message that nothing of the object is here.
    pub(super) fn nothing(instance: u64) -> Self {
        Self { instance: digits(instance), whole: false, soon: false, pieces: None }
    }

    /// The peer's number, and what it holds of an object of `count` pieces, if anything; `None` if
    /// the message is invalid.
    pub(super) fn read(json: &[u8], count: u32) -> Option<(u64, Option<Availability>)> {
        let message: Self = serde_json::from_slice(json).ok()?;
        let availability = match message.pieces {
            Some(Pieces { held, in_flight, takes_part, received }) => {
                let (held, in_flight) =
                    (PieceSet::from_hex(count, &held)?, PieceSet::from_hex(count, &in_flight)?);
                Some(Availability { held, in_flight, takes_part, received })
            }
            None => None,
        };
        Some((number(&message.instance)?, availability))
    }
}

impl Pieces {
    pub(super) fn of(availability: &Availability) -> Self {
        let Availability { held, in_flight, takes_part, received } = availability;
        Self {
            held: held.to_hex(),
            in_flight: in_flight.to_hex(),
            takes_part: *takes_part,
            received: *received,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stated_is_read_and_nonsense_is_not() {
        let availability = Availability {
            held: PieceSet::of(9, [0, 8]),
            in_flight: PieceSet::of(9, [1]),
            takes_part: true,
            received: 1 << 40,
        };
        let message = AvailabilityMessage {
            pieces: Some(Pieces::of(&availability)),
            ..AvailabilityMessage::nothing(7)
        };
        let json = serde_json::to_vec(&message).unwrap();
        assert_eq!(AvailabilityMessage::read(&json, 9), Some((7, Some(availability))));
        assert_eq!(AvailabilityMessage::read(&json, 17), None, "of another object");
        assert_eq!(
            AvailabilityMessage::read(
                &serde_json::to_vec(&AvailabilityMessage::nothing(7)).unwrap(),
                9
            ),
            Some((7, None))
        );
        for nonsense in [
            "",
            "{}",
            "[]",
            r#"{"instance":"7"}"#,
            r#"{"instance":"0000000000000007","pieces":{"held":"zz","coming":"","received":0}}"#,
        ] {
            assert_eq!(AvailabilityMessage::read(nonsense.as_bytes(), 9), None, "{nonsense}");
        }
    }
}
