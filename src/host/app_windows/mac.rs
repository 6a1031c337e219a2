//! macOS: the launcher asks an application to quit, as its menu does, and the application asks its
//! user itself. So an application counts as one window until it has quit.

use objc2_app_kit::{NSApplicationActivationOptions, NSRunningApplication};

use super::window::{Unseen, Window, WindowKind};
use crate::host::processes::Process;

pub struct DisplayConnection;

/// macOS lists applications whether their windows are open or not.
pub const fn hides_windows() -> bool {
    false
}

fn application(process: u32) -> Option<objc2::rc::Retained<NSRunningApplication>> {
    let process = i32::try_from(process).ok()?;
    NSRunningApplication::runningApplicationWithProcessIdentifier(process)
        .filter(|found| !found.isTerminated())
}

impl DisplayConnection {
    pub fn connect() -> Result<Self, Unseen> {
        Ok(Self)
    }

    pub fn windows(&self, processes: &[Process]) -> Result<Vec<Window>, Unseen> {
        let window = |process: &Process| {
            application(process.id)?;
            let (id, process) = (process.id.into(), process.id);
            Some(Window {
                id,
                process,
                kind: WindowKind::Main,
                owner: None,
                modal: false,
                can_close: true,
            })
        };
        Ok(processes.iter().filter_map(window).collect())
    }

    pub fn ask_to_close(&self, window: &Window) -> Result<(), Unseen> {
        if let Some(found) = application(window.process) {
            found.terminate();
        }
        Ok(())
    }

    pub fn bring_forward(&self, window: &Window) -> Result<(), Unseen> {
        if let Some(found) = application(window.process) {
            found.activateWithOptions(NSApplicationActivationOptions::empty());
        }
        Ok(())
    }

    /// A process that is no application has no windows.
    pub fn serves(&self, processes: &[Process]) -> bool {
        processes.iter().any(|process| application(process.id).is_some())
    }
}
