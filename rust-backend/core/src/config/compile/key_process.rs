// SPDX-License-Identifier: Apache-2.0
//! Where private keys are: in `tls-keyd`, or in httpd's processes.

use std::path::PathBuf;

use super::Compiler;
use crate::base::diagnostics::Severity;
use crate::config::CompileMode;
use crate::key_process::parent::{KeyProcess, Launch};
use crate::key_process::protocol::Purpose;
use crate::keys::identity::IdentityFiles;
use crate::settings::KeyPlace;

impl Compiler {
    /// The program that is to have the private keys; none if they are in httpd's processes.
    pub(super) fn key_program(&self) -> Option<PathBuf> {
        let installed = || self.builder.environment.key_program.clone();
        match self.global.key_process.as_ref().map(|said| &said.value) {
            Some(KeyPlace::Off) => None,
            Some(KeyPlace::Program(path)) => Some(path.clone()),
            Some(KeyPlace::On) => installed(),
            None => installed().filter(|path| path.is_file()),
        }
    }

    /// How the private keys are kept, for `DUMP_TLS`.
    pub(super) fn key_place(&self) -> String {
        match self.key_program() {
            Some(program) => format!("in {}", program.display()),
            None => "in httpd's processes".to_owned(),
        }
    }

    /// Starts `tls-keyd`, or lets it go on, if it is to have the private keys. A test reads keys itself.
    pub(super) fn start_key_process(&mut self) {
        if self.builder.environment.mode == CompileMode::Test {
            return;
        }
        let process = self.builder.process.clone();
        let Some(keys) = process.key_process.get() else {
            return;
        };
        self.check_control();
        let Some(program) = self.key_program().filter(|_| self.needs_keys()) else {
            keys.stop();
            return;
        };
        let launch = Launch {
            program,
            user: self.global.key_process_user.as_ref().map(|said| said.value.clone()),
            tokens: self.names_tokens(),
            cache: None,
        };
        keys.set_pins(&self.global.pins);
        let is_final = self.builder.environment.mode == CompileMode::Run;
        if let Err(why) = keys.start(&launch, is_final) {
            self.report_key_process(Severity::Error, &why);
            return;
        }
        if process.forget_keys() {
            let text = "takes the private keys out of httpd's processes, in whose memory traces of them may be left: stop and start \
                        httpd to remove these too";
            self.report_key_process(Severity::Warning, text);
        }
        if self.prepare_identities().is_err() {
            // It may have ended just now. If it fails again, each certificate gets a message.
            let again = keys.start(&launch, is_final).and_then(|()| self.prepare_identities());
            if let Err(why) = again {
                self.report_key_process(Severity::Error, &why);
            }
        }
    }

    /// Whether private keys are in httpd's processes.
    pub(super) fn is_without_keyd(&self) -> bool {
        let keys = self.builder.process.key_process.get();
        !keys.is_some_and(KeyProcess::is_on)
    }

    fn report_key_process(&mut self, severity: Severity, text: &str) {
        let origin = self.global.key_process.as_ref().map(|said| &said.origin);
        self.diagnostics
            .report(severity, 0, origin, format!("TLSKeyProcess {text}"));
    }

    fn needs_keys(&self) -> bool {
        (0..self.hosts.len()).any(|index| self.is_reachable(index)) || !self.builder.proxy_blocks.is_empty()
    }

    /// Has the files of all hosts read at once.
    fn prepare_identities(&self) -> Result<(), String> {
        let process = &self.builder.process;
        let Some(keys) = process.key_process.get() else {
            return Ok(());
        };
        let reachable = (0..self.hosts.len()).filter(|index| self.is_reachable(*index));
        let files = reachable.flat_map(|index| self.identity_files(index));
        process.identities.prepare(files, keys, Purpose::Server)
    }

    /// The files of a host's certificates.
    fn identity_files(&self, index: usize) -> Vec<IdentityFiles> {
        let supplied = &self.builder.servers[index].supplied;
        if !supplied.is_empty() {
            return supplied.clone();
        }
        let host = &self.hosts[index];
        let named = host.files.pairs().into_iter();
        named
            .chain(host.certificates.iter().cloned())
            .map(|said| said.value)
            .collect()
    }

    /// Whether a certificate or key is in a token.
    fn names_tokens(&self) -> bool {
        let hosts = (0..self.hosts.len()).flat_map(|index| self.identity_files(index));
        hosts
            .chain(self.proxies.identity_files())
            .any(|files| files.is_in_token())
    }
}
