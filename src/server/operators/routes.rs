//! Requests of the page and their answers.
//!
//! In: requests. Out: HTML, redirects, cookies. Never: a token in an address or in the log; a
//! number before the cookie was looked up.

use axum::body::to_bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, HeaderValue, LOCATION,
    REFERRER_POLICY, SET_COOKIE,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse as _, Response};

use super::builds;
use super::login;
use super::page::{self, STYLE, Visit};
use super::question::{Parameters, Question};
use super::rollouts;
use super::timeline;
use super::view::{self, View};
use super::visitor::{Person, Visitor, visitor};
use super::words::Language;
use crate::error_chain;
use crate::fleet::{FleetError, JobKind};
use crate::host;
use crate::server::access::Client;
use crate::server::admission::{self, Found};
use crate::server::conductor;
use crate::server::fleet::Fleet;
use crate::server::own_site::is_own_form;
use crate::server::refusal::Refusal;
use crate::server::state::ServerState;
use crate::server::updates;

/// Largest form, bytes.
pub(super) const FORM_BYTES: usize = 4 << 10;
/// What browsers may load and do: the style sheet, and forms to this server.
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

type Parsed = Result<Query<Parameters>, QueryRejection>;

/// What was asked for, and in which language.
pub(super) fn asked(parameters: Parameters, headers: &HeaderMap) -> (Question, Language) {
    let question = Question::from(parameters);
    let wished = updates::accepted_languages(headers);
    let wished = wished.iter().find_map(|tag| Language::of(tag));
    let language = question.language.or(wished).unwrap_or(Language::English);
    (question, language)
}

pub(super) fn html(status: StatusCode, text: String) -> Response {
    let fields = [
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        // Forms still name their origin.
        (REFERRER_POLICY, "same-origin"),
    ];
    (status, fields, Html(text)).into_response()
}

fn the(shared: &ServerState) -> Result<&Fleet, Refusal> {
    shared.fleet.as_ref().ok_or_else(Refusal::not_found)
}

/// `GET /fleet`.
pub(in crate::server) async fn show(
    State(shared): State<ServerState>,
    parameters: Parsed,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let fleet = the(&shared)?;
    let parameters = parameters.map(|Query(parameters)| parameters).unwrap_or_default();
    let (question, language) = asked(parameters, &headers);
    admission::login(fleet, &headers)?;
    let answer = match visitor(fleet, &headers).await {
        Ok(Visitor::Stranger) => {
            Ok(html(StatusCode::UNAUTHORIZED, page::door(&question, language, None)))
        }
        Ok(Visitor::WithoutRole) => {
            let text = page::notice(&question, language, language.words().no_role);
            Ok(html(StatusCode::FORBIDDEN, text))
        }
        Ok(Visitor::Known(person)) => {
            let shown = whole(&shared, fleet, &headers, (&question, language), &person).await;
            shown.map(|text| html(StatusCode::OK, text))
        }
        Err(error) => Err(error),
    };
    Ok(answer.unwrap_or_else(|error| unreadable(&error, &question, language)))
}

/// The page for somebody who may look.
async fn whole(
    shared: &ServerState,
    fleet: &Fleet,
    headers: &HeaderMap,
    (question, language): (&Question, Language),
    person: &Person,
) -> Result<String, FleetError> {
    let address = address(shared, headers);
    let rollouts = rollouts(shared, fleet, question, language, person.operates).await;
    let beside = beside(shared, fleet, language).await?;
    let visit = Visit {
        question,
        language,
        name: &person.name,
        leaves_here: person.leaves_here,
        address: &address,
        rollouts: &rollouts,
        beside: &beside,
    };
    numbers(fleet, &visit).await
}

/// The section of rollouts; empty on a server that steers none. A repository that cannot be read
/// has one sentence instead, and the numbers are shown all the same.
async fn rollouts(
    shared: &ServerState,
    fleet: &Fleet,
    question: &Question,
    language: Language,
    operates: bool,
) -> String {
    let Some(steering) = &shared.options.steering else { return String::new() };
    match conductor::standings(fleet, steering).await {
        Ok(standings) => {
            let lang = question.language.map(Language::tag).unwrap_or_default();
            rollouts::rollouts(&standings, language, lang, operates)
        }
        Err(error) => {
            tracing::error!(error = error_chain::line(&error), "rollouts cannot be shown");
            page::alert(language.words().no_rollouts)
        }
    }
}

/// What stands beside the numbers: builds, and what happened.
async fn beside(
    shared: &ServerState,
    fleet: &Fleet,
    language: Language,
) -> Result<String, FleetError> {
    let builds = builds(shared, fleet, language).await?;
    let audit = fleet.store.newest_audit(timeline::SHOWN).await?;
    let catalogue = shared.repository.catalogue().await;
    let releases = catalogue.releases.iter().map(|signed| &signed.release);
    Ok(builds + &timeline::timeline(releases, &audit, language))
}

/// The section of builds; empty on a server that has had none.
async fn builds(
    shared: &ServerState,
    fleet: &Fleet,
    language: Language,
) -> Result<String, FleetError> {
    if shared.builds.is_none() {
        return Ok(String::new());
    }
    let jobs = fleet.store.jobs(JobKind::Build, "", builds::SHOWN).await?;
    if jobs.is_empty() {
        return Ok(String::new());
    }
    let numbers = fleet.store.job_numbers(JobKind::Build).await?;
    Ok(builds::builds(&jobs, &numbers, language, host::now().as_second()))
}

async fn numbers(fleet: &Fleet, visit: &Visit<'_>) -> Result<String, FleetError> {
    let window = visit.question.window(host::now().as_second());
    let statistics = fleet.store.statistics(&window).await?;
    if statistics.outcomes.is_empty() && !fleet.store.has_reports().await? {
        return Ok(page::without_reports(visit));
    }
    let mut choices = fleet.store.choices(window.since).await?;
    view::newest_first(&mut choices.versions);
    Ok(page::numbers(visit, &View::of(statistics, host::now().as_second()), &choices))
}

/// The database does not answer, or the like.
pub(super) fn unreadable(error: &FleetError, question: &Question, language: Language) -> Response {
    tracing::error!(error = error_chain::line(error), "the page cannot be shown");
    let text = page::notice(question, language, language.words().no_numbers);
    html(StatusCode::SERVICE_UNAVAILABLE, text)
}

/// Where launchers reach this server, as far as it knows.
fn address(shared: &ServerState, headers: &HeaderMap) -> String {
    if let Some(url) = &shared.options.public_url {
        return url.to_string();
    }
    let private = login::is_private(headers, shared.options.behind_proxy);
    let scheme = if private { "https" } else { "http" };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    format!("{scheme}://{}/", host.unwrap_or("updates.example.com"))
}

/// `POST /fleet/login`: a token for a cookie.
pub(in crate::server) async fn log_in(
    State(shared): State<ServerState>,
    request: Request,
) -> Result<Response, Refusal> {
    let fleet = the(&shared)?;
    let headers = request.headers().clone();
    let client = request.extensions().get::<Client>().map(|Client(address)| *address);
    let form = to_bytes(request.into_body(), FORM_BYTES).await.unwrap_or_default();
    let field = |name: &str| {
        let mut fields = url::form_urlencoded::parse(&form);
        fields.find(|(field, _)| field == name).map(|(_, value)| value.into_owned())
    };
    let lang = field("lang").unwrap_or_default();
    let (question, language) = asked(Parameters::in_language(lang), &headers);
    let words = language.words();
    let again = |status, text| html(status, page::door(&question, language, Some(text)));
    if !is_own_form(&headers) {
        return Ok(again(StatusCode::FORBIDDEN, words.other_site));
    }
    let now = host::now().as_second();
    if !fleet.admits_login(client, now) {
        return Ok(again(StatusCode::TOO_MANY_REQUESTS, words.too_many));
    }
    let credential = match admission::credential(fleet, &field("token").unwrap_or_default()).await?
    {
        Some(Found::Valid(credential)) => credential,
        found => {
            let remote = client.filter(|_| shared.options.log_addresses);
            tracing::warn!(remote = remote.map(tracing::field::display), "a login was refused");
            if let Some(Found::Ended(token)) = found {
                let recorded = fleet.store.refuse_login(&token, now).await;
                recorded.map_err(|error| Refusal::internal(&error))?;
            }
            return Ok(again(StatusCode::UNAUTHORIZED, words.wrong_token));
        }
    };
    let word = match fleet.store.log_in(&credential, now).await {
        Ok(word) => word,
        Err(error) => return Ok(unreadable(&error, &question, language)),
    };
    let private = login::is_private(&headers, shared.options.behind_proxy);
    Ok(redirect(&question, &login::set_cookie(&word, private)))
}

/// `POST /fleet/logout`.
pub(in crate::server) async fn log_out(
    State(shared): State<ServerState>,
    request: Request,
) -> Result<Response, Refusal> {
    let fleet = the(&shared)?;
    let headers = request.headers().clone();
    let form = to_bytes(request.into_body(), FORM_BYTES).await.unwrap_or_default();
    let lang = url::form_urlencoded::parse(&form).find(|(name, _)| name == "lang");
    let lang = lang.map(|(_, value)| value.into_owned()).unwrap_or_default();
    let (question, language) = asked(Parameters::in_language(lang), &headers);
    if !is_own_form(&headers) {
        let text = page::notice(&question, language, language.words().other_site);
        return Ok(html(StatusCode::FORBIDDEN, text));
    }
    if let Some(word) = login::cookie(&headers)
        && let Err(error) = fleet.store.log_out(word, host::now().as_second()).await
    {
        return Ok(unreadable(&error, &question, language));
    }
    let private = login::is_private(&headers, shared.options.behind_proxy);
    Ok(redirect(&question, &login::clear_cookie(private)))
}

/// To the page, with a cookie.
fn redirect(question: &Question, cookie: &str) -> Response {
    redirect_to(&question.address(), Some(cookie))
}

/// To an address of the page, perhaps with a cookie.
pub(super) fn redirect_to(address: &str, cookie: Option<&str>) -> Response {
    let mut headers = HeaderMap::new();
    let fields: [(HeaderName, Option<&str>); 3] =
        [(LOCATION, Some(address)), (SET_COOKIE, cookie), (CACHE_CONTROL, Some("no-store"))];
    for (name, value) in fields {
        let Some(value) = value else { continue };
        // All of them are made here, of signs that a header takes.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// `GET /fleet/style.css`.
pub(in crate::server) async fn style() -> Response {
    let fields = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "no-cache")];
    (fields, STYLE).into_response()
}
