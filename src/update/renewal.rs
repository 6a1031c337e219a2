//! Follows launcher settings that a publisher renews: a document that signed metadata names, stored
//! as a verified copy in the home.
//!
//! In: the verified repository, and sources of its files. Out: the copy in the home, which the next
//! start lays over the shipped settings, and nodes to ask from now on. Never: uses a document that
//! current signed metadata does not name, or one for another app.

use std::sync::Arc;

use crate::environment::Environment;
use crate::error_chain;
use crate::model::{Digest, Node};
use crate::settings::renewed::{MAX_RENEWAL_BYTES, Renewal, target_name};
use crate::trust::{MetadataSource, Repository};

/// The copy in the home; `None` if there is no usable one.
fn stored(environment: &Environment) -> Option<(Vec<u8>, Renewal)> {
    let bytes = crate::settings::renewed::read(&environment.home.renewed_settings())?;
    let renewal = Renewal::parse(&bytes, &environment.settings.app).ok()?;
    Some((bytes, renewal))
}

/// The nodes that the publisher's signed settings name.
pub(crate) fn nodes(environment: &Environment) -> Vec<Node> {
    stored(environment).map(|(_, renewal)| renewal.nodes()).unwrap_or_default()
}

/// Fetches the document if it differs from the copy. A failure goes to the log, and the next check
/// tries again.
pub(crate) async fn follow(
    environment: &Environment,
    repository: &Repository,
    sources: &[Arc<dyn MetadataSource>],
) {
    let name = target_name(&environment.settings.app);
    let Some(target) = repository.target(&name) else {
        // Signed metadata no longer names a document.
        let forgotten = environment.home.keep_renewed_settings(None);
        return forgotten.unwrap_or_else(|error| {
            tracing::warn!(error = error_chain::line(&error), "the renewed settings stay")
        });
    };
    if crate::settings::renewed::read(&environment.home.renewed_settings())
        .is_some_and(|bytes| Digest::of(&bytes) == target.hash)
    {
        return;
    }
    let bytes = match repository.read_small_from(sources, &name, MAX_RENEWAL_BYTES).await {
        Ok(bytes) => bytes,
        Err(error) => {
            return tracing::info!(
                error = error_chain::line(&error),
                "the renewed settings cannot be had"
            );
        }
    };
    match Renewal::parse(&bytes, &environment.settings.app) {
        Ok(_) => match environment.home.keep_renewed_settings(Some(&bytes)) {
            Ok(()) => tracing::info!(
                version = repository.versions.targets,
                "the publisher has renewed the launcher's settings"
            ),
            Err(error) => tracing::warn!(
                error = error_chain::line(&error),
                "the renewed settings cannot be kept"
            ),
        },
        // Perhaps a newer launcher understands it. The earlier renewed settings stay in force.
        Err(error) => tracing::warn!(
            error = error_chain::line(&error),
            "the renewed settings are not understood"
        ),
    }
}
