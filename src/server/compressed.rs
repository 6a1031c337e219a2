//! Sends JSON documents as gzip to clients that accept it. The server compresses each document once
//! and caches the result.
//!
//! In: the request's headers, and a document. Out: its compressed form, where that is smaller.
//! Never: compresses ranges, or files of `targets`, which are compressed already.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::sync::Mutex;

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT_ENCODING, RANGE};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::model::Digest;
use crate::mutex;

/// Documents below this many bytes are sent as they are: they fit into one packet anyway.
const MIN_BYTES: usize = 1024;
/// Bytes of all cached compressed documents together.
const CACHED_DOCUMENTS: usize = 32 << 20;

/// Whether the answer may be compressed: the client accepts it, and asks for the whole document.
pub(super) fn is_accepted(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT_ENCODING).into_iter().filter_map(|line| line.to_str().ok());
    let accepts = |choice: &str| {
        let mut parts = choice.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let refuses = |part: &str| {
            part.strip_prefix("q=")
                .is_some_and(|weight| weight.parse().is_ok_and(|weight: f32| weight <= 0.0))
        };
        name.eq_ignore_ascii_case("gzip") && !parts.any(refuses)
    };
    !headers.contains_key(RANGE)
        && lines.flat_map(|line| line.split(',')).any(|choice| accepts(choice.trim()))
}

/// Compressed documents by the digest of the original.
#[derive(Default)]
pub(super) struct Compressed {
    retained: Mutex<HashMap<Digest, Bytes>>,
}

impl Compressed {
    /// The compressed form of a document; `None` where that is not smaller. Compressing a large one
    /// may take a second, so call it on a thread that may block. Later callers wait, so that many
    /// clients cause only one compression.
    pub(super) fn of(&self, digest: Digest, document: &[u8]) -> io::Result<Option<Bytes>> {
        if document.len() < MIN_BYTES {
            return Ok(None);
        }
        let mut retained = mutex::lock(&self.retained);
        if let Some(known) = retained.get(&digest) {
            return Ok(Some(known.clone()));
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(document)?;
        let packed = Bytes::from(encoder.finish()?);
        if packed.len() >= document.len() {
            return Ok(None);
        }
        if retained.values().map(Bytes::len).sum::<usize>() + packed.len() > CACHED_DOCUMENTS {
            retained.clear();
        }
        retained.insert(digest, packed.clone());
        Ok(Some(packed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_whoever_names_it_and_wants_all() {
        let accepted = |fields: &[(&str, &str)]| {
            let field =
                |(name, value): &(&str, &str)| Some((name.parse().ok()?, value.parse().ok()?));
            is_accepted(&fields.iter().filter_map(field).collect())
        };
        let of = |value: &str| accepted(&[("accept-encoding", value)]);
        assert!(of("gzip") && of("br, GZIP") && of("gzip;q=0.5, identity") && of("gzip; q=1"));
        assert!(
            !of("identity")
                && !of("br, zstd")
                && !of("gzip;q=0")
                && !of("gzip; q=0.0")
                && !of("*")
                && !of("x-gzipped")
        );
        assert!(
            !accepted(&[]) && !accepted(&[("accept-encoding", "gzip"), ("range", "bytes=0-9")])
        );
    }

    #[test]
    fn small_documents_and_noise_stay_as_they_are() {
        let compressed = Compressed::default();
        let of = |bytes: &[u8]| compressed.of(Digest::of(bytes), bytes).unwrap();
        assert_eq!(of(&[b' '; MIN_BYTES - 1]), None);
        assert!(of(&[b' '; MIN_BYTES]).unwrap().len() < 100);
        let mut noise = [0; 4096];
        fastrand::Rng::with_seed(1).fill(&mut noise);
        assert_eq!(of(&noise), None);
    }
}
