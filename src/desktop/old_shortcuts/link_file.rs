//! Reads the target of a `.lnk` file of Windows: [MS-SHLLINK] 7.0. Pure; any damage is `None`.

/// Bytes of the header, and the class that every link has behind its length.
const HEADER: usize = 0x4c;
const CLASS: [u8; 16] = [1, 0x14, 2, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46];
/// Flags of the header: which parts follow, and in which encoding (2.1.1).
const HAS_ITEMS: u32 = 1;
const HAS_PLACE: u32 = 2;
/// Flag of the place: the target lies on a volume of this computer (2.3).
const IS_LOCAL: u32 = 1;
/// A header of this length and more has texts in UTF-16 as well.
const WITH_UNICODE: u32 = 0x24;

/// The path of the program that the link starts. A link that an MSI has advertised names no path.
pub(super) fn target(link: &[u8]) -> Option<String> {
    if u32_at(link, 0)? as usize != HEADER || link.get(4..20)? != CLASS {
        return None;
    }
    let flags = u32_at(link, 20)?;
    let mut at = HEADER;
    if flags & HAS_ITEMS != 0 {
        at += 2 + usize::from(u16_at(link, at)?);
    }
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

/// A text of the system's own code page; signs beyond ASCII are replaced.
fn narrow(place: &[u8], at: u32) -> Option<String> {
    let text = place.get(at as usize..)?;
    let end = text.iter().position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(&text[..end]).into_owned())
}

fn wide(place: &[u8], at: u32) -> Option<String> {
    let units = place.get(at as usize..)?.chunks_exact(2);
    let units = units.map(|two| u16::from_le_bytes([two[0], two[1]]));
    let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    Some(String::from_utf16_lossy(&units))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link as Squirrel makes it, which the shell of Wine has written.
    const WRITTEN: &[u8] = include_bytes!("written.lnk");

    #[test]
    fn a_link_leads_to_its_program_and_damage_to_nothing() {
        assert_eq!(target(WRITTEN).as_deref(), Some(r"C:\LabelImg\Update.exe"));
        for length in 0..WRITTEN.len() {
            let _ = target(&WRITTEN[..length]);
        }
        for at in 0..WRITTEN.len() {
            let mut damaged = WRITTEN.to_vec();
            damaged[at] ^= 0xff;
            let _ = target(&damaged);
        }
        assert_eq!(target(b""), None);
        assert_eq!(target(&WRITTEN[..HEADER]), None);
    }
}
