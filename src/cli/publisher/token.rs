//! `kuzflow token`: who may read the numbers of a server.

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::json;

use super::shared::VerbError;
use super::shared::output::Say;
use crate::app::Ending;
use crate::app::streams::error_line;
use crate::fleet::{Place, Role, Store, Token, TokenName};
use crate::{host, threads};

/// Seconds in a day.
const DAY: i64 = 24 * 60 * 60;

pub(super) const HELP: &str = "\
`new` prints the token once; the store has only its hash. It works at once, also with servers that are running, and ends with --expires or `revoke`, and with it the logins on the page.
Status 3: there is no token to list, or it was revoked before.

Example: kuzflow token new --name prometheus --role read --data reports
         kuzflow token new --name alice --role read --expires 90 --data postgres://db.example.com/kuzflow
         kuzflow token revoke --name alice --data reports";

/// The arguments of `kuzflow token`.
#[derive(Debug, Args)]
pub(super) struct TokenArguments {
    /// What to do.
    #[arg(value_enum, value_name = "ACTION")]
    action: Action,
    /// The token's name: whose it is, or what it is for.
    #[arg(long, value_name = "NAME", required_if_eq_any([("action", "new"), ("action", "revoke")]))]
    name: Option<TokenName>,
    /// What a new token allows: each of the roles reads the numbers.
    #[arg(
        long,
        required_if_eq("action", "new"),
        value_parser = PossibleValuesParser::new(Role::WORDS).try_map(|word| word.parse::<Role>())
    )]
    role: Option<Role>,
    /// Days until a new token expires; never if absent.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
    expires: Option<u32>,
    /// The folder or the PostgreSQL that the server was given with --data; it may be running.
    #[arg(long, value_name = "DIR|URL")]
    data: Place,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Action {
    /// Make a token and print it.
    New,
    /// Print what is known of all tokens.
    List,
    /// Make a token invalid.
    Revoke,
}

/// Performs the verb.
pub(super) fn token(arguments: &TokenArguments, say: &Say) -> Result<Ending, VerbError> {
    let now = host::now().as_second();
    let runtime = threads::runtime(1)?;
    runtime.block_on(async {
        let store = Store::read(&arguments.data).await?;
        match (arguments.action, &arguments.name, arguments.role) {
            (Action::New, Some(name), Some(role)) => {
                let expires = arguments.expires.map(|days| now + i64::from(days) * DAY);
                new(&store, name, role, expires, now, say).await
            }
            (Action::Revoke, Some(name), _) => revoke(&store, name, now, say).await,
            (Action::List, ..) => list(&store, now, say).await,
            (Action::New | Action::Revoke, ..) => Err("name the token with --name".into()),
        }
    })
}

async fn new(
    store: &Store,
    name: &TokenName,
    role: Role,
    expires: Option<i64>,
    now: i64,
    say: &Say,
) -> Result<Ending, VerbError> {
    let word = store.new_token(name, role, expires, now).await?;
    say.line(&word);
    let end = expires.map_or("it has no end".to_owned(), |at| format!("it ends {}", day(at)));
    if !say.is_json() {
        // Beside the token, so that `> FILE` gets the token alone.
        let role = role.word();
        error_line(&format!("the token {name} ({role}); {end}; it is shown only now"));
    }
    say.result(json!({
        "status": "done", "token": word, "name": name.to_string(), "role": role, "expires": expires,
    }));
    Ok(Ending::Done)
}

async fn revoke(store: &Store, name: &TokenName, now: i64, say: &Say) -> Result<Ending, VerbError> {
    let (line, status, ending) = if store.revoke_token(name, now).await? {
        ("the token is revoked", "done", Ending::Done)
    } else {
        ("the token was revoked before", "nothing_to_do", Ending::NothingToDo)
    };
    say.line(&format!("{line}: {name}"));
    say.result(json!({ "status": status, "name": name.to_string() }));
    Ok(ending)
}

async fn list(store: &Store, now: i64, say: &Say) -> Result<Ending, VerbError> {
    let tokens = store.tokens().await?;
    for token in &tokens {
        let Token { name, role, created, .. } = token;
        let made = day(*created);
        say.line(&format!("{name:<32} {:<8} made {made}  {}", role.word(), state(token, now)));
    }
    if tokens.is_empty() {
        say.line("there are no tokens");
    }
    let status = if tokens.is_empty() { "nothing_to_do" } else { "done" };
    say.result(json!({ "status": status, "tokens": tokens }));
    Ok(if tokens.is_empty() { Ending::NothingToDo } else { Ending::Done })
}

fn state(token: &Token, now: i64) -> String {
    match (token.revoked, token.expires) {
        (Some(at), _) => format!("revoked {}", day(at)),
        (None, Some(at)) if at <= now => format!("expired {}", day(at)),
        (None, Some(at)) => format!("expires {}", day(at)),
        (None, None) => "has no end".to_owned(),
    }
}

/// The day of a time.
fn day(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .map(|time| time.strftime("%Y-%m-%d").to_string())
        .unwrap_or_default()
}
