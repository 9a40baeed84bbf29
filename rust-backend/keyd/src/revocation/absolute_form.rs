// SPDX-License-Identifier: Apache-2.0
//! Requests for http through a proxy, which wants the whole URL in the request line (RFC 9112 section 3.2.2). Proxies often refuse
//! to connect to port 80, which is what the HTTP library would have them do.

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, TcpConnector, Transport};

/// Finds the proxy for all hosts.
#[derive(Debug)]
pub(super) struct ThroughProxy {
    proxy: Uri,
    resolver: DefaultResolver,
}

impl ThroughProxy {
    pub(super) fn new(proxy: Uri) -> Self {
        Self {
            proxy,
            resolver: DefaultResolver::default(),
        }
    }
}

impl Resolver for ThroughProxy {
    fn resolve(&self, _: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        self.resolver.resolve(&self.proxy, config, timeout)
    }
}

/// Connections by TCP whose requests have the whole URL.
pub(super) fn absolute_form() -> impl Connector {
    TcpConnector::default().chain(AbsoluteForm)
}

#[derive(Debug)]
struct AbsoluteForm;

impl<T: Transport> Connector<T> for AbsoluteForm {
    type Out = Rewriting<T>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<T>) -> Result<Option<Self::Out>, ureq::Error> {
        let host = details.uri.authority().map_or("", |authority| authority.as_str());
        let prefix = format!("http://{host}");
        Ok(chained.map(|inner| Rewriting {
            inner,
            prefix: Some(prefix),
        }))
    }
}

/// A connection for one request.
#[derive(Debug)]
struct Rewriting<T> {
    inner: T,
    /// What is still to be inserted before the path.
    prefix: Option<String>,
}

impl<T: Transport> Transport for Rewriting<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let mut data = self.inner.buffers().output()[..amount].to_vec();
        if let Some(end) = data.iter().position(|byte| *byte == b' ')
            && let Some(prefix) = self.prefix.take()
        {
            data.splice(end + 1..end + 1, prefix.bytes());
        }
        let mut rest = data.as_slice();
        while !rest.is_empty() {
            let output = self.inner.buffers().output();
            let len = output.len().min(rest.len());
            output[..len].copy_from_slice(&rest[..len]);
            self.inner.transmit_output(len, timeout)?;
            rest = &rest[len..];
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }
}
