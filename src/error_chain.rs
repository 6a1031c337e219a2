//! An error and its causes as text: for the log, for "details to copy", for a node's fault. Ground
//! floor.

use std::error::Error;

use crate::plain;

/// The texts of the error and of its causes, outermost first. Transparent wrappers repeat the text
/// of their source; the list has it once.
pub(crate) fn list(error: &dyn Error) -> Vec<String> {
    let words = |error: &dyn Error| plain::text(&error.to_string());
    let mut list = vec![words(error)];
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = words(error);
        if list.last() != Some(&text) {
            list.push(text);
        }
        cause = error.source();
    }
    list
}

/// The same texts on one line.
pub fn line(error: &dyn Error) -> String {
    list(error).join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read")]
    struct Outer(#[source] Wrapper);

    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    struct Wrapper(#[from] std::io::Error);

    #[test]
    fn messages_are_listed_once_each() {
        let error = Outer(Wrapper(std::io::Error::other("the disk is gone")));
        assert_eq!(line(&error), "cannot read: the disk is gone");
    }
}
