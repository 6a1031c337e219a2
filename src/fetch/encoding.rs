//! Decompresses the answers of nodes. The client accepts compression for JSON documents only: it
//! asks for packages and packs by ranges, and they are compressed already.
//!
//! In: the bytes of an answer, in parts. Out: the document as it was signed. Never: more bytes than
//! the limit allows, neither compressed nor decompressed.

use std::io::{self, Write as _};

use bytes::Bytes;
use flate2::write::GzDecoder;
use url::Url;

/// The encoding that a request accepts.
pub(super) const GZIP: &str = "gzip";

/// Bytes that the compressed form may have beyond the document's own limit: its header and trailer,
/// and the growth of data that does not compress.
const OVERHEAD: usize = 4096;

/// Whether to ask for this document in compressed form.
pub(super) fn is_worth_it(url: &Url) -> bool {
    url.path().ends_with(".json")
}

/// Why a body is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is longer than the limit.
    TooLarge,
    /// It is not gzip, although its head claims so.
    NotGzip,
}

/// A body that arrives in parts.
pub(super) struct Body {
    form: Form,
    /// Bytes that have arrived.
    arrived: usize,
    limit: usize,
}

enum Form {
    Plain(Vec<u8>),
    Gzip(Box<GzDecoder<Limited>>),
}

/// Bytes, up to a limit.
struct Limited {
    bytes: Vec<u8>,
    limit: usize,
}

impl io::Write for Limited {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.bytes.len().saturating_add(part.len()) > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Body {
    /// A body of at most `limit` bytes; `encoding` is the value of the answer's header. A form that
    /// was not requested is taken as it is: the reader verifies the document.
    pub(super) fn new(encoding: Option<&[u8]>, limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let is_gzip =
            encoding.is_some_and(|encoding| encoding.eq_ignore_ascii_case(GZIP.as_bytes()));
        let form = match is_gzip {
            true => Form::Gzip(Box::new(GzDecoder::new(Limited { bytes: Vec::new(), limit }))),
            false => Form::Plain(Vec::new()),
        };
        Self { form, arrived: 0, limit }
    }

    /// Takes in the next part.
    pub(super) fn push(&mut self, part: &[u8]) -> Result<(), Refused> {
        self.arrived = self.arrived.saturating_add(part.len());
        match &mut self.form {
            Form::Plain(_) if self.arrived > self.limit => Err(Refused::TooLarge),
            Form::Plain(bytes) => {
                bytes.extend_from_slice(part);
                Ok(())
            }
            // Compressed data that unfolds to nothing could go on for ever.
            Form::Gzip(_) if self.arrived > self.limit.saturating_add(OVERHEAD) => {
                Err(Refused::TooLarge)
            }
            Form::Gzip(decoder) => decoder.write_all(part).map_err(refused),
        }
    }

    /// The document, after all parts have arrived.
    pub(super) fn finish(self) -> Result<Bytes, Refused> {
        match self.form {
            Form::Plain(bytes) => Ok(bytes.into()),
            Form::Gzip(decoder) => {
                decoder.finish().map(|limited| limited.bytes.into()).map_err(refused)
            }
        }
    }
}

fn refused(error: io::Error) -> Refused {
    if error.kind() == io::ErrorKind::FileTooLarge { Refused::TooLarge } else { Refused::NotGzip }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(
        encoding: Option<&[u8]>,
        limit: u64,
        body: &[u8],
        part: usize,
    ) -> Result<Vec<u8>, Refused> {
        let mut read = Body::new(encoding, limit);
        body.chunks(part).try_for_each(|part| read.push(part))?;
        read.finish().map(|bytes| bytes.to_vec())
    }

    #[test]
    fn a_document_comes_back_whatever_its_form_and_its_parts() {
        let document = b"{\"signed\": {}}".repeat(1000);
        for part in [1, 7, 4096, usize::MAX] {
            assert_eq!(read(None, 20_000, &document, part).unwrap(), document);
            assert_eq!(read(Some(b"identity"), 20_000, &document, part).unwrap(), document);
            assert_eq!(read(Some(b"GZip"), 20_000, &gzip(&document), part).unwrap(), document);
        }
        assert_eq!(read(Some(b"gzip"), 0, &gzip(b""), 3).unwrap(), b"");
    }

    #[test]
    fn the_limit_is_that_of_the_document_in_both_forms() {
        let document = vec![b' '; 10_000];
        for (encoding, body) in [(None, document.clone()), (Some(&b"gzip"[..]), gzip(&document))] {
            assert_eq!(read(encoding, 10_000, &body, 100).unwrap(), document);
            assert_eq!(read(encoding, 9_999, &body, 100), Err(Refused::TooLarge));
        }
        // A gigabyte of zeros in a megabyte is left when the limit is reached, not when it is
        // unfolded.
        let bomb = gzip(&vec![0; 64 << 20]);
        assert!(bomb.len() < 100_000);
        assert_eq!(read(Some(b"gzip"), 1 << 20, &bomb, bomb.len()), Err(Refused::TooLarge));
        // Blocks that hold nothing.
        let mut endless = gzip(b"")[..10].to_vec();
        endless.extend([0, 0, 0, 0xff, 0xff].repeat(10_000));
        assert_eq!(read(Some(b"gzip"), 1000, &endless, 1000), Err(Refused::TooLarge));
    }

    #[test]
    fn what_is_cut_or_damaged_or_something_else_is_refused() {
        let whole = gzip(&b"{\"signed\": {}}".repeat(100));
        for cut in [0, 5, 10, whole.len() / 2, whole.len() - 1] {
            assert_eq!(
                read(Some(b"gzip"), 10_000, &whole[..cut], 100),
                Err(Refused::NotGzip),
                "{cut}"
            );
        }
        let mut damaged = whole.clone();
        let checksum = damaged.len() - 6;
        damaged[checksum] ^= 1;
        assert_eq!(read(Some(b"gzip"), 10_000, &damaged, 100), Err(Refused::NotGzip));
        assert_eq!(
            read(Some(b"gzip"), 10_000, b"{\"signed\": {}} and more of it", 100),
            Err(Refused::NotGzip)
        );
    }

    #[test]
    fn only_json_is_asked_for_so() {
        let asks = |url: &str| is_worth_it(&url.parse().unwrap());
        assert!(
            asks("https://a.example/x/metadata/7.targets.json")
                && asks("https://a.example/nodes.json?v=1")
        );
        assert!(
            !asks("https://a.example/targets/0.sample.kuzflow")
                && !asks("https://a.example/api/events")
        );
    }
}
