// SPDX-License-Identifier: Apache-2.0
//! HTTP requests: to OCSP responders and to distribution points of revocation lists, which may be behind a proxy.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use mod_tls_core::base::lock::lock;
use mod_tls_core::crypto::install_provider;
use mod_tls_core::revocation::orders::FetchSettings;
use ureq::http::{Response, StatusCode, Uri, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, Proxy};
use url::Url;

use super::absolute_form::{ThroughProxy, absolute_form};

/// How many redirections are followed.
const MAX_REDIRECTIONS: usize = 3;

/// Why there is no answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FetchError {
    /// The reason.
    pub(super) why: String,
    /// Whether the server, or the way to it, has not answered.
    pub(super) is_silence: bool,
}

impl FetchError {
    fn new(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            is_silence: false,
        }
    }

    fn of(error: &ureq::Error, settings: &FetchSettings) -> Self {
        let why = match error {
            ureq::Error::Timeout(_) => format!("no answer within {} seconds", settings.timeout),
            ureq::Error::BodyExceedsLimit(limit) => format!("the answer is longer than {limit} bytes"),
            ureq::Error::HostNotFound => "the name of the host has no address".to_owned(),
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                "the connection was closed before the end of the answer".to_owned()
            }
            other => other.to_string(),
        };
        let is_silence = matches!(
            error,
            ureq::Error::Timeout(_) | ureq::Error::HostNotFound | ureq::Error::Io(_) | ureq::Error::ConnectionFailed
        );
        Self { why, is_silence }
    }
}

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Query<'a> {
    /// The body of a POST request with its type; none for GET.
    pub(super) body: Option<(&'a str, &'a [u8])>,
    /// The type that is wanted.
    pub(super) accept: &'a str,
    /// The ETag of what is known.
    pub(super) etag: Option<&'a str>,
    /// The Last-Modified of what is known.
    pub(super) last_modified: Option<&'a str>,
    /// The longest answer, in bytes.
    pub(super) limit: u64,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// What is known has not changed.
    Unchanged,
    /// A document.
    Document {
        body: Vec<u8>,
        etag: Option<String>,
        last_modified: Option<String>,
    },
}

/// The ways to other machines.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// By the proxy, and whether it is asked to connect, which is done for https.
    agents: Mutex<HashMap<(Option<String>, bool), Agent>>,
}

impl Client {
    /// Gets what is at `url`.
    pub(super) fn fetch(&self, url: &str, query: &Query<'_>, settings: &FetchSettings) -> Result<Answer, FetchError> {
        let mut url = Url::parse(url).map_err(|error| FetchError::new(format!("it is no URL ({error})")))?;
        for _ in 0..=MAX_REDIRECTIONS {
            if !matches!(url.scheme(), "http" | "https") {
                let text = format!("{url}: only http and https are used");
                return Err(FetchError::new(text));
            }
            let mut response = self.send(&url, query, settings)?;
            let status = response.status();
            match status {
                StatusCode::NOT_MODIFIED if query.etag.is_some() || query.last_modified.is_some() => {
                    return Ok(Answer::Unchanged);
                }
                _ if status.is_redirection() => {
                    url = redirected(&url, &response)?;
                    continue;
                }
                StatusCode::OK => {}
                _ => return Err(FetchError::new(format!("the answer is HTTP status {status}"))),
            }
            let value = |name| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
            let (etag, last_modified) = (value(header::ETAG), value(header::LAST_MODIFIED));
            let body = response.body_mut().with_config().limit(query.limit).read_to_vec();
            return Ok(Answer::Document {
                body: body.map_err(|error| FetchError::of(&error, settings))?,
                etag,
                last_modified,
            });
        }
        Err(FetchError::new(format!(
            "there are more than {MAX_REDIRECTIONS} redirections"
        )))
    }

    fn send(&self, url: &Url, query: &Query<'_>, settings: &FetchSettings) -> Result<Response<Body>, FetchError> {
        let failed = |error: ureq::Error| FetchError::of(&error, settings);
        let agent = self.agent(url.scheme() == "https", settings)?;
        let limit = Some(Duration::from_secs(settings.timeout.into()));
        let accept = (header::ACCEPT, query.accept);
        match query.body {
            Some((kind, body)) => agent
                .post(url.as_str())
                .config()
                .timeout_global(limit)
                .build()
                .header(accept.0, accept.1)
                .content_type(kind)
                .send(body)
                .map_err(failed),
            None => {
                let request = agent.get(url.as_str()).config().timeout_global(limit).build();
                let known = [
                    (header::IF_NONE_MATCH, query.etag),
                    (header::IF_MODIFIED_SINCE, query.last_modified),
                ];
                let known = known.into_iter().filter_map(|(name, value)| Some((name, value?)));
                let request = std::iter::once(accept)
                    .chain(known)
                    .fold(request, |request, (name, value)| request.header(name, value));
                request.call().map_err(failed)
            }
        }
    }

    fn agent(&self, is_https: bool, settings: &FetchSettings) -> Result<Agent, FetchError> {
        let connects = is_https && settings.proxy.is_some();
        let key = (settings.proxy.clone(), connects);
        if let Some(agent) = lock(&self.agents).get(&key) {
            return Ok(agent.clone());
        }
        let wrong = |error: &dyn std::fmt::Display| FetchError::new(format!("the proxy cannot be used: {error}"));
        let proxy = settings.proxy.as_deref();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .user_agent(concat!("mod_tls/", env!("CARGO_PKG_VERSION")))
            .proxy(
                proxy
                    .filter(|_| connects)
                    .map(Proxy::new)
                    .transpose()
                    .map_err(|error| wrong(&error))?,
            )
            .tls_config(tls())
            .build();
        let agent = match proxy.filter(|_| !connects) {
            Some(proxy) => {
                let proxy: Uri = proxy.parse().map_err(|error| wrong(&error))?;
                Agent::with_parts(config, absolute_form(), ThroughProxy::new(proxy))
            }
            None => Agent::new_with_config(config),
        };
        lock(&self.agents).insert(key, agent.clone());
        Ok(agent)
    }
}

/// Where `response` redirects to.
fn redirected(from: &Url, response: &Response<Body>) -> Result<Url, FetchError> {
    let location = response
        .headers()
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok());
    let to = location.and_then(|location| from.join(location).ok());
    to.ok_or_else(|| FetchError::new("it redirects to nowhere"))
}

/// For https: the CAs of the system.
fn tls() -> TlsConfig {
    static ROOTS: OnceLock<RootCerts> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs().certs;
        let certificates: Vec<_> = found.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
        RootCerts::new_with_certs(&certificates)
    });
    install_provider();
    TlsConfig::builder().root_certs(roots.clone()).build()
}
