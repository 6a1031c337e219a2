//! The version resource of a Windows program: what Explorer shows below "Details", and what the
//! task manager calls the program.
//!
//! In: texts. Out: the bytes of a `VS_VERSIONINFO`. Never: a look at a program.

use crate::model::Version;

/// The texts that Windows shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct VersionInformation<'a> {
    /// The app's name for people.
    pub name: &'a str,
    pub publisher: &'a str,
    pub copyright: &'a str,
    pub version: &'a Version,
    /// The name of the file, `MyApp.exe`.
    pub file_name: &'a str,
}

/// A version as Windows compares it: four numbers. Larger ones, and what stands behind `-`, have no
/// place there.
pub(super) fn numbers(version: &Version) -> [u16; 4] {
    let number = |part: u64| u16::try_from(part).unwrap_or(u16::MAX);
    let [major, minor, patch] = version.numbers().map(number);
    [major, minor, patch, 0]
}

impl VersionInformation<'_> {
    /// The bytes of the resource.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let version = self.version.to_string();
        let strings = [
            ("CompanyName", self.publisher),
            ("FileDescription", self.name),
            ("FileVersion", &version),
            ("InternalName", self.name),
            ("LegalCopyright", self.copyright),
            ("OriginalFilename", self.file_name),
            ("ProductName", self.name),
            ("ProductVersion", &version),
        ];
        let strings: Vec<Vec<u8>> = strings
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| block(key, Value::Text(value), &[]))
            .collect();
        // English, in UTF-16.
        let table = block("040904b0", Value::None, &strings);
        let texts = block("StringFileInfo", Value::None, &[table]);
        let translation = block("Translation", Value::Bytes(&[0x09, 0x04, 0xb0, 0x04]), &[]);
        let languages = block("VarFileInfo", Value::None, &[translation]);
        block("VS_VERSION_INFO", Value::Bytes(&self.fixed()), &[texts, languages])
    }

    /// `VS_FIXEDFILEINFO`: what programs compare.
    fn fixed(&self) -> Vec<u8> {
        let [major, minor, patch, build] = numbers(self.version).map(u32::from);
        let (high, low) = (major << 16 | minor, patch << 16 | build);
        /// A program (1) for 32-bit Windows and its successors (`VOS_NT_WINDOWS32`).
        const SYSTEM: u32 = 0x0004_0004;
        const PROGRAM: u32 = 1;
        let fields =
            [0xfeef_04bd, 0x0001_0000, high, low, high, low, 0x3f, 0, SYSTEM, PROGRAM, 0, 0, 0];
        fields.into_iter().flat_map(u32::to_le_bytes).collect()
    }
}

enum Value<'a> {
    None,
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// One block: its length, the length of its value, whether that is text, its name, the value, then
/// the blocks below it, each at a multiple of four bytes.
fn block(key: &str, value: Value, below: &[Vec<u8>]) -> Vec<u8> {
    let (value, length, is_text) = match value {
        Value::None => (Vec::new(), 0, true),
        // The length of a text counts characters, with the zero at its end.
        Value::Text(text) => (utf16(text), text.encode_utf16().count() + 1, true),
        Value::Bytes(bytes) => (bytes.to_vec(), bytes.len(), false),
    };
    let mut bytes = vec![0; 6];
    bytes.extend(utf16(key));
    pad(&mut bytes);
    bytes.extend(value);
    for block in below {
        pad(&mut bytes);
        bytes.extend(block);
    }
    let short = |number: usize| u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes();
    let total = short(bytes.len());
    bytes[..2].copy_from_slice(&total);
    bytes[2..4].copy_from_slice(&short(length));
    bytes[4..6].copy_from_slice(&short(usize::from(is_text)));
    bytes
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The blocks below a block, each as its name and its value, flat.
    fn blocks(bytes: &[u8], found: &mut Vec<(String, Vec<u8>)>) {
        let short = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let (length, value, is_text) = (short(0), short(2), short(4) == 1);
        let units: Vec<u16> = (6..length)
            .step_by(2)
            .map(|at| u16::from_le_bytes([bytes[at], bytes[at + 1]]))
            .take_while(|unit| *unit != 0)
            .collect();
        let begin = (6 + 2 * units.len() + 2).next_multiple_of(4);
        let value = if is_text { 2 * value } else { value };
        found.push((String::from_utf16(&units).unwrap(), bytes[begin..begin + value].to_vec()));
        let mut at = (begin + value).next_multiple_of(4);
        while at < length {
            blocks(&bytes[at..], found);
            at += usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]])).next_multiple_of(4);
        }
    }

    #[test]
    fn windows_finds_each_text() {
        let information = VersionInformation {
            name: "示例 \"App\"",
            publisher: "Müller",
            copyright: "",
            version: &"1.70000.3-beta.1".parse().unwrap(),
            file_name: "示例.exe",
        };
        let mut found = Vec::new();
        let bytes = information.bytes();
        blocks(&bytes, &mut found);
        assert_eq!(usize::from(u16::from_le_bytes([bytes[0], bytes[1]])), bytes.len());
        let value = |name: &str| &found.iter().find(|(found, _)| found == name).unwrap().1;
        let text = |name: &str| {
            let units = value(name).chunks(2).map(|two| u16::from_le_bytes([two[0], two[1]]));
            String::from_utf16(&units.collect::<Vec<_>>()).unwrap()
        };
        assert_eq!(text("FileDescription"), "示例 \"App\"\0");
        assert_eq!(text("CompanyName"), "Müller\0");
        assert_eq!(text("OriginalFilename"), "示例.exe\0");
        assert_eq!(text("ProductVersion"), "1.70000.3-beta.1\0");
        assert!(found.iter().all(|(name, _)| name != "LegalCopyright"), "no empty text");
        assert_eq!(value("Translation")[..], [0x09, 0x04, 0xb0, 0x04]);
        let fixed = value("VS_VERSION_INFO");
        assert_eq!(fixed[..4], 0xfeef_04bd_u32.to_le_bytes());
        // Minor and major, then build and patch: a number that is too large is the largest.
        assert_eq!(fixed[8..16], [0xff, 0xff, 1, 0, 0, 0, 3, 0]);
    }
}
