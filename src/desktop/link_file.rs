//! Reads a `.lnk` file of Windows: [MS-SHLLINK] 7.0. Pure; any damage is `None`.

/// Bytes of the header, and the class that every link has behind its length.
const HEADER: usize = 0x4c;
const CLASS: [u8; 16] = [1, 0x14, 2, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46];
/// Flags of the header: which parts follow, and in which encoding (2.1.1).
const HAS_ITEMS: u32 = 1;
const HAS_PLACE: u32 = 2;
/// The texts behind them: each is there if its flag is set, in this order (2.4). Of these five the
/// fourth is the command line after the program, and the fifth the file with the icon.
const HAS_TEXT: [u32; 5] = [4, 8, 0x10, 0x20, 0x40];
const IS_UNICODE: u32 = 0x80;
/// Flag of the place: the target lies on a volume of this computer (2.3).
const IS_LOCAL: u32 = 1;
/// A header of this length and more has texts in UTF-16 as well.
const WITH_UNICODE: u32 = 0x24;

/// The path of the program that the link starts. A link that an MSI has advertised names no path.
pub(super) fn target(link: &[u8]) -> Option<String> {
    let (flags, at) = place(link)?;
    if flags & HAS_PLACE == 0 {
        return None;
    }
    let place = link.get(at..)?;
    let place = place.get(..u32_at(place, 0)? as usize)?;
    if u32_at(place, 8)? & IS_LOCAL == 0 {
        return None;
    }
    let path = if u32_at(place, 4)? >= WITH_UNICODE {
        wide(place, u32_at(place, 28)?)? + &wide(place, u32_at(place, 32)?)?
    } else {
        narrow(place, u32_at(place, 16)?)? + &narrow(place, u32_at(place, 24)?)?
    };
    Some(path).filter(|path| !path.is_empty())
}

/// The link's command line after the program, and the file with its icon; empty without one.
pub(super) fn arguments_and_icon(link: &[u8]) -> Option<(String, String)> {
    let (flags, mut at) = place(link)?;
    if flags & HAS_PLACE != 0 {
        at = at.checked_add(u32_at(link, at)? as usize)?;
    }
    let mut texts = [const { String::new() }; HAS_TEXT.len()];
    for (text, _) in texts.iter_mut().zip(HAS_TEXT).filter(|(_, flag)| flags & flag != 0) {
        let length = usize::from(u16_at(link, at)?);
        let width = if flags & IS_UNICODE == 0 { 1 } else { 2 };
        let bytes = link.get(at + 2..at + 2 + length * width)?;
        // Some writers count the end of the text as a part of it.
        *text = match width {
            1 => String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned(),
            _ => utf16(bytes),
        };
        at += 2 + length * width;
    }
    let [_, _, _, arguments, icon] = texts;
    Some((arguments, icon))
}

/// The flags of a link, and where the place of its target begins.
fn place(link: &[u8]) -> Option<(u32, usize)> {
    if u32_at(link, 0)? as usize != HEADER || link.get(4..20)? != CLASS {
        return None;
    }
    let flags = u32_at(link, 20)?;
    let items = if flags & HAS_ITEMS == 0 { 0 } else { 2 + usize::from(u16_at(link, HEADER)?) };
    Some((flags, HEADER + items))
}

/// A text of the system's own code page; signs beyond ASCII are replaced.
fn narrow(place: &[u8], at: u32) -> Option<String> {
    let text = place.get(at as usize..)?;
    let end = text.iter().position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(&text[..end]).into_owned())
}

fn wide(place: &[u8], at: u32) -> Option<String> {
    Some(utf16(place.get(at as usize..)?))
}

/// The text up to its end.
fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|two| u16::from_le_bytes([two[0], two[1]]));
    String::from_utf16_lossy(&units.take_while(|unit| *unit != 0).collect::<Vec<u16>>())
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A link as Windows writes it, as far as it is read here.
    pub(in crate::desktop) fn written(target: &str, arguments: &str, icon: &str) -> Vec<u8> {
        let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let path = [wide(target), vec![0; 4]].concat();
        let length = u32::try_from(36 + path.len()).unwrap();
        let end = length - 2;
        let place = [length, 36, IS_LOCAL, 0, 0, 0, 0, 36, end].map(u32::to_le_bytes).concat();
        let text = |text: &str| {
            let length = u16::try_from(text.encode_utf16().count()).unwrap();
            [length.to_le_bytes().to_vec(), wide(text)].concat()
        };
        let flags = HAS_PLACE | HAS_TEXT[3] | HAS_TEXT[4] | IS_UNICODE;
        let mut header = u32::try_from(HEADER).unwrap().to_le_bytes().to_vec();
        header.extend(CLASS);
        header.extend(flags.to_le_bytes());
        header.resize(HEADER, 0);
        [header, place, path, text(arguments), text(icon)].concat()
    }

    #[test]
    fn the_command_line_and_the_icon_are_read() {
        let own = written(r"C:\程序\x.exe", "--home \"D:\\a b\" run", r"D:\a b\icon.ico");
        assert_eq!(target(&own).as_deref(), Some(r"C:\程序\x.exe"));
        let expected = ("--home \"D:\\a b\" run".to_owned(), r"D:\a b\icon.ico".to_owned());
        assert_eq!(arguments_and_icon(&own), Some(expected));
        let expected = ("--processStart labelImg.exe".to_owned(), String::new());
        assert_eq!(arguments_and_icon(WRITTEN), Some(expected));
        assert_eq!(arguments_and_icon(&own[..own.len() - 1]), None);
    }

    /// A link as Squirrel makes it, which the shell of Wine has written.
    const WRITTEN: &[u8] = include_bytes!("written.lnk");

    #[test]
    fn a_link_leads_to_its_program_and_damage_to_nothing() {
        assert_eq!(target(WRITTEN).as_deref(), Some(r"C:\LabelImg\Update.exe"));
        for length in 0..WRITTEN.len() {
            let _ = (target(&WRITTEN[..length]), arguments_and_icon(&WRITTEN[..length]));
        }
        for at in 0..WRITTEN.len() {
            let mut damaged = WRITTEN.to_vec();
            damaged[at] ^= 0xff;
            let _ = (target(&damaged), arguments_and_icon(&damaged));
        }
        assert_eq!(target(b""), None);
        assert_eq!(target(&WRITTEN[..HEADER]), None);
    }
}
