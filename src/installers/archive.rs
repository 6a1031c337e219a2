//! A tree as a zip archive, for a person who wants no installer.
//!
//! In: a tree, a time. Out: bytes; the same tree and time give the same. Never: a look at a disk.

use std::io::{Cursor, Write as _};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use zip::result::ZipResult;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::tree::{Content, Node};

/// Permissions of folders and programs, and of other files.
const EXECUTABLE: u32 = 0o755;
const READABLE: u32 = 0o644;

/// The archive with these entries in its root.
///
/// # Errors
/// Those of the archive's format, such as a name of 64 KB.
pub(super) fn archive(nodes: &[Node], time: Timestamp) -> ZipResult<Vec<u8>> {
    let time = time.to_zoned(TimeZone::UTC).datetime();
    let small = |number: i8| u8::try_from(number).unwrap_or_default();
    let year = u16::try_from(time.year()).unwrap_or_default();
    let (month, day, hour) = (small(time.month()), small(time.day()), small(time.hour()));
    let (minute, second) = (small(time.minute()), small(time.second()));
    // Years before 1980 have no place in a zip.
    let time = DateTime::from_date_and_time(year, month, day, hour, minute, second);
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(time.unwrap_or_default());
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    add(&mut writer, "", nodes, options)?;
    Ok(writer.finish()?.into_inner())
}

fn add(
    writer: &mut ZipWriter<Cursor<Vec<u8>>>,
    folder: &str,
    nodes: &[Node],
    options: SimpleFileOptions,
) -> ZipResult<()> {
    for node in nodes {
        let path = format!("{folder}{}", node.name);
        match &node.content {
            Content::Folder(below) => {
                writer.add_directory(path.as_str(), options.unix_permissions(EXECUTABLE))?;
                add(writer, &format!("{path}/"), below, options)?;
            }
            Content::File { bytes, is_executable } => {
                let mode = if *is_executable { EXECUTABLE } else { READABLE };
                writer.start_file(path, options.unix_permissions(mode))?;
                writer.write_all(bytes)?;
            }
            Content::Link(target) => writer.add_symlink(path, target.as_str(), options)?,
        }
    }
    Ok(())
}
