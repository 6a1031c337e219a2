//! The steps of a build, timed and told.
//!
//! In: the work of a step. Out: how long it took, and [`BuildProgress`] meanwhile. Never: a step's
//! own work.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::error::BuildError;
use crate::publish::package::{Draft, Item, Package, PackageError};

/// A step of the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BundlingStep {
    /// Copying the app.
    App,
    /// Downloading the runtime: a part of laying it out.
    Download,
    /// Laying out the runtime.
    Runtime,
    /// Installing the requirements.
    Dependencies,
    /// Compiling bytecode.
    Bytecode,
    /// Compressing and writing.
    Pack,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildProgress {
    /// The present step.
    pub step: BundlingStep,
    /// The finished part of `total`: bytes while downloading and packing, otherwise 0 and then 1.
    pub done: u64,
    /// The whole amount of this step.
    pub total: u64,
}

/// Measures the time of each step and reports it.
pub(super) struct Steps<'a> {
    progress: &'a (dyn Fn(BuildProgress) + Sync),
    done: Vec<(BundlingStep, Duration)>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(progress: &'a (dyn Fn(BuildProgress) + Sync)) -> Self {
        Self { progress, done: Vec::new() }
    }

    /// How long each step took.
    pub(super) fn finish(self) -> Vec<(BundlingStep, Duration)> {
        self.done
    }

    /// Reports a download while the runtime is laid out: bytes, and how many there will be.
    pub(super) fn download(&self) -> impl FnMut(u64, u64) + use<'a> {
        let progress = self.progress;
        move |done, total| {
            progress(BuildProgress { step: BundlingStep::Download, done, total });
            if done == total {
                progress(BuildProgress { step: BundlingStep::Runtime, done: 0, total: 1 });
            }
        }
    }

    pub(super) fn time<T>(
        &mut self,
        step: BundlingStep,
        work: impl FnOnce() -> Result<T, BuildError>,
    ) -> Result<T, BuildError> {
        (self.progress)(BuildProgress { step, done: 0, total: 1 });
        let start = Instant::now();
        let result = work()?;
        self.done.push((step, start.elapsed()));
        (self.progress)(BuildProgress { step, done: 1, total: 1 });
        Ok(result)
    }

    pub(super) fn pack(
        &mut self,
        draft: &Draft,
        work: impl FnOnce(&(dyn Fn(u64) + Sync)) -> Result<Package, PackageError>,
    ) -> Result<Package, BuildError> {
        let total = draft.items.values().map(Item::size).sum();
        let (done, progress, step) = (AtomicU64::new(0), self.progress, BundlingStep::Pack);
        progress(BuildProgress { step, done: 0, total });
        let start = Instant::now();
        let package = work(&|bytes| {
            let done = done.fetch_add(bytes, Ordering::Relaxed) + bytes;
            progress(BuildProgress { step, done, total });
        })?;
        self.done.push((step, start.elapsed()));
        Ok(package)
    }
}
