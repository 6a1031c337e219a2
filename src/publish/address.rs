//! Addresses of nodes, as a publisher types them.
//!
//! In: text or a URL. Out: an address that launchers can use, or why it is refused. Never: the
//! address in a message; it may hold a secret.

use url::Url;

/// Why an address cannot serve a repository, or must not be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// The text does not begin with `http://` or `https://`.
    #[error("write it in full, for example https://updates.example.com/ or http://127.0.0.1:8080/")]
    NoAddress,
    /// The scheme is another one, such as `ftp:`.
    #[error(
        "repositories are fetched over https or http only, for example https://updates.example.com/"
    )]
    Scheme,
    /// The address contains a name or password, such as `https://user:password@…`: everyone would
    /// download it.
    #[error(
        "it has a name or password in it, which everybody would get to read; serve the repository without one: what is in it is signed, and for everybody"
    )]
    Password,
    /// The address contains `?…` or `#…`.
    #[error("it ends in ? or #, and names of files are put behind it; leave that part out")]
    Query,
}

/// Refuses an address that no launcher can use, or that would publish a secret. The error does not
/// contain the address itself, which may contain a secret.
pub(super) fn check_address(url: &Url) -> Result<(), InvalidAddress> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(InvalidAddress::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(InvalidAddress::Password);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(InvalidAddress::Query);
    }
    Ok(())
}

/// Parses the address of a node from a user's text.
pub(crate) fn address(text: &str) -> Result<Url, InvalidAddress> {
    let url: Url = text.trim().parse().map_err(|_| InvalidAddress::NoAddress)?;
    // In `localhost:8080` and `updates.example.com:443` the host would be parsed as a scheme.
    if !text.contains("://") {
        return Err(InvalidAddress::NoAddress);
    }
    check_address(&url).map(|()| url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_cannot_be_used_or_hold_a_secret_are_refused() {
        for (text, expected) in [
            ("127.0.0.1:24000", InvalidAddress::NoAddress),
            ("localhost:8080", InvalidAddress::NoAddress),
            ("updates.example.com/app", InvalidAddress::NoAddress),
            ("", InvalidAddress::NoAddress),
            ("ftp://updates.example.com/", InvalidAddress::Scheme),
            ("file:///srv/repository", InvalidAddress::Scheme),
            ("https://deploy:hunter2@updates.example.com/", InvalidAddress::Password),
            ("https://token@updates.example.com/", InvalidAddress::Password),
            ("https://updates.example.com/?token=hunter2", InvalidAddress::Query),
        ] {
            let error = address(text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("hunter2"));
        }
        assert!(
            address("https://updates.example.com/app").is_ok()
                && address("http://127.0.0.1:8080").is_ok()
        );
    }
}
