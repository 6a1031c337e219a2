//! Determines the kind of an entry point's file from its first bytes.
//!
//! In: a path. Out: a program, a script with its interpreter, or neither. Never: runs the file;
//! reads more than its first line.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The first bytes of programs on all systems: ELF, Windows, and Mach-O in its five forms.
const MAGIC: [&[u8]; 7] = [
    b"\x7fELF",
    b"MZ",
    b"\xfe\xed\xfa\xce",
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
];
/// Most bytes of a first line that are read; Linux does not read more either.
const FIRST_LINE: u64 = 256;

/// The kind of a file for the system that starts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Machine code.
    Program,
    /// A script whose first line names a Python.
    PythonScript,
    /// A script whose first line names another interpreter.
    Script,
    /// Neither: starting it needs an interpreter that someone names.
    Plain,
}

impl FileKind {
    /// Determines the kind of the file; `None` if it cannot be read.
    pub fn of(path: &Path) -> Option<Self> {
        let mut head = Vec::new();
        File::open(path).ok()?.take(FIRST_LINE).read_to_end(&mut head).ok()?;
        Some(Self::of_bytes(&head))
    }

    fn of_bytes(head: &[u8]) -> Self {
        if MAGIC.iter().any(|magic| head.starts_with(magic)) {
            return Self::Program;
        }
        let Some(line) = head.strip_prefix(b"#!") else { return Self::Plain };
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or(line);
        let line = String::from_utf8_lossy(line);
        // "#!/usr/bin/env -S python3 -u" names Python as well as "#!/usr/bin/python3".
        let names = line.split_whitespace().filter_map(|word| word.rsplit('/').next());
        let is_python =
            names.into_iter().any(|name| name.starts_with("python") || name.starts_with("pypy"));
        if is_python { Self::PythonScript } else { Self::Script }
    }

    /// Whether Unix starts the file by itself.
    pub fn starts_by_itself(self) -> bool {
        self != Self::Plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_what_starts_a_file() {
        for (head, kind) in [
            ("\u{7f}ELF\u{2}", FileKind::Program),
            ("MZ\u{1}", FileKind::Program),
            ("#!/bin/sh\npython3 app.py\n", FileKind::Script),
            ("#! /usr/bin/env node\n", FileKind::Script),
            ("#!/usr/bin/python3.11\n", FileKind::PythonScript),
            ("#!/usr/bin/env -S python3 -u\n", FileKind::PythonScript),
            ("import sys\n", FileKind::Plain),
            ("", FileKind::Plain),
        ] {
            assert_eq!(FileKind::of_bytes(head.as_bytes()), kind, "{head:?}");
        }
        assert_eq!(FileKind::of_bytes(b"\xcf\xfa\xed\xfe\x07"), FileKind::Program);
        assert_eq!(FileKind::of(Path::new("/nowhere/at/all")), None);
    }
}
