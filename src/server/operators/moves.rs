//! The buttons of rollouts: a person's move from the page.
//!
//! In: the form of a button, a cookie. Out: the move, and the page again; or one sentence. Never: a
//! move that another site asked for, or whose login may not operate.

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::page;
use super::question::{Parameters, Question};
use super::rollouts::ANCHOR;
use super::routes::{FORM_BYTES, asked, html, redirect_to, unreadable};
use super::visitor::{Person, Visitor, visitor};
use super::words::Language;
use crate::error_chain;
use crate::model::rollout_move::RolloutMove;
use crate::server::admission;
use crate::server::conductor::{self, RefusedByServer};
use crate::server::own_site::is_own_form;
use crate::server::refusal::Refusal;
use crate::server::rollouts::parts;
use crate::server::state::ServerState;

/// The fields of a button's form.
struct Pressed {
    app: String,
    version: String,
    wanted: String,
    lang: String,
}

impl Pressed {
    fn read(form: &[u8]) -> Self {
        let field = |name: &str| {
            let mut fields = url::form_urlencoded::parse(form);
            let found = fields.find(|(field, _)| field == name);
            found.map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        Self {
            app: field("app"),
            version: field("version"),
            wanted: field("move"),
            lang: field("lang"),
        }
    }
}

/// `POST /fleet/rollout`.
pub(in crate::server) async fn move_rollout(
    State(shared): State<ServerState>,
    request: Request,
) -> Result<Response, Refusal> {
    let (fleet, _) = parts(&shared)?;
    let headers = request.headers().clone();
    let form = to_bytes(request.into_body(), FORM_BYTES).await.unwrap_or_default();
    let pressed = Pressed::read(&form);
    let (question, language) = asked(Parameters::in_language(pressed.lang.clone()), &headers);
    admission::login(fleet, &headers)?;
    let person = match visitor(fleet, &headers).await {
        Ok(Visitor::Known(person)) => person,
        Ok(Visitor::WithoutRole) => {
            let text = page::notice(&question, language, language.words().no_role);
            return Ok(html(StatusCode::FORBIDDEN, text));
        }
        Ok(Visitor::Stranger) => {
            let door = page::door(&question, language, None);
            return Ok(html(StatusCode::UNAUTHORIZED, door));
        }
        Err(error) => return Ok(unreadable(&error, &question, language)),
    };
    Ok(answer(&shared, &headers, &pressed, (&question, language), &person).await)
}

async fn answer(
    shared: &ServerState,
    headers: &HeaderMap,
    pressed: &Pressed,
    (question, language): (&Question, Language),
    person: &Person,
) -> Response {
    let words = language.words();
    let notice = |status, text: &str| html(status, page::notice(question, language, text));
    if !is_own_form(headers) {
        return notice(StatusCode::FORBIDDEN, words.other_site);
    }
    if !person.operates {
        return notice(StatusCode::FORBIDDEN, words.may_not_operate);
    }
    let Ok((fleet, steering)) = parts(shared) else {
        return notice(StatusCode::NOT_FOUND, words.not_moved);
    };
    let Ok(wanted) = pressed.wanted.parse::<RolloutMove>() else {
        return notice(StatusCode::NOT_FOUND, words.not_moved);
    };
    let about = (pressed.app.as_str(), pressed.version.as_str());
    let moved = conductor::move_by(fleet, steering, (&person.name, wanted), about).await;
    match moved {
        Ok(_) => redirect_to(&format!("{}#{ANCHOR}", question.address()), None),
        Err(RefusedByServer::Failed(error)) => {
            tracing::error!(error = error_chain::line(&error), "a rollout cannot be moved");
            notice(StatusCode::SERVICE_UNAVAILABLE, words.move_failed)
        }
        Err(error) => {
            tracing::info!(error = error_chain::line(&error), "a move was refused");
            notice(StatusCode::CONFLICT, words.not_moved)
        }
    }
}
