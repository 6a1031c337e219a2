//! What is wrong, gathered, so that a person mends all of it in one go.
//!
//! In: results. Out: their values, and at the end one error. Never: the same fault twice.

use std::error::Error;
use std::fmt;

use super::VerbError;
use crate::error_chain;
use crate::installers::InstallerFaults;

/// What was found to be wrong.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<VerbError>);

impl Faults {
    /// Adds one.
    pub(crate) fn add(&mut self, fault: impl Into<VerbError>) {
        let fault = fault.into();
        let text = |fault: &VerbError| error_chain::line(fault.as_ref());
        if self.0.iter().all(|known| text(known) != text(&fault)) {
            self.0.push(fault);
        }
    }

    /// The value, or none if it is a fault.
    pub(crate) fn of<T>(&mut self, result: Result<T, impl Into<VerbError>>) -> Option<T> {
        result.map_err(|fault| self.add(fault)).ok()
    }

    /// The value, or none if there are faults.
    pub(crate) fn all<T>(&mut self, result: Result<T, InstallerFaults>) -> Option<T> {
        result.map_err(|faults| faults.0.into_iter().for_each(|fault| self.add(fault))).ok()
    }

    /// The value if nothing is wrong.
    ///
    /// # Errors
    /// The only fault as it is, or all of them as a list.
    pub(crate) fn none<T>(mut self, value: Option<T>) -> Result<T, VerbError> {
        match (self.0.len(), value) {
            (0, Some(value)) => Ok(value),
            (0, None) => Err("there is a fault without words".into()),
            (1, _) => Err(self.0.remove(0)),
            _ => Err(Box::new(self)),
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing is written; {} things are to be mended first:", self.0.len())?;
        for fault in &self.0 {
            write!(f, "\n  - {}", error_chain::line(fault.as_ref()))?;
        }
        Ok(())
    }
}

impl Error for Faults {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_are_listed_once_and_a_single_one_is_as_it_is() {
        assert_eq!(Faults::default().none(Some(7)).unwrap(), 7);
        let mut faults = Faults::default();
        assert_eq!(faults.of(Ok::<_, String>(1)), Some(1));
        assert_eq!(faults.of(Err::<(), _>("the icon is missing")), None);
        assert_eq!(faults.of(Err::<(), _>("the icon is missing")), None);
        assert_eq!(faults.none(None::<()>).unwrap_err().to_string(), "the icon is missing");
        let mut faults = Faults::default();
        faults.add("one");
        faults.add("two");
        assert_eq!(
            faults.none(Some(())).unwrap_err().to_string(),
            "nothing is written; 2 things are to be mended first:\n  - one\n  - two"
        );
    }
}
