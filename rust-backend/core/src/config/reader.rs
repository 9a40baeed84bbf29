// SPDX-License-Identifier: Apache-2.0
//! Interprets the directives of servers and of blocks for backends, both `TLS…` and mod_ssl's.

use crate::base::diagnostics::Severity;
use crate::base::directive::Directive;
use crate::mod_ssl;
use crate::settings::backend::ProxySettings;
use crate::settings::{HostSettings, Interpreter};

fn is_mod_ssls(directive: &Directive) -> bool {
    directive.name.starts_with("SSL")
}

impl Interpreter<'_> {
    /// The settings from the directives of server `index`; server 0 is the base server.
    pub(crate) fn read(&mut self, index: usize, directives: &[Directive]) -> HostSettings {
        let mut host = HostSettings {
            policy: self.nothing.clone(),
            ..HostSettings::default()
        };
        for directive in directives {
            let outcome = match is_mod_ssls(directive) {
                true => mod_ssl::interpret(self, index, directive, &mut host),
                false => self.interpret(index, directive, &mut host),
            };
            self.report_failure(index, directive, outcome);
        }
        host
    }

    /// The settings from the directives of a block in server `index`.
    pub(crate) fn read_proxy(&mut self, index: usize, directives: &[Directive]) -> ProxySettings {
        let mut settings = ProxySettings {
            place: directives.first().map(|directive| directive.origin.clone()),
            ..ProxySettings::default()
        };
        for directive in directives {
            let outcome = match is_mod_ssls(directive) {
                true => mod_ssl::interpret_proxy(self, index, directive, &mut settings),
                false => self.interpret_proxy(index, directive, &mut settings),
            };
            self.report_failure(index, directive, outcome);
        }
        settings
    }

    fn report_failure(&mut self, index: usize, directive: &Directive, outcome: Result<(), String>) {
        if let Err(why) = outcome {
            let text = format!("{} {why}", directive.name);
            self.diagnostics
                .report(Severity::Error, index, Some(&directive.origin), text);
        }
    }
}
